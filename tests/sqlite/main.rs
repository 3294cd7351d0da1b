//! Another SQLite file in the place of a server: rules F1 to F7.
//!
//! | file | subject |
//! |---|---|
//! | `main.rs` | what the tests share; F1 and F2: two ways, and only what changed |
//! | `rings.rs` | F3: three files in a ring or a star, at random |
//! | `commits.rs`, `kill.rs` | F4: an end between the two commits, or anywhere else |
//! | `troubles.rs` | F5: locked, missing, no database, other tables |
//! | `exact.rs` | F6: every value as it is |
//! | `forks.rs` | F7: copies of the hub and of the device |

mod commits;
mod exact;
mod forks;
mod kill;
mod rings;
mod troubles;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{ask, load};
use tempfile::TempDir;

const NOTES: &str =
    "CREATE TABLE notes (id TEXT PRIMARY KEY NOT NULL, title TEXT, body TEXT, n INTEGER);";
const PENDING: &str = r#"SELECT key, op, changed FROM sync_pending ORDER BY 1"#;

/// A folder with files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A connection that never heard of the extension.
    fn plain(&self, name: &str) -> Connection {
        let db = Connection::open(self.path(name)).expect("open");
        db.busy_timeout(Duration::from_secs(20)).expect("timeout");
        db.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON")
            .expect("settings");
        db
    }

    /// One with a schema.
    fn made(&self, name: &str, schema: &str) -> Connection {
        let db = self.plain(name);
        db.execute_batch(schema).expect("schema");
        db
    }

    /// One with the extension, that syncs tables with a hub.
    fn device(&self, name: &str, schema: &str, hub: &str, more: Value) -> Device {
        let db = self.made(name, schema);
        load(&db);
        let device = Device {
            db,
            tables: tables_of(schema),
        };
        device.declare(hub, more);
        for table in &device.tables {
            ask(&device.db, &format!("SELECT sync_track('{table}')"));
        }
        device
    }

    /// A device on a file that is set up.
    fn reopened(&self, name: &str, schema: &str) -> Device {
        let db = self.plain(name);
        load(&db);
        Device {
            db,
            tables: tables_of(schema),
        }
    }

    /// Copies a file that nobody writes to.
    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).expect("a copy");
    }
}

fn tables_of(schema: &str) -> Vec<String> {
    let parts = schema.split("CREATE TABLE ").skip(1);
    parts
        .map(|part| part.split([' ', '(']).next().unwrap_or_default().to_owned())
        .collect()
}

struct Device {
    db: Connection,
    tables: Vec<String>,
}

impl Device {
    fn declare(&self, hub: &str, more: Value) {
        let mut config = json!({"kind": "sqlite", "file": hub, "busyTimeoutMs": 300});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        config
            .as_object_mut()
            .expect("an object")
            .retain(|_, value| !value.is_null());
        self.db
            .query_row(
                "SELECT sync_provider('hub', ?1, '{\"keepCursor\":true}')",
                [config.to_string()],
                |_| Ok(()),
            )
            .expect("sync_provider");
    }

