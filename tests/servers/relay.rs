//! A relay between a device and a server. What passes is not changed, except that each connection carries one request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use support::{Listener, PATIENCE};

#[derive(Default)]
struct State {
    /// Method and target of each request that came.
    asked: Vec<String>,
    /// Requests whose answers are lost, each once.
    lost: Vec<Lost>,
}

/// A request whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    Read,
    Write,
}

pub struct Relay {
    listener: Listener,
    state: Arc<Mutex<State>>,
}

impl Relay {
    /// To a port of this machine.
    pub fn to(port: u16) -> Relay {
        let state = Arc::new(Mutex::new(State::default()));
        let its = Arc::clone(&state);
        let listener = Listener::start(move |_, stream| {
            // Either side may go when it likes.
            let _ = pass(stream, port, &its);
        });
        Relay { listener, state }
    }

    pub fn origin(&self) -> String {
        self.listener.origin()
    }

    /// What was asked since the last time, such as `GET /book?_page=1`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().expect("lock").asked)
    }

    /// The answer to the next request of a kind does not arrive, though the request does.
    pub fn lose(&self, what: Lost) {
        self.state.lock().expect("lock").lost.push(what);
    }

    /// From now on all answers arrive.
    pub fn lose_no_more(&self) {
        self.state.lock().expect("lock").lost.clear();
    }

    /// Whether there is an answer still to be lost.
    pub fn is_to_lose(&self) -> bool {
        !self.state.lock().expect("lock").lost.is_empty()
    }
}

fn pass(mut device: TcpStream, port: u16, state: &Mutex<State>) -> std::io::Result<()> {
    device.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(device.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let asked = [words.next(), words.next()].map(Option::unwrap_or_default);
    let mut head = line.clone();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("connection") {
            continue;
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        assert!(
            !name.eq_ignore_ascii_case("transfer-encoding"),
            "a request without a length"
        );
        head.push_str(&line);
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let kind = match asked[0] {
        "GET" => Lost::Read,
        _ => Lost::Write,
    };
    let is_lost = {
        let mut state = state.lock().expect("lock");
        state.asked.push(asked.join(" "));
        let found = state.lost.iter().position(|lost| *lost == kind);
        found.map(|place| state.lost.remove(place)).is_some()
    };
    if !is_lost {
        device.write_all(&answer)?;
        device.shutdown(Shutdown::Write)?;
        let _ = reader.read_to_end(&mut Vec::new());
    }
    Ok(())
}
