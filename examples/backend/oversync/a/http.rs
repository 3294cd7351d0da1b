//! Requests and answers: who may ask what, and in which words it is refused.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::change;
use super::download::{Page, download};
use super::flight;
use super::operator::{asked_for, error_text, list, retry};
use super::options::Mount;
use super::outcome::Fault;
use super::server::Inner;
use super::transaction::Who;
use crate::body::{BodyPlan, known};
use crate::control::controlled;
use crate::exchange::other_answer;
use crate::faults::Kind;
use crate::moments::Moment;
use crate::oversync::{escape::escaped, stamp, token};
use crate::request_log::SeenRequest;
use crate::server::MOVED;
use crate::socket::Peer;
use crate::switches::Switches;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Upload,
    Download,
    SchemaVersion,
    Failures,
    Retry,
    SignIn,
    Health,
}

impl Place {
    fn at(path: &str) -> Option<Place> {
        Some(match path {
            "/sync/upload" => Place::Upload,
            "/sync/download" => Place::Download,
            "/sync/schema-version" => Place::SchemaVersion,
            "/admin/materialize-failures" => Place::Failures,
            "/admin/materialize-failures/retry" => Place::Retry,
            "/dummy-signin" => Place::SignIn,
            "/health" => Place::Health,
            _ => return None,
        })
    }

    fn is_posted(self) -> bool {
        matches!(self, Place::Upload | Place::Retry | Place::SignIn)
    }

    fn is_for_operators(self) -> bool {
        matches!(self, Place::Failures | Place::Retry)
    }

    /// Which faults and moments are for it.
    fn kind(self) -> Option<Kind> {
        match self {
            Place::Upload => Some(Kind::Push),
            Place::Download => Some(Kind::Pull),
            _ => None,
        }
    }
}

pub fn router(inner: Arc<Inner>) -> Router {
    Router::new().fallback(answer).with_state(inner)
}

/// Answers any request.
async fn answer(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let most = inner.state().options.max_body;
    let Ok(body) = to_bytes(body, most).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large\n");
    };
    if parts.uri.path() == "/_control" {
        return controlled(&inner.faults, &parts.method, &body);
    }
    inner.log.add(|| {
        let path = parts.uri.to_string();
        SeenRequest::new(parts.method.as_str(), &path, &parts.headers, &body)
    });
    let path = parts.uri.path();
    let is_moved = path.starts_with(MOVED);
    let path = path.strip_prefix(MOVED).unwrap_or(path);
    let (mount, has_admin) = {
        let state = inner.state();
        (state.options.mount, state.options.admin)
    };
    let place = Place::at(path).filter(|place| has_admin || !place.is_for_operators());
    let Some(place) = place else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    if let Some(refused) = method_not_allowed(place, &parts.method, mount) {
        return refused;
    }
    if place == Place::Upload
        && let Some(changes) = change::read(&String::from_utf8_lossy(&body))
    {
        inner.keep_upload(&changes);
    }
    let Some(kind) = place.kind() else {
        return reply(&inner, &peer, place, &parts, &body, Switches::default()).await;
    };
    inner.moments.come(kind, Moment::Arrived).await;
    let mut switches = inner.faults.take(kind, path);
    if is_moved {
        switches.redirect = None;
    }
    if let Some(delay) = switches.delay {
        tokio::time::sleep(delay).await;
    }
    if !switches.replaces_answer() {
        return reply(&inner, &peer, place, &parts, &body, switches).await;
    }
    if switches.after_commit && kind == Kind::Push {
        let taken = reply(&inner, &peer, place, &parts, &body, switches.clone()).await;
        // Whatever is wrong with the answer, it doesn't call a refused upload a success.
        if !taken.status().is_success() {
            return taken;
        }
    }
    other_answer(&peer, &parts.uri, &switches)
}

