//! A push is committed: conflicts first, then its rows, then the bundle that comes of them.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};

use super::answer::{Answer, Answered, described};
use super::bundle::{Bundle, BundleRow, key_json};
use super::cell::{Cell, Reading};
use super::later;
use super::push::{check_lease, check_retired, open};
use super::rows::{Changes, Effect, Place};
use super::spelling::Object;
use super::state::{Notice, Pushed, Scope, Service, StagedRow, State, Who};
use super::tables::Default as Filling;

/// `POST /sync/push-sessions/{id}/commit`.
pub fn commit(service: &Service, state: &mut State, who: &Who, id: &str) -> Answered {
    let session = open(service, state, who, id)?;
    let staged = session.rows.len() as i64;
    if staged != session.planned {
        return Err(invalid(&format!(
            "staged row count {staged} does not match planned_row_count {}",
            session.planned
        )));
    }
    check_lease(service, state, session)?;
    // Whoever commits it, the bundle belongs to the source that opened the session.
    let owner = session.who.clone();
    let bundle_id = session.source_bundle_id;
    let request_hash = session.request_hash.clone();
    let rows = session.rows.clone();
    let known = state.users.get(&owner.user);
    check_retired(
        known.and_then(|user| user.replaced_by(&owner.source)),
        &owner,
    )?;
    let next = known.map_or(1, |user| user.next_id(&owner.source));
    if next != bundle_id {
        let message = format!(
            "source {} for user {} changed expected next source_bundle_id from staged {bundle_id} to {next} before commit",
            owner.source, owner.user
        );
        return Err(Answer::error(409, "source_sequence_changed", &message));
    }
    check_duplicates(service, &rows)?;
    later::check_hash(service, request_hash.as_deref(), &rows)?;
    check_conflicts(service, state, &owner.user, &rows)?;
    let seq = write(
        service,
        state,
        &owner.user,
        &owner.source,
        |changes, now| {
            rows.iter()
                .try_for_each(|row| apply(service, changes, row, now))
        },
    );
    let Some(seq) = seq else {
        let message = "Failed to commit push session";
        return Err(Answer::error(500, "push_session_commit_failed", message));
    };
    state.pushes.remove(id);
    state.pushed.push(Pushed {
        user: owner.user.clone(),
        source: owner.source,
        source_bundle_id: bundle_id,
        bundle_seq: seq,
        rows: rows.into_iter().map(|row| row.sent).collect(),
    });
    let user = state.user(&owner.user, service.options.tables.len());
    later::remember_hash(user, seq, request_hash);
    let Some(bundle) = user.bundles.get(&seq) else {
        // Only where nothing at all is retained.
        return Ok(Answer::done());
    };
    let answer = bundle.described(Object::new());
    Ok(Answer::ok(
        later::echoed(answer, bundle.request_hash.as_deref()).end(),
    ))
}

fn invalid(message: &str) -> Answer {
    Answer::error(400, "push_commit_invalid", message)
}

fn check_duplicates(service: &Service, rows: &[StagedRow]) -> Answered<()> {
    let mut seen = HashSet::new();
    for row in rows {
        if !seen.insert((row.table, &row.key)) {
            return Err(invalid(&format!(
                "duplicate target row in staged push session: {} {}",
                service.full_name(row.table),
                row.key
            )));
        }
    }
    Ok(())
}

fn check_conflicts(
    service: &Service,
    state: &State,
    user: &str,
    rows: &[StagedRow],
) -> Answered<()> {
    let Some(user) = state.users.get(user) else {
        return Ok(());
    };
    for row in rows {
        let entry = user.rows.entry(row.table, &row.key);
        let version = entry.map(|entry| entry.version);
        let cells = entry.and_then(|entry| entry.cells.as_deref());
        let Some(reason) = conflict(row, version, cells.is_some()) else {
            continue;
        };
        return Err(refused(service, row, &reason, version, cells));
    }
    Ok(())
}

/// What stands against a change; None if nothing does.
fn conflict(row: &StagedRow, version: Option<i64>, lives: bool) -> Option<String> {
    let base = row.base;
    let Some(version) = version else {
        return match row.op {
            Effect::Insert if base == 0 => None,
            Effect::Insert => Some(format!("expected missing row at version 0, got {base}")),
            _ => Some("row does not exist".to_string()),
        };
    };
    match (row.op, lives) {
        (Effect::Insert, _) if base != version => {
            Some(format!("expected base_row_version {version}, got {base}"))
        }
        (Effect::Insert, true) => Some(format!("row already exists at version {version}")),
        (Effect::Insert, false) => None,
        (_, false) => Some("row does not exist".to_string()),
        (_, true) if base != version => Some(format!("expected version {version}, got {base}")),
        (_, true) => None,
    }
}

