//! The loop over attempts.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::agents;
use super::error::{HttpError, Kind};
use super::exchange::{self, Answer};
use super::explain;
use super::meter::Meter;
use super::pace;
use super::plan::Plan;
use super::policy::Policy;
use super::redact::Redactor;
use super::request::Request;
use super::response::Response;
use super::retry;
use super::watch::{self, Ended};

/// A body of this size or more is announced after a connection broke while it was being sent: a server that
/// refuses it (401, 413) and hangs up loses its answer with the connection, but can answer a question first. Not
/// done from the start, since servers that don't know the question cost a second's wait.
const ANNOUNCED: u64 = 64 << 10;

/// Sends a request and returns its complete answer, or says why there is none.
///
/// Tries again after network errors and after 408, 425, 429 and 5xx, as [`Policy`] says; the last answer
/// counts, also a 4xx or 5xx. Blocks the calling thread for `policy.total` at most; `cancelled` is asked on
/// the calling thread about every 50 ms, and `true` ends the call with [`Kind::Cancelled`], also in
/// the middle of a transfer. Nothing is sent if the request, a credential's origin or the policy is wrong.
///
/// A repeated request may reach the server twice (its first answer was lost on the way), so what it does must be safe
/// to repeat.
pub fn send(
    request: &Request,
    policy: &Policy,
    cancelled: &dyn Fn() -> bool,
) -> Result<Response, HttpError> {
    send_metered(request, policy, cancelled, &Arc::default())
}

/// As [`send`]; `meter` counts the bytes as they go out and come in.
pub fn send_metered(
    request: &Request,
    policy: &Policy,
    cancelled: &dyn Fn() -> bool,
    meter: &Arc<Meter>,
) -> Result<Response, HttpError> {
    let redactor = Redactor::new(request.secrets());
    let mut tries = Tries::default();
    match run(request, policy, cancelled, meter, &mut tries) {
        Ok(Answer {
            status,
            headers,
            body,
            complete,
        }) => Ok(Response {
            status,
            headers,
            body,
            attempts: tries.started,
            repeated: tries.in_doubt,
            complete,
            redactor,
        }),
        Err(error) => Err(error.after(tries.started).cleaned(&redactor)),
    }
}

/// The attempts at one request.
#[derive(Default)]
struct Tries {
    started: u32,
    /// One before the last may have been carried out.
    in_doubt: bool,
}

fn run(
    request: &Request,
    policy: &Policy,
    cancelled: &dyn Fn() -> bool,
    meter: &Arc<Meter>,
    tries: &mut Tries,
) -> Result<Answer, HttpError> {
    policy
        .check()
        .map_err(|why| HttpError::new(Kind::BadOption, why))?;
    let plan = Arc::new(Plan::new(request, meter)?);
    let mut deadline = Instant::now() + policy.total;
    let large = plan
        .body
        .as_ref()
        .is_some_and(|body| body.len() >= ANNOUNCED);
    let mut announce = false;
    loop {
        if cancelled() {
            return Err(gave_up(&plan));
        }
        deadline +=
            pace::wait(&plan.url.origin, policy, cancelled).ok_or_else(|| gave_up(&plan))?;
        tries.started += 1;
        meter.restart();
        let result = once(&plan, policy, announce, deadline, cancelled);
        if let Ok(answer) = &result {
            pace::hear(&plan.url.origin, &answer.headers, policy);
        }
        let retry_after = match &result {
            Ok(answer) if retry::worth_retrying(answer.status) => answer
                .headers
                .get("retry-after")
                .and_then(|value| retry::retry_after(value, SystemTime::now())),
            Err(error) if error.kind().retried() => None,
            _ => return result,
        };
        announce |= large
            && result
                .as_ref()
                .is_err_and(|error| error.kind() == Kind::Closed);
        let in_doubt = match &result {
            Ok(answer) => retry::may_have_been_done(answer.status),
            Err(error) => error.kind().may_have_arrived(),
        };
        if in_doubt && request.once {
            return result;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match retry::pause(policy, tries.started, retry_after, left, retry::luck()) {
            None => return result,
            Some(pause) if !watch::sleep(pause, cancelled) => return Err(gave_up(&plan)),
            Some(_) => tries.in_doubt |= in_doubt,
        }
    }
}

fn once(
    plan: &Arc<Plan>,
    policy: &Policy,
    announce: bool,
    deadline: Instant,
    cancelled: &dyn Fn() -> bool,
) -> Result<Answer, HttpError> {
    let (purpose, agent) = agents::take(&plan.url.origin, policy);
    let (its_agent, its_plan, its_policy) = (agent.clone(), plan.clone(), policy.clone());
    let ended = watch::run(&agent, deadline, cancelled, move |stop| {
        exchange::attempt(&its_agent, &its_plan, &its_policy, announce, stop)
    });
    match ended {
        Ended::Done(result) => {
            if result.is_ok() {
                agents::give_back(purpose, agent);
            }
            result
        }
        Ended::Cancelled => Err(gave_up(plan)),
        Ended::Late => Err(explain::late(&plan.url, policy)),
        Ended::Died => Err(HttpError::new(
            Kind::Internal,
            format!(
                "the request to {} failed because of a bug in syncscope; please report it",
                plan.url
            ),
        )),
        Ended::NotStarted(error) => Err(HttpError::new(
            Kind::Internal,
            format!(
                "no thread for the request to {}: {error}; close something and try again",
                plan.url
            ),
        )),
    }
}

fn gave_up(plan: &Plan) -> HttpError {
    HttpError::new(
        Kind::Cancelled,
        format!("the request to {} was cancelled", plan.url),
    )
}