/// The answer of a server that behaves, or nearly so.
async fn reply(
    inner: &Arc<Inner>,
    peer: &Peer,
    place: Place,
    parts: &Parts,
    body: &Bytes,
    switches: Switches,
) -> Response {
    match place {
        Place::SignIn => return sign_in(inner, body),
        Place::Health => {
            let health = "{\"status\": \"healthy\", \"service\": \"go-oversync-nethttp-example\"}";
            return answered(StatusCode::OK, health, JSON);
        }
        _ => {}
    }
    let who = match who(inner, &parts.headers) {
        Ok(who) => who,
        Err(refused) => return *refused,
    };
    let Query(query) =
        Query::<HashMap<String, String>>::try_from_uri(&parts.uri).unwrap_or_default();
    let done = match place {
        Place::Upload => {
            let plan = plan(&switches);
            let done = take(inner, &who, body, switches).await;
            if done.is_ok() {
                inner.moments.come(Kind::Push, Moment::Committed).await;
            }
            done.map(|text| (text, plan))
        }
        Place::Download => {
            let page = match Page::read(&query) {
                Ok(page) => page,
                Err(message) => return bad_request(&message),
            };
            let done = download(&inner.state(), &who, &page, &switches.rename_tables);
            inner.moments.come(Kind::Pull, Moment::Read).await;
            done.map(|text| (text, plan(&switches)))
                .map_err(Failed::Download)
        }
        Place::Failures => Ok((list(&inner.state(), &who.user, &query), BodyPlan::default())),
        Place::Retry => {
            let Some(number) = asked_for(&query, body) else {
                return bad_request("missing or invalid id");
            };
            match retry(&mut inner.state(), &who.user, number) {
                Some(status) => Ok((status, BodyPlan::default())),
                None => {
                    let message = "materialize failure not found";
                    return failed(StatusCode::NOT_FOUND, "not_found", message);
                }
            }
        }
        Place::SchemaVersion | Place::SignIn | Place::Health => {
            let version = json!({"schema_version": 1});
            Ok((version.to_string(), BodyPlan::default()))
        }
    };
    match done {
        Ok((text, plan)) => {
            let mut response = answered(StatusCode::OK, "", JSON);
            *response.body_mut() = known(escaped(&text) + "\n", plan);
            response
        }
        Err(Failed::Request) => bad_request("Failed to parse upload request"),
        Err(Failed::Upload(Fault::Closed) | Failed::Download(Fault::Closed)) => {
            peer.cut();
            StatusCode::NO_CONTENT.into_response()
        }
        Err(Failed::Upload(Fault::Failed)) => failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "upload_failed",
            "Failed to process upload",
        ),
        Err(Failed::Download(Fault::Failed)) => failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "download_failed",
            "Failed to process download",
        ),
    }
}

enum Failed {
    /// It was not understood.
    Request,
    Upload(Fault),
    Download(Fault),
}

async fn take(
    inner: &Arc<Inner>,
    who: &Who,
    body: &[u8],
    switches: Switches,
) -> Result<String, Failed> {
    let changes = change::read(&String::from_utf8_lossy(body)).ok_or(Failed::Request)?;
    if std::str::from_utf8(body).is_err() {
        // The database refuses what the web server lets through.
        return Err(Failed::Upload(Fault::Failed));
    }
    let done = flight::run(inner, who, changes, switches).await;
    done.map_err(Failed::Upload)
}

fn plan(switches: &Switches) -> BodyPlan {
    BodyPlan {
        gzip: false,
        truncate: switches.truncate,
        cut: switches.cut,
        delay: switches.delay_body,
    }
}

// ---- who asks

fn who(inner: &Inner, headers: &HeaderMap) -> Result<Who, Box<Response>> {
    let anonymous = inner.state().options.anonymous.clone();
    match (named(inner, headers), anonymous) {
        (Err(_), Some((user, source))) => Ok(Who { user, source }),
        (named, _) => named,
    }
}

