//! How far each entity has been pulled.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use crate::ground::{Affinity, SyncError, Warning, compare_numbers, complaint, quoted};
use crate::providers::conversation::LastSchema;
use crate::providers::wire::{WireColumn, WireType};
use crate::store::{Database, Error, Result};

use crate::transfer::binding::Binding;

/// The row of an entity. A cursor is worth nothing to another table than the one that has the rows. likely(): or SQLite plans
/// anew when that number is 1 and was not, or the other way round.
const OF_ENTITY: &str = "FROM main._syncCursor WHERE provider = ?1 AND entity = ?2 COLLATE NOCASE \
     AND likely(tableId = ?3) ORDER BY entity = ?2 DESC LIMIT 1";

/// The stored cursor of an entity, exactly as the server wrote it; none where it is to be pulled from the beginning.
///
/// # Errors
/// SQLite's.
pub fn read(database: &Database, provider: &str, binding: &Binding) -> Result<Option<String>> {
    stored(database, provider, binding, false)
}

/// The cursor of an entity that is to be pulled from the beginning [again](crate::capture::lost::pull_again).
///
/// # Errors
/// SQLite's.
pub fn before(database: &Database, provider: &str, binding: &Binding) -> Result<Option<String>> {
    stored(database, provider, binding, true)
}

fn stored(
    database: &Database,
    provider: &str,
    binding: &Binding,
    again: bool,
) -> Result<Option<String>> {
    let found = database.query_row(
        &format!("SELECT cursor, again {OF_ENTITY}"),
        &[
            provider.into(),
            (&binding.entity).into(),
            binding.table.id.into(),
        ],
        |row| Ok((row.text(0), row.integer(1) != 0)),
    )?;
    // Nor is it to columns that were not pulled up to it.
    let is_again = |marked: bool| marked || !binding.awaited.is_empty();
    Ok(found
        .filter(|(_, marked)| is_again(*marked) == again)
        .map(|(cursor, _)| cursor))
}

/// Whether rows come again in a pull from where an entity's cursor is: there is no cursor, or it is not where it has been. `grows`: of two cursors the higher one is later.
///
/// # Errors
/// SQLite's.
pub fn comes_again(
    database: &Database,
    provider: &str,
    binding: &Binding,
    grows: bool,
) -> Result<bool> {
    let stored = database.query_row(
        &format!("SELECT cursor, reached, again {OF_ENTITY}"),
        &[
            provider.into(),
            (&binding.entity).into(),
            binding.table.id.into(),
        ],
        |row| Ok((row.text(0), row.text(1), row.integer(2) != 0)),
    )?;
    let stored = stored.filter(|_| binding.awaited.is_empty());
    let Some((cursor, reached, false)) = stored else {
        return Ok(true);
    };
    let later = grows && compare_numbers(&cursor, &reached) == Some(Ordering::Greater);
    Ok(cursor != reached && !later)
}

/// Stores a cursor. `grows`: see [`comes_again`]. Belongs in the transaction that applies the rows it stands for.
///
/// # Errors
/// SQLite's.
pub fn store(
    database: &Database,
    provider: &str,
    binding: &Binding,
    cursor: &str,
    at: i64,
    grows: bool,
) -> Result<()> {
    let place = [
        provider.into(),
        (&binding.entity).into(),
        binding.table.id.into(),
    ];
    let reached = database.query_value(&format!("SELECT reached {OF_ENTITY}"), &place)?;
    // One that was written when an entity still was as its caller wrote it.
    database.execute(
        "DELETE FROM main._syncCursor WHERE provider = ?1 AND entity <> ?2 AND entity = ?2 COLLATE NOCASE \
         AND tableId = ?3",
        &place,
    )?;
    let is_higher = |reached: &&str| compare_numbers(reached, cursor) == Some(Ordering::Greater);
    let reached = reached
        .as_str()
        .filter(|reached| grows && is_higher(reached));
    database.execute(
        "INSERT INTO main._syncCursor (provider, entity, tableId, cursor, pulledAt, reached, brought) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (provider, entity) DO UPDATE \
         SET tableId = excluded.tableId, cursor = excluded.cursor, pulledAt = excluded.pulledAt, \
         reached = excluded.reached, brought = excluded.brought, again = 0",
        &[
            provider.into(),
            (&binding.entity).into(),
            binding.table.id.into(),
            cursor.into(),
            at.into(),
            reached.unwrap_or(cursor).into(),
            brought(&binding.wire.columns).as_str().into(),
        ],
    )?;
    Ok(())
}

/// What is recorded of columns that a pull has brought.
fn brought(columns: &[WireColumn]) -> String {
    let columns = columns.iter();
    let members = columns.map(|column| (column.name.clone(), kept_as(column).into()));
    Json::Object(members.collect()).to_string()
}

