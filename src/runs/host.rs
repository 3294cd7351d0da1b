//! Driving a run with the host program: it sends the requests, in its own way, between two calls.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use crate::coordination::{self, EntitiesCall};
use crate::http::{self, HttpError, Outgoing, Response, Secrets, Spool};
use crate::providers::conversation::Goal;
use crate::providers::{credentials, policy};
use crate::store::{Error, Result, Session, require_idle};

use super::drive::unusable;
use super::run::{Input, Run, Turn};

/// The runs that this connection's program drives, by number.
#[derive(Default)]
struct Driven(Mutex<HashMap<i64, DrivenRun>>);

struct DrivenRun {
    run: Run,
    secrets: SecretsAs,
    /// The request that was handed out and not answered.
    asked: Option<Outgoing>,
}

/// What the program is shown of a run.
enum Shown {
    UnderWay(Json),
    Over(Json),
}

/// How secrets are shown to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SecretsAs {
    /// As they are sent.
    Values,
    /// As `{secret:NAME}`: the program puts them in.
    Names,
}

/// Whether a call wants to send its requests itself.
pub fn is_wanted(call: &EntitiesCall) -> bool {
    option(call, "transport") == Some("host")
}

fn option<'c>(call: &'c EntitiesCall, key: &str) -> Option<&'c str> {
    call.options.get(key)?.as_str()
}

/// Begins a run whose requests the program sends. The answer is that of a run under way.
///
/// # Errors
/// As [`Run::begin`].
pub fn open(session: &Session, call: &EntitiesCall) -> Result<Json> {
    require_idle(session.connection())?;
    let secrets = match option(call, "secrets") {
        Some("names") => SecretsAs::Names,
        _ => SecretsAs::Values,
    };
    let run = Run::begin(session, call, Goal::Sync, false)?;
    let (id, begun) = (run.id(), run.begun());
    let driven = DrivenRun {
        run,
        secrets,
        asked: None,
    };
    // Closing the connection ends what it drives.
    session.token();
    session.part::<Driven>().0.lock().insert(id, driven);
    Ok(begun)
}

/// Ends the runs of a provider that somebody interrupted while their program was away with a request: they keep
/// nobody from it. One that can't be closed now stays, and is refused like any other.
pub(super) fn end_interrupted(session: &Session, provider: &str) {
    let part = session.part::<Driven>();
    let runs: Vec<i64> = {
        let driven = part.0.lock();
        let ours = driven
            .iter()
            .filter(|(_, one)| one.run.provider() == provider);
        ours.map(|(id, _)| *id).collect()
    };
    for id in runs {
        let _ = with(session, Some(id), |driven| {
            match driven.is_interrupted(session)? {
                true => driven.give_up(session),
                false => Ok(Shown::UnderWay(Json::Null)),
            }
        });
    }
}

/// A run of this connection keeps its provider to itself, as one of another connection does.
///
/// # Errors
/// [`Error::Busy`] naming the run.
pub(super) fn refuse_own(session: &Session, provider: &str) -> Result<()> {
    let driven = session.part::<Driven>();
    let driven = driven.0.lock();
    let open = driven
        .values()
        .find(|driven| driven.run.provider() == provider);
    match open {
        None => Ok(()),
        Some(open) => Err(Error::Busy(format!(
            "provider '{provider}' is being synced by run {} of this connection; go on with \
             sync_next_request({0}), or end it with sync_interrupt()",
            open.run.id()
        ))),
    }
}

/// The next request of a run, as JSON; its answer once it is over.
///
/// # Errors
/// No such run on this connection; called inside a transaction; as [`Run::advance`].
pub fn next_request(session: &Session, id: Option<i64>) -> Result<Json> {
    with(session, id, |driven| match driven.asked.clone() {
        Some(_) if driven.is_interrupted(session)? => driven.give_up(session),
        // Asked twice, it is the same: the program may have lost it.
        Some(outgoing) => driven.hand_out(session, outgoing),
        None => driven.go_on(session, Input::Go),
    })
}

/// The outcome of the request that was handed out.
pub enum Given<'a> {
    Answer {
        status: u16,
        headers: &'a str,
        body: &'a [u8],
    },
    /// No complete answer, and why.
    Lost(&'a str),
}

/// Takes the outcome of the request that was handed out; then as [`next_request`].
///
/// # Errors
/// No request is out; headers that are not a JSON object of texts; as [`next_request`].
pub fn put_response(session: &Session, id: Option<i64>, given: &Given<'_>) -> Result<Json> {
    with(session, id, |driven| {
        let Some(outgoing) = driven.asked.as_ref() else {
            return Err(Error::argument(
                "no request is out; ask for one with sync_next_request()",
            ));
        };
        let answer = match given {
            Given::Lost(why) => Err(HttpError::reported(why)),
            Given::Answer {
                status,
                headers,
                body,
            } => {
                let headers = read_headers(headers)?;
                let secrets = session.part::<Secrets>();
                let sent = http::prepare(outgoing, &credentials(driven.run.config()), &secrets);
                let sent = sent.map(|request| request.credentials).unwrap_or_default();
                driven.run.live().meter.given(body.len() as u64);
                let most = policy(driven.run.config()).max_response_bytes;
                Response::given(*status, headers, Spool::from_bytes(*body), &sent, most)
            }
        };
        driven.asked = None;
        driven.go_on(session, Input::Answer(answer))
    })
}

