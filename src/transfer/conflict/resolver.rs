//! Resolvers written in SQL: an expression over the rows of a conflict, as JSON.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::capture::entities;
use crate::ground::{Class, SyncError, complaint, nearest, quoted};
use crate::providers::conversation::ApplyRules;
use crate::providers::fit::sanitise;
use crate::providers::wire::{Entity, Slot};
use crate::store::{Connection, Database, Error, Result, Session, Statement, ValueRef};

use crate::transfer::conflict::policy::Policy;
use crate::transfer::declared;

const HOW: &str = "call sync_resolver with it after opening the file";

/// What the expression may name.
const NAMES: &[&str] = &[":table", ":local", ":remote", ":resolved"];

/// The rows of one conflict, as JSON texts.
pub struct Rows<'a> {
    pub table: &'a str,
    pub local: &'a str,
    /// None: the server has deleted the row.
    pub remote: Option<&'a str>,
    pub resolved: &'a str,
}

/// An expression at the ready.
pub struct Resolver {
    /// What is wrong with one that does not compile here: a function is missing, say. That is the same for every row.
    statement: Result<Statement, String>,
    parameters: Vec<String>,
}

/// Why an expression gave no row.
#[derive(Debug)]
pub enum Silence {
    /// It failed, or gave something else.
    Failed(String),
    /// The database is in trouble, whatever the expression.
    Database(Error),
}

impl From<Error> for Silence {
    fn from(error: Error) -> Self {
        match is_about_more(&error) {
            true => Self::Database(error),
            false => Self::Failed(error.to_string()),
        }
    }
}

/// Whether an error is about more than the expression: the database is locked, full or broken, or the host interrupts it.
fn is_about_more(error: &Error) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NO_MEMORY: i32 = 7;
    const INTERRUPT: i32 = 9;
    const IO: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANT_OPEN: i32 = 14;
    const NO_DATABASE: i32 = 26;
    matches!(
        error.code() & 0xff,
        BUSY | LOCKED | NO_MEMORY | INTERRUPT | IO | CORRUPT | FULL | CANT_OPEN | NO_DATABASE
    )
}

/// What an expression made of a row.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// A value for each column of the entity; missing: as resolved.
    pub row: Vec<Slot<'static>>,
    /// `_status`, if it is one there is.
    pub status: Option<String>,
    /// `_changed`, split.
    pub changed: Option<Vec<String>>,
}

impl Resolver {
    /// The resolver of a policy; none when the policy is not SQL. One that does not compile fails when it is asked.
    ///
    /// # Errors
    /// The text comes from the file alone; SQLite's, where they are not about the text.
    pub fn of(session: &Session, connection: Connection, policy: &Policy) -> Result<Option<Self>> {
        let (Policy::Sql2(sql) | Policy::Sql4(sql)) = policy else {
            return Ok(None);
        };
        declared::require(session, sql, HOW)?;
        match Self::prepare(connection, policy, sql) {
            Err(error) if !is_about_more(&error) => Ok(Some(Self {
                statement: Err(error.to_string()),
                parameters: Vec::new(),
            })),
            prepared => prepared.map(Some),
        }
    }

    /// Compiles an expression and looks at what it names.
    ///
    /// # Errors
    /// SQLite's; an unknown parameter.
    pub fn prepare(connection: Connection, policy: &Policy, sql: &str) -> Result<Self> {
        let statement = connection.prepare(&format!("SELECT ({sql})"))?;
        let known = match policy {
            Policy::Sql2(_) => &NAMES[1..3],
            _ => NAMES,
        };
        let parameters = statement.parameters();
        if let Some(stranger) = parameters
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(Error::argument(format!(
                "the expression names {stranger}; {} has {}",
                policy.name(),
                known.join(", ")
            )));
        }
        Ok(Self {
            statement: Ok(statement),
            parameters,
        })
    }

    /// Asks about one row. None: it gave NULL.
    ///
    /// # Errors
    /// The expression's own; an answer that is neither NULL nor a JSON object.
    pub fn ask(&mut self, entity: &Entity, rows: &Rows<'_>) -> Result<Option<Verdict>, Silence> {
        let statement = match &mut self.statement {
            Ok(statement) => statement,
            Err(problem) => return Err(Silence::Failed(problem.clone())),
        };
        let answer = run(statement, &self.parameters, rows);
        statement.reset();
        let answer = answer?.map(|answer| read(entity, &answer));
        answer.transpose().map_err(Silence::Failed)
    }
}