fn refused(
    service: &Service,
    row: &StagedRow,
    reason: &str,
    version: Option<i64>,
    cells: Option<&[Cell]>,
) -> Answer {
    let table = service.declared(row.table);
    let message = format!(
        "{} conflict on {} {}: {reason}",
        row.op.name().to_ascii_lowercase(),
        service.full_name(row.table),
        row.key
    );
    let image = cells.map(|cells| later::row_image(service, table, cells).json);
    let conflict = Object::new()
        .text("schema", &service.options.schema)
        .text("table", &table.name)
        .raw("key", &key_json(table.key(), &row.key))
        .text("op", row.op.name())
        .number("base_row_version", row.base)
        .number("server_row_version", version.unwrap_or(0))
        .flag("server_row_deleted", version.is_some() && cells.is_none())
        .raw("server_row", image.as_deref().unwrap_or("null"))
        .end();
    let answer = described("push_conflict", &message).raw("conflict", &conflict);
    Answer::json(409, answer.end())
}

/// Makes one change; None if the database refuses it.
fn apply(
    service: &Service,
    changes: &mut Changes<'_>,
    row: &StagedRow,
    now: DateTime<Utc>,
) -> Option<()> {
    let place = (row.table, row.key.clone());
    if row.op == Effect::Delete {
        changes.delete(place);
        return Some(());
    }
    let empty = Map::new();
    let payload = row.payload.as_ref().unwrap_or(&empty);
    let how = Reading {
        rounds: service.options.defects.rounds_integers && !later::is_on(service),
        strict_booleans: service.options.defects.refuses_booleans_as_integers,
    };
    let old = match row.op {
        Effect::Insert => None,
        // A cascade of the same bundle may have taken it away.
        _ => Some(changes.rows().cells(row.table, &row.key)?.to_vec()),
    };
    let cells = filled(service, &place, old, payload, how, now)?;
    changes.put(place, cells);
    Some(())
}

/// A row with the columns of a payload set; None if the database refuses a value.
/// A row that is new begins with its defaults.
pub fn filled(
    service: &Service,
    place: &Place,
    old: Option<Vec<Cell>>,
    payload: &Map<String, Value>,
    how: Reading,
    now: DateTime<Utc>,
) -> Option<Vec<Cell>> {
    let table = service.declared(place.0);
    let mut cells = match old {
        Some(cells) => cells,
        None => table
            .columns
            .iter()
            .map(|column| match &column.default {
                None => Some(Cell::Null),
                Some(Filling::Now) => Some(Cell::Time(now)),
                Some(Filling::Value(value)) => Cell::read(column.kind, value, how),
            })
            .collect::<Option<Vec<Cell>>>()?,
    };
    cells[0] = Cell::Text(place.1.clone());
    for (name, value) in payload {
        let found = if service.options.defects.knows_no_capitals {
            table.place(name)
        } else {
            table.place(&name.to_ascii_lowercase())
        };
        let column = found?;
        cells[column] = Cell::read(table.columns[column].kind, value, how)?;
    }
    let mut columns = table.columns.iter().zip(&cells);
    let is_whole = columns.all(|(column, cell)| !column.not_null || *cell != Cell::Null);
    is_whole.then_some(cells)
}

/// Makes the changes of one bundle and publishes it. None, and no trace, if one of them is
/// refused, a foreign key points nowhere, or nothing came of it.
pub fn write(
    service: &Service,
    state: &mut State,
    user: &str,
    source: &str,
    work: impl FnOnce(&mut Changes<'_>, DateTime<Utc>) -> Option<()>,
) -> Option<i64> {
    let now = state.clock.now().trunc_subsecs(6);
    let user = state.user(user, service.options.tables.len());
    let seq = user.head + 1;
    let mut changes = Changes::new(&service.options.tables, &mut user.rows, seq);
    if work(&mut changes, now).is_none() {
        changes.undo();
        return None;
    }
    let effects = changes.finish()?;
    if effects.is_empty() {
        return None;
    }
    let rows: Vec<BundleRow> = effects
        .into_iter()
        .map(|(place, op)| {
            let table = service.declared(place.0);
            let cells = user.rows.cells(place.0, &place.1);
            BundleRow {
                table: table.name.clone(),
                key: key_json(table.key(), &place.1),
                op,
                version: seq,
                payload: cells.map(|cells| later::bundle_image(service, table, cells)),
            }
        })
        .collect();
    let id = user.next_id(source);
    user.bundles.insert(
        seq,
        Bundle {
            seq,
            source: source.to_string(),
            source_bundle_id: id,
            hash: later::bundle_hash(service, &rows),
            rows,
            request_hash: None,
        },
    );
    let known = user.sources.entry(source.to_string()).or_default();
    known.committed.insert(id, seq);
    user.head = seq;
    user.scope = Scope::Initialized;
    if let Some(retained) = service.options.retained_bundles {
        user.floor = user.floor.max(seq - retained);
        let kept = user.bundles.split_off(&(user.floor + 1));
        user.bundles = kept;
    }
    user.notices.push(Notice {
        seq,
        source: source.to_string(),
        source_bundle_id: id,
    });
    service.tell_streams();
    Some(seq)
}
