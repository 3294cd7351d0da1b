//! Installing and upgrading our tables and triggers, in one transaction, when first needed.

use std::sync::LazyLock;

use super::app_objects::AppObjects;
use super::database::{Database, quote_name};
use super::error::{Error, Result};
use super::parts::Part;
use super::repair;
use super::transaction::transact;
use super::value::Value;

/// The scripts of `sql/`, in the order in which they run.
const SCRIPTS: &[&str] = &[
    include_str!("../../sql/00_meta.sql"),
    include_str!("../../sql/10_owner.sql"),
    include_str!("../../sql/20_status.sql"),
    include_str!("../../sql/25_instance.sql"),
    include_str!("../../sql/30_scope.sql"),
    include_str!("../../sql/35_interruption.sql"),
    include_str!("../../sql/40_event.sql"),
    include_str!("../../sql/50_provider.sql"),
    include_str!("../../sql/55_function.sql"),
    include_str!("../../sql/60_capture.sql"),
    include_str!("../../sql/65_aside.sql"),
    include_str!("../../sql/70_outbox.sql"),
    include_str!("../../sql/72_held.sql"),
    include_str!("../../sql/75_version.sql"),
    include_str!("../../sql/77_pause.sql"),
    include_str!("../../sql/78_schedule.sql"),
    include_str!("../../sql/80_conflict.sql"),
    include_str!("../../sql/85_log.sql"),
];

/// What they make.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| Part::of(SCRIPTS));

/// See [`repair::question`].
static WHOLE: LazyLock<String> = LazyLock::new(|| repair::question(&PARTS));

/// Steps from one schema version to the next: `UPGRADES[0]` leads from version 1 to 2.
const UPGRADES: &[&str] = &[
    include_str!("../../sql/upgrades/2.sql"),
    include_str!("../../sql/upgrades/3.sql"),
    include_str!("../../sql/upgrades/4.sql"),
    include_str!("../../sql/upgrades/5.sql"),
    include_str!("../../sql/upgrades/6.sql"),
];

/// Columns that each step adds to tables that were there, by which a file without the table of the version shows it.
const ADDED: &[&[(&str, &[&str])]] = &[
    &[(
        "_syncRun",
        &[
            "goal",
            "ownerId",
            "step",
            "rowsUp",
            "rowsDown",
            "rowsTotal",
            "bytesUp",
            "bytesDown",
            "cancel",
        ],
    )],
    &[
        ("_syncTable", &["keys", "captureOff", "generation"]),
        ("_syncCursor", &["reached"]),
        ("_syncRejected", &["uptoSeq"]),
        ("_syncPeer", &["batch"]),
    ],
    &[
        ("_syncOutbox", &["change", "base", "attempts", "alone"]),
        ("_syncVersion", &["alone"]),
        ("_syncPeer", &["nextChange"]),
    ],
    &[
        ("_syncSchedule", &["watch"]),
        ("_syncCursor", &["again", "brought"]),
        ("_syncRejected", &["refusedIn", "mates", "met", "circle"]),
        ("_syncVersion", &["told"]),
    ],
    &[],
];

/// The schema version of this build.
const VERSION: i64 = 1 + UPGRADES.len() as i64;

/// The schema version of a file, whatever build wrote it; none when nothing is installed.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] when the version is not a number, or something else than a table has the
/// name of one of ours: reading a view of a stranger's file may take for ever.
pub fn installed(database: &Database) -> Result<Option<i64>> {
    let mut found = database.query_all(
        "SELECT name, type = 'view' OR sql LIKE 'CREATE VIRTUAL%' AS strange \
         FROM main.sqlite_master WHERE name LIKE '\\_sync%' ESCAPE '\\' AND type IN ('table', 'view') \
         AND (strange OR name = '_syncMeta' COLLATE NOCASE) ORDER BY strange DESC LIMIT 1",
        &[],
        |row| Ok((row.text(0), row.integer(1) != 0)),
    )?;
    match found.pop() {
        None => return without_meta(database),
        Some((name, true)) => {
            return Err(Error::Corrupt(format!(
                "{} is not a table; names that begin with _sync belong to syncscope: rename it or drop it",
                quote_name(&name)
            )));
        }
        Some((_, false)) => {}
    }
    let version = database.query_row(
        "SELECT value FROM main._syncMeta WHERE key = 'schemaVersion'",
        &[],
        |row| Ok(row.column(0).to_owned()),
    );
    let Some(version) = version.map_err(is_strange)? else {
        // The schema was restored without the rows: as good as new.
        return match empty_tables(database)? {
            Some(_) => Ok(None),
            None => without_meta(database),
        };
    };
    match version {
        Value::Integer(version) if version < 1 => Err(Error::Corrupt(format!(
            "_syncMeta.schemaVersion is {version}, which never existed; restore the file from a backup"
        ))),
        Value::Integer(version) => Ok(Some(version)),
        other => Err(Error::Corrupt(format!(
            "_syncMeta.schemaVersion is {}, not a number; restore the file from a backup",
            other.borrow().type_name()
        ))),
    }
}

