//! What a response does to the tables of an entity, for programs that move the data themselves.
//!
//! | setting | effect |
//! |---|---|
//! | none | all rows go, those of the response come |
//! | `forRowsWithMatchingIds` | rows are merged by id, others stay |
//! | `forRowsWithValues`, `forRowsInRange` | the rows they name go, those of the response come |
//! | `operations` | these, in order |
//! | `keepTempIds` | rows with a temporary id never go |
//!
//! The rules are those of Jigx's REST functions. Rows go on the first page only.

mod entity_table;
mod operations;
mod records;
mod scope;
mod settings;

use serde_json::{Value as Json, json};

use crate::coordination::operation::{OpenWork, open_work};
use crate::coordination::{Ground, Outcome, finish};
use crate::ground::{Class, SyncError};
use crate::providers::{Transport, kinds};
use crate::store::{Error, Result, Session, Transaction};

use entity_table::EntityTable;
use operations::run_operations;
use records::Records;
use scope::Scope;
use settings::Settings;

/// Rows that a page has removed, added and changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    pub deleted: i64,
    pub inserted: i64,
    pub updated: i64,
}

/// One page of a response.
pub struct Page<'a> {
    pub response: &'a str,
    /// From 1; only the first removes rows.
    pub number: i64,
}

/// Why a page was not applied.
enum Failure {
    /// The response or the tables are at fault: the operation fails.
    Sync(SyncError),
    /// The database is: nothing happens, and the call can be repeated.
    Call(Error),
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        Self::Sync(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        const PLAIN: i32 = 1;
        const TOO_BIG: i32 = 18;
        const MISMATCH: i32 = 20;
        let by_content = matches!(error.code() & 0xff, PLAIN | TOO_BIG | MISMATCH);
        if error.is_constraint() || (by_content && !matches!(error, Error::Panic(_))) {
            return Self::Sync(error.into());
        }
        Self::Call(error)
    }
}

/// Checks the settings of a call with a host provider, and notes the SQL in them as declared.
///
/// # Errors
/// A key, type or combination that is not known: `options.<key> <problem>`.
pub fn check_settings(session: &Session, settings: &serde_json::Map<String, Json>) -> Result<()> {
    for sql in Settings::read(settings)?.sql() {
        super::declared::declare(session, sql);
    }
    Ok(())
}

/// Whether the settings of a call are taken, for the fuzzers.
#[cfg(fuzzing)]
pub fn read_settings(text: &str) -> bool {
    Settings::parse(Some(text)).is_ok_and(|settings| settings.sql().len() < text.len() + 1)
}

/// The texts of a response's records, for the fuzzers; none when one is not taken.
#[cfg(fuzzing)]
pub fn read_records(text: &str, field: Option<&str>) -> Option<Vec<String>> {
    let key = field.map(|field| settings::PrimaryKey::Field(field.to_owned()));
    let records = Records::of_response(text).ok()?.keyed(key.as_ref(), field);
    let records = records.iter();
    records
        .map(|record| record.ok().map(|record| record.json.to_owned()))
        .collect()
}

/// Applies one page of a response to the entity of an open operation, all or nothing.
///
/// The last page (`close`) ends the operation as `synced`; a page that can't be applied ends it as
/// `failed`, and what earlier pages brought stays.
///
/// # Errors
/// The operation is not open, or not a host provider's; the database is busy, full or read-only.
pub fn apply_response(
    session: &Session,
    ground: &Ground<'_>,
    status_id: i64,
    page: &Page<'_>,
    close: bool,
) -> Result<Json> {
    let database = ground.database;
    let work = require_open(ground, status_id)?;
    let transaction = Transaction::begin(database.connection())?;
    let applied = match apply_page(session, ground, &work, page) {
        Ok(effect) => transaction.commit().map_err(Failure::from).map(|()| effect),
        Err(failure) => {
            drop(transaction);
            Err(failure)
        }
    };
    let (effect, error) = match applied {
        Ok(effect) => (effect, None),
        Err(Failure::Sync(error)) => (Effect::default(), Some(error)),
        Err(Failure::Call(error)) => return Err(error),
    };
    let state = match &error {
        Some(error) => {
            let text = error.to_json().to_string();
            finish(database, status_id, &Outcome::Failed(text))?;
            "failed"
        }
        None if close => {
            finish(database, status_id, &Outcome::Synced)?;
            "synced"
        }
        None => "syncing",
    };
    Ok(json!({
        "statusId": status_id,
        "entity": work.entity,
        "page": page.number,
        "state": state,
        "deleted": effect.deleted,
        "inserted": effect.inserted,
        "updated": effect.updated,
        "error": error.map(|error| error.to_json()),
    }))
}

fn require_open(ground: &Ground<'_>, status_id: i64) -> Result<OpenWork> {
    let Some(work) = open_work(ground.database, status_id)? else {
        return Err(Error::argument(format!(
            "status {status_id} has no open operation; open it with sync_entities"
        )));
    };
    let kind = work.kind.as_deref().and_then(kinds::find);
    match kind.filter(|kind| kind.transport != Transport::Nobody) {
        None => Ok(work),
        Some(kind) => Err(Error::argument(format!(
            "status {status_id} belongs to a provider of kind {}, which applies its answers by itself",
            kind.name
        ))),
    }
}

fn apply_page(
    session: &Session,
    ground: &Ground<'_>,
    work: &OpenWork,
    page: &Page<'_>,
) -> Result<Effect, Failure> {
    // Valid when stored, but the file may have been edited since.
    let settings = Settings::parse(work.settings.as_deref())?;
    if let Some(operations) = &settings.operations {
        return run_operations(
            session,
            ground.database,
            &work.entity,
            &settings,
            operations,
            page,
        );
    }
    let records = Records::of_response(page.response)?;
    let mut table = EntityTable::open(ground.database, &work.entity)?;
    if settings.for_rows_with_matching_ids {
        for record in records.iter() {
            table.merge(&record?)?;
        }
        return Ok(table.effect);
    }
    if page.number == 1 {
        table.clear(&Scope::new(
            settings.for_rows_with_values.as_ref(),
            settings.for_rows_in_range.as_ref(),
            &settings.keep_temp_ids,
        ))?;
    }
    for record in records.iter() {
        table.put(&record?)?;
    }
    Ok(table.effect)
}

impl Failure {
    /// A response that says something other than was expected.
    fn response(message: impl Into<String>) -> Self {
        Self::Sync(SyncError::new(
            Class::Protocol,
            "SYNC_ERROR_PROTOCOL",
            message.into(),
            false,
        ))
    }
}
