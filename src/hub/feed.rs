//! The feed of a hub: its tables, and the triggers that write it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::stamp::Stamp;
use super::table::Table;
use crate::store::{Database, Error, Result, ValueRef, quote_name, random_token};

const TABLES: &str = include_str!("../../sql/hub/tables.sql");
const TRIGGERS: &str = include_str!("../../sql/hub/triggers.sql");

/// What is found in a file whose feed this library can read.
const VERSION: i64 = 1;

/// Bits of a stamp below its number.
pub const SITE_BITS: u32 = 16;

/// What the names of all triggers begin with.
const PREFIX: &str = "_syncFeed_";

/// A table with a feed.
#[derive(Debug, Clone)]
pub struct Fed {
    pub id: i64,
    /// The feed says nothing of what was written up to there.
    pub since: i64,
}

/// Whether the file has a feed.
///
/// # Errors
/// One of a newer version; SQLite's.
pub fn exists(database: &Database) -> Result<bool> {
    if !database.has_table("_syncFeedHub")? {
        return Ok(false);
    }
    let version = database.query_value("SELECT version FROM main._syncFeedHub", &[])?;
    match version.as_i64() {
        Some(VERSION) => Ok(true),
        None => Ok(false),
        Some(version) => Err(Error::misuse(format!(
            "its feed is of version {version}, and this library reads version {VERSION}; update syncscope"
        ))),
    }
}

/// Takes the feed out of a file, for one that is not to be synced with any more; whether there was one.
///
/// # Errors
/// SQLite's.
pub fn remove(database: &Database) -> Result<bool> {
    let ours = database.query_all(
        "SELECT upper(type), name FROM main.sqlite_master \
         WHERE name LIKE '\\_syncFeed%' ESCAPE '\\' AND type IN ('trigger', 'table') ORDER BY type DESC, rowid DESC",
        &[],
        |row| Ok((row.text(0), row.text(1))),
    )?;
    for (kind, name) in &ours {
        let sql = format!("DROP {kind} {}", database.qualified(name));
        database.connection().execute_script(&sql)?;
    }
    Ok(!ours.is_empty())
}

/// Makes the tables of a feed, where there are none. Call in a transaction.
///
/// # Errors
/// SQLite's.
pub fn install(database: &Database) -> Result<()> {
    database.execute_script(TABLES)?;
    database.execute(
        "INSERT OR IGNORE INTO main._syncFeedHub (id, version, site) VALUES (1, ?1, ?2)",
        &[VERSION.into(), fresh_site().into()],
    )?;
    // Numbers begin with the time: what is changed from now on is later than what was changed before in other files.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_millis());
    outgrow(database, i64::try_from(now).unwrap_or(0) << SITE_BITS)
}

fn fresh_site() -> i64 {
    let token = random_token();
    let site = token
        .get(..4)
        .and_then(|digits| i64::from_str_radix(digits, 16).ok());
    site.unwrap_or(1)
}

/// The number of the last change.
///
/// # Errors
/// SQLite's.
pub fn last(database: &Database) -> Result<i64> {
    let last = database.query_value("SELECT coalesce(max(seq), 0) FROM main._syncFeed", &[])?;
    Ok(last.as_i64().unwrap_or(0))
}

/// A table's feed, if its triggers are as they should be.
///
/// # Errors
/// SQLite's.
pub fn of(database: &Database, table: &Table) -> Result<Option<Fed>> {
    let found = database.query_row(
        "SELECT id, since, triggers, key FROM main._syncFeedTable WHERE name = ?1",
        &[table.name.as_str().into()],
        |row| Ok((row.integer(0), row.integer(1), row.text(2), row.text(3))),
    )?;
    let Some((id, since, kept, key)) = found else {
        return Ok(None);
    };
    let wanted = triggers(database, table, id)?;
    let present = present(database, id)?;
    let on_it = |(_, on): &&(String, String)| on.eq_ignore_ascii_case(&table.name);
    let is_whole = key == table.key
        && kept == wanted.join("\n")
        && present.iter().filter(on_it).count() == wanted.len();
    Ok(is_whole.then_some(Fed { id, since }))
}

/// The triggers of a feed that are there: their names, and the tables that they are on.
fn present(database: &Database, id: i64) -> Result<Vec<(String, String)>> {
    let prefix = format!("{PREFIX}{id}_");
    let length = i64::try_from(prefix.len()).unwrap_or(0);
    database.query_all(
        "SELECT name, tbl_name FROM main.sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?2) = ?1",
        &[prefix.as_str().into(), length.into()],
        |row| Ok((row.text(0), row.text(1))),
    )
}

/// Gives a table a feed, or one whose triggers are right. What was written before counts as not known. Call in a transaction.
///
/// # Errors
/// SQLite's.
pub fn give(database: &Database, table: &Table) -> Result<Fed> {
    let name = table.name.as_str();
    let since = match id_of(database, name)? {
        // A first one: nobody has a cursor.
        None => 0,
        // Nobody has read up to here.
        Some(_) => touch_end(database)?,
    };
    database.execute(
        "INSERT INTO main._syncFeedTable (name, key, triggers, since) VALUES (?1, ?2, '', ?3) \
         ON CONFLICT (name) DO UPDATE SET key = excluded.key, since = excluded.since",
        &[name.into(), table.key.as_str().into(), since.into()],
    )?;
    let id = id_of(database, name)?.unwrap_or(0);
    let connection = database.connection();
    for (trigger, _) in present(database, id)? {
        connection.execute_script(&format!("DROP TRIGGER {}", database.qualified(&trigger)))?;
    }
    let texts = triggers(database, table, id)?;
    for text in &texts {
        connection.execute_script(text)?;
    }
    database.execute(
        "UPDATE main._syncFeedTable SET triggers = ?2 WHERE id = ?1",
        &[id.into(), (&texts.join("\n")).into()],
    )?;
    Ok(Fed { id, since })
}

