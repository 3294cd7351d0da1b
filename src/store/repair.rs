//! Tables of ours that somebody has dropped, or restored without rows: they are made anew, what the others say of
//! what is gone is put right, and a warning is kept that says what was found and done.

use std::collections::HashSet;

use crate::ground::Warning;

use super::database::{Database, quote_name};
use super::error::Result;
use super::parts::Part;
use super::untold;

/// Whether every part is there, whatever else has a name like ours. Cheap: it is asked by every call that writes.
///
/// # Errors
/// SQLite's.
pub fn is_whole(database: &Database, parts: &[Part], question: &str) -> Result<bool> {
    let found = database.query_value(question, &[])?;
    Ok(found.as_i64().unwrap_or(0) >= parts.len() as i64)
}

/// How many parts are there, as a question to be kept.
pub fn question(parts: &[Part]) -> String {
    let names: Vec<String> = parts
        .iter()
        .map(|part| format!("'{}'", part.name))
        .collect();
    format!(
        "SELECT count(*) FROM main.sqlite_master WHERE name IN ({})",
        names.join(", ")
    )
}

/// Makes the parts that are missing. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn repair(database: &Database, parts: &[Part]) -> Result<()> {
    let there: HashSet<(String, String)> = database
        .query_all("SELECT type, name FROM main.sqlite_master", &[], |row| {
            Ok((row.text(0), row.text(1).to_ascii_lowercase()))
        })?
        .into_iter()
        .collect();
    let is_missing =
        |part: &&Part| !there.contains(&(part.kind.clone(), part.name.to_ascii_lowercase()));
    let missing: Vec<&Part> = parts.iter().filter(is_missing).collect();
    missing.iter().try_for_each(|part| part.make(database))?;
    let tables: Vec<&str> = missing
        .iter()
        .filter(|part| part.kind == "table")
        .map(|part| part.name.as_str())
        .collect();
    settle(database, &tables)?;
    match missing.is_empty() {
        true => Ok(()),
        false => untold::keep(database, &warning(&tables, missing.len())),
    }
}

fn warning(tables: &[&str], parts: usize) -> Warning {
    if tables.is_empty() {
        let message =
            "indexes or triggers of syncscope's own tables were missing, and are made again";
        return Warning::new("tablesMissing", message).times(parts as i64);
    }
    let names: Vec<String> = tables.iter().map(|table| quote_name(table)).collect();
    let mut message = format!(
        "tables of syncscope were missing and are made anew, without rows: {}",
        names.join(", ")
    );
    for (table, consequence) in CONSEQUENCES {
        if tables.contains(table) {
            message.push_str(&format!("; {table}: {consequence}"));
        }
    }
    Warning::new("tablesMissing", message).times(tables.len() as i64)
}

/// What the rows of a table were good for, where there is something to do about it.
const CONSEQUENCES: &[(&str, &str)] = &[
    ("_syncMeta", "settings are those of a new file"),
    (
        "_syncTable",
        "no table is tracked any more, and what waited of them is not known; call sync_track",
    ),
    (
        "_syncChange",
        "what waited to be sent is not known any more; sync_check finds it, sync_capture_existing sends every row",
    ),
    (
        "_syncProvider",
        "no backend is declared any more; call sync_provider",
    ),
    (
        "_syncCursor",
        "the next sync pulls everything from the beginning",
    ),
    (
        "_syncResolver",
        "conflicts are decided by columns; call sync_resolver",
    ),
    ("_syncRejected", "rows that were refused are sent again"),
    (
        "_syncHeld",
        "rows of the backend that waited here are lost until they change there; call sync_provider with \"reset\":true \
         to pull them again",
    ),
    (
        "_syncAside",
        "values that columns can't hold go up as the columns hold them; call sync_provider with \"reset\":true to pull \
         them again",
    ),
    (
        "_syncPush",
        "whether pushes without an answer arrived is not known any more",
    ),
    (
        "_syncOutbox",
        "whether pushes without an answer arrived is not known any more",
    ),
];

/// Who names rows of tables that count their rows: table and column.
type Referrers = &'static [(&'static str, &'static str)];

/// Numbers that are still named elsewhere must not be given to other rows.
const COUNTED: &[(&str, Referrers)] = &[
    (
        "_syncTable",
        &[
            ("_syncChange", "tbl"),
            ("_syncAside", "tbl"),
            ("_syncOutbox", "tbl"),
            ("_syncRejected", "tbl"),
            ("_syncHeld", "tbl"),
            ("_syncVersion", "tbl"),
            ("_syncCursor", "tableId"),
        ],
    ),
    ("_syncPush", &[("_syncOutbox", "pushId")]),
    (
        "_syncRun",
        &[
            ("_syncLog", "runId"),
            ("_syncConflict", "runId"),
            ("_syncPush", "runId"),
            ("_syncLease", "runId"),
        ],
    ),
    (
        "_syncStatus",
        &[
            ("_syncOperation", "statusId"),
            ("_syncOperationKey", "statusId"),
        ],
    ),
];

