//! Who sends the requests: syncscope itself, or a host program, here one in Python.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::waiting::PATIENCE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// syncscope, within the call.
    Http,
    /// A program in Python, between two calls.
    Python,
    /// The same, and the database is in memory: no file, no second connection.
    Memory,
}

impl Transport {
    pub const ALL: [Transport; 3] = [Transport::Http, Transport::Python, Transport::Memory];

    /// Whether the program sends the requests.
    pub fn is_host(self) -> bool {
        self != Transport::Http
    }
}

/// What came of a request that the program has sent.
#[derive(Clone, Debug)]
pub struct Came {
    /// None: no complete answer.
    pub status: Option<u16>,
    /// An object.
    pub headers: Value,
    /// The body; without a status, why there is none.
    pub body: Vec<u8>,
}

impl Came {
    pub fn answer(status: u16, body: &str) -> Came {
        Came {
            status: Some(status),
            headers: json!({"content-type": "application/json"}),
            body: body.into(),
        }
    }

    pub fn lost(why: &str) -> Came {
        Came {
            status: None,
            headers: json!({}),
            body: why.into(),
        }
    }

    fn read(answer: &Value) -> Came {
        if let Some(why) = answer["lost"].as_str() {
            return Came::lost(why);
        }
        let body = answer["body"].as_str().unwrap_or_default().chars();
        Came {
            status: answer["status"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok()),
            headers: answer["headers"].clone(),
            body: body.map(|byte| byte as u8).collect(),
        }
    }
}

type Waiting = Arc<Mutex<HashMap<u64, Sender<Came>>>>;

/// The program: one for each process of tests. It ends when that ends, for its input ends then.
pub struct Python {
    orders: Mutex<ChildStdin>,
    waiting: Waiting,
    requests: AtomicU64,
    _child: Child,
}

/// The program, once it runs. Where there is no Python, it says so once.
pub fn python() -> Option<&'static Python> {
    static PYTHON: LazyLock<Option<Python>> = LazyLock::new(|| {
        let python = Python::start();
        if python.is_none() {
            let on_a_build_server = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!on_a_build_server, "there is no python3");
            // Past the harness, which shows nothing of tests that pass.
            let _ = std::io::stderr()
                .write_all(b"there is no python3: nothing is tried with a host program\n");
        }
        python
    });
    PYTHON.as_ref()
}

impl Python {
    fn start() -> Option<Python> {
        let mut child = ["/usr/bin/python3", "python3"].iter().find_map(|program| {
            Command::new(program)
                .args(["-c", include_str!("../../transport.py")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .ok()
        })?;
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let waiting = Waiting::default();
        let heard = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in answers.lines().map_while(Result::ok) {
                let answer: Value = serde_json::from_str(&line).expect("JSON");
                let id = answer["id"].as_u64().expect("a number");
                if let Some(waits) = heard.lock().expect("lock").remove(&id) {
                    // Whoever asked may have gone.
                    let _ = waits.send(Came::read(&answer));
                }
            }
            heard.lock().expect("lock").clear();
        });
        Some(Python {
            orders: Mutex::new(orders),
            waiting,
            requests: AtomicU64::new(0),
            _child: child,
        })
    }

    /// Sends what `sync_next_request` gave, and waits for what comes. `silence`: the longest there may be.
    pub fn send(&self, request: &Value, silence: Duration) -> Came {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = channel();
        self.waiting.lock().expect("lock").insert(id, answered);
        let order = json!({"id": id, "method": request["method"], "url": request["url"],
            "headers": request["headers"], "body": request["body"], "seconds": silence.as_secs_f64()});
        writeln!(self.orders.lock().expect("lock"), "{order}").expect("Python listens");
        answer
            .recv_timeout(2 * PATIENCE)
            .expect("an answer of Python")
    }
}