    fn exec(&self, sql: &str) {
        self.db
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn ask(&self, sql: &str) -> String {
        ask(&self.db, sql)
    }

    fn sync(&self) -> Value {
        let entities = json!(self.tables).to_string();
        let answer: String = self
            .db
            .query_row(
                "SELECT sync_entities('all', 'hub', ?1)",
                [entities],
                |row| row.get(0),
            )
            .expect("sync_entities");
        serde_json::from_str(&answer).expect("JSON")
    }

    #[track_caller]
    fn synced(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    /// The error of a sync that fails.
    #[track_caller]
    fn failed(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "failed", "{answer}");
        answer["error"].clone()
    }

    fn pending(&self) -> String {
        self.ask(PENDING)
    }
}

const ALL: &str = "SELECT id, title, body, n FROM notes ORDER BY id";

#[test]
fn f1_two_files_are_kept_in_step_both_ways() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    hub.execute_batch("INSERT INTO notes VALUES ('h', 'hub', NULL, 1)")
        .expect("a row");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.exec("INSERT INTO notes VALUES ('a', 'here', NULL, 2)");
    let answer = device.synced();
    assert_eq!(
        (&answer["inserted"], &answer["pushed"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    assert_eq!(ask(&hub, ALL), device.ask(ALL));
    assert_eq!(device.pending(), "");
    // Edits on both sides, one of them by a program without the extension; and deletes.
    hub.execute_batch("UPDATE notes SET title = 'hub 2' WHERE id = 'a'; INSERT INTO notes VALUES ('x', 'x', 'x', 9)")
        .expect("edits");
    device.exec("UPDATE notes SET n = 7 WHERE id = 'h'");
    device.synced();
    assert_eq!(ask(&hub, ALL), "a|hub 2|NULL|2\nh|hub|NULL|7\nx|x|x|9");
    assert_eq!(ask(&hub, ALL), device.ask(ALL));
    hub.execute_batch("DELETE FROM notes WHERE id = 'a'")
        .expect("a delete");
    device.exec("DELETE FROM notes WHERE id = 'x'");
    device.synced();
    assert_eq!(ask(&hub, ALL), "h|hub|NULL|7");
    assert_eq!(ask(&hub, ALL), device.ask(ALL));
    let nothing = device.synced();
    for count in ["inserted", "updated", "deleted", "pushed"] {
        assert_eq!(nothing[count], 0, "{nothing}");
    }
}

#[test]
fn f1_columns_changed_on_either_side_are_merged_and_a_conflict_is_kept() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    hub.execute_batch("INSERT INTO notes VALUES ('a', 't', 'b', 1)")
        .expect("a row");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    hub.execute_batch("UPDATE notes SET title = 'theirs'")
        .expect("an edit");
    device.exec("UPDATE notes SET body = 'ours'");
    device.synced();
    assert_eq!(ask(&hub, ALL), "a|theirs|ours|1");
    assert_eq!(device.ask(ALL), "a|theirs|ours|1");
    hub.execute_batch("UPDATE notes SET title = 'there', n = 5")
        .expect("an edit");
    device.exec("UPDATE notes SET title = 'here'");
    let answer = device.synced();
    assert_eq!(answer["conflicts"], 1, "{answer}");
    assert_eq!(ask(&hub, ALL), "a|here|ours|5");
    assert_eq!(device.ask(ALL), "a|here|ours|5");
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_conflict WHERE local LIKE '%here%'"),
        "1"
    );
    // A row that is edited here and deleted there goes; one deleted here and edited there as well.
    hub.execute_batch("DELETE FROM notes").expect("a delete");
    device.exec("UPDATE notes SET title = 'too late'");
    device.synced();
    assert_eq!(
        (device.ask(ALL), ask(&hub, ALL)),
        (String::new(), String::new())
    );
}

const FAMILY: &str = "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT UNIQUE);
    CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, list TEXT REFERENCES list (id));";