fn run(
    statement: &mut Statement,
    parameters: &[String],
    rows: &Rows<'_>,
) -> Result<Option<String>, Silence> {
    for (place, name) in parameters.iter().enumerate() {
        let value = match name.as_str() {
            ":table" => Some(rows.table),
            ":local" => Some(rows.local),
            ":remote" => rows.remote,
            _ => Some(rows.resolved),
        };
        statement.bind(place + 1, value.into())?;
    }
    statement.step()?;
    match statement.column(0) {
        ValueRef::Text(text) => Ok(Some(text.to_owned())),
        ValueRef::Null => Ok(None),
        other => Err(Silence::Failed(no_object(other.type_name()))),
    }
}

/// What is wrong with an answer of that type.
pub fn no_object(type_name: &str) -> String {
    format!("it gave {type_name}, not a JSON object")
}

/// Sets the policy of an entity; none takes it away. Its SQL counts as declared then.
///
/// # Errors
/// What [`Policy::parse`] refuses; an entity that nothing declares; an expression that does not compile; SQLite's.
pub fn set_resolver(
    session: &Session,
    database: &Database,
    entity: &str,
    policy: Option<&str>,
    argument: Option<&str>,
) -> Result<()> {
    let Some(name) = policy else {
        return Policy::forget(database, entity);
    };
    let policy = Policy::parse(name, argument)?;
    if let Policy::Sql2(sql) | Policy::Sql4(sql) = &policy {
        Resolver::prepare(database.connection(), &policy, sql)?;
        declared::declare(session, sql);
    }
    policy.store(database, &known_entity(database, entity)?)
}

/// An entity in the spelling in which it is declared: by a provider, or as the name of a table, which may be tracked later.
fn known_entity(database: &Database, entity: &str) -> Result<String> {
    if entity == "*" {
        return Ok(entity.to_owned());
    }
    let known = entities(database)?;
    let exact = known.iter().find(|name| *name == entity);
    let mut like = known.iter();
    if let Some(name) = exact.or_else(|| like.find(|name| name.eq_ignore_ascii_case(entity))) {
        return Ok(name.clone());
    }
    let meant = nearest(entity, known.iter().map(String::as_str));
    Err(Error::argument(format!(
        "entity {} is neither declared in tableMap nor a table{}; create the table first, or correct the name",
        quoted(entity),
        meant.map_or_else(String::new, |name| format!(
            " (did you mean {}?)",
            quoted(name)
        ))
    )))
}

/// Makes sure, before anything is sent, that the resolver of an entity can be asked.
///
/// # Errors
/// As [`Resolver::of`].
pub fn require_usable(session: &Session, database: &Database, entity: &str) -> Result<()> {
    // What is usual needs nothing.
    let policy = Policy::of(database, entity, &ApplyRules::default())?;
    Resolver::of(session, database.connection(), &policy)
        .map(drop)
        .map_err(|error| error.prefixed(&format!("the resolver of {}", quoted(entity))))
}

/// Reads an answer. Unknown keys are dropped, and so is `id`, which can't change.
fn read(entity: &Entity, answer: &str) -> Result<Verdict, String> {
    let members: HashMap<String, Box<RawValue>> = serde_json::from_str(answer)
        .map_err(|error| format!("it gave no JSON object: {}", complaint(&error)))?;
    let row = entity
        .columns
        .iter()
        .map(|column| match members.get(&column.name) {
            None => Slot::Missing,
            Some(raw) => sanitise(column, raw.get()),
        })
        .collect();
    let text = |name: &str| -> Option<String> {
        members
            .get(name)
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
    };
    Ok(Verdict {
        row,
        status: text("_status").filter(|status| {
            matches!(
                status.as_str(),
                "synced" | "created" | "updated" | "deleted"
            )
        }),
        changed: text("_changed").map(|names| {
            names
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        }),
    })
}

/// A resolver failed for a row, and took the transaction with it: nothing more can be written.
pub fn failed(entity: &str, id: &str, problem: &str) -> SyncError {
    SyncError::new(
        Class::Data,
        "SYNC_ERROR_RESOLVER",
        format!(
            "the resolver of {} failed for the row {}: {problem}; nothing of this answer was applied",
            quoted(entity),
            quoted(id)
        ),
        false,
    )
}