/// What a column makes of the values that come: with another type they would have to come again.
fn kept_as(column: &WireColumn) -> String {
    let kind = match column.kind {
        WireType::String => "string",
        WireType::Number => "number",
        WireType::Boolean => "boolean",
        WireType::Base64 => "base64",
        WireType::Json => "json",
        WireType::Any => "any",
        WireType::Uuid(_) => "uuid",
    };
    let affinity = match column.holds.affinity {
        Affinity::Text => "text",
        Affinity::Numeric | Affinity::Integer => "numeric",
        Affinity::Real => "real",
        Affinity::None => "none",
    };
    format!("{kind} in {affinity}")
}

/// Places of the columns of which no pull has brought what the server has, though the entity was pulled: synced since, or
/// of another type since. `is_told`: the next pull tells the server of the column, so that it sends what it has.
///
/// # Errors
/// SQLite's.
pub fn awaited(
    database: &Database,
    provider: &str,
    binding: &Binding,
    is_told: impl Fn(&str) -> bool,
) -> Result<Vec<usize>> {
    let stored = database.query_value(
        &format!("SELECT brought {OF_ENTITY}"),
        &[
            provider.into(),
            (&binding.entity).into(),
            binding.table.id.into(),
        ],
    )?;
    let known: Option<Map<String, Json>> = stored
        .as_str()
        .and_then(|brought| serde_json::from_str(brought).ok());
    // An older version has not recorded it.
    let Some(known) = known else {
        return Ok(Vec::new());
    };
    let is_awaited = |column: &WireColumn| {
        let mut known = known.iter();
        match known.find(|(name, _)| name.eq_ignore_ascii_case(&column.name)) {
            Some((_, kept)) => kept.as_str() != Some(&kept_as(column)),
            None => !is_told(&column.name),
        }
    };
    let columns = binding.wire.columns.iter().enumerate();
    Ok(columns
        .filter(|(_, column)| is_awaited(column))
        .map(|(place, _)| place)
        .collect())
}

/// That an entity is pulled from the beginning for the sake of columns that no pull has brought.
pub fn awaited_warning(binding: &Binding) -> Option<Warning> {
    let names = binding.awaited.iter();
    let names: Vec<String> = names
        .map(|place| quoted(&binding.wire.columns[*place].name))
        .collect();
    let message = format!(
        "{}: {} synced only now, or of another type now, so that what the backend has there is not known; the table is \
         pulled from the beginning, and until then no row is sent with what is in such a column here, unless that was \
         edited",
        binding.entity,
        match names.as_slice() {
            [one] => format!("{one} is"),
            all => format!("{} are", all.join(", ")),
        }
    );
    (!names.is_empty()).then(|| Warning::new("columnsAwaited", message).of(&binding.entity))
}

/// What was known of an entity's schema when that was last sent to the backend.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] for columns that are not a JSON list.
pub fn last_schema(database: &Database, provider: &str, binding: &Binding) -> Result<LastSchema> {
    let stored = database.query_row(
        &format!("SELECT schemaVersion, columns {OF_ENTITY}"),
        &[
            provider.into(),
            (&binding.entity).into(),
            binding.table.id.into(),
        ],
        |row| Ok((row.column(0).as_i64(), row.optional_text(1))),
    )?;
    let (version, columns) = stored.unwrap_or_default();
    let columns = columns.map(|text| serde_json::from_str(&text)).transpose();
    let columns = columns.map_err(|error| {
        Error::Corrupt(format!(
            "_syncCursor.columns of {} can't be read, {}; delete that row to pull from the beginning",
            quoted(&binding.entity),
            complaint(&error)
        ))
    })?;
    Ok(LastSchema { version, columns })
}

/// Stores the schema that an entity has been pulled with. Belongs in the transaction that stores the
/// cursor, after it.
///
/// # Errors
/// SQLite's.
pub fn store_schema(
    database: &Database,
    provider: &str,
    binding: &Binding,
    version: i64,
) -> Result<()> {
    let columns = binding.wire.columns.iter();
    let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let columns = serde_json::Value::from(columns).to_string();
    database.execute(
        "UPDATE main._syncCursor SET schemaVersion = ?3, columns = ?4 \
         WHERE provider = ?1 AND entity = ?2",
        &[
            provider.into(),
            (&binding.entity).into(),
            version.into(),
            columns.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Makes sure that an entity's cursor is still where it was when the pull began.
///
/// # Errors
/// Another sync of the entity has finished in the meantime, or somebody wants it from the beginning; SQLite's.
pub fn require(
    database: &Database,
    provider: &str,
    binding: &Binding,
    before: &Option<String>,
) -> Result<(), SyncError> {
    let now = read(database, provider, binding)?;
    if now == *before {
        return Ok(());
    }
    let entity = quoted(&binding.entity);
    Err(SyncError::concurrent(match now {
        None => format!(
            "{entity} is to be pulled from the beginning since the sync began (sync_discard with \"revert\", or \
             sync_provider with \"reset\", asks for that); the answer was not taken, sync again"
        ),
        Some(_) => format!(
            "another sync of {entity} finished in the meantime; nothing of this pull was applied"
        ),
    }))
}
