//! Leaving a provider, for somebody who logs out or for another user: what waits goes up, then all that is known of the
//! provider goes, in one transaction. Rows that stay are new to whoever is synced with next.

use std::collections::HashSet;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::capture::tracked::{Registration, captured_table, registrations};
use crate::capture::{aside, drift, log};
use crate::coordination::operation::Form;
use crate::coordination::{self, EntitiesCall, Ground, installed, lease, run_record};
use crate::ground::quoted;
use crate::http::Secrets;
use crate::providers::conversation::Goal;
use crate::providers::{kinds, secret_names};
use crate::store::{Database, Error, Result, Session, Value, quote_name, require_idle};
use crate::transfer::forget;
use crate::transfer::wipe::{Tables, wipe};

use super::begin::{entities_of, is_only};
use super::drive::run;
use super::host::{end_interrupted, refuse_own};
use super::left::{Left, unsettled};
use super::progress::place;
use super::waiting::start_over;

/// What a call wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    pub provider: String,
    /// The rows go too.
    pub wipe: bool,
    /// Tables whose rows stay all the same.
    pub keep: Vec<String>,
    /// Whatever is left is given up.
    pub force: bool,
}

/// The last one of a connection, its file and its answer: some drivers call a function twice.
#[derive(Default)]
struct Last(Mutex<Option<(String, Leaving, Json)>>);

/// The answer to a call that was made before, if the provider was not declared again since.
///
/// # Errors
/// SQLite's.
pub fn answered(session: &Session, schema: &str, leaving: &Leaving) -> Result<Option<Json>> {
    let last = session.part::<Last>();
    let last = last.0.lock();
    let known = last
        .as_ref()
        .filter(|(at, known, _)| known == leaving && *at == place(session, schema));
    let Some((_, _, answer)) = known else {
        return Ok(None);
    };
    let database = session.database(schema)?;
    if !installed(&database)? {
        return Ok(Some(answer.clone()));
    }
    let declared = database.query_value(
        "SELECT 1 FROM main._syncProvider WHERE id = ?1",
        &[leaving.provider.as_str().into()],
    )?;
    Ok((declared == Value::Null).then(|| answer.clone()))
}

/// Leaves a provider. `sends`: it has a protocol.
///
/// # Errors
/// Something would be lost and is not given up; a sync of the provider goes on; called inside a transaction; SQLite's.
pub fn detach(session: &Session, schema: &str, sends: bool, leaving: &Leaving) -> Result<Json> {
    require_idle(session.connection())?;
    let provider = leaving.provider.as_str();
    end_interrupted(session, schema, Some(provider));
    // Nothing is sent for a call that is refused anyhow.
    coordination::write(session, schema, |ground| {
        refuse_busy(session, ground, provider)?;
        Chosen::of(ground.database, leaving, sends).map(drop)
    })?;
    let sent = match sends {
        true => upload(session, schema, provider)?,
        false => Sent::default(),
    };
    let (mut answer, secrets) = coordination::write(session, schema, |ground| {
        refuse_busy(session, ground, provider)?;
        let secrets = secrets_of(session, ground.database, provider)?;
        leave(ground.database, leaving, sends, &sent).map(|answer| (answer, secrets))
    })?;
    let known = session.part::<Secrets>();
    let mut forgotten = secrets;
    forgotten.retain(|name| known.set(name, None, None) == Ok(true));
    answer["secrets"] = forgotten.into();
    *session.part::<Last>().0.lock() =
        Some((place(session, schema), leaving.clone(), answer.clone()));
    Ok(answer)
}

/// A sync of the provider goes on, or waits for its turn.
pub(super) fn refuse_busy(session: &Session, ground: &Ground<'_>, provider: &str) -> Result<()> {
    let database = ground.database;
    refuse_own(session, provider)?;
    lease::refuse_held(database, provider, ground.owner)?;
    // Those of the dead have been closed.
    let run = database.query_value(
        "SELECT id FROM main._syncRun WHERE provider = ?1 AND state IN ('queued', 'running') LIMIT 1",
        &[provider.into()],
    )?;
    if let Some(run) = run.as_i64() {
        return Err(Error::Busy(format!(
            "provider '{provider}' is being synced by run {run}; wait for it with sync_wait({run}), or end it with \
             sync_cancel({run})"
        )));
    }
    let open = database.query_row(
        "SELECT s.id, s.entity FROM main._syncOperation AS o JOIN main._syncStatus AS s ON s.id = o.statusId \
         WHERE s.provider = ?1 AND o.state = 'syncing' LIMIT 1",
        &[provider.into()],
        |row| Ok((row.integer(0), row.text(1))),
    )?;
    match open {
        None => Ok(()),
        Some((status, entity)) => Err(Error::Busy(format!(
            "{} of provider '{provider}' is still syncing; report its end with sync_set_status({status}, …), or end all \
             work with sync_interrupt()",
            quoted(&entity)
        ))),
    }
}

