//! Routes, the state they share, and where faults are applied.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::body::{self, BodyPlan};
use super::control;
use super::faults::{Faults, Kind, Switches};
use super::moments::{Moment, Moments};
use super::options::Options;
use super::request_log::{RequestLog, SeenRequest};
use super::socket::{CuttableListener, Peer};
use super::store::Store;
use super::watermelon;

/// Where clients sync.
const SYNC_PATH: &str = "/sync";
/// The same, at an address that the switch `redirect` can point to.
const MOVED_SYNC_PATH: &str = "/moved/sync";

/// Everything a request needs.
pub struct App {
    pub store: Store,
    pub faults: Faults,
    pub moments: Moments,
    pub log: RequestLog,
    token: Option<String>,
    max_body: usize,
}

impl App {
    pub fn open(options: &Options) -> Result<App, String> {
        Ok(App {
            store: Store::open(options)?,
            faults: Faults::default(),
            moments: Moments::default(),
            log: RequestLog::new(options.log_requests),
            token: options.token.clone(),
            max_body: options.max_body,
        })
    }
}

/// Serves until `stop` is sent or dropped. Tells `ready` the address, or why there is none.
pub fn run(
    app: Arc<App>,
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
    runtime.block_on(serve(app, port, ready, stop));
    // Connections break here; nobody waits for slow clients.
    runtime.shutdown_background();
}

async fn serve(
    app: Arc<App>,
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
    let service = router(app).into_make_service_with_connect_info::<Peer>();
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

fn router(app: Arc<App>) -> Router {
    let control = Router::new()
        .route(
            "/_control",
            get(control::faults)
                .post(control::set_faults)
                .delete(control::clear_faults),
        )
        .route("/_edit", post(control::edit))
        .route("/_dump", get(control::dump))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            require_token,
        ));
    Router::new()
        .route(SYNC_PATH, any(sync))
        .route(MOVED_SYNC_PATH, any(sync))
        .merge(control)
        .fallback(unknown_path)
        .with_state(app)
}

async fn require_token(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !is_allowed(&app, request.headers()) {
        return unauthorized();
    }
    next.run(request).await
}

async fn unknown_path(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    app.log.add(|| {
        SeenRequest::new(
            parts.method.as_str(),
            &parts.uri.to_string(),
            &parts.headers,
            b"",
        )
    });
    error_response(StatusCode::NOT_FOUND, "request", "no such path; try /sync")
}

async fn sync(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, app.max_body).await else {
        return error_response(StatusCode::PAYLOAD_TOO_LARGE, "request", "body too large");
    };
    app.log.add(|| {
        let path = parts.uri.to_string();
        SeenRequest::new(parts.method.as_str(), &path, &parts.headers, &body)
    });
    let kind = match parts.method {
        Method::GET => Kind::Pull,
        Method::POST => Kind::Push,
        _ => return error_response(StatusCode::METHOD_NOT_ALLOWED, "request", "GET or POST"),
    };
    app.moments.come(kind, Moment::Arrived).await;
    let mut switches = app.faults.take(kind);
    if parts.uri.path() == MOVED_SYNC_PATH {
        switches.redirect = None;
    }
    if let Some(delay) = switches.delay {
        tokio::time::sleep(delay).await;
    }
    if switches.replaces_answer() {
        if switches.after_commit && kind == Kind::Push && is_allowed(&app, &parts.headers) {
            let answer = watermelon::push(&app, &parts.uri, body, switches.clone()).await;
            if answer.status.is_success() {
                app.moments.come(kind, Moment::Committed).await;
            }
        }
        return other_answer(&peer, &parts.uri, &switches);
    }
    if !is_allowed(&app, &parts.headers) {
        return unauthorized();
    }
    let plan = BodyPlan {
        gzip: accepts_gzip(&parts.headers),
        truncate: switches.truncate,
        cut: switches.cut,
        delay: switches.delay_body,
    };
    if kind == Kind::Pull {
        return watermelon::pull(&app, &parts.uri, switches, plan);
    }
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let message = "send the body without content-encoding";
        return error_response(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request", message);
    }
    let answer = watermelon::push(&app, &parts.uri, body, switches).await;
    if answer.status.is_success() {
        app.moments.come(kind, Moment::Committed).await;
    }
    // Answers to a push are too small to be worth compressing.
    let plan = BodyPlan {
        gzip: false,
        ..plan
    };
    let mut response = json_response(answer.status, String::new());
    *response.body_mut() = body::known(answer.text, plan);
    response
}

/// What a misbehaving server sends in place of the answer.
fn other_answer(peer: &Peer, uri: &Uri, switches: &Switches) -> Response {
    if switches.drop {
        peer.cut();
        return StatusCode::NO_CONTENT.into_response();
    }
    let status = |usual| switches.status.unwrap_or(usual);
    let mut response = if let Some(target) = &switches.redirect {
        redirect(status(StatusCode::TEMPORARY_REDIRECT), target, uri)
    } else if switches.html {
        let page = "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>";
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (status(StatusCode::OK), kind, page).into_response()
    } else if switches.garbage {
        json_response(
            status(StatusCode::OK),
            "\u{1}{]garbage: not JSON".to_string(),
        )
    } else if switches.empty {
        status(StatusCode::NO_CONTENT).into_response()
    } else {
        let status = status(StatusCode::INTERNAL_SERVER_ERROR);
        error_response(status, "fault", "misbehaving on request")
    };
    let retry_after = switches
        .retry_after
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(value) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn redirect(status: StatusCode, target: &str, uri: &Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let location = if query.is_empty() || target.contains('?') {
        target.to_string()
    } else {
        format!("{target}?{query}")
    };
    (status, [(header::LOCATION, location)]).into_response()
}

fn is_allowed(app: &App, headers: &HeaderMap) -> bool {
    let Some(token) = &app.token else {
        return true;
    };
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|sent| sent == token)
}

fn unauthorized() -> Response {
    error_response(StatusCode::UNAUTHORIZED, "auth", "a bearer token is needed")
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && parts.next() != Some("q=0")
        })
}

/// An answer of JSON that is made already.
pub fn json_response(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// `{"error","message"}` with a status.
pub fn error_response(status: StatusCode, error: &str, message: &str) -> Response {
    let text = json!({"error": error, "message": message}).to_string();
    json_response(status, text)
}
