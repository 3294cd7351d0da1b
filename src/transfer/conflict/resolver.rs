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
    statement: Statement,
    parameters: Vec<String>,
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
    /// The resolver of a policy; none when the policy is not SQL.
    ///
    /// # Errors
    /// The text comes from the file alone; SQLite's: it does not compile.
    pub fn of(session: &Session, connection: Connection, policy: &Policy) -> Result<Option<Self>> {
        let (Policy::Sql2(sql) | Policy::Sql4(sql)) = policy else {
            return Ok(None);
        };
        declared::require(session, sql, HOW)?;
        Self::prepare(connection, policy, sql).map(Some)
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
            statement,
            parameters,
        })
    }

    /// Asks about one row. None, of a row that the server has deleted: it goes.
    ///
    /// # Errors
    /// The expression's own; an answer that is not a JSON object.
    pub fn ask(&mut self, entity: &Entity, rows: &Rows<'_>) -> Result<Option<Verdict>, String> {
        let answer = self.run(rows);
        self.statement.reset();
        let answer = answer?;
        answer.map(|answer| read(entity, &answer)).transpose()
    }

    fn run(&mut self, rows: &Rows<'_>) -> Result<Option<String>, String> {
        for (place, name) in self.parameters.iter().enumerate() {
            let value = match name.as_str() {
                ":table" => Some(rows.table),
                ":local" => Some(rows.local),
                ":remote" => rows.remote,
                _ => Some(rows.resolved),
            };
            self.statement
                .bind(place + 1, value.into())
                .map_err(|error| error.to_string())?;
        }
        self.statement.step().map_err(|error| error.to_string())?;
        match self.statement.column(0) {
            ValueRef::Text(text) => Ok(Some(text.to_owned())),
            ValueRef::Null if rows.remote.is_none() => Ok(None),
            other => Err(format!("it gave {}, not a JSON object", other.type_name())),
        }
    }
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

/// A resolver that failed ends the pull: the cursor would cover the row otherwise.
pub fn failed(entity: &str, id: &str, problem: &str) -> SyncError {
    SyncError::new(
        Class::Data,
        "SYNC_ERROR_RESOLVER",
        format!(
            "the resolver of {} failed for the row {}: {problem}; nothing of this pull was applied",
            quoted(entity),
            quoted(id)
        ),
        false,
    )
}
