//! What a program should know of a table that it tracks, before it is too late to change it.

use crate::ground::{Warning, quoted};
use crate::store::{Database, Result};

use super::Tracked;
use super::tracked::ColumnType;

/// The warnings on a tracked table.
///
/// # Errors
/// SQLite's.
pub fn of(database: &Database, table: &str) -> Result<Vec<Warning>> {
    let tracked = Tracked::open(database, table)?;
    let mut warnings = Vec::new();
    warnings.extend(counted_key(&tracked));
    warnings.extend(unindexed_references(database, &tracked)?);
    warnings.extend(not_carried(&tracked));
    warnings.extend(key_not_carried(&tracked));
    Ok(warnings)
}

/// Two devices count to the same number.
fn counted_key(tracked: &Tracked) -> Option<Warning> {
    let shape = &tracked.shape;
    if !shape.rowid_is_key || tracked.options.counted.is_some() {
        return None;
    }
    let message = format!(
        "SQLite counts the key of {}, so two devices give the same number to different rows. Use a text key with UUIDs, \
         or AUTOINCREMENT, by which at least no device gives a number twice, and say with \"counted\": \"rekey\" or \"same\" what such rows are",
        quoted(&shape.name)
    );
    Some(Warning::new("countedKey", message).of(&shape.name))
}

/// SQLite looks through the whole child table for each parent that goes.
fn unindexed_references(database: &Database, tracked: &Tracked) -> Result<Vec<Warning>> {
    let shape = &tracked.shape;
    let references = database.query_all(
        "SELECT id, group_concat(\"from\", char(10)) FROM \
         (SELECT id, \"from\" FROM pragma_foreign_key_list(?1, ?2) ORDER BY id, seq) GROUP BY id",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok(row.text(1)),
    )?;
    let indexes = database.query_all(
        "SELECT l.name, group_concat(coalesce(i.name, ''), char(10)) FROM pragma_index_list(?1, ?2) AS l, \
         pragma_index_info(l.name, ?2) AS i WHERE NOT l.partial GROUP BY l.name",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok(row.text(1).to_lowercase()),
    )?;
    let mut warnings = Vec::new();
    for columns in references {
        let first: Vec<String> = columns.lines().map(str::to_lowercase).collect();
        let leads = |index: &String| {
            let mut leading: Vec<&str> = index.lines().take(first.len()).collect();
            leading.sort_unstable();
            let mut wanted: Vec<&str> = first.iter().map(String::as_str).collect();
            wanted.sort_unstable();
            leading == wanted
        };
        let is_key = shape.rowid_is_key && first.len() == 1 && {
            let keys = shape.keys();
            keys.iter()
                .any(|key| key.name.eq_ignore_ascii_case(&first[0]))
        };
        if is_key || indexes.iter().any(leads) {
            continue;
        }
        let message = format!(
            "the foreign key {} of {} has no index, so each parent that is deleted or moved reads the whole table; \
             CREATE INDEX on it",
            quoted(&columns.replace('\n', ", ")),
            quoted(&shape.name)
        );
        warnings.push(Warning::new("foreignKeyWithoutIndex", message).of(&shape.name));
    }
    Ok(warnings)
}

/// A key always travels, and by few protocols as a blob.
fn key_not_carried(tracked: &Tracked) -> Option<Warning> {
    let shape = &tracked.shape;
    let keys = shape.keys();
    let blob = keys.iter().find(|key| key.declared.contains("BLOB"))?;
    let message = format!(
        "the key {} of {} is declared BLOB, which not every protocol carries, and none but keys of 16 bytes, as UUIDs; for \
         others declare it TEXT, or INTEGER, and store it so",
        quoted(&blob.name),
        quoted(&shape.name)
    );
    Some(Warning::new("typeNotCarried", message).of(&shape.name))
}

/// What is declared as a blob travels in a protocol's own way, and some have none.
fn not_carried(tracked: &Tracked) -> Option<Warning> {
    let shape = &tracked.shape;
    let columns = tracked.synced_columns();
    let blobs: Vec<&str> = columns
        .into_iter()
        .filter(|position| shape.columns[*position].key_place == 0)
        .filter(|position| shape.columns[*position].declared.contains("BLOB"))
        .filter(|position| tracked.column_type(*position) == ColumnType::Base64)
        .map(|position| shape.columns[position].name.as_str())
        .filter(|name| {
            !tracked
                .options
                .types
                .keys()
                .any(|typed| typed.eq_ignore_ascii_case(name))
        })
        .collect();
    if blobs.is_empty() {
        return None;
    }
    let message = format!(
        "{} of {} holds blobs, which travel as base64 text where a protocol carries them at all; say so with types, or \
         leave it out with exclude",
        quoted(&blobs.join(", ")),
        quoted(&shape.name)
    );
    Some(
        Warning::new("typeNotCarried", message)
            .of(&shape.name)
            .times(blobs.len() as i64),
    )
}
