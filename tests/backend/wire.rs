//! HTTP by hand: any header, any body, and answers that come piece by piece.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use support::waiting::PATIENCE;

use super::recording::Request;

/// How long nothing must come where nothing is to come. Too short a time finds less; it never fails.
const A_MOMENT: Duration = Duration::from_millis(40);

/// An answer.
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// A request that was sent, and as much of its answer as has come.
pub struct Exchange {
    socket: TcpStream,
    got: Vec<u8>,
    has_ended: bool,
}

impl Exchange {
    /// Sends a request byte for byte, over a connection of its own, to an origin such as `http://127.0.0.1:40123`.
    pub fn send(origin: &str, request: &Request) -> Exchange {
        let Request {
            method,
            path,
            headers,
            body,
        } = request;
        let host = origin.trim_start_matches("http://");
        let mut socket = TcpStream::connect(host).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        // A server that closes early is seen when its answer is read.
        let _ = socket.write_all(format!("{head}\r\n").as_bytes());
        let _ = socket.write_all(body);
        Exchange {
            socket,
            got: Vec::new(),
            has_ended: false,
        }
    }

    /// The whole answer; None if the connection ends without one.
    pub fn finish(&mut self) -> Option<Reply> {
        while self.read_more() {}
        self.reply()
    }

    /// Closes the connection, as a client that has waited long enough.
    pub fn give_up(self) {
        self.socket.shutdown(Shutdown::Both).expect("it was open");
    }

    /// Waits until the body so far is as it should be.
    pub fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let body = self.reply().map(|reply| reply.body).unwrap_or_default();
            if wanted(&body) || !self.read_more() {
                return body;
            }
        }
    }

    /// Waits for the head of the answer.
    pub fn head(&mut self) -> Reply {
        while self.reply().is_none() && self.read_more() {}
        self.reply().expect("the head of an answer")
    }

    /// What has come when nothing more comes for a moment.
    pub fn so_far(&mut self) -> String {
        self.socket
            .set_read_timeout(Some(A_MOMENT))
            .expect("a timeout");
        while self.read_more() {}
        self.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout");
        self.reply().map(|reply| reply.body).unwrap_or_default()
    }

    /// Whether the server has ended the answer properly.
    pub fn ended(&self) -> bool {
        self.has_ended
    }

    fn read_more(&mut self) -> bool {
        let mut piece = [0; 16384];
        match self.socket.read(&mut piece) {
            Ok(0) => {
                self.has_ended = true;
                false
            }
            Ok(read) => {
                self.got.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }

    fn reply(&self) -> Option<Reply> {
        let end = self.got.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.got[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
            .collect();
        let rest = &self.got[end + 4..];
        let is_chunked = headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if is_chunked {
            joined(rest)
        } else {
            rest.to_vec()
        };
        Some(Reply {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

/// The whole chunks of a body that comes in chunks.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
            break;
        };
        if size == 0 {
            break;
        }
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}