#[test]
fn f1_rows_that_do_not_fit_are_held_and_refused_ones_stay_pending() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", FAMILY);
    let device = folder.device("a.db", FAMILY, "hub.db", json!({}));
    device.exec("INSERT INTO list VALUES ('l', 'one'); INSERT INTO task VALUES ('t', 'x', 'l')");
    device.synced();
    assert_eq!(ask(&hub, "SELECT id, list FROM task"), "t|l");
    // The same name made on both sides: the row there is held here, and the one here is refused there.
    hub.execute_batch("INSERT INTO list VALUES ('h', 'two')")
        .expect("a row");
    device.exec("INSERT INTO list VALUES ('a', 'two'), ('b', 'three')");
    let answer = device.synced();
    assert_eq!(
        (&answer["held"], &answer["rejected"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    assert_eq!(device.ask("SELECT key FROM sync_held"), "h");
    assert_eq!(
        ask(
            &hub,
            "SELECT group_concat(id, ' ') FROM (SELECT id FROM list ORDER BY id)"
        ),
        "b h l"
    );
    assert_eq!(device.ask("SELECT key FROM sync_pending"), "a");
    assert!(
        device
            .ask("SELECT reason FROM _syncRejected")
            .contains("UNIQUE")
    );
    device.exec("UPDATE list SET name = 'four' WHERE id = 'a'");
    device.synced();
    device.synced();
    let names = "SELECT group_concat(id || name, ' ') FROM (SELECT * FROM list ORDER BY id)";
    assert_eq!(device.ask(names), "afour bthree htwo lone");
    assert_eq!(device.ask(names), ask(&hub, names));
    // A parent deleted there while it gets a child here.
    hub.execute_batch("DELETE FROM task; DELETE FROM list WHERE id = 'l'")
        .expect("deletes");
    device.exec("INSERT INTO task VALUES ('u', 'y', 'l')");
    device.synced();
    assert_eq!(device.ask("SELECT id FROM task"), "u");
    assert_eq!(ask(&hub, "PRAGMA foreign_key_check"), "");
    assert_eq!(device.ask("PRAGMA foreign_key_check"), "");
}

#[test]
fn f2_only_changes_move() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    hub.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO notes SELECT i, 't' || i, NULL, i FROM n",
    )
    .expect("rows");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    assert_eq!(device.synced()["inserted"], 500);
    let bytes = |device: &Device| -> (i64, i64) {
        let read = |column: &str| {
            let text = device.ask(&format!(
                "SELECT {column} FROM _syncRun ORDER BY id DESC LIMIT 1"
            ));
            text.parse().expect("a number")
        };
        (read("bytesUp"), read("rowsDown"))
    };
    hub.execute_batch("UPDATE notes SET n = -1 WHERE id = '7'")
        .expect("an edit");
    device.exec("UPDATE notes SET title = 'x' WHERE id = '9'");
    device.synced();
    assert_eq!(bytes(&device).1, 1);
    // Of a changed row the changed column.
    assert_eq!(
        ask(
            &hub,
            "SELECT cols LIKE '%\"title\"%', cols LIKE '%\"n\"%' FROM _syncFeed WHERE pk = '9'"
        ),
        "1|0"
    );
    // What this file has sent does not come back, and a sync without changes writes nothing there.
    let before = ask(
        &hub,
        "SELECT group_concat(seq || tbl || pk || origin || at) FROM _syncFeed",
    );
    device.synced();
    device.synced();
    assert_eq!(bytes(&device).1, 0);
    assert_eq!(
        ask(
            &hub,
            "SELECT group_concat(seq || tbl || pk || origin || at) FROM _syncFeed"
        ),
        before
    );
    // An update that changes nothing is none.
    hub.execute_batch("UPDATE notes SET n = n")
        .expect("an edit");
    device.synced();
    assert_eq!(bytes(&device).1, 0);
}

#[test]
fn f1_replaced_rows_and_changed_keys_are_followed() {
    let folder = Folder::new();
    let schema = "CREATE TABLE notes (id TEXT PRIMARY KEY NOT NULL, title TEXT UNIQUE, body TEXT, n INTEGER);";
    let hub = folder.made("hub.db", schema);
    hub.execute_batch(
        "INSERT INTO notes VALUES ('a', '1', 'x', 1), ('b', '2', 'x', 1), ('c', '3', 'x', 1)",
    )
    .expect("rows");
    let device = folder.device("a.db", schema, "hub.db", json!({}));
    device.synced();
    hub.execute_batch(
        "INSERT OR REPLACE INTO notes VALUES ('a', '2', 'y', 2);
         UPDATE OR REPLACE notes SET title = '2' WHERE id = 'c';
         UPDATE notes SET id = 'd' WHERE id = 'c'",
    )
    .expect("edits");
    assert_eq!(ask(&hub, ALL), "d|2|x|1");
    device.synced();
    assert_eq!(device.ask(ALL), "d|2|x|1");
    assert_eq!(device.pending(), "");
    device.exec("INSERT OR REPLACE INTO notes VALUES ('e', '2', 'z', 3)");
    device.synced();
    assert_eq!(ask(&hub, ALL), "e|2|z|3");
}

