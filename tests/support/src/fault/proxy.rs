//! A relay in front of the backend that stops in the middle of a request or an answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use super::victim::Word;
use crate::{Listener, PATIENCE};

/// Where it stops.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// So many bytes of the first push reach the backend.
    InPush(usize),
    /// So many bytes of the first answer to a pull reach the device.
    InPullAnswer(usize),
}

/// A running relay.
pub struct Proxy {
    listener: Listener,
}

impl Proxy {
    /// Relays to the port of a backend. Where it stops it reports to `words`, and breaks the connection
    /// when the sender that comes with the word is dropped.
    pub fn start(backend: u16, stop: Stop, words: Sender<Word>) -> Proxy {
        let listener = Listener::start(move |_, stream| {
            let there = TcpStream::connect(("127.0.0.1", backend)).expect("the backend");
            relay(stream, there, stop, words.clone());
        });
        Proxy { listener }
    }

    pub fn url(&self) -> String {
        self.listener.origin() + "/sync"
    }
}

fn relay(device: TcpStream, backend: TcpStream, stop: Stop, words: Sender<Word>) {
    // What the relay of answers must know of the request: 1 it is a pull, 2 it is a push.
    let kind = Arc::new(AtomicUsize::new(0));
    let its_kind = Arc::clone(&kind);
    let (from, to) = (
        device.try_clone().expect("clone"),
        backend.try_clone().expect("clone"),
    );
    let its_words = words.clone();
    let up = std::thread::spawn(move || {
        copy(
            from,
            to,
            |chunk| {
                match chunk {
                    _ if chunk.starts_with(b"GET ") => its_kind.store(1, Ordering::SeqCst),
                    _ if chunk.starts_with(b"POST ") => its_kind.store(2, Ordering::SeqCst),
                    _ => {}
                }
                match stop {
                    Stop::InPush(bytes) if its_kind.load(Ordering::SeqCst) == 2 => Some(bytes),
                    _ => None,
                }
            },
            &its_words,
        )
    });
    copy(
        backend,
        device,
        |_| match stop {
            Stop::InPullAnswer(bytes) if kind.load(Ordering::SeqCst) == 1 => Some(bytes),
            _ => None,
        },
        &words,
    );
    let _ = up.join();
}

/// Copies until the end, or until `limit` of a chunk says how many bytes still pass.
fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    limit: impl Fn(&[u8]) -> Option<usize>,
    words: &Sender<Word>,
) {
    let mut buffer = [0; 4096];
    let mut passed = 0;
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let chunk = &buffer[..read];
        let limit = limit(chunk).map(|limit| limit.saturating_sub(passed));
        let passing = limit.map_or(read, |limit| limit.min(read));
        if to.write_all(&chunk[..passing]).is_err() {
            break;
        }
        if limit.is_some() {
            passed += passing;
        }
        if passing < read {
            let (go_on, wait) = std::sync::mpsc::channel();
            let _ = words.send(Word::Moment(go_on));
            let _ = wait.recv_timeout(PATIENCE);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