/// What became of the uploads.
#[derive(Default)]
struct Sent {
    changes: i64,
    /// Why not all went up.
    obstacle: Option<String>,
}

/// Sends what waits, as long as something of it goes up.
fn upload(session: &Session, schema: &str, provider: &str) -> Result<Sent> {
    let database = session.database(schema)?;
    let mut sent = Sent::default();
    let mut before = i64::MAX;
    loop {
        let left = Left::of(
            &database,
            Some(provider),
            &tables_of(&database, provider, true)?,
        )?;
        let unsent = left.iter().map(|left| left.pending + left.unknown).sum();
        if unsent == 0 || unsent >= before {
            return Ok(sent);
        }
        before = unsent;
        let entities = entities_of(&database, provider, is_only(&database, provider)?)?;
        let call = EntitiesCall {
            form: Form::Operation,
            ..EntitiesCall::of(schema, provider, entities, Default::default())
        };
        let answer = match run(session, &call, Goal::Upload) {
            Ok(answer) => answer,
            // Such as a table that is gone.
            Err(error @ (Error::Argument(_) | Error::Corrupt(_))) => {
                sent.obstacle = Some(format!("they can't be sent ({error})"));
                return Ok(sent);
            }
            Err(error) => return Err(error),
        };
        sent.changes += answer["applied"].as_i64().unwrap_or_default();
        if answer["error"]["class"] == "cancelled" {
            return Err(Error::Sqlite {
                code: INTERRUPT,
                text: "the upload was interrupted, and the provider was not left; call again"
                    .into(),
            });
        }
        if answer["paused"] == true {
            sent.obstacle = Some("uploads are paused (sync_resume lets them go on)".into());
            return Ok(sent);
        }
        if answer["state"] != "synced" {
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            sent.obstacle = Some(format!("the upload failed ({message})"));
            return Ok(sent);
        }
    }
}

/// `SQLITE_INTERRUPT`.
const INTERRUPT: i32 = 9;

/// The tables of a provider: those that were synced with it, and where it is the only one with a protocol those that were
/// synced with none.
fn tables_of(database: &Database, provider: &str, sends: bool) -> Result<Vec<Registration>> {
    let unbound = sends && is_only(database, provider)?;
    let mut tables = registrations(database)?;
    tables.retain(|table| match &table.provider {
        Some(bound) => bound == provider,
        None => unbound,
    });
    Ok(tables)
}

/// One table of the provider.
struct Place {
    table: Registration,
    /// Its rows go.
    wiped: bool,
    /// It was dropped.
    gone: bool,
}

/// The tables, and what is to become of each.
struct Chosen(Vec<Place>);

impl Chosen {
    fn of(database: &Database, leaving: &Leaving, sends: bool) -> Result<Self> {
        drift::refresh(database)?;
        drift::follow_uncaptured(database)?;
        let mut places = Vec::new();
        for table in tables_of(database, &leaving.provider, sends)? {
            let name = quote_name(&table.name);
            if table.off.is_some() {
                return Err(Error::argument(format!(
                    "capture of {name} is off, since somebody called sync_capture_off; call sync_capture_on first"
                )));
            }
            let gone = !database.has_table(&table.name)?;
            if !gone && captured_table(database, table.id)?.is_none() {
                return Err(table.refusal(database)?);
            }
            let mut kept = leaving.keep.iter();
            let kept = kept.any(|kept| kept.eq_ignore_ascii_case(&table.name));
            places.push(Place {
                wiped: leaving.wipe && !kept && !gone,
                table,
                gone,
            });
        }
        let is_known = |name: &&String| {
            let mut places = places.iter();
            places.any(|place| place.table.name.eq_ignore_ascii_case(name))
        };
        if let Some(unknown) = leaving.keep.iter().find(|name| !is_known(name)) {
            return Err(Error::argument(format!(
                "options.keep names {}, which is not synced with provider '{}'; leave it out",
                quoted(unknown),
                leaving.provider
            )));
        }
        Ok(Self(places))
    }

    fn names(&self, which: impl Fn(&Place) -> bool) -> Vec<String> {
        let places = self.0.iter().filter(|place| which(place));
        places.map(|place| place.table.name.clone()).collect()
    }
}