#[test]
fn f1_what_a_trigger_there_makes_of_a_row_comes_back() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    hub.execute_batch(
        "CREATE TRIGGER stamp AFTER UPDATE OF title ON notes BEGIN UPDATE notes SET n = n + 100 WHERE id = NEW.id; END;
         INSERT INTO notes VALUES ('a', 't', NULL, 1)",
    )
    .expect("a trigger");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    device.exec("UPDATE notes SET title = 'x'");
    device.synced();
    assert_eq!(ask(&hub, ALL), "a|x|NULL|101");
    device.synced();
    assert_eq!(device.ask(ALL), "a|x|NULL|101");
    assert_eq!(device.pending(), "");
}

#[test]
fn f1_the_other_file_may_be_attached_and_this_one_in_memory() {
    let hub = "ATTACH ':memory:' AS hub; CREATE TABLE hub.notes (id TEXT PRIMARY KEY NOT NULL, title TEXT, body TEXT, n INTEGER);
        INSERT INTO hub.notes VALUES ('h', 'x', NULL, 1);";
    let db = Connection::open_in_memory().expect("memory");
    load(&db);
    db.execute_batch(NOTES).expect("schema");
    db.execute_batch(hub).expect("a hub");
    ask(
        &db,
        r#"SELECT sync_provider('hub', '{"kind":"sqlite","file":"hub","attached":true}'), sync_track('notes')"#,
    );
    let device = Device {
        db,
        tables: vec!["notes".into()],
    };
    device.exec("INSERT INTO notes VALUES ('a', 'y', NULL, 2)");
    device.synced();
    let there = ALL.replace("notes", "hub.notes");
    assert_eq!(device.ask(ALL), "a|y|NULL|2\nh|x|NULL|1");
    assert_eq!(device.ask(&there), device.ask(ALL));
    device.exec("UPDATE hub.notes SET n = 5; DELETE FROM notes WHERE id = 'h'");
    device.synced();
    assert_eq!(device.ask(&there), device.ask(ALL));
}

#[test]
fn f1_tables_of_every_form_and_key() {
    let folder = Folder::new();
    let schema = r#"CREATE TABLE counted (id INTEGER PRIMARY KEY, a TEXT);
        CREATE TABLE bare (k TEXT PRIMARY KEY NOT NULL, "odd ' "" name" TEXT COLLATE NOCASE, g TEXT AS (k || 'x')) WITHOUT ROWID, STRICT;
        CREATE TABLE blobs (id BLOB PRIMARY KEY NOT NULL, a);"#;
    let hub = folder.made("hub.db", schema);
    let device = folder.device("a.db", schema, "hub.db", json!({}));
    let rows = r#"INSERT INTO counted VALUES (5, 'x'), (9223372036854775807, 'y');
        INSERT INTO bare (k, "odd ' "" name") VALUES ('k', 'v');
        INSERT INTO blobs VALUES (x'00112233445566778899aabbccddeeff', 1)"#;
    device.exec(rows);
    device.synced();
    let all = r#"SELECT (SELECT group_concat(id || a) FROM counted), (SELECT k || "odd ' "" name" || g FROM bare), (SELECT hex(id) || a FROM blobs)"#;
    assert_eq!(ask(&hub, all), device.ask(all));
    hub.execute_batch(
        r#"UPDATE bare SET "odd ' "" name" = 'V'; DELETE FROM counted WHERE id = 5; UPDATE blobs SET a = 2.5"#,
    )
    .expect("edits");
    device.synced();
    assert_eq!(ask(&hub, all), device.ask(all));
    assert!(device.ask(all).contains("kVkx"));
}

#[test]
fn line_12_a_hub_is_left_as_it_was_before() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    let objects = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_master ORDER BY name)";
    let before = ask(&hub, objects);
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.exec("INSERT INTO notes VALUES ('a', 'here', NULL, 2)");
    device.synced();
    assert_ne!(ask(&hub, objects), before);
    load(&hub);
    assert_ne!(ask(&hub, "SELECT sync_uninstall()"), "NULL");
    assert_eq!(ask(&hub, objects), before);
    assert_eq!(ask(&hub, ALL), "a|here|NULL|2");
    assert_eq!(ask(&hub, "SELECT sync_uninstall()"), "NULL");
    // It is not the file any more that was synced with.
    assert_eq!(device.failed()["code"], "SYNC_ERROR_FORK");
}
