//! Driving a run with the host program: it sends the requests, in its own way, between two calls.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use crate::coordination::{self, EntitiesCall};
use crate::ground::SyncError;
use crate::http::{self, Body, HttpError, Outgoing, Response, Secret, Secrets, Spool};
use crate::providers::conversation::Goal;
use crate::providers::{Transport, policy};
use crate::store::{Error, Result, Session, require_idle};

use super::drive::unusable;
use super::gate::stored_config;
use super::progress::place;
use super::run::{Input, Run, Turn};

/// The runs that a connection's program drives, by number.
#[derive(Default)]
struct Driven {
    runs: Mutex<HashMap<i64, DrivenRun>>,
    /// The one that ended last, for a program that asks about it again.
    over: Mutex<Option<Ended>>,
}

/// Those of all connections of this process: what one drives, another can end.
static ALL: LazyLock<Mutex<Vec<Weak<Driven>>>> = LazyLock::new(Mutex::default);

struct DrivenRun {
    run: Run,
    /// Its file, see [`place`].
    place: String,
    secrets: SecretsAs,
    /// How it was opened, and what that call returned; until the first request is handed out.
    opened: Option<(EntitiesCall, Goal, Json)>,
    /// The request that is due. The program has not seen it.
    due: Option<Outgoing>,
    /// The request that was handed out and not answered.
    out: Option<Out>,
    /// The last response that was put, and what was returned; until the next request is handed out.
    put: Option<(u64, Json)>,
}

struct Out {
    outgoing: Outgoing,
    /// The secrets that may be in it.
    sent: Vec<(String, Secret)>,
}

struct Ended {
    run: i64,
    put: Option<u64>,
    answer: Json,
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

/// Begins a run whose requests the program sends. The answer is that of a run under way. Some drivers call a function
/// twice: the same call again, before a request was asked for, begins nothing.
///
/// # Errors
/// As [`Run::begin`].
pub fn open(session: &Session, call: &EntitiesCall, goal: Goal) -> Result<Json> {
    require_idle(session.connection())?;
    let part = session.part::<Driven>();
    if let Some(begun) = opened_by(&part, call, goal) {
        return Ok(begun);
    }
    let config = stored_config(&session.database(&call.schema)?, &call.provider)?;
    if config.kind().transport == Transport::File {
        return Err(Error::argument(format!(
            "provider '{}' is of kind {}, which sends no requests that a program could carry out; leave transport out",
            call.provider,
            config.kind().name
        )));
    }
    let secrets = match option(call, "secrets") {
        Some("names") => SecretsAs::Names,
        _ => SecretsAs::Values,
    };
    let run = Run::begin(session, call, goal, false)?;
    let (id, begun) = (run.id(), run.begun());
    let driven = DrivenRun {
        run,
        place: place(session, &call.schema),
        secrets,
        opened: Some((call.clone(), goal, begun.clone())),
        due: None,
        out: None,
        put: None,
    };
    // Closing the connection ends what it drives.
    session.token();
    part.runs.lock().insert(id, driven);
    let mut all = ALL.lock();
    all.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&Arc::downgrade(&part)));
    all.push(Arc::downgrade(&part));
    Ok(begun)
}

fn opened_by(part: &Driven, call: &EntitiesCall, goal: Goal) -> Option<Json> {
    let runs = part.runs.lock();
    let mut opened = runs.values().filter_map(|run| run.opened.as_ref());
    opened
        .find(|(known, for_goal, _)| known == call && *for_goal == goal)
        .map(|(_, _, begun)| begun.clone())
}

