//! F5: locked, missing, no database, other tables.

use serde_json::json;
use support::{ask, refused};

use super::{ALL, Folder, NOTES};

#[test]
fn f5_a_missing_file_is_no_empty_hub() {
    let folder = Folder::new();
    let device = folder.device("a.db", NOTES, "hbu.db", json!({}));
    device.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1)");
    let error = device.failed();
    assert!(
        error["message"].as_str().is_some_and(
            |text| text.contains("\"hbu.db\": there is no such file; correct the path")
        ),
        "{error}"
    );
    assert!(!folder.path("hbu.db").exists());
    assert_eq!(
        device.pending(),
        "a|created|[\"title\",\"body\",\"n\"]".replace(
            "[\"title\",\"body\",\"n\"]",
            &device.ask("SELECT changed FROM sync_pending")
        )
    );
    // Unless it is asked for.
    device.declare("hbu.db", json!({"create": true}));
    device.synced();
    assert_eq!(ask(&folder.plain("hbu.db"), ALL), "a|x|NULL|1");
}

#[test]
fn f5_a_locked_file_is_waited_for_and_then_named() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    device.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1)");
    hub.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let error = device.failed();
    assert_eq!(
        (&error["class"], &error["code"], &error["retryable"]),
        (&json!("data"), &json!("SYNC_ERROR_BUSY"), &json!(true)),
        "{error}"
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("\"hub.db\" is locked by somebody else")),
        "{error}"
    );
    hub.execute_batch("ROLLBACK").expect("unlocked");
    device.synced();
    assert_eq!(ask(&hub, ALL), "a|x|NULL|1");
    assert_eq!(device.pending(), "");
}

