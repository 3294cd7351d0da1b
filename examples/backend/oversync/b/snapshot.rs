//! Snapshots: all living rows of a user at one moment, read page by page. A device that starts
//! over under a new name says so when it asks for one.

use serde_json::{Map, Value};

use super::answer::{Answer, Answered, query_cursor};
use super::bundle::key_json;
use super::cell::is_canonical_uuid;
use super::later;
use super::pull::page_size;
use super::push::check_retired;
use super::request::{is_json, object, text};
use super::spelling::{Object, array};
use super::state::{Service, Snapshot, SnapshotRow, State, User, Who};
use super::tables::Table;
use crate::oversync::stamp;
use crate::switches::Switches;

const REASONS: [&str; 4] = [
    "history_pruned",
    "source_sequence_out_of_order",
    "source_sequence_changed",
    "source_retired",
];

/// `POST /sync/snapshot-sessions`.
pub fn create(service: &Service, state: &mut State, who: &Who, body: &[u8]) -> Answered {
    let options = &service.options;
    let replacement = parsed(body)?;
    if let Some(replacement) = &replacement {
        replacement.check(who)?;
    }
    state.readable(who, options)?;
    later::check_capacity(service, state)?;
    if let Some(replacement) = &replacement {
        replace(service, state, who, &replacement.new)?;
    }
    let now = state.clock.now();
    if options.defects.forgets_expired {
        state.snapshots.retain(|_, snapshot| snapshot.expires > now);
    }
    let user = state.readable(who, options)?;
    let seq = user.head;
    let rows = all_rows(service, user);
    later::check_row_sizes(service, &rows)?;
    let (count, bytes) = (rows.len() as i64, rows.iter().map(|row| row.bytes).sum());
    if let Some(limit) = options
        .limits
        .rows_per_snapshot
        .filter(|limit| count > *limit)
    {
        return Err(too_large(service, count, limit));
    }
    let expires = now + options.lifetimes.snapshot;
    let id = state.new_id();
    let snapshot = Snapshot {
        user: who.user.clone(),
        seq,
        rows,
        expires,
    };
    state.snapshots.insert(id.clone(), snapshot);
    let mut answer = Object::new()
        .text("snapshot_id", &id)
        .number("snapshot_bundle_seq", seq)
        .number("row_count", count);
    if count > 0 || !options.defects.no_byte_count_when_empty || later::is_on(service) {
        answer = answer.number("byte_count", bytes);
    }
    Ok(Answer::ok(
        answer
            .text("expires_at", &stamp::in_an_answer(expires))
            .end(),
    ))
}

fn too_large(service: &Service, count: i64, limit: i64) -> Answer {
    if service.options.defects.snapshot_limit_is_500 && !later::is_on(service) {
        let message = "Failed to create snapshot session";
        return Answer::error(500, "snapshot_session_create_failed", message);
    }
    let message = format!("snapshot has {count} rows, the limit is {limit}");
    let answer = super::answer::described("snapshot_session_limit_exceeded", &message)
        .text("dimension", "row_count")
        .number("actual", count)
        .number("limit", limit);
    Answer::json(409, answer.end())
}

struct Replacement {
    previous: String,
    new: String,
    reason: String,
}

fn parsed(body: &[u8]) -> Answered<Option<Replacement>> {
    let wrong = || invalid("Failed to parse snapshot session request");
    if body.is_empty() {
        return Ok(None);
    }
    let request = object(body).filter(|_| is_json(body)).ok_or_else(wrong)?;
    if request.keys().any(|name| name != "source_replacement") {
        return Err(wrong());
    }
    match request.get("source_replacement") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Replacement::read(members).map(Some).ok_or_else(wrong),
        Some(_) => Err(wrong()),
    }
}

fn invalid(message: &str) -> Answer {
    Answer::error(400, "snapshot_session_invalid", message)
}

impl Replacement {
    fn read(members: &Map<String, Value>) -> Option<Replacement> {
        let known = ["previous_source_id", "new_source_id", "reason"];
        if members.keys().any(|name| !known.contains(&name.as_str())) {
            return None;
        }
        Some(Replacement {
            previous: text(members, "previous_source_id")?,
            new: text(members, "new_source_id")?,
            reason: text(members, "reason")?,
        })
    }

    fn check(&self, who: &Who) -> Answered<()> {
        if self.previous != who.source {
            return Err(invalid(
                "previous_source_id must match authenticated source_id",
            ));
        }
        if self.new.trim().is_empty() {
            return Err(invalid("new_source_id is required for source replacement"));
        }
        if self.new == self.previous {
            return Err(invalid("new_source_id must differ from previous_source_id"));
        }
        if !REASONS.contains(&self.reason.as_str()) {
            return Err(invalid("source replacement reason is unsupported"));
        }
        Ok(())
    }
}

/// Retires the source in favour of a new one. Doing so again changes nothing.
fn replace(service: &Service, state: &mut State, who: &Who, new: &str) -> Answered<()> {
    let user = state.user(&who.user, service.options.tables.len());
    let refused = |message| Err(Answer::error(409, "source_replacement_invalid", message));
    match user.replaced_by(&who.source) {
        Some(replaced_by) if replaced_by != new => check_retired(Some(replaced_by), who),
        Some(_) if user.replaced_by(new).is_some() => refused(&format!(
            "replacement source {new} is not available for rotated rebuild"
        )),
        Some(_) => Ok(()),
        None if user.sources.contains_key(new) => refused(&format!(
            "replacement source {new} is already known for user {}",
            who.user
        )),
        None => {
            let old = user.sources.entry(who.source.clone()).or_default();
            old.replaced_by = Some(new.to_string());
            user.sources.entry(new.to_string()).or_default();
            Ok(())
        }
    }
}

