//! Listening: a request whose answer goes on for as long as the server may have news, or comes when it has (long poll).

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ureq::Agent;
use ureq::http::HeaderValue;
use ureq::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};

use super::agents;
use super::body::Coding;
use super::error::{HttpError, Kind};
use super::events::Events;
use super::exchange;
use super::explain::explain;
use super::meter::Meter;
use super::plan::Plan;
use super::policy::Policy;
use super::request::Request;
use super::retry;
use super::watch::{self, Ended};

/// The longest silence, unless the policy allows a longer one: servers commonly give a sign of life every 15 to 30 s.
const SILENCE: Duration = Duration::from_secs(90);

/// The longest that is listened without asking anew.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The server will say when there is news.
    Opened,
    /// There is; what it said.
    Event(&'a str),
}

/// How listening ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The server ended its stream.
    Closed,
    /// It gave an answer that is no stream: a status, and the time after which it wants to be asked again.
    Answered(u16, Option<Duration>),
}

/// Sends a request and calls `hear`, on another thread, with what comes. Blocks until the server ends it or `cancelled`,
/// which is asked about every 50 ms, says so.
///
/// # Errors
/// The connection fails, breaks, or is silent for too long; the request is wrong; [`Kind::Cancelled`].
pub fn listen(
    request: &Request,
    policy: &Policy,
    cancelled: &dyn Fn() -> bool,
    hear: impl FnMut(Heard<'_>) + Send + 'static,
) -> Result<Silence, HttpError> {
    let mut plan = Plan::new(request, &Arc::<Meter>::default())?;
    // A stream that is compressed comes late.
    plan.headers
        .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let policy = Policy {
        idle: policy.idle.max(SILENCE),
        ..policy.clone()
    };
    let (_, agent) = agents::take(&plan.url.origin, &policy);
    let (its_agent, url) = (agent.clone(), plan.url.clone());
    let deadline = Instant::now() + LONGEST;
    let ended = watch::run(&agent, deadline, cancelled, move |stop| {
        stream(&its_agent, &plan, &policy, stop, hear)
    });
    let failed = |kind, why: &str| Err(HttpError::new(kind, format!("listening to {url} {why}")));
    match ended {
        Ended::Done(result) => result,
        Ended::Late => Ok(Silence::Closed),
        Ended::Cancelled => failed(Kind::Cancelled, "was cancelled"),
        Ended::Died => failed(
            Kind::Internal,
            "failed because of a bug in syncscope; please report it",
        ),
        Ended::NotStarted(error) => failed(
            Kind::Internal,
            &format!("needs a thread: {error}; close something"),
        ),
    }
}

fn stream(
    agent: &Agent,
    plan: &Plan,
    policy: &Policy,
    stop: &AtomicBool,
    mut hear: impl FnMut(Heard<'_>),
) -> Result<Silence, HttpError> {
    let (answer, url) = exchange::reach(agent, plan, policy, false)?;
    let (head, body) = answer.into_parts();
    let text = |name| exchange::text(&head.headers, name);
    let status = head.status.as_u16();
    let is_stream = text(CONTENT_TYPE).is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("text/event-stream")
    });
    if !head.status.is_success() || !is_stream {
        let after = text(RETRY_AFTER);
        let after = after.and_then(|after| retry::retry_after(&after, SystemTime::now()));
        return Ok(Silence::Answered(status, after));
    }
    if Coding::of(text(CONTENT_ENCODING).as_deref(), &url)? != Coding::Plain {
        let why = format!("{url} compresses its stream of events; correct the server");
        return Err(HttpError::new(Kind::BadEncoding, why));
    }
    hear(Heard::Opened);
    let mut body = body.into_with_config().limit(u64::MAX).reader();
    let mut events = Events::default();
    let mut buffer = [0; 4096];
    loop {
        let read = body
            .read(&mut buffer)
            .map_err(|error| explain(error.into(), &url, None, policy))?;
        if read == 0 || stop.load(Ordering::Relaxed) {
            return Ok(Silence::Closed);
        }
        events.feed(&buffer[..read], &mut |data| hear(Heard::Event(data)));
    }
}
