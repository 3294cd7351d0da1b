//! Trying a function: its first request is sent, and what would become of the answer is shown. Nothing is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use crate::coordination::{installed, now};
use crate::ground::{SyncError, Warning};
use crate::http::{self, Credentials, Method, Outgoing, Response, Secrets, Spool};
use crate::providers::conversation::{
    Answer, Ask, AskBody, Conversation, Event, Goal, Known, KnownEntity, KnownOperation, Refusal,
    Step,
};
use crate::providers::sink::{RemoteRow, Scope, Sink};
use crate::providers::wire::{Entity, Holds, KeyType, Slot, WireColumn, WireId, WireType};
use crate::providers::{Login, Settings, login, policy};
use crate::store::{Error, Result, Session, Value, ValueRef, require_idle};
use crate::transfer::binding::Binding;
use crate::transfer::expression::Expressions;

use super::begin::opened;
use super::drive::unusable;
use super::gate::{schema_version, stored_config};
use super::renewing::{self, Due, Token};

/// How often it is looked whether somebody else has got a token.
const LOOK: Duration = Duration::from_millis(50);

/// Rows that are shown.
const SHOWN: usize = 3;

/// What is to be tried.
pub struct Trial<'a> {
    pub schema: &'a str,
    pub provider: &'a str,
    pub function: &'a str,
    pub parameters: Map<String, Json>,
    /// The table that the rows are shown for; none: one of documents.
    pub entity: Option<&'a str>,
}

/// Sends the first request of a function, and shows it, the first rows of the answer as they would be kept, and what would be
/// asked next.
///
/// # Errors
/// A function or a parameter that is not known; called inside a transaction. A request that fails is an answer.
pub fn try_function(session: &Session, trial: &Trial<'_>) -> Result<Json> {
    require_idle(session.connection())?;
    let database = session.database(trial.schema)?;
    if !installed(&database)? {
        return Err(Error::argument(
            "nothing is declared yet; call sync_provider",
        ));
    }
    let config = stored_config(&database, trial.provider)?;
    let kind = opened(&database, &config, trial.provider)?;
    let entity = match trial.entity {
        Some(entity) => Binding::resolve(&database, &config, &*kind, entity)?.wire,
        None => documents(),
    };
    let known = Known {
        entities: vec![KnownEntity {
            entity: entity.clone(),
            cursor: None,
            before: None,
            schema: Default::default(),
        }],
        operations: vec![KnownOperation {
            entity: 0,
            function: Some(trial.function.to_owned()),
            parameters: trial.parameters.clone(),
            place: None,
        }],
        now: now(),
        schema_version: schema_version(&database)?,
        memory: Json::Null,
        options: Map::new(),
        pulls: true,
        pending: false,
    };
    let mut talk = match kind.begin(Goal::Hydrate, known) {
        Ok(talk) => talk,
        Err(Refusal::Call(problem)) => return Err(Error::argument(problem)),
        Err(Refusal::Sync(error)) => return Ok(json!({"error": error.to_json()})),
    };
    while let Step::Query(question) = talk.due() {
        let found = super::query::answer(session, &database, &question);
        talk.found(found.as_deref());
    }
    let ask = match talk.due() {
        Step::Ask(ask) => ask,
        Step::Fail(error) | Step::Over(_, Some(error)) => {
            return Ok(json!({"error": error.to_json()}));
        }
        _ => return Ok(json!({"error": null, "rows": []})),
    };
    let outgoing = outgoing(&ask);
    let mut answer = json!({"request": shown(&ask)});
    let sent = send(session, &config, &outgoing, &mut answer);
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            answer["error"] = error.to_json();
            return Ok(answer);
        }
    };
    answer["status"] = response.status.into();
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut gather = Gather {
        entity: &entity,
        count: 0,
        rows: Vec::new(),
        expressions: Expressions::new(session, session.connection()),
    };
    let is_read = (200..300).contains(&response.status);
    let read = match is_read {
        true => {
            let mut page = Answer {
                status: response.status,
                headers: &headers,
                body: &mut response.body.reader(),
                length: response.body.len(),
                parcel: None,
            };
            talk.read(&mut page, &mut gather)
        }
        false => Err(SyncError::from_status(
            response.status,
            false,
            &response.excerpt(500),
        )),
    };
    answer["count"] = gather.count.into();
    answer["rows"] = gather.rows.into();
    let (warnings, error): (Vec<Warning>, _) = match read {
        Ok(read) => {
            answer["paging"] = read.rest.get("paging").cloned().unwrap_or_default();
            talk.adopt(Event::Read(&read));
            (read.warnings, next(&*talk, &mut answer))
        }
        Err(error) => (Vec::new(), Some(error)),
    };
    let redactor = response.redactor();
    let clean = |text: &str| redactor.clean(text);
    answer["warnings"] = warnings
        .iter()
        .map(|warning| warning.to_json(&clean))
        .collect();
    answer["error"] = error.map_or(Json::Null, |mut error| {
        error.message = clean(&error.message);
        error.said = error.said.map(|said| clean(&said));
        error.to_json()
    });
    super::report::black_out(&mut answer, redactor);
    Ok(answer)
}