fn all_rows(service: &Service, user: &User) -> Vec<SnapshotRow> {
    let mut tables: Vec<(usize, &Table)> = service.options.tables.iter().enumerate().collect();
    tables.sort_by_key(|(_, table)| &table.name);
    if !service.options.defects.snapshot_by_name {
        tables = parents_first(tables);
    }
    let mut rows = Vec::new();
    for (place, table) in tables {
        for (key, entry, cells) in user.rows.living(place) {
            let image = later::row_image(service, table, cells);
            let mut row = SnapshotRow {
                table: table.name.clone(),
                key: key_json(table.key(), key),
                version: entry.version,
                payload: image.json,
                bytes: image.bytes,
            };
            if later::is_on(service) {
                row.bytes = row.json(service, &row.table).len() as i64;
            }
            rows.push(row);
        }
    }
    rows
}

impl SnapshotRow {
    fn json(&self, service: &Service, table: &str) -> String {
        Object::new()
            .text("schema", &service.options.schema)
            .text("table", table)
            .raw("key", &self.key)
            .number("row_version", self.version)
            .raw("payload", &self.payload)
            .end()
    }
}

/// Tables after those that they refer to, as far as there is such an order.
fn parents_first(mut left: Vec<(usize, &Table)>) -> Vec<(usize, &Table)> {
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |table: &Table| {
            let parents = table
                .columns
                .iter()
                .filter_map(|column| column.references.as_ref());
            parents.into_iter().any(|to| {
                to.table != table.name && left.iter().any(|(_, other)| other.name == to.table)
            })
        };
        let next = left
            .iter()
            .position(|(_, table)| !waits(table))
            .unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// `GET /sync/snapshot-sessions/{id}`.
pub fn page(
    service: &Service,
    state: &mut State,
    who: &Who,
    id: &str,
    query: &[(String, String)],
    switches: &Switches,
) -> Answered {
    const INVALID: &str = "snapshot_chunk_invalid";
    let options = &service.options;
    let after = query_cursor(query, "after_row_ordinal", INVALID)?.unwrap_or(0);
    let most = page_size(
        service,
        query,
        options.limits.rows_per_snapshot_chunk,
        INVALID,
    )?;
    let most_bytes = later::page_bytes(service, query)?;
    later::check_page_capacity(service, state)?;
    if options.defects.malformed_id_is_500 && !is_canonical_uuid(id) {
        let message = "Failed to get snapshot chunk";
        return Err(Answer::error(500, "snapshot_chunk_failed", message));
    }
    let now = state.clock.now();
    let snapshot = find(state, who, id)?;
    if snapshot.expires <= now {
        let message = format!("snapshot session {id} has expired; start a new snapshot session");
        return Err(Answer::error(410, "snapshot_session_expired", &message));
    }
    let total = snapshot.rows.len();
    let start = usize::try_from(after).unwrap_or(usize::MAX).min(total);
    let end = later::page_end(snapshot, start, (start + most).min(total), most_bytes)?;
    let rows = snapshot.rows[start..end].iter().map(|row| {
        let table = switches.rename_tables.get(&row.table).unwrap_or(&row.table);
        row.json(service, table)
    });
    let mut answer = Object::new()
        .text("snapshot_id", id)
        .number("snapshot_bundle_seq", snapshot.seq)
        .raw("rows", &array(rows));
    if later::is_on(service) {
        let bytes = snapshot.rows[start..end].iter().map(|row| row.bytes).sum();
        answer = answer.number("byte_count", bytes);
    }
    let answer = answer
        .number(
            "next_row_ordinal",
            if start == end { after } else { end as i64 },
        )
        .flag("has_more", end < total)
        .end();
    if !options.defects.reading_does_not_renew
        && let Some(snapshot) = state.snapshots.get_mut(id)
    {
        snapshot.expires = now + options.lifetimes.snapshot;
    }
    Ok(Answer::ok(answer))
}

fn find<'a>(state: &'a State, who: &Who, id: &str) -> Answered<&'a Snapshot> {
    let Some(snapshot) = state.snapshots.get(id) else {
        let message = format!("snapshot session {id} was not found");
        return Err(Answer::error(404, "snapshot_session_not_found", &message));
    };
    if snapshot.user != who.user {
        let message = format!("snapshot session {id} does not belong to the authenticated user");
        return Err(Answer::error(403, "snapshot_session_forbidden", &message));
    }
    Ok(snapshot)
}

/// `DELETE /sync/snapshot-sessions/{id}`.
pub fn give_up(service: &Service, state: &mut State, who: &Who, id: &str) -> Answered {
    if service.options.defects.malformed_id_is_500 && !is_canonical_uuid(id) {
        let message = "Failed to delete snapshot session";
        return Err(Answer::error(
            500,
            "snapshot_session_delete_failed",
            message,
        ));
    }
    find(state, who, id)?;
    state.snapshots.remove(id);
    Ok(Answer::done())
}
