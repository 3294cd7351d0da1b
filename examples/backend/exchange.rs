//! One request of a client: which faults are for it, then pull or push.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::body::{self, BodyPlan};
use super::faults::Kind;
use super::moments::Moment;
use super::presets::{Incoming, Preset};
use super::request_log::SeenRequest;
use super::server::{App, MOVED, error_response, is_allowed, json_response, unauthorized};
use super::socket::Peer;
use super::store::Store;
use super::switches::Switches;
use super::watermelon::{self, Answer, PullRequest};

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
    let path = parts.uri.path();
    let is_moved = path.starts_with(MOVED);
    let path = path.strip_prefix(MOVED).unwrap_or(path);
    let Some((preset, kind)) = Preset::at(&parts.method, path) else {
        return error_response(StatusCode::METHOD_NOT_ALLOWED, "request", "GET or POST");
    };
    app.moments.come(kind, Moment::Arrived).await;
    let mut switches = app.faults.take(kind, parts.uri.path());
    preset.adjust(&mut switches);
    if is_moved {
        switches.redirect = None;
    }
    if let Some(delay) = switches.delay {
        tokio::time::sleep(delay).await;
    }
    let is_allowed = is_allowed(&app, &parts.headers);
    let incoming = Incoming::new(parts.method, &parts.uri, body);
    if switches.replaces_answer() {
        if let Ok(incoming) = incoming
            && switches.after_commit
            && kind == Kind::Push
            && is_allowed
        {
            let taken = push(&app, preset, incoming, switches.clone()).await;
            // Whatever is wrong with the answer, it doesn't call a refused push a success.
            if !taken.status.is_success() {
                return json_response(taken.status, taken.text);
            }
        }
        return other_answer(&peer, &parts.uri, &switches);
    }
    if !is_allowed {
        return unauthorized();
    }
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let message = "send the body without content-encoding";
        return error_response(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request", message);
    }
    let incoming = match incoming {
        Ok(incoming) => incoming,
        Err(message) => return bad_request(&message),
    };
    let plan = BodyPlan {
        // Answers to a push are too small to be worth compressing.
        gzip: kind == Kind::Pull && accepts_gzip(&parts.headers),
        truncate: switches.truncate,
        cut: switches.cut,
        delay: switches.delay_body,
    };
    if kind == Kind::Pull {
        return pull(&app, preset, &incoming, switches, plan);
    }
    let answer = push(&app, preset, incoming, switches).await;
    let mut response = json_response(answer.status, String::new());
    if !answer.text.is_empty() {
        *response.body_mut() = body::known(answer.text, plan);
    }
    response
}

fn pull(
    app: &Arc<App>,
    preset: Preset,
    incoming: &Incoming,
    switches: Switches,
    plan: BodyPlan,
) -> Response {
    let request = preset
        .pull(incoming)
        .and_then(|call| PullRequest::check(call, &app.store.schema));
    match request {
        Ok(request) => watermelon::pull(app, request, switches, plan),
        Err(message) => bad_request(&message),
    }
}

async fn push(app: &Arc<App>, preset: Preset, incoming: Incoming, switches: Switches) -> Answer {
    let moments = app.moments.clone();
    let app = Arc::clone(app);
    let work = move || push_now(&app.store, preset, &incoming, &switches);
    let answer = tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Answer::broken(&error.to_string()));
    if answer.status.is_success() {
        moments.come(Kind::Push, Moment::Committed).await;
    }
    answer
}

fn push_now(store: &Store, preset: Preset, incoming: &Incoming, switches: &Switches) -> Answer {
    let call = match preset.push(incoming, &store.schema) {
        Ok(call) => call,
        Err(message) => return Answer::bad_request(&message),
    };
    match watermelon::push(store, &call, switches) {
        Ok(taken) => preset.pushed(&taken).with(switches.extra.as_ref()),
        Err(error) => Answer::from(error),
    }
}

fn bad_request(message: &str) -> Response {
    error_response(StatusCode::BAD_REQUEST, "request", message)
}

/// What a misbehaving server sends in place of the answer.
pub fn other_answer(peer: &Peer, uri: &Uri, switches: &Switches) -> Response {
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
        let words = switches.says.as_deref();
        let name = switches.calls.as_deref();
        error_response(
            status,
            name.unwrap_or("fault"),
            words.unwrap_or("misbehaving on request"),
        )
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
