//! Migrations of one device, as people and ORMs run them.

use rusqlite::Connection;
use support::{Random, ask, try_ask};

use super::actor::columns;
use super::world::TABLES;

/// What was done, for the trace, as SQL.
pub fn run(random: &mut Random, db: &Connection, settings: &str) -> Result<String, String> {
    let table = TABLES[random.roll(TABLES.len())];
    let there = columns(db, table);
    let has = |name: &str| there.iter().any(|column| column == name);
    let script = match random.below(8) {
        0 | 1 if !has("later") => format!("ALTER TABLE {table} ADD COLUMN later TEXT;"),
        // A rename that nobody has looked at before the table is rebuilt would be known by no record.
        2 if has("local") => {
            format!("ALTER TABLE {table} RENAME COLUMN local TO private; SELECT sync_capture_on();")
        }
        2 if has("private") => {
            format!("ALTER TABLE {table} RENAME COLUMN private TO local; SELECT sync_capture_on();")
        }
        3 => format!(
            // The wire can't follow the new name, so the old one comes back before the next sync.
            "ALTER TABLE {table} RENAME COLUMN b TO c; UPDATE {table} SET n = 1 WHERE n = 2;
             ALTER TABLE {table} RENAME COLUMN c TO b;"
        ),
        4 => format!("ALTER TABLE {table} RENAME TO moved; ALTER TABLE moved RENAME TO {table};"),
        5 if has("local") || has("private") => {
            dropped(table, if has("local") { "local" } else { "private" })
        }
        _ => rebuilt(random, db, table, settings),
    };
    db.execute_batch(&script)
        .map_err(|error| format!("migration: {error}: {script}"))?;
    Ok(script)
}

fn dropped(table: &str, column: &str) -> String {
    format!(
        "SELECT sync_capture_off('{table}'); ALTER TABLE {table} DROP COLUMN {column};
         SELECT sync_track('{table}', '{{}}'); SELECT sync_capture_on('{table}');"
    )
}

/// `CREATE new; INSERT … SELECT; DROP old; RENAME`, with foreign keys off, and the application's triggers made again.
fn rebuilt(random: &mut Random, db: &Connection, table: &str, settings: &str) -> String {
    let ddl = ask(
        db,
        &format!("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{table}'"),
    );
    let body = &ddl[ddl.find('(').unwrap_or_default()..];
    let names = columns(db, table).join(", ");
    let own = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}' AND name NOT LIKE '\\_sync%' ESCAPE '\\'";
    let mut triggers = Vec::new();
    let mut statement = db
        .prepare(&own.replace("{table}", table))
        .expect("triggers");
    let mut rows = statement.query([]).expect("triggers");
    while let Some(row) = rows.next().expect("a trigger") {
        triggers.push(row.get::<_, String>(0).expect("its text") + ";\n");
    }
    let (off, on) = match random.below(3) {
        0 => (
            format!("SELECT sync_capture_off('{table}');"),
            format!("SELECT sync_capture_on('{table}');"),
        ),
        1 => (String::new(), format!("SELECT sync_capture_on('{table}');")),
        _ => (String::new(), format!("SELECT sync_track('{table}');")),
    };
    format!(
        "{off} PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; BEGIN;
         CREATE TABLE new_{table} {body}; INSERT INTO new_{table} ({names}) SELECT {names} FROM {table};
         DROP TABLE {table}; ALTER TABLE new_{table} RENAME TO {table}; {} COMMIT;
         PRAGMA legacy_alter_table = OFF; {settings} {on}",
        triggers.concat()
    )
}

/// What the column that only devices have is called now.
pub fn locals(db: &Connection) -> Vec<Option<String>> {
    let sql = |table: &str| {
        format!("SELECT name FROM pragma_table_info('{table}') WHERE name IN ('local', 'private')")
    };
    let name = |table: &&str| {
        try_ask(db, &sql(table))
            .ok()
            .filter(|name| !name.is_empty())
    };
    TABLES.iter().map(name).collect()
}