/// Sends a request, after one for a token where one is due. The answer shows the names of the secrets that went along.
fn send(
    session: &Session,
    config: &Settings,
    outgoing: &Outgoing,
    answer: &mut Json,
) -> std::result::Result<Response, SyncError> {
    const UNAUTHORIZED: u16 = 401;
    let mut token = Token::default();
    loop {
        let login = login(config);
        if let Some(login) = &login {
            get_token(session, config, login, &mut token)?;
            token.asked = renewing::in_use(session, config, login);
        }
        let request = prepared(session, outgoing, &renewing::usual(config))?;
        let names = request
            .credentials
            .iter()
            .map(|(name, _)| (name.to_string(), "…".into()));
        answer["request"]["secrets"] = Json::Object(names.collect());
        let response = exchange(config, &request)?;
        let is_new = token.asked.is_some() && token.unproven == token.asked;
        if response.status != UNAUTHORIZED || login.is_none() || token.is_renewed || is_new {
            return Ok(response);
        }
        token.refused = token.asked;
        token.is_refused = true;
        token.is_renewed = true;
    }
}

/// Gets a token where one is due, or waits for somebody else's.
fn get_token(
    session: &Session,
    config: &Settings,
    login: &Login,
    token: &mut Token,
) -> std::result::Result<(), SyncError> {
    let since = Instant::now();
    while token.is_refused || renewing::is_missing(session, config, login, token) {
        match renewing::look(session, config, login, token, Some(since))? {
            Due::Ready => token.is_refused = false,
            Due::Wait if since.elapsed() >= policy(config).total => {
                let why = "somebody else asked for one and has no answer yet";
                return Err(renewing::denied(login, why));
            }
            Due::Wait => std::thread::sleep(LOOK),
            Due::Ask(right) => {
                let request = prepared(session, &login.request, &renewing::for_login())?;
                let sent =
                    http::send_metered(&request, &policy(config), &|| false, &Arc::default());
                let granted = renewing::take(session, config, login, &right, sent)?;
                token.unproven = Some(granted.number);
                token.is_refused = false;
            }
        }
    }
    Ok(())
}

fn prepared(
    session: &Session,
    outgoing: &Outgoing,
    credentials: &Credentials,
) -> std::result::Result<http::Request, SyncError> {
    http::prepare(outgoing, credentials, &session.part::<Secrets>()).map_err(unusable)
}

fn exchange(
    config: &Settings,
    request: &http::Request,
) -> std::result::Result<Response, SyncError> {
    let sent = http::send_metered(request, &policy(config), &|| false, &Arc::default());
    sent.map_err(SyncError::from)
}

/// What would be asked next, or why nothing would.
fn next(talk: &dyn Conversation, answer: &mut Json) -> Option<SyncError> {
    match talk.due() {
        Step::Ask(ask) => {
            answer["next"] = shown(&ask);
            None
        }
        Step::Over(_, error) => error,
        Step::Fail(error) => Some(error),
        _ => None,
    }
}

fn outgoing(ask: &Ask) -> Outgoing {
    Outgoing {
        once: false,
        method: Method::parse(ask.method).unwrap_or(Method::Get),
        url: ask.url.clone(),
        headers: ask.headers.clone(),
        body: match &ask.body {
            AskBody::Bytes(bytes) => Some(Spool::from_bytes(bytes.clone())),
            _ => None,
        },
    }
}

fn shown(ask: &Ask) -> Json {
    let body = match &ask.body {
        AskBody::Bytes(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
        _ => Json::Null,
    };
    let headers = ask.headers.iter();
    let headers: Map<String, Json> = headers
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    json!({"method": ask.method, "url": ask.url, "headers": headers, "body": body})
}

/// A table of documents.
fn documents() -> Entity {
    let column = |name: &str, kind, declared: &str| WireColumn {
        name: name.to_owned(),
        kind,
        required: true,
        holds: Holds::of(declared, false),
    };
    Entity {
        name: "documents".into(),
        columns: vec![
            column("data", WireType::String, "TEXT"),
            column("timestamp", WireType::Number, "INTEGER"),
        ],
        key: "id".into(),
        references: Vec::new(),
        key_type: KeyType::Text,
    }
}

/// Shows the first rows, and counts all.
struct Gather<'a> {
    entity: &'a Entity,
    count: u64,
    rows: Vec<Json>,
    expressions: Expressions<'a>,
}

impl Gather<'_> {
    fn add(&mut self, id: &WireId<'_>, slots: Option<&[Slot<'_>]>) {
        self.count += 1;
        if self.rows.len() >= SHOWN {
            return;
        }
        let mut row = Map::new();
        row.insert(self.entity.key.clone(), id.to_string().into());
        match slots {
            None => {
                row.insert("gone".into(), true.into());
            }
            Some(slots) => {
                for (column, slot) in self.entity.columns.iter().zip(slots) {
                    if !slot.is_missing() {
                        row.insert(column.name.clone(), as_json(slot.value()));
                    }
                }
            }
        }
        self.rows.push(Json::Object(row));
    }
}

fn as_json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => text.into(),
        ValueRef::Blob(bytes) => format!("({} bytes)", bytes.len()).into(),
        _ => Json::Null,
    }
}

impl Sink for Gather<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> std::result::Result<(), SyncError> {
        self.add(row.id, Some(row.slots));
        Ok(())
    }

    fn gone(
        &mut self,
        _: usize,
        id: &WireId<'_>,
        _: Option<i64>,
    ) -> std::result::Result<(), SyncError> {
        self.add(id, None);
        Ok(())
    }

    fn scope(&mut self, _: usize, _: &Scope<'_>) -> std::result::Result<(), SyncError> {
        Ok(())
    }

    fn evaluate(&mut self, sql: &str, record: &str) -> std::result::Result<Value, SyncError> {
        self.expressions.evaluate(sql, record)
    }
}
