//! A device of a schedule: its file, and connections to it that come and go.

use std::collections::HashMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{Random, World, ask, load, sync_on, wait_for};

use super::edits::{self, Draft, Picture};
use super::model::PendingRows;

const ROWIDS: &str =
    "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, born TEXT, a TEXT, b TEXT, n INTEGER);";
const NO_ROWIDS: &str = "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, born TEXT, a TEXT, b TEXT, n INTEGER) WITHOUT ROWID;";
const LABELS: &str =
    "CREATE TABLE label (id INTEGER PRIMARY KEY NOT NULL, born TEXT, name TEXT, n INTEGER);";
/// A trigger of the application, which makes the apply distinguish its own log entries from others'.
const AUDIT: &str = "CREATE TABLE audit (id TEXT);
    CREATE TRIGGER audited AFTER INSERT ON item BEGIN INSERT INTO audit VALUES (NEW.id); END;";

/// Tables of the backend.
pub fn backend_schema() -> String {
    format!("{ROWIDS}{LABELS}")
}

pub const ENTITIES: &[&str] = &["item", "label"];

/// What a picture of a device is compared by.
pub struct State {
    pub rows: Picture,
    pub cursors: HashMap<String, i64>,
}

/// A device.
pub struct Phone {
    pub name: &'static str,
    pub world: World,
    /// The program's connection, while it is open.
    pub db: Option<Connection>,
}

impl Phone {
    pub fn new(name: &'static str, random: &mut Random, journal: &str) -> Phone {
        let mut phone = Phone {
            name,
            world: World::new(random.chance(50)),
            db: None,
        };
        let db = phone.open();
        ask(&db, &format!("PRAGMA journal_mode = {journal}"));
        let items = if random.chance(25) { NO_ROWIDS } else { ROWIDS };
        let audit = if random.chance(30) { AUDIT } else { "" };
        db.execute_batch(&format!("{items}{LABELS}{audit}"))
            .expect("schema");
        for table in ENTITIES {
            // To the model a number names one row, whoever makes it.
            let options = r#"{"counted":"same"}"#;
            ask(&db, &format!("SELECT sync_track('{table}', '{options}')"));
        }
        phone.db = Some(db);
        phone
    }

    /// A new connection with the extension.
    pub fn open(&self) -> Connection {
        let db = self.plain();
        load(&db);
        db
    }

    /// One without.
    pub fn plain(&self) -> Connection {
        let db = self.world.plain();
        // Processes die here, not machines.
        db.execute_batch("PRAGMA synchronous = OFF")
            .expect("pragma");
        db
    }

    pub fn db(&self) -> &Connection {
        self.db.as_ref().expect("open")
    }

    pub fn close(&mut self) {
        self.db = None;
    }

    pub fn reopen(&mut self) {
        self.db = None;
        self.db = Some(self.open());
    }

    pub fn provider(&self, url: &str, more: &Value) {
        let mut config = json!({"kind": "watermelon", "url": url, "backoffMs": 1, "maxBackoffMs": 5,
            // The statuses of the faults have nothing to do with the rows.
            "splitRefused": false});
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        // The same backend behind another port.
        let sql = r#"SELECT sync_provider('api', ?1, '{"keepCursor":true}')"#;
        self.db()
            .query_row(sql, [config.to_string()], |_| Ok(()))
            .expect("provider");
    }

    pub fn state(&self, db: &Connection) -> State {
        State {
            rows: edits::picture(db),
            cursors: cursors(db),
        }
    }

    /// Rows that wait to go up.
    pub fn pending(&self) -> PendingRows {
        let sql = "SELECT \"table\", key, op, changed FROM sync_pending";
        ask(self.db(), sql)
            .lines()
            .filter_map(|line| {
                let mut parts = line.splitn(4, '|');
                let row = (parts.next()?.to_owned(), parts.next()?.to_owned());
                let kind = parts.next()?.to_owned();
                let changed = serde_json::from_str(parts.next()?).unwrap_or_default();
                Some((row, (kind, changed)))
            })
            .collect()
    }

    pub fn count(&self, sql: &str) -> i64 {
        ask(self.db(), sql).parse().expect("a number")
    }

    /// Syncs on a connection and gives it back, with the answer.
    pub fn sync(db: Connection, entities: &[&str], background: bool) -> (Connection, Value) {
        if !background {
            let answer = sync_on(&db, "all", entities);
            return (db, answer);
        }
        let list = json!(entities).to_string().replace('\'', "''");
        let sql =
            format!("SELECT sync_entities('all', 'api', '{list}', '{{\"background\":true}}')");
        let begun: Value = serde_json::from_str(&ask(&db, &sql)).expect("JSON");
        let over = format!(
            "SELECT summary FROM _syncRun WHERE id = {} AND state <> 'running'",
            begun["runId"]
        );
        let mut answer = String::new();
        wait_for("the end of the background sync", || {
            answer = ask(&db, &over);
            !answer.is_empty()
        });
        (db, serde_json::from_str(&answer).expect("JSON"))
    }
}

fn cursors(db: &Connection) -> HashMap<String, i64> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE name = '_syncCursor'";
    if ask(db, sql) == "0" {
        return HashMap::new();
    }
    ask(db, "SELECT entity, cursor FROM _syncCursor")
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(entity, cursor)| (entity.to_owned(), cursor.parse().expect("a number")))
        .collect()
}

/// Carries a draft out; gives the state before, and the rows after if it was committed.
pub fn carry_out(phone: &Phone, db: &Connection, draft: &Draft) -> Option<(State, Picture)> {
    db.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let before = phone.state(db);
    for sql in &draft.statements {
        db.execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let after = edits::picture(db);
    if !draft.commits {
        db.execute_batch("ROLLBACK").expect("rollback");
        return None;
    }
    db.execute_batch("COMMIT").expect("commit");
    Some((before, after))
}
