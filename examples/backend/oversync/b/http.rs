//! One request: who sends it, which faults are for it, and the answer as HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::header::{self, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::answer::{Answer, Answered, Content, invalid_request, unauthorized};
use super::commit;
use super::connect;
use super::describe;
use super::pull;
use super::push;
use super::request::object;
use super::route::Route;
use super::snapshot;
use super::spelling::Object;
use super::state::{Health, Service, State, Who};
use super::watch;
use crate::body::{self, BodyPlan};
use crate::control::controlled;
use crate::exchange::other_answer;
use crate::faults::{Faults, Kind};
use crate::moments::{Moment, Moments};
use crate::oversync::token;
use crate::request_log::{RequestLog, SeenRequest};
use crate::socket::Peer;
use crate::switches::Switches;

/// How long a token lives that the sign-in gives out.
const TOKEN_SECONDS: i64 = 300;

/// Everything a request needs.
pub struct App {
    pub service: Arc<Service>,
    pub faults: Faults,
    pub moments: Moments,
    pub log: RequestLog,
}

pub fn router(app: Arc<App>) -> Router {
    Router::new().fallback(answer).with_state(app)
}

/// Answers a client's request.
async fn answer(
    Shared(app): Shared<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, app.service.options.max_body).await else {
        return plain(Answer::error(413, "invalid_request", "body too large"));
    };
    if parts.uri.path() == "/_control" {
        return controlled(&app.faults, &parts.method, &body);
    }
    app.log.add(|| {
        let path = parts.uri.to_string();
        SeenRequest::new(parts.method.as_str(), &path, &parts.headers, &body)
    });
    if parts.method == Method::OPTIONS {
        return plain(Answer::done());
    }
    let path = parts.uri.path().to_string();
    let method = if parts.method == Method::HEAD {
        &Method::GET
    } else {
        &parts.method
    };
    let route = match Route::of(method, &path, app.service.options.json_405) {
        Ok(route) => route,
        Err(answer) => return plain(answer),
    };
    let kind = route.kind(parts.uri.query());
    // A request that was let in is brought to its end, whatever happens to the service meanwhile.
    let admitted = admitted(&app.service, &route, &parts);
    app.moments.come_at(kind, &path, Moment::Arrived).await;
    let switches = app.faults.take(kind, &path);
    if let Some(delay) = switches.delay {
        tokio::time::sleep(delay).await;
    }
    if switches.replaces_answer() && !switches.after_commit {
        return other_answer(&peer, &parts.uri, &switches);
    }
    let done = match admitted {
        Ok(who) => done(&app, &route, who, &parts, &body, &switches),
        Err(answer) => Done::Answer(answer),
    };
    let answer = match done {
        Done::Answer(answer) => answer,
        Done::Stream(opened) => return streamed(&app.service, opened),
    };
    if answer.is_success() {
        let moment = match (&route, kind) {
            (Route::CommitPush(_), _) => Some(Moment::Committed),
            (_, Kind::Pull) => Some(Moment::Read),
            _ => None,
        };
        if let Some(moment) = moment {
            app.moments.come_at(kind, &path, moment).await;
        }
        if switches.replaces_answer() {
            return other_answer(&peer, &parts.uri, &switches);
        }
    }
    let plan = BodyPlan {
        gzip: false,
        truncate: switches.truncate,
        cut: switches.cut,
        delay: switches.delay_body,
    };
    response(answer, plan)
}

/// Who sends the request, or why it is refused before it is looked at.
fn admitted(service: &Service, route: &Route, parts: &Parts) -> Answered<Who> {
    if matches!(route, Route::SignIn | Route::Health | Route::Reset) {
        return Ok(Who {
            user: String::new(),
            source: String::new(),
        });
    }
    let user = user(service, &parts.headers)?;
    let source = parts.headers.get("oversync-source-id");
    let source = source
        .and_then(|source| source.to_str().ok())
        .unwrap_or_default()
        .trim();
    if source.is_empty() {
        return Err(invalid_request("Oversync-Source-ID header is required"));
    }
    check_health(service, route)?;
    Ok(Who {
        user,
        source: source.to_string(),
    })
}

fn user(service: &Service, headers: &HeaderMap) -> Answered<String> {
    let Some(sent) = headers.get(header::AUTHORIZATION) else {
        if let Some(user) = &service.options.anonymous {
            return Ok(user.clone());
        }
        return Err(unauthorized("Authorization header required"));
    };
    let sent = sent
        .to_str()
        .ok()
        .and_then(|sent| sent.strip_prefix("Bearer "));
    let Some(sent) = sent else {
        return Err(unauthorized("Invalid authorization header format"));
    };
    let fixed = service
        .options
        .tokens
        .iter()
        .find(|(token, _)| token == sent);
    let user = match fixed {
        Some((_, user)) => Some(user.clone()),
        None => token::verify(sent)
            .map(|claims| claims.sub)
            .or_else(|| service.options.anonymous.clone()),
    };
    let user = user.filter(|user| !user.trim().is_empty());
    user.ok_or_else(|| unauthorized("Invalid token"))
}