/// Who asks by the token that was sent.
fn named(inner: &Inner, headers: &HeaderMap) -> Result<Who, Box<Response>> {
    let mount = inner.state().options.mount;
    let refuse = |plain: &str, message: &str| {
        let status = StatusCode::UNAUTHORIZED;
        Box::new(match mount {
            Mount::Example => text(status, &format!("{plain}\n")),
            Mount::Bare => failed(status, "authentication_failed", message),
        })
    };
    let sent = headers
        .get(header::AUTHORIZATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .filter(|text| !text.is_empty());
    let Some(sent) = sent else {
        return Err(refuse(
            "Authorization header required",
            "authorization header required",
        ));
    };
    let sent = sent
        .strip_prefix("Bearer ")
        .filter(|token| !token.contains(' '));
    let Some(token) = sent else {
        return Err(refuse(
            "Invalid authorization header format",
            "bearer token required",
        ));
    };
    if let Some(who) = inner.known_tokens().get(token) {
        return Ok(who.clone());
    }
    let claims = token::check(token).and_then(|claims| match claims.did {
        Some(source) => Ok(Who {
            user: claims.sub,
            source,
        }),
        None => Err("missing did (device ID) in token"),
    });
    claims.map_err(|error| refuse("Invalid token", &format!("invalid token: {error}")))
}

fn sign_in(inner: &Inner, body: &[u8]) -> Response {
    let refuse = |status, error, message| answered(status, &error_text(error, message), TEXT);
    let Ok(asked) = serde_json::from_slice::<Value>(body) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "invalid JSON");
    };
    let Some(user) = asked["user"].as_str().filter(|user| !user.is_empty()) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "user required");
    };
    let (password, seconds) = {
        let state = inner.state();
        (state.options.password.clone(), state.options.token_seconds)
    };
    if password.is_some_and(|password| asked["password"] != password.as_str()) {
        let (error, message) = ("authentication_failed", "wrong password");
        return refuse(StatusCode::UNAUTHORIZED, error, message);
    }
    let device = asked["device"].as_str().filter(|device| !device.is_empty());
    let device = device.map_or_else(|| invented_device(user), str::to_string);
    let token = token::sign(user, Some(&device), seconds);
    let answer = json!({"token": token, "expires_in": seconds, "user": user, "device": device});
    answered(StatusCode::OK, &answer.to_string(), JSON)
}

fn invented_device(user: &str) -> String {
    let letters = format!("{user}{}", stamp::now());
    let number = letters.bytes().fold(7_u64, |number, byte| {
        number.wrapping_mul(1_099_511_628_211) ^ u64::from(byte)
    });
    format!("device-{number:016x}")
}

// ---- answers

fn method_not_allowed(place: Place, method: &Method, mount: Mount) -> Option<Response> {
    let (is_allowed, allow, name) = match place.is_posted() {
        true => (method == Method::POST, "POST", "POST"),
        false => (
            method == Method::GET || method == Method::HEAD,
            "GET, HEAD",
            "GET",
        ),
    };
    if is_allowed {
        return None;
    }
    let status = StatusCode::METHOD_NOT_ALLOWED;
    if mount == Mount::Bare {
        let message = format!("Only {name} method is allowed");
        return Some(failed(status, "method_not_allowed", &message));
    }
    let mut response = text(status, "Method Not Allowed\n");
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, header::HeaderValue::from_static(allow));
    Some(response)
}

fn bad_request(message: &str) -> Response {
    failed(StatusCode::BAD_REQUEST, "invalid_request", message)
}

fn failed(status: StatusCode, error: &str, message: &str) -> Response {
    answered(status, &error_text(error, message), JSON)
}

fn answered(status: StatusCode, text: &str, kind: &'static str) -> Response {
    let text = escaped(text) + "\n";
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

fn text(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONTENT_TYPE, TEXT)], text.to_string()).into_response()
}
