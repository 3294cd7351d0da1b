//! A server that answers as it is ordered to, byte for byte, and keeps what it was asked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::listener::Listener;
use crate::waiting::PATIENCE;

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A GET is a pull, and so is anything to a path that says so.
    pub fn is_push(&self) -> bool {
        self.method != "GET" && !self.path.contains("/pull")
    }
}

type Say = Box<dyn Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send>;

#[derive(Default)]
struct State {
    pulls: Mutex<VecDeque<Say>>,
    pushes: Mutex<VecDeque<Say>>,
    seen: Mutex<Vec<Seen>>,
    clock: Mutex<i64>,
}

/// Answers pulls and pushes from two queues. When one is empty: nothing changed, all accepted.
pub struct Canned {
    state: Arc<State>,
    listener: Listener,
}

impl Canned {
    pub fn start() -> Canned {
        let state = Arc::new(State::default());
        let its_state = Arc::clone(&state);
        let listener = Listener::start(move |_, stream| {
            // The client may go when it likes.
            let _ = serve(&its_state, stream);
        });
        Canned { state, listener }
    }

    pub fn url(&self) -> String {
        self.origin() + "/sync"
    }

    pub fn origin(&self) -> String {
        self.listener.origin()
    }

    /// The next pull is answered with this JSON.
    pub fn pull(&self, answer: &str) {
        let bytes = json_answer(answer);
        self.pull_raw(move |_| bytes.clone());
    }

    /// The next pull is answered with these changes and a growing timestamp.
    pub fn changes(&self, changes: Value) {
        let timestamp = self.state.tick();
        self.pull(&json!({"changes": changes, "timestamp": timestamp}).to_string());
    }

    pub fn pull_raw(&self, say: impl Fn(&Seen) -> Vec<u8> + Send + 'static) {
        self.pull_by(move |seen, stream| stream.write_all(&say(seen)));
    }

    /// The next pull is answered bit by bit.
    pub fn pull_by(
        &self,
        say: impl Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send + 'static,
    ) {
        let mut pulls = self.state.pulls.lock().expect("lock");
        pulls.push_back(Box::new(say));
    }

    pub fn push_raw(&self, say: impl Fn(&Seen) -> Vec<u8> + Send + 'static) {
        let mut pushes = self.state.pushes.lock().expect("lock");
        pushes.push_back(Box::new(move |seen, stream| stream.write_all(&say(seen))));
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("lock").clone()
    }

    pub fn clear(&self) {
        self.state.seen.lock().expect("lock").clear();
    }

    /// Forgets what was to be answered and what was asked.
    pub fn reset(&self) {
        self.state.pulls.lock().expect("lock").clear();
        self.state.pushes.lock().expect("lock").clear();
        self.clear();
    }

    /// The bodies of the pushes.
    pub fn pushed(&self) -> Vec<Value> {
        self.seen()
            .iter()
            .filter(|seen| seen.is_push())
            .map(Seen::json)
            .collect()
    }
}

impl State {
    fn tick(&self) -> i64 {
        let mut clock = self.clock.lock().expect("lock");
        *clock += 1;
        1_000_000 + *clock
    }
}

fn serve(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        path,
        headers,
        body: String::new(),
    };
    if seen.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = seen
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.body = String::from_utf8_lossy(&body).into_owned();
    state.seen.lock().expect("lock").push(seen.clone());
    let queue = if seen.is_push() {
        &state.pushes
    } else {
        &state.pulls
    };
    let say = queue.lock().expect("lock").pop_front();
    match say {
        Some(say) => say(&seen, &mut stream)?,
        None if seen.is_push() => stream.write_all(&json_answer("{}"))?,
        None => {
            let timestamp = state.tick();
            let nothing = json!({"changes": {}, "timestamp": timestamp}).to_string();
            stream.write_all(&json_answer(&nothing))?;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    Ok(())
}

pub fn head(status: u16, headers: &[(&str, &str)]) -> String {
    let mut text = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}

pub fn json_answer(body: &str) -> Vec<u8> {
    status_answer(200, &[("Content-Type", "application/json")], body)
}

pub fn status_answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    if status != 204 && status != 304 {
        all.push(("Content-Length", &length));
    }
    (head(status, &all) + body).into_bytes()
}

/// An answer that promises more than it gives.
pub fn closing(body: &str, promised: usize) -> Vec<u8> {
    (head(200, &[("Content-Length", &promised.to_string())]) + body).into_bytes()
}