/// There is a table of that name, but it is not ours.
fn is_strange(error: Error) -> Error {
    match error.code() {
        BROKEN => Error::Corrupt(
            "_syncMeta is not the table that syncscope makes; names that begin with _sync belong to syncscope: rename it or \
             drop it"
                .into(),
        ),
        _ => error,
    }
}

fn tables(database: &Database) -> Result<Vec<String>> {
    database.query_all(
        "SELECT name FROM main.sqlite_master WHERE name LIKE '\\_sync%' ESCAPE '\\' AND type = 'table'",
        &[],
        |row| Ok(row.text(0)),
    )
}

/// The version of a file whose table of the version is gone, by the columns of those that are there: the newest that all of
/// them may be of. None when there is none.
fn without_meta(database: &Database) -> Result<Option<i64>> {
    let tables = tables(database)?;
    let has = |part: &&Part| {
        let mut names = tables.iter();
        part.kind == "table" && names.any(|table| table.eq_ignore_ascii_case(&part.name))
    };
    let mut version = None;
    for part in PARTS.iter().filter(has) {
        let newest = newest_of(database, part)?;
        version = Some(version.map_or(newest, |version: i64| version.min(newest)));
    }
    Ok(version)
}

/// The newest version in which one of our tables has the columns that it has.
fn newest_of(database: &Database, part: &Part) -> Result<i64> {
    let mut there = database.query_all(
        "SELECT name FROM pragma_table_info(?1, ?2)",
        &[part.name.as_str().into(), database.schema().into()],
        |row| Ok(row.text(0)),
    )?;
    there.sort_unstable();
    let mut columns = part.columns();
    columns.sort_unstable();
    for (step, added) in ADDED.iter().enumerate().rev() {
        if there == columns {
            return Ok(step as i64 + 2);
        }
        let added = added.iter().filter(|(table, _)| *table == part.name);
        let added: Vec<&str> = added.flat_map(|(_, added)| added.iter()).copied().collect();
        columns.retain(|column| !added.contains(&column.as_str()));
    }
    if there == columns {
        return Ok(1);
    }
    Err(Error::misuse(format!(
        "{} is not the table that syncscope has under that name; names that begin with _sync belong to syncscope. Copy \
         it to another name, drop it, and call sync_init()",
        quote_name(&part.name)
    )))
}

/// Our tables, if there is no row in any of them. Capture triggers that were left over may have written to the log since.
fn empty_tables(database: &Database) -> Result<Option<Vec<String>>> {
    let tables = tables(database)?;
    for table in tables
        .iter()
        .filter(|table| !table.eq_ignore_ascii_case("_syncChange"))
    {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", database.qualified(table));
        if database.connection().prepare(&sql)?.step()? {
            return Ok(None);
        }
    }
    Ok(Some(tables))
}

/// Makes room for new tables where the old ones are empty. Without the table of the version nothing is taken for ours.
/// Whether there were any.
fn clear(database: &Database) -> Result<bool> {
    let tables = empty_tables(database)?.unwrap_or_default();
    if !tables
        .iter()
        .any(|table| table.eq_ignore_ascii_case("_syncMeta"))
    {
        return Ok(false);
    }
    for table in tables {
        database.execute_script(&format!("DROP TABLE {}", database.qualified(&table)))?;
    }
    Ok(true)
}

/// The schema version of a file that is only to be read; none when nothing is installed. It may be older than
/// this build's, since reading upgrades nothing: what asks for columns that came later must look.
///
/// # Errors
/// A file of a newer build (both versions named); those of [`installed`].
pub fn readable(database: &Database) -> Result<Option<i64>> {
    let found = installed(database)?;
    match found {
        Some(found) if found > VERSION => Err(newer(found, VERSION)),
        found => Ok(found),
    }
}

/// Refuses a file whose schema is not this build's, for writers that can't upgrade it.
///
/// # Errors
/// No tables; a file of a newer build (both versions named), or of an older one that no call has
/// upgraded yet.
pub fn require_current(database: &Database) -> Result<()> {
    match readable(database)? {
        Some(VERSION) => Ok(()),
        Some(found) => Err(Error::misuse(format!(
            "syncscope's tables have schema {found}; call sync_init() first to upgrade them to schema {VERSION}"
        ))),
        None => Err(Error::misuse(
            "syncscope's tables are missing; call sync_init() first",
        )),
    }
}

fn newer(found: i64, version: i64) -> Error {
    Error::misuse(format!(
        "this file was written by a newer syncscope (schema {found}), this version knows schema {version}; load the newer one"
    ))
}

/// Makes sure the schema is there, whole and of this build's version.
///
/// # Errors
/// A file written by a newer build (both versions named); SQLite's own (read-only, locked, full).
/// The file is then as it was.
pub fn ensure(database: &Database) -> Result<()> {
    bring(database, SCRIPTS, UPGRADES, &PARTS)
}