/// What the other tables have to be told of one that was made anew.
const SETTLED: &[(&str, &[&str])] = &[
    (
        // The log's numbers are named elsewhere too; the next entry gets one that nobody has seen.
        "_syncChange",
        &[
            "INSERT INTO main._syncChange (seq, tbl, op) SELECT seq, 0, 0 FROM (SELECT max(seq) AS seq FROM ( \
           SELECT max(uptoSeq) AS seq FROM main._syncPush UNION ALL SELECT max(uptoSeq) FROM main._syncOutbox \
           UNION ALL SELECT max(uptoSeq) FROM main._syncRejected UNION ALL SELECT max(seq) FROM main._syncAside)) \
           WHERE seq > 0",
        ],
    ),
    (
        "_syncTable",
        &[
            "DELETE FROM main._syncAside",
            "DELETE FROM main._syncOutbox",
            "DELETE FROM main._syncRejected",
            "DELETE FROM main._syncHeld",
            "DELETE FROM main._syncVersion",
            "DELETE FROM main._syncCursor",
        ],
    ),
    ("_syncPush", &["DELETE FROM main._syncOutbox"]),
    ("_syncStatus", &["DELETE FROM main._syncOperationKey"]),
    (
        "_syncOperationKey",
        &[
            "INSERT OR IGNORE INTO main._syncOperationKey (statusId, provider, entity, functionId) \
           SELECT id, provider, entity, functionId FROM main._syncStatus",
        ],
    ),
    (
        // Whoever they were, their work is over.
        "_syncOwner",
        &[
            "INSERT INTO main._syncOwner (id, token, processId, startedAt, heartbeatAt, leaseMs) \
           SELECT id, lower(hex(randomblob(16))), 0, 0, 0, 0 FROM ( \
           SELECT ownerId AS id FROM main._syncOperation UNION SELECT ownerId FROM main._syncScopeInfo \
           UNION SELECT ownerId FROM main._syncLease UNION SELECT ownerId FROM main._syncRun) WHERE id IS NOT NULL",
        ],
    ),
];

/// Puts right what the other tables say of rows that are gone.
///
/// # Errors
/// SQLite's.
fn settle(database: &Database, made: &[&str]) -> Result<()> {
    for (table, referrers) in COUNTED {
        if made.contains(table) {
            raise(database, table, referrers)?;
        }
    }
    let settled = SETTLED.iter().filter(|(table, _)| made.contains(table));
    for statement in settled.flat_map(|(_, statements)| *statements) {
        database.execute(statement, &[])?;
    }
    Ok(())
}

/// The next row of a table gets a number above all that are named elsewhere.
fn raise(database: &Database, table: &str, referrers: Referrers) -> Result<()> {
    let mut named: Vec<String> = referrers
        .iter()
        .map(|(table, column)| format!("SELECT max({column}) AS id FROM main.{table}"))
        .collect();
    // Capture triggers that are left over log under the number in their name.
    if table == "_syncTable" {
        named.push(
            "SELECT max(CAST(substr(name, 14) AS INTEGER)) AS id FROM main.sqlite_master \
             WHERE type = 'trigger' AND name LIKE '\\_syncCapture\\_%' ESCAPE '\\'"
                .into(),
        );
    }
    database.execute(
        "DELETE FROM main.sqlite_sequence WHERE name = ?1",
        &[table.into()],
    )?;
    database.execute(
        &format!(
            "INSERT INTO main.sqlite_sequence (name, seq) SELECT ?1, id FROM (SELECT max(id) AS id FROM ({})) \
             WHERE id > 0",
            named.join(" UNION ALL ")
        ),
        &[table.into()],
    )?;
    Ok(())
}

/// After everything was made anew in a file where capture triggers are left over: their numbers are not given away.
///
/// # Errors
/// SQLite's.
pub fn begin_anew(database: &Database, emptied: bool) -> Result<()> {
    settle(database, &["_syncTable"])?;
    if !emptied {
        return Ok(());
    }
    let message = "syncscope's tables were there without rows, as after restoring a schema alone; they are made anew. \
                   Call sync_provider and sync_track, as with a new file";
    untold::keep(database, &Warning::new("tablesMissing", message))
}