fn check_health(service: &Service, route: &Route) -> Answered<()> {
    let health = service.lock().health;
    let Some((error, message)) = route.failure() else {
        return Ok(());
    };
    let is_500 = health == Health::Broken && service.options.defects.closed_is_500;
    if is_500 {
        return Err(Answer::error(500, error, message));
    }
    if health == Health::Well {
        return Ok(());
    }
    let retry_after = (!service.options.defects.no_retry_after).then_some(1);
    Err(Answer {
        retry_after,
        ..Answer::error(503, "service_unavailable", "Sync service is shutting down")
    })
}

enum Done {
    Answer(Answer),
    Stream(watch::Opened),
}

/// Does what is asked. Everything is in memory, so nobody waits long for the lock.
fn done(
    app: &App,
    route: &Route,
    who: Who,
    parts: &Parts,
    body: &[u8],
    switches: &Switches,
) -> Done {
    let service = &app.service;
    let query = query(parts.uri.query().unwrap_or_default());
    let mut state = service.lock();
    if *route == Route::Watch {
        return match watch::open(service, &state, &who, &query) {
            Ok(opened) => Done::Stream(opened),
            Err(answer) => Done::Answer(answer),
        };
    }
    let state = &mut *state;
    let answered = match route {
        Route::SignIn => sign_in(body),
        Route::Health => Ok(Answer::ok(describe::health(service, state))),
        Route::Reset => reset(service, state),
        Route::Capabilities => Ok(Answer::ok(describe::capabilities(service, &who))),
        Route::Connect => connect::connect(service, state, &who, body),
        Route::CreatePush => push::create(service, state, &who, body),
        Route::FillPush(id) => push::fill(service, state, &who, id, body, switches),
        Route::CommitPush(id) => commit::commit(service, state, &who, id),
        Route::DropPush(id) => push::give_up(service, state, &who, id),
        Route::CommittedRows(seq) => pull::committed_rows(service, state, &who, seq, &query),
        Route::Pull => pull::pull(service, state, &who, &query, switches),
        Route::Watch => Ok(Answer::done()),
        Route::CreateSnapshot => snapshot::create(service, state, &who, body),
        Route::SnapshotPage(id) => snapshot::page(service, state, &who, id, &query, switches),
        Route::DropSnapshot(id) => snapshot::give_up(service, state, &who, id),
    };
    Done::Answer(answered.unwrap_or_else(|refused| refused))
}

/// `POST /dummy-signin`: any password will do. Its errors say that they are text.
fn sign_in(body: &[u8]) -> Answered {
    let refused = |message: &str| Answer {
        content: Content::Text,
        ..invalid_request(message)
    };
    let request = object(body).ok_or_else(|| refused("invalid JSON"))?;
    let user = request
        .get("user")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if user.is_empty() {
        return Err(refused("user required"));
    }
    let answer = Object::new()
        .text("token", &token::sign(user, None, TOKEN_SECONDS))
        .number("expires_in", TOKEN_SECONDS)
        .text("user", user);
    Ok(Answer::ok(answer.end()))
}

/// `POST /test/reset`: forgets everything.
fn reset(service: &Service, state: &mut State) -> Answered {
    state.wipe();
    service.tell_streams();
    let answer = Object::new()
        .text("schema", &service.options.schema)
        .text("status", "ok");
    Ok(Answer::ok(answer.end()))
}

/// The parameters of a query. None of them needs more decoding than this.
fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_string(), value.to_string())
        })
        .collect()
}

fn plain(answer: Answer) -> Response {
    response(answer, BodyPlan::default())
}

fn response(answer: Answer, plan: BodyPlan) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    let headers = response.headers_mut();
    allow_origins(headers);
    let content = match answer.content {
        Content::Json => "application/json",
        Content::Text => "text/plain; charset=utf-8",
    };
    if !answer.body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    }
    if let Some(allow) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if !answer.body.is_empty() {
        *response.body_mut() = body::known(answer.body, plan);
    }
    response
}

fn allow_origins(headers: &mut HeaderMap) {
    let lines = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, DELETE, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Oversync-Source-ID",
        ),
    ];
    for (name, value) in lines {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn streamed(service: &Arc<Service>, opened: watch::Opened) -> Response {
    let kind = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = watch::body(Arc::clone(service), opened);
    let mut response = (StatusCode::OK, kind, body).into_response();
    allow_origins(response.headers_mut());
    response
}
