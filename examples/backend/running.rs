//! A server that answers until it is dropped, whatever its routes are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::JoinHandle;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::socket::{CuttableListener, Peer};

/// It stops, and its connections break, when this is dropped.
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Serves on this port of 127.0.0.1 (0: a free one); when this returns, it answers.
    pub fn start(router: Router, port: u16) -> Result<Running, String> {
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || run(router, port, &ready, stopped));
        let address = match started.recv() {
            Ok(answer) => answer?,
            Err(_) => return Err("the server thread ended early".to_string()),
        };
        Ok(Running {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Such as `http://127.0.0.1:40123`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that the server has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until `stop` is sent or dropped. Sends `ready` the address, or why there is none.
fn run(
    router: Router,
    port: u16,
    ready: &mpsc::Sender<Result<SocketAddr, String>>,
    stop: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    runtime.block_on(serve(router, port, ready, stop));
    // Connections break here; nobody waits for slow clients.
    runtime.shutdown_background();
}

async fn serve(
    router: Router,
    port: u16,
    ready: &mpsc::Sender<Result<SocketAddr, String>>,
    stop: oneshot::Receiver<()>,
) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bound = TcpListener::bind(address)
        .await
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let listener = match bound {
        Ok((address, listener)) => {
            let _ = ready.send(Ok(address));
            CuttableListener(listener)
        }
        Err(error) => {
            let _ = ready.send(Err(format!("{address}: {error}")));
            return;
        }
    };
    let service = router.into_make_service_with_connect_info::<Peer>();
    tokio::select! {
        _ = stop => {}
        _ = axum::serve(listener, service) => {}
    }
}

/// Blocks until the process is asked to end.
pub fn wait_for_signal() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(signal_received())
        .map_err(|error| error.to_string())
}

#[cfg(unix)]
async fn signal_received() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}

#[cfg(not(unix))]
async fn signal_received() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
