//! Applying one page of a response to the entity of an open operation.

use serde_json::{Value as Json, json};

use crate::capture::drift;
use crate::coordination::operation::{OpenWork, open_work};
use crate::coordination::{Ground, Outcome as End, finish};
use crate::providers::{Transport, kinds};
use crate::store::{Error, Result, Session, Transaction, untold};
use crate::transfer::apply::explain_foreign_key;
use crate::transfer::declared::declare;
use crate::transfer::held::Refusals;
use crate::transfer::held::count::Count;
use crate::transfer::held::foreign::{Search, broken_reference};

use super::attempt::Attempt;
use super::entity_table;
use super::operations::run_operations;
use super::outcome::{Failure, Job, Outcome, Page};
use super::records::Records;
use super::scope::Scope;
use super::settings::Settings;

/// Checks the settings of a call with a host provider, and notes the SQL in them as declared.
///
/// # Errors
/// A key, type or combination that is not known: `options.<key> <problem>`.
pub fn check_settings(session: &Session, settings: &serde_json::Map<String, Json>) -> Result<()> {
    for sql in Settings::read(settings)?.sql() {
        declare(session, sql);
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
    let key = field.map(|field| super::settings::PrimaryKey::Field(field.to_owned()));
    let records = Records::of_response(text).ok()?.keyed(key.as_ref(), field);
    let records = records.iter();
    records
        .map(|record| record.ok().map(|record| record.json.to_owned()))
        .collect()
}

/// Applies one page of a response to the entity of an open operation, all or nothing.
///
/// A row that its table refuses is held. What is found out about such rows is noted in `refusals`, and this fails then:
/// it is to be called again.
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
    refusals: &Refusals,
) -> Result<Json> {
    let database = ground.database;
    let work = require_open(ground, status_id)?;
    let attempt = Attempt::new(refusals);
    let (outcome, error) = match apply_once(session, ground, &work, page, &attempt) {
        Ok(outcome) => (outcome, None),
        Err(Failure::Sync(error)) => (Outcome::default(), Some(error)),
        Err(Failure::Call(error)) => return Err(error),
    };
    let state = match &error {
        Some(error) => {
            let text = error.to_json().to_string();
            finish(database, status_id, &End::Failed(text))?;
            "failed"
        }
        None if close => {
            finish(database, status_id, &End::Synced)?;
            "synced"
        }
        None => "syncing",
    };
    let warnings = outcome.warnings.iter();
    let warnings: Vec<Json> = warnings
        .map(|warning| warning.to_json(&str::to_owned))
        .collect();
    Ok(json!({
        "statusId": status_id,
        "entity": work.entity,
        "page": page.number,
        "state": state,
        "deleted": outcome.deleted,
        "inserted": outcome.inserted,
        "updated": outcome.updated,
        "conflicts": outcome.conflicts,
        "held": outcome.held,
        "warnings": warnings,
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
            "status {status_id} belongs to a provider of kind {}, which applies its own answers; sync it with sync_entities",
            kind.name
        ))),
    }
}

/// Applies a page without the rows that are known to be refused. What is found out about others undoes it.
fn apply_once(
    session: &Session,
    ground: &Ground<'_>,
    work: &OpenWork,
    page: &Page<'_>,
    attempt: &Attempt<'_>,
) -> Result<Outcome, Failure> {
    let database = ground.database;
    let connection = database.connection();
    // References that the caller's own transaction has broken are its affair.
    let judges = !Search::is_due(connection);
    let transaction = Transaction::begin(connection)?;
    let applied = apply_page(session, ground, work, page, attempt);
    if attempt.refusals.has_news() {
        return Err(again());
    }
    let outcome = applied?;
    if judges && Search::is_due_after(connection, attempt.refusals) {
        let bound = attempt.bound();
        let broken = Search::now(database, &bound, true)?;
        let error = explain_foreign_key(connection, broken_reference());
        drop(transaction);
        return Err(match broken.blame(attempt.refusals)? {
            true => again(),
            false => Failure::from(error),
        });
    }
    transaction.commit()?;
    Ok(outcome)
}

/// Another row of the page turned out to be refused.
fn again() -> Failure {
    Failure::Call(Error::argument("a row is refused"))
}

fn apply_page(
    session: &Session,
    ground: &Ground<'_>,
    work: &OpenWork,
    page: &Page<'_>,
    attempt: &Attempt<'_>,
) -> Result<Outcome, Failure> {
    let (database, provider) = (ground.database, work.provider.as_deref());
    drift::refresh(database)?;
    let mut outcome = apply_records(session, ground, work, page, attempt)?;
    outcome.warnings.extend(untold::take(database)?);
    for binding in attempt.bound() {
        let held = Count::of(database, provider.unwrap_or_default(), binding.table.id)?;
        outcome.held += held.all;
        outcome.warnings.extend(held.warnings(&binding.entity));
    }
    Ok(outcome)
}

fn apply_records(
    session: &Session,
    ground: &Ground<'_>,
    work: &OpenWork,
    page: &Page<'_>,
    attempt: &Attempt<'_>,
) -> Result<Outcome, Failure> {
    // Valid when stored, but the file may have been edited since.
    let settings = Settings::parse(work.settings.as_deref())?;
    let job = Job {
        session,
        database: ground.database,
        provider: work.provider.as_deref().unwrap_or_default(),
        entity: &work.entity,
        attempt,
    };
    if let Some(operations) = &settings.operations {
        return run_operations(&job, &settings, operations, page);
    }
    let records = Records::of_response(page.response)?;
    entity_table::write(&job, &work.entity, |table| {
        if settings.for_rows_with_matching_ids {
            return records.iter().try_for_each(|record| table.merge(&record?));
        }
        if page.number == 1 {
            table.clear(&Scope::new(&settings.meant, records.ids()?))?;
        }
        records.iter().try_for_each(|record| table.put(&record?))
    })
}