/// The run to go on with when none is named.
fn only(driven: &Driven) -> Result<i64> {
    let driven = driven.0.lock();
    match driven.keys().collect::<Vec<_>>().as_slice() {
        [id] => Ok(**id),
        [] => Err(Error::argument(
            "this connection drives no run; open one with sync_entities and {\"transport\":\"host\"}",
        )),
        _ => Err(Error::argument(
            "this connection drives several runs; name one, as sync_entities gave it in runId",
        )),
    }
}

/// Takes a run out while something is done with it; one that is over does not come back.
fn with(
    session: &Session,
    id: Option<i64>,
    body: impl FnOnce(&mut DrivenRun) -> Result<Shown>,
) -> Result<Json> {
    require_idle(session.connection())?;
    let part = session.part::<Driven>();
    let id = id.map_or_else(|| only(&part), Ok)?;
    let Some(mut driven) = part.0.lock().remove(&id) else {
        return Err(Error::argument(format!(
            "run {id} is not one that this connection drives; open one with sync_entities and \
             {{\"transport\":\"host\"}}"
        )));
    };
    // Between two calls time has passed: the owner's lease is renewed, and what dead owners left is settled.
    let shown = coordination::write(session, driven.run.schema(), |_| Ok(()))
        .and_then(|()| body(&mut driven));
    if let Ok(Shown::Over(answer)) = shown {
        return Ok(answer);
    }
    part.0.lock().insert(id, driven);
    shown.map(|shown| match shown {
        Shown::UnderWay(json) | Shown::Over(json) => json,
    })
}

impl DrivenRun {
    fn is_interrupted(&mut self, session: &Session) -> Result<bool> {
        let database = session.database(self.run.schema())?;
        Ok(self.run.is_interrupted(&database))
    }

    /// Ends an interrupted run whose request is out: nobody knows whether it arrived.
    fn give_up(&mut self, session: &Session) -> Result<Shown> {
        match self.asked.take() {
            Some(_) => self.go_on(session, Input::Answer(Err(HttpError::interrupted()))),
            None => self.go_on(session, Input::Go),
        }
    }

    fn go_on(&mut self, session: &Session, input: Input) -> Result<Shown> {
        let mut input = input;
        loop {
            match self.run.advance(session, input)? {
                Turn::Over(answer) => return Ok(Shown::Over(answer)),
                Turn::Send(outgoing) => return self.hand_out(session, outgoing),
                Turn::Wait(time) => std::thread::sleep(time),
            }
            input = Input::Go;
        }
    }

    fn hand_out(&mut self, session: &Session, outgoing: Outgoing) -> Result<Shown> {
        let mut headers = Map::new();
        for (name, value) in http::plain_headers(&outgoing) {
            headers.insert(name, value.into());
        }
        let credentials = credentials(self.run.config());
        match self.secrets {
            SecretsAs::Names => {
                if let Some(name) = &credentials.token {
                    let value = format!("Bearer {{secret:{name}}}");
                    headers.insert("Authorization".into(), value.into());
                }
                for (header, name) in &credentials.headers {
                    headers.insert(header.clone(), format!("{{secret:{name}}}").into());
                }
            }
            SecretsAs::Values => {
                let secrets = session.part::<Secrets>();
                match http::prepare(&outgoing, &credentials, &secrets) {
                    Ok(request) => {
                        for (header, secret) in &request.credentials {
                            headers.insert(header.clone(), secret.for_the_program().into());
                        }
                    }
                    Err(error) => return self.go_on(session, Input::Stop(unusable(error))),
                }
            }
        }
        let body = outgoing.body.as_ref().map(Spool::text).transpose();
        let body = body.map_err(|error| {
            Error::misuse(format!("the body of the request can't be read: {error}"))
        })?;
        let shown = json!({
            "runId": self.run.id(),
            "state": "syncing",
            "method": outgoing.method.as_str(),
            "url": outgoing.url,
            "headers": headers,
            "body": body,
            "finishedAt": Json::Null,
        });
        self.asked = Some(outgoing);
        Ok(Shown::UnderWay(shown))
    }
}

/// A JSON object of names and texts; empty text means none.
fn read_headers(text: &str) -> Result<Vec<(String, String)>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = || Error::argument("headers must be a JSON object of texts");
    let object: Map<String, Json> = serde_json::from_str(text).map_err(|_| wrong())?;
    object
        .into_iter()
        .map(|(name, value)| match value {
            Json::String(value) => Ok((name.to_ascii_lowercase(), value)),
            Json::Number(value) => Ok((name.to_ascii_lowercase(), value.to_string())),
            _ => Err(wrong()),
        })
        .collect()
}
