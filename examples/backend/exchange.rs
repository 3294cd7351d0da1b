//! One request of a client: which faults are for it, then pull or push.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::body::{self, BodyPlan};
use super::faults::Kind;
use super::request_log::SeenRequest;
use super::server::{
    App, MOVED_SYNC_PATH, error_response, is_allowed, json_response, unauthorized,
};
use super::socket::Peer;
use super::switches::Switches;
use super::watermelon;

/// Answers a client's request.
pub async fn answer(
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
    let mut switches = app.faults.take(kind);
    if parts.uri.path() == MOVED_SYNC_PATH {
        switches.redirect = None;
    }
    if let Some(delay) = switches.delay {
        tokio::time::sleep(delay).await;
    }
    if switches.replaces_answer() {
        if switches.after_commit && kind == Kind::Push && is_allowed(&app, &parts.headers) {
            watermelon::push(&app, &parts.uri, body, switches.clone()).await;
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