fn refusal(provider: &str, tables: &[Place], left: &[Left], sent: &Sent) -> Error {
    let tables = tables.iter().map(|place| &place.table);
    let named = unsettled(tables.zip(left));
    let why = match &sent.obstacle {
        Some(obstacle) => format!("; {obstacle}"),
        None => String::new(),
    };
    Error::argument(format!(
        "rows of provider '{provider}' are not settled: {named}{why}. Sync, and settle what is left (sync_pending, \
         _syncRejected and sync_held show it), or pass {{\"force\":true}} to give it up"
    ))
}

/// The transaction in which the provider is left.
fn leave(database: &Database, leaving: &Leaving, sends: bool, sent: &Sent) -> Result<Json> {
    let provider = leaving.provider.as_str();
    let chosen = Chosen::of(database, leaving, sends)?;
    let tables: Vec<Registration> = chosen.0.iter().map(|place| place.table.clone()).collect();
    let left = Left::of(database, Some(provider), &tables)?;
    let lost = Left::sum(&left);
    if lost != Left::default() && !leaving.force {
        return Err(refusal(provider, &chosen.0, &left, sent));
    }
    let others = registrations(database)?.into_iter();
    let others = others.filter(|other| tables.iter().all(|table| table.id != other.id));
    let others: Vec<String> = others.map(|other| other.name).collect();
    let names = chosen.names(|place| place.wiped);
    let wiped = wipe(
        database,
        &Tables {
            wiped: &names,
            kept: &chosen.names(|place| !place.wiped && !place.gone),
            others: &others,
        },
    )?;
    let mut rows_wiped = wiped.rows.iter().copied();
    let mut shown = Vec::new();
    let (mut all_wiped, mut all_kept) = (0, 0);
    for (place, left) in chosen.0.iter().zip(&left) {
        let table = &place.table;
        let (rows, fate) = match (place.wiped, place.gone) {
            (false, false) => {
                let rows = start_over(database, &table.name)?;
                all_kept += rows;
                (rows, "kept")
            }
            (wiped, _) => {
                log::discard_table(database, table.id)?;
                aside::forget(database, table.id)?;
                let rows = match wiped {
                    true => rows_wiped.next().unwrap_or_default(),
                    false => 0,
                };
                all_wiped += rows;
                (rows, if wiped { "wiped" } else { "gone" })
            }
        };
        let mut one = left.json();
        one["table"] = table.name.as_str().into();
        one["fate"] = fate.into();
        one["rows"] = rows.into();
        shown.push(one);
    }
    if leaving.wipe {
        forget::conflicts(database, provider)?;
    }
    run_record::forget(database, provider)?;
    forget::declared(database, provider)?;
    Ok(json!({
        "provider": provider,
        "uploaded": sent.changes,
        "wiped": all_wiped,
        "kept": all_kept,
        "discarded": lost.json(),
        "tables": shown,
        "alsoChanged": wiped.along,
        "secrets": [],
        "error": sent.obstacle,
    }))
}

/// The names of the secrets that only this provider has, of those in all files of this connection.
fn secrets_of(session: &Session, database: &Database, provider: &str) -> Result<Vec<String>> {
    let files = database.query_all("SELECT name FROM pragma_database_list", &[], |row| {
        Ok(row.text(0))
    })?;
    let (mut own, mut others) = (Vec::new(), HashSet::new());
    for file in files {
        let Ok(named) = named_secrets(session, &file) else {
            // Not a file of ours, or one that can't be read now.
            continue;
        };
        for (of, name) in named {
            match of == provider && file == database.schema() {
                true => own.push(name),
                false => drop(others.insert(name)),
            }
        }
    }
    own.sort_unstable();
    own.dedup();
    own.retain(|name| !others.contains(name));
    Ok(own)
}

/// Each provider of a file with the secrets that it names.
fn named_secrets(session: &Session, schema: &str) -> Result<Vec<(String, String)>> {
    let database = session.database(schema)?;
    if !installed(&database)? {
        return Ok(Vec::new());
    }
    let configs = database.query_all("SELECT id, config FROM main._syncProvider", &[], |row| {
        Ok((row.text(0), row.text(1)))
    })?;
    let mut named = Vec::new();
    for (id, config) in configs {
        let Ok(config) = kinds::parse_stored(&config) else {
            continue;
        };
        let names = secret_names(&config);
        named.extend(names.into_iter().map(|name| (id.clone(), name)));
    }
    Ok(named)
}