#[test]
fn f5_what_is_no_database_is_said_to_be_none() {
    let folder = Folder::new();
    std::fs::write(folder.path("hub.db"), vec![b'x'; 5000]).expect("a file");
    std::fs::create_dir(folder.path("folder.db")).expect("a folder");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    let error = device.failed().to_string();
    assert!(
        error.contains("is no SQLite database, or is encrypted"),
        "{error}"
    );
    for (file, said) in [
        ("folder.db", "it is a folder"),
        ("a.db", "it is the file that syncs itself"),
    ] {
        ask(
            &device.db,
            &format!(
                "SELECT sync_provider('hub', '{{\"kind\":\"sqlite\",\"file\":\"{file}\"}}', '{{\"reset\":true}}')"
            ),
        );
        let error = device.failed().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn f5_other_tables_and_columns_are_named() {
    let folder = Folder::new();
    let hub = folder.plain("hub.db");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.exec(
        "CREATE INDEX by_title ON notes (title); INSERT INTO notes VALUES ('a', 'x', NULL, 1)",
    );
    for (schema, said) in [
        (
            "CREATE TABLE other (id)",
            "there is no table \\\"notes\\\" there; create it",
        ),
        (
            "CREATE TABLE notes (id TEXT PRIMARY KEY, title, n)",
            "has no column \\\"body\\\" there; add it",
        ),
        (
            "DROP TABLE notes; CREATE TABLE notes (key TEXT PRIMARY KEY, title, body, n)",
            "is key there and id here",
        ),
        (
            "DROP TABLE notes; CREATE TABLE notes (id TEXT, title, body, n)",
            "has no primary key there",
        ),
        (
            "DROP TABLE notes; CREATE VIEW notes AS SELECT 1 AS id",
            "is a view there",
        ),
    ] {
        hub.execute_batch(schema).expect(schema);
        let error = device.failed().to_string();
        assert!(error.contains(said), "{schema}: {error}");
    }
    hub.execute_batch("DROP VIEW notes").expect("no view");
    device.declare("hub.db", json!({"create": true}));
    device.synced();
    assert_eq!(ask(&hub, ALL), "a|x|NULL|1");
    assert_eq!(
        ask(
            &hub,
            "SELECT count(*) FROM sqlite_master WHERE name = 'by_title'"
        ),
        "1"
    );
    // Columns that are only there take their defaults, and stay.
    hub.execute_batch("ALTER TABLE notes ADD COLUMN extra DEFAULT 'd'")
        .expect("a column");
    device.exec("INSERT INTO notes VALUES ('b', 'y', NULL, 2)");
    device.synced();
    assert_eq!(
        ask(&hub, "SELECT id, extra FROM notes ORDER BY id"),
        "a|d\nb|d"
    );
    hub.execute_batch("UPDATE notes SET title = 'z', extra = 'e' WHERE id = 'b'")
        .expect("an edit");
    device.synced();
    assert_eq!(device.ask("SELECT title FROM notes WHERE id = 'b'"), "z");
}

#[test]
fn f5_a_file_that_may_only_be_read_is_mirrored_by_comparing() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    hub.execute_batch("INSERT INTO notes VALUES ('a', 'x', NULL, 1), ('b', 'x', NULL, 1)")
        .expect("rows");
    let device = folder.device("a.db", NOTES, "hub.db", json!({"readOnly": true}));
    assert_eq!(device.synced()["inserted"], 2);
    hub.execute_batch("DELETE FROM notes WHERE id = 'a'; UPDATE notes SET n = 2; INSERT INTO notes VALUES ('c', 'x', NULL, 1)")
        .expect("edits");
    let answer = device.synced();
    assert_eq!(
        (&answer["inserted"], &answer["updated"], &answer["deleted"]),
        (&json!(1), &json!(1), &json!(1)),
        "{answer}"
    );
    assert_eq!(device.ask(ALL), ask(&hub, ALL));
    assert_eq!(
        ask(
            &hub,
            "SELECT count(*) FROM sqlite_master WHERE name LIKE '%sync%'"
        ),
        "0"
    );
    device.exec("UPDATE notes SET n = 9 WHERE id = 'b'");
    let error = device.failed().to_string();
    assert!(
        error.contains("can't be written, so what was changed here waits"),
        "{error}"
    );
    assert_eq!(ask(&hub, "SELECT n FROM notes WHERE id = 'b'"), "2");
}

#[test]
fn f5_configurations_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    for (config, said) in [
        (r#"{"kind":"sqlite"}"#, "config: file is missing; give it"),
        (
            r#"{"kind":"sqlite","file":""}"#,
            "config: file is empty; give a path",
        ),
        (
            r#"{"kind":"sqlite","file":"x","onFork":"maybe"}"#,
            "onFork must be refuse or merge",
        ),
        (
            r#"{"kind":"sqlite","file":"x","url":"http://x"}"#,
            "url is a key of kind watermelon and oversync",
        ),
    ] {
        let text = refused(
            &device.db,
            &format!("SELECT sync_provider('x', '{config}')"),
        );
        assert!(text.contains(said), "{text}");
    }
    let text = refused(
        &device.db,
        r#"SELECT sync_entities('all', 'hub', '["notes"]', '{"transport":"host"}')"#,
    );
    assert!(
        text.contains("sends no requests that a program could carry out"),
        "{text}"
    );
}

#[test]
fn f5_a_table_made_again_in_the_hub_is_read_anew() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    hub.execute_batch("INSERT INTO notes VALUES ('a', 'x', NULL, 1), ('b', 'x', NULL, 1)")
        .expect("rows");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    hub.execute_batch(&format!(
        "ALTER TABLE notes RENAME TO old; {NOTES} INSERT INTO notes SELECT * FROM old WHERE id = 'a'; DROP TABLE old;
         INSERT INTO notes VALUES ('c', 'new', NULL, 3)"
    ))
    .expect("made again");
    device.exec("INSERT INTO notes VALUES ('d', 'mine', NULL, 4)");
    device.synced();
    assert_eq!(device.ask(ALL), "a|x|NULL|1\nc|new|NULL|3\nd|mine|NULL|4");
    assert_eq!(device.ask(ALL), ask(&hub, ALL));
    // And followed from then on, also under another name of a column.
    hub.execute_batch(
        "ALTER TABLE notes ADD COLUMN more; UPDATE notes SET title = 'y' WHERE id = 'a'",
    )
    .expect("edits");
    device.synced();
    assert_eq!(device.ask(ALL), ask(&hub, ALL));
}

#[test]
fn f5_a_file_has_no_news_to_listen_to_and_that_is_said() {
    let folder = Folder::new();
    folder.made("hub.db", NOTES);
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    let said = refused(&device.db, r#"SELECT sync_auto('hub', '{"watch":true}')"#);
    assert!(
        said.contains("downloadEvery") && !said.contains("watchUrl"),
        "{said}"
    );
    device.ask(r#"SELECT sync_auto('hub', '{"downloadEvery":"60s"}')"#);
}
