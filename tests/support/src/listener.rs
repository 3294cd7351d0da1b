//! Connections on free ports of this machine.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// An address where nobody listens. A free port might be taken by another test; this one never is.
pub const NOBODY: &str = "http://127.0.0.1:1";

/// Takes connections until it is dropped, each on a thread of its own.
pub struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Listener {
    /// Hands each connection, with its number from 0, to `talk`.
    pub fn start(talk: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Listener {
        let (listener, address) = bind();
        let connections = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (count, its_over) = (Arc::clone(&connections), Arc::clone(&over));
        let talk = Arc::new(talk);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if its_over.load(Ordering::SeqCst) {
                    return;
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                let talk = Arc::clone(&talk);
                std::thread::spawn(move || talk(number, stream));
            }
        });
        Listener {
            address,
            connections,
            over,
        }
    }

    /// Such as `http://127.0.0.1:40123`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A port that nobody is to connect to.
pub struct Untouched {
    listener: TcpListener,
    address: SocketAddr,
}

impl Untouched {
    pub fn listen() -> Untouched {
        let (listener, address) = bind();
        listener.set_nonblocking(true).expect("nonblocking");
        Untouched { listener, address }
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nobody did.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.listener.accept().is_err(), "a request was sent");
    }
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}
