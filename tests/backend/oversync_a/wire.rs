//! Requests sent byte for byte, over a connection of their own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use support::PATIENCE;

use super::transcript::{Answer, Request, class};

/// A request on its way.
pub struct Sent(TcpStream);

impl Sent {
    pub fn new(port: u16, request: &Request) -> Sent {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let Request {
            method,
            path,
            headers,
            body,
        } = request;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: stand-in\r\nconnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        // A server that closes early is seen when its answer is read.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
        Sent(stream)
    }

    /// Waits for the whole answer.
    pub fn answer(mut self) -> Answer {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) if !bytes.is_empty() => parsed(&bytes),
            _ => Answer::default(),
        }
    }

    /// Closes the connection, as a client that has waited long enough.
    pub fn give_up(self) -> Answer {
        self.0.shutdown(Shutdown::Both).expect("it was open");
        Answer {
            is_given_up: true,
            ..Answer::default()
        }
    }
}

pub fn send(port: u16, request: &Request) -> Answer {
    Sent::new(port, request).answer()
}

fn parsed(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").expect("the end of the head");
    let header = |name: &str| {
        let mut lines = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").expect("a length");
    assert_eq!(length, body.len().to_string(), "{text}");
    Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok()),
        content_type: class(&header("content-type").unwrap_or_default()),
        allow: header("allow"),
        body: body.trim_end_matches('\n').to_owned(),
        is_given_up: false,
    }
}