/// Ends the runs of this process on a file, of one provider or all, that somebody interrupted while their program was
/// away with a request: they keep nobody from it. One that can't be closed now stays, and is refused like any other.
pub fn end_interrupted(session: &Session, schema: &str, provider: Option<&str>) {
    if require_idle(session.connection()).is_err() {
        return;
    }
    let here = place(session, schema);
    let all: Vec<Arc<Driven>> = ALL.lock().iter().filter_map(Weak::upgrade).collect();
    for part in all {
        let is_meant = |run: &DrivenRun| {
            run.place == here
                && run.run.schema() == schema
                && provider.is_none_or(|provider| run.run.provider() == provider)
        };
        let meant: Vec<(i64, DrivenRun)> = {
            let mut runs = part.runs.lock();
            let ids: Vec<i64> = runs
                .iter()
                .filter(|(_, run)| is_meant(run))
                .map(|(id, _)| *id)
                .collect();
            ids.into_iter()
                .filter_map(|id| Some((id, runs.remove(&id)?)))
                .collect()
        };
        for (id, mut driven) in meant {
            let ended = match driven.is_interrupted(session) {
                Ok(true) => driven.give_up(session),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            match ended {
                Ok(Some(answer)) => part.keep(id, None, answer),
                _ => drop(part.runs.lock().insert(id, driven)),
            }
        }
    }
}

/// A run of this connection keeps its provider to itself, as one of another connection does.
///
/// # Errors
/// [`Error::Busy`] naming the run.
pub(super) fn refuse_own(session: &Session, provider: &str) -> Result<()> {
    let part = session.part::<Driven>();
    let runs = part.runs.lock();
    let open = runs.values().find(|run| run.run.provider() == provider);
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
    require_idle(session.connection())?;
    if let Some(answer) = session.part::<Driven>().ended(id, |_| true) {
        return Ok(answer);
    }
    with(session, id, None, |driven| driven.next(session))
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

impl Given<'_> {
    fn fingerprint(&self) -> u64 {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        match self {
            Self::Answer {
                status,
                headers,
                body,
            } => KEYS.hash_one((status, headers, body)),
            Self::Lost(why) => KEYS.hash_one((0u16, why)),
        }
    }
}

/// Takes the outcome of the request that was handed out, and says whether the run goes on. The same outcome again,
/// before the next request was asked for, is the same call made twice: it changes nothing and returns the same.
///
/// # Errors
/// No request is out; headers that are not a JSON object of texts; as [`next_request`].
pub fn put_response(session: &Session, id: Option<i64>, given: &Given<'_>) -> Result<Json> {
    require_idle(session.connection())?;
    let fingerprint = given.fingerprint();
    // Of one that was interrupted, whatever came back comes too late.
    let as_put = |put: Option<u64>| put.is_none_or(|put| put == fingerprint);
    if let Some(answer) = session.part::<Driven>().ended(id, as_put) {
        return Ok(answer);
    }
    with(session, id, Some(fingerprint), |driven| {
        match (&driven.put, &driven.out) {
            (_, Some(_)) => driven.take(session, fingerprint, given),
            (Some((before, answer)), None) if *before == fingerprint => {
                Ok(Shown::UnderWay(answer.clone()))
            }
            _ => Err(Error::argument(
                "no request is out; ask for one with sync_next_request()",
            )),
        }
    })
}

impl Driven {
    /// The run to go on with when none is named.
    fn only(&self) -> Result<i64> {
        let runs = self.runs.lock();
        match runs.keys().collect::<Vec<_>>().as_slice() {
            [id] => Ok(**id),
            [] => Err(Error::argument(
                "this connection drives no run; open one with sync_entities and {\"transport\":\"host\"}",
            )),
            _ => Err(Error::argument(
                "this connection drives several runs; name one, as sync_entities gave it in runId",
            )),
        }
    }

    /// The answer of the run that ended last, if that is the one meant. `as_put`: whether the response that ended it is.
    fn ended(&self, id: Option<i64>, as_put: impl Fn(Option<u64>) -> bool) -> Option<Json> {
        let is_meant = |ended: &&Ended| match id {
            Some(id) => id == ended.run,
            None => self.runs.lock().is_empty(),
        };
        let over = self.over.lock();
        let ended = over.as_ref().filter(is_meant)?;
        as_put(ended.put).then(|| ended.answer.clone())
    }

    fn keep(&self, run: i64, put: Option<u64>, answer: Json) {
        *self.over.lock() = Some(Ended { run, put, answer });
    }
}

/// Takes a run out while something is done with it; one that is over does not come back. `put`: the response it is done
/// with.
fn with(
    session: &Session,
    id: Option<i64>,
    put: Option<u64>,
    body: impl FnOnce(&mut DrivenRun) -> Result<Shown>,
) -> Result<Json> {
    let part = session.part::<Driven>();
    let id = id.map_or_else(|| part.only(), Ok)?;
    let Some(mut driven) = part.runs.lock().remove(&id) else {
        return Err(Error::argument(format!(
            "run {id} is not one that this connection drives; open one with sync_entities and \
             {{\"transport\":\"host\"}}"
        )));
    };
    // Between two calls time has passed: the owner's lease is renewed, and what dead owners left is settled.
    let shown = coordination::write(session, driven.run.schema(), |_| Ok(()))
        .and_then(|()| body(&mut driven));
    match shown {
        Ok(Shown::Over(answer)) => {
            part.keep(id, put, answer.clone());
            Ok(answer)
        }
        Ok(Shown::UnderWay(json)) => {
            part.runs.lock().insert(id, driven);
            Ok(json)
        }
        Err(error) => {
            part.runs.lock().insert(id, driven);
            Err(error)
        }
    }
}

impl DrivenRun {
    fn is_interrupted(&mut self, session: &Session) -> Result<bool> {
        let database = session.database(self.run.schema())?;
        Ok(self.run.is_interrupted(&database))
    }

    /// Ends an interrupted run: of a request that is out, nobody knows whether it arrived. The answer.
    fn give_up(&mut self, session: &Session) -> Result<Option<Json>> {
        let input = match (self.out.take(), self.due.take()) {
            (Some(_), _) => Input::Answer(Err(HttpError::interrupted())),
            (None, Some(_)) => Input::Stop(SyncError::interrupted()),
            (None, None) => Input::Go,
        };
        self.go_on(session, input)
    }

    /// The next request, or the end.
    fn next(&mut self, session: &Session) -> Result<Shown> {
        if self.is_interrupted(session)?
            && let Some(answer) = self.give_up(session)?
        {
            return Ok(Shown::Over(answer));
        }
        // Asked twice, it is the same: the program may have lost it.
        if let Some(out) = self.out.take() {
            self.due = Some(out.outgoing);
        }
        loop {
            let Some(outgoing) = self.due.take() else {
                match self.go_on(session, Input::Go)? {
                    Some(answer) => return Ok(Shown::Over(answer)),
                    None => continue,
                }
            };
            let ended = match self.hand_out(session, outgoing)? {
                Ok(request) => return Ok(Shown::UnderWay(request)),
                Err(input) => self.go_on(session, input)?,
            };
            if let Some(answer) = ended {
                return Ok(Shown::Over(answer));
            }
        }
    }

    fn take(&mut self, session: &Session, fingerprint: u64, given: &Given<'_>) -> Result<Shown> {
        let Some(out) = self.out.as_ref() else {
            return Err(Error::argument("no request is out"));
        };
        let answer = match given {
            Given::Lost(why) => Err(HttpError::reported(why)),
            Given::Answer {
                status,
                headers,
                body,
            } => {
                let headers = read_headers(headers)?;
                self.run.live().meter.given(body.len() as u64);
                let most = policy(self.run.config()).max_response_bytes;
                // A secret may have been replaced while the request was out; neither value is to be shown.
                let mut sent = out.sent.clone();
                sent.extend(self.secrets_of(session, &out.outgoing));
                Response::given(*status, headers, Spool::from_bytes(*body), &sent, most)
            }
        };
        self.out = None;
        if let Some(answer) = self.go_on(session, Input::Answer(answer))? {
            return Ok(Shown::Over(answer));
        }
        let goes_on = json!({
            "runId": self.run.id(),
            "state": "syncing",
            "finishedAt": Json::Null,
        });
        self.put = Some((fingerprint, goes_on.clone()));
        Ok(Shown::UnderWay(goes_on))
    }

    /// Goes on until a request is due, or to the end; the answer then.
    fn go_on(&mut self, session: &Session, input: Input) -> Result<Option<Json>> {
        let mut input = input;
        loop {
            match self.run.advance(session, input)? {
                Turn::Over(answer) => return Ok(Some(answer)),
                Turn::Send(outgoing) => {
                    self.due = Some(outgoing);
                    return Ok(None);
                }
                Turn::Wait(time) => std::thread::sleep(time),
            }
            input = Input::Go;
        }
    }

    /// The secrets that go with a request, as they are now; none that is missing.
    fn secrets_of(&self, session: &Session, outgoing: &Outgoing) -> Vec<(String, Secret)> {
        let secrets = session.part::<Secrets>();
        let prepared = http::prepare(outgoing, &self.run.credentials(), &secrets);
        let hidden = |request: http::Request| {
            let hidden = request.hidden.into_iter();
            let hidden = hidden.map(|secret| (String::new(), secret));
            request.credentials.into_iter().chain(hidden).collect()
        };
        prepared.map(hidden).unwrap_or_default()
    }

    /// The request as the program gets it, or why it can't be sent.
    fn hand_out(&mut self, session: &Session, outgoing: Outgoing) -> Result<Result<Json, Input>> {
        let config = self.run.credentials();
        let secrets = session.part::<Secrets>();
        let mut headers = Map::new();
        let mut request = http::without_credentials(&outgoing);
        let url = match self.secrets {
            SecretsAs::Names => {
                let (url, named) = http::with_names(&outgoing, &config, &secrets);
                headers.extend(named.into_iter().map(|(name, value)| (name, value.into())));
                url
            }
            SecretsAs::Values => {
                match http::prepare(&outgoing, &config, &secrets) {
                    Ok(prepared) => request = prepared,
                    Err(error) => return Ok(Err(Input::Stop(unusable(error)))),
                }
                let plain = request.headers.iter().cloned();
                headers.extend(plain.map(|(name, value)| (name, value.into())));
                for (header, secret) in &request.credentials {
                    headers.insert(header.clone(), secret.for_the_program().into());
                }
                request.url.clone()
            }
        };
        // A server's cursor can be in a header: what the HTTP room would not send is not handed out either.
        if let Err(error) = http::check(&request) {
            return Ok(Err(Input::Answer(Err(error))));
        }
        let body = match &request.body {
            Some(Body::Bytes(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => outgoing
                .body
                .as_ref()
                .map(Spool::text)
                .transpose()
                .map_err(|error| {
                    Error::misuse(format!("the body of the request can't be read: {error}"))
                })?,
        };
        let shown = json!({
            "runId": self.run.id(),
            "state": "syncing",
            "method": outgoing.method.as_str(),
            "url": url,
            "headers": headers,
            "body": body,
            "finishedAt": Json::Null,
        });
        self.opened = None;
        self.put = None;
        self.out = Some(Out {
            sent: self.secrets_of(session, &outgoing),
            outgoing,
        });
        Ok(Ok(shown))
    }
}

/// A JSON object of names and texts; empty text means none.
fn read_headers(text: &str) -> Result<Vec<(String, String)>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = || Error::argument("headers must be a JSON object of texts and numbers");
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