/// Moves the end of the feed on, so that a cursor from before is told from one that comes; the new end.
fn touch_end(database: &Database) -> Result<i64> {
    let next = last(database)? + 1;
    reach(database, next)?;
    Ok(next)
}

/// The statements that make the triggers of a table.
fn triggers(database: &Database, table: &Table, id: i64) -> Result<Vec<String>> {
    let site = database.query_value("SELECT site FROM main._syncFeedHub", &[])?;
    let site = site.as_i64().unwrap_or(0);
    let next = "(SELECT coalesce(max(seq), 0) + 1 FROM _syncFeed)".to_owned();
    let stamp = format!("({next} << {SITE_BITS} | {site})");
    let differs = |column: &String| {
        let name = quote_name(column);
        format!("OLD.{name} IS NOT NEW.{name} COLLATE BINARY")
    };
    let changed: Vec<String> = table.all.iter().map(differs).collect();
    let changed = match changed.is_empty() {
        true => "0".to_owned(),
        false => changed.join(" OR "),
    };
    let columns: Vec<String> = table
        .all
        .iter()
        .map(|column| {
            let member = format!(",{}:", serde_json::Value::from(column.as_str()));
            let member = member.replace('\'', "''");
            format!("iif({}, '{member}' || {stamp}, '')", differs(column))
        })
        .collect();
    let columns = match columns.is_empty() {
        true => "'{}'".to_owned(),
        false => format!("'{{\"\":0' || {} || '}}'", columns.join(" || ")),
    };
    let met: Vec<String> = table
        .unique
        .iter()
        .map(|index| {
            let columns = index.iter().map(|(name, collation)| {
                let name = quote_name(name);
                format!("o.{name} = NEW.{name} COLLATE {}", quote_name(collation))
            });
            format!("({})", columns.collect::<Vec<_>>().join(" AND "))
        })
        .collect();
    let mut unique: Vec<&String> = table
        .unique
        .iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    unique.sort_unstable();
    unique.dedup();
    let met_update: Vec<String> = unique.into_iter().map(differs).collect();
    let values = [
        ("schema", quote_name(database.schema())),
        ("table", quote_name(&table.name)),
        ("name", format!("{PREFIX}{id}_")),
        ("id", id.to_string()),
        ("key", table.quoted_key()),
        ("stamp", stamp),
        ("next", next),
        ("changed", changed),
        ("columns", columns),
        ("met", met.join(" OR ")),
        ("metUpdate", met_update.join(" OR ")),
    ];
    let sections = TRIGGERS.split("\n-- [").skip(1);
    let sections = sections.filter_map(|section| {
        let (name, rest) = section.split_once(']')?;
        let (_, text) = rest.split_once('\n')?;
        Some((name, text.trim()))
    });
    // What a REPLACE may remove through the key alone has that key.
    let sections = sections.filter(|(name, _)| !met.is_empty() || !name.starts_with("met"));
    Ok(sections.map(|(_, text)| filled(text, &values)).collect())
}

/// A template with its places filled in; what is no place stays.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let place = after.split_once('}');
        let value = place.and_then(|(name, behind)| {
            let found = values.iter().find(|(known, _)| *known == name)?;
            Some((&found.1, behind))
        });
        match value {
            Some((value, behind)) => {
                text.push_str(value);
                rest = behind;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// The number of a table's feed; none where it has none.
///
/// # Errors
/// SQLite's.
pub fn id_of(database: &Database, table: &str) -> Result<Option<i64>> {
    let id = database.query_value(
        "SELECT id FROM main._syncFeedTable WHERE name = ?1",
        &[table.into()],
    )?;
    Ok(id.as_i64())
}

/// The stamps of a row, and the number of its last change; none where the feed knows nothing of it.
///
/// # Errors
/// SQLite's.
pub fn stamp_of(
    database: &Database,
    table: i64,
    key: ValueRef<'_>,
) -> Result<Option<(i64, Stamp)>> {
    database.query_row(
        "SELECT seq, at, cols FROM main._syncFeed WHERE tbl = ?1 AND pk = ?2",
        &[table.into(), key],
        |row| {
            let columns = row.optional_text(2);
            Ok((
                row.integer(0),
                Stamp::read(row.integer(1), columns.as_deref()),
            ))
        },
    )
}

/// Stamps that are made from now on are higher than this one.
///
/// # Errors
/// SQLite's.
pub fn outgrow(database: &Database, stamp: i64) -> Result<()> {
    let number = stamp >> SITE_BITS;
    match last(database)? < number {
        true => reach(database, number),
        false => Ok(()),
    }
}

/// The feed goes on behind that number, which no change has.
fn reach(database: &Database, number: i64) -> Result<()> {
    // A row of no table.
    database.execute(
        "INSERT INTO main._syncFeed (seq, tbl, pk, at) VALUES (?1, 0, 0, 0) \
         ON CONFLICT (tbl, pk) DO UPDATE SET seq = excluded.seq",
        &[number.into()],
    )?;
    Ok(())
}
