//! Routes, and the state they share.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::json;

use super::control;
use super::exchange;
use super::faults::Faults;
use super::moments::Moments;
use super::options::Options;
use super::presets::Preset;
use super::request_log::{RequestLog, SeenRequest};
use super::store::Store;

/// Where clients sync is also found under this prefix, for the switch `redirect` to point to.
pub const MOVED: &str = "/moved";

/// Everything a request needs.
pub struct App {
    pub store: Store,
    pub faults: Faults,
    pub moments: Moments,
    pub log: RequestLog,
    pub max_body: usize,
    token: Option<String>,
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

/// What is answered where.
pub fn router(app: Arc<App>) -> Router {
    let control = Router::new()
        .route(
            "/_control",
            get(control::faults)
                .post(control::faults)
                .delete(control::faults),
        )
        .route("/_edit", post(control::edit))
        .route("/_dump", get(control::dump))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            require_token,
        ));
    let paths: BTreeSet<&str> = Preset::ALL
        .into_iter()
        .flat_map(|preset| [preset.pull_path(), preset.push_path()])
        .collect();
    let mut router = Router::new();
    for path in paths {
        router = router
            .route(path, any(exchange::answer))
            .route(&format!("{MOVED}{path}"), any(exchange::answer));
    }
    router.merge(control).fallback(unknown_path).with_state(app)
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

/// Whether the request has the token that is asked for.
pub fn is_allowed(app: &App, headers: &HeaderMap) -> bool {
    let Some(token) = &app.token else {
        return true;
    };
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|sent| sent == token)
}

/// What it gets if not.
pub fn unauthorized() -> Response {
    error_response(StatusCode::UNAUTHORIZED, "auth", "a bearer token is needed")
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