/// Removes all of our tables, with what is on them.
///
/// # Errors
/// SQLite's.
pub fn remove(database: &Database) -> Result<()> {
    // Those that refer to others first.
    for part in PARTS.iter().rev().filter(|part| part.kind == "table") {
        let drop = format!("DROP TABLE IF EXISTS {}", database.qualified(&part.name));
        database.connection().execute_script(&drop)?;
    }
    Ok(())
}

fn bring(database: &Database, scripts: &[&str], upgrades: &[&str], parts: &[Part]) -> Result<()> {
    let version = 1 + upgrades.len() as i64;
    let before = installed(database)?;
    if before == Some(version) && repair::is_whole(database, parts, &WHOLE)? {
        return Ok(());
    }
    transact(database.connection(), || {
        // Looked at again now that nobody else can write.
        match installed(database)? {
            None => {
                let emptied = clear(database)?;
                run(database, scripts)?;
                if !parts.is_empty() {
                    repair::begin_anew(database, emptied)?;
                }
            }
            Some(found) if found > version => return Err(newer(found, version)),
            Some(found) if found == version => repair::repair(database, parts)?,
            Some(found) => {
                let objects = AppObjects::of(database)?;
                run(database, &upgrades[found as usize - 1..])?;
                objects.restore(database)?;
                repair::repair(database, parts)?;
            }
        }
        database.execute(
            "INSERT INTO main._syncMeta (key, value) VALUES ('schemaVersion', ?1) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            &[version.into()],
        )?;
        Ok(())
    })
    .map_err(|error| match before {
        Some(found) => not_upgraded(error, found, version),
        None => error,
    })
}

fn run(database: &Database, scripts: &[&str]) -> Result<()> {
    scripts
        .iter()
        .try_for_each(|script| database.execute_script(script))
}

/// What SQLite says of a statement of the upgrade, which the caller knows nothing of, in a sentence about the file.
fn not_upgraded(error: Error, found: i64, version: i64) -> Error {
    let Error::Sqlite { code, text } = error else {
        return error;
    };
    let remedy = match code {
        LOCKED => "; finish or reset the statements of this connection that are still reading",
        BROKEN => {
            "; restore the file from a backup, or drop all tables whose names begin with _sync, with what they know of \
             changes that wait, and call sync_init()"
        }
        _ => "",
    };
    let what = match found == version {
        true => "syncscope's tables could not be made whole and are".into(),
        false => format!("the file could not be upgraded from schema {found} to {version} and is"),
    };
    let text = format!("{what} unchanged: {text}{remedy}");
    Error::Sqlite { code, text }
}

/// `SQLITE_ERROR`: tables that a statement needs are not there, or not as they were.
const BROKEN: i32 = 1;

/// `SQLITE_LOCKED`: a table can't be dropped while this connection reads, whatever it reads.
const LOCKED: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::in_memory;

    const FIRST: &[&str] =
        &["CREATE TABLE main._syncMeta (key TEXT PRIMARY KEY, value); CREATE TABLE main.a (x);"];

    fn columns(database: &Database) -> Result<String> {
        let columns =
            database.query_all("SELECT name FROM pragma_table_info('a')", &[], |row| {
                Ok(row.text(0))
            })?;
        Ok(format!("{:?} {}", installed(database)?, columns.join(" ")))
    }

    fn story(database: &Database) -> Result<Vec<String>> {
        let mut states = Vec::new();
        bring(database, FIRST, &[], &[])?;
        states.push(columns(database)?);
        // Installed already: nothing happens.
        bring(database, FIRST, &[], &[])?;
        let step = "ALTER TABLE main.a ADD COLUMN y;";
        bring(database, FIRST, &[step], &[])?;
        states.push(columns(database)?);
        // The first step is undone when the second fails.
        let steps = [step, "ALTER TABLE main.a ADD COLUMN z;", "nonsense"];
        states.push(match bring(database, FIRST, &steps, &[]) {
            Ok(()) => "upgraded by nonsense".into(),
            Err(error) => error.to_string(),
        });
        states.push(columns(database)?);
        states.push(match bring(database, FIRST, &[], &[]) {
            Ok(()) => "a newer file was taken".into(),
            Err(error) => error.to_string(),
        });
        Ok(states)
    }

    #[test]
    fn upgrades_happen_step_by_step_and_whole_or_not_at_all() {
        let states = story(&in_memory().database).expect("the story");
        assert_eq!(states[0], "Some(1) x");
        assert_eq!(states[1], "Some(2) x y");
        assert!(states[2].contains("syntax error"), "{}", states[2]);
        assert_eq!(states[3], "Some(2) x y");
        assert!(
            states[4].contains("schema 2") && states[4].contains("schema 1"),
            "{}",
            states[4]
        );
    }
}
