//! The scenarios that WatermelonDB's own tests fix, on their fixture (checklist, line 2).
//!
//! Three tables with rows of every state; ten local changes.

use serde_json::{Value, json};
use support::{Canned, Device, Seen, json_answer, status_answer};

const SCHEMA: &str = "
    CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL, name TEXT);
    CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT, position INTEGER, description TEXT,
                    created_at INTEGER, updated_at INTEGER);
    CREATE TABLE c (id TEXT PRIMARY KEY NOT NULL, body TEXT);";

const TABLES: [&str; 3] = ["p", "t", "c"];

fn fixture(server: &Canned) -> Device {
    let device = Device::with(SCHEMA, &TABLES, &server.url());
    let task = |id: &str| {
        json!({"id": id, "name": "old", "position": 1, "description": "old",
               "created_at": 1000, "updated_at": 2000})
    };
    server.changes(json!({
        "p": {"created": [{"id": "pSynced"}, {"id": "pUpdated"}, {"id": "pDeleted"}]},
        "t": {"created": [task("tSynced"), task("tUpdated"), task("tDeleted")]},
        "c": {"created": [{"id": "cSynced"}, {"id": "cUpdated"}, {"id": "cDeleted"}]}}));
    device.synced();
    device.exec(
        "INSERT INTO p VALUES ('pCreated1', 'one'), ('pCreated2', 'two');
         UPDATE p SET name = 'mine' WHERE id = 'pUpdated';
         DELETE FROM p WHERE id = 'pDeleted';
         INSERT INTO t (id, name) VALUES ('tCreated', 'new');
         UPDATE t SET name = 'mine' WHERE id = 'tUpdated';
         UPDATE t SET position = 100 WHERE id = 'tUpdated';
         UPDATE t SET name = 'mine' WHERE id = 'tDeleted';
         DELETE FROM t WHERE id = 'tDeleted';
         INSERT INTO c VALUES ('cCreated', 'new');
         UPDATE c SET body = 'mine' WHERE id = 'cUpdated';
         DELETE FROM c WHERE id = 'cDeleted';
         INSERT INTO c VALUES ('cDestroyed', 'x');
         DELETE FROM c WHERE id = 'cDestroyed';",
    );
    server.clear();
    device
}

/// The pending rows, as `table.key op changed`.
fn waiting(device: &Device) -> Vec<String> {
    device
        .ask(
            "SELECT key || ' ' || op || coalesce(' ' || nullif((SELECT group_concat(value) \
             FROM json_each(changed)), ''), '') FROM sync_pending ORDER BY key",
        )
        .lines()
        .map(str::to_owned)
        .collect()
}

const TEN: [&str; 10] = [
    "cCreated created",
    "cDeleted deleted",
    "cUpdated updated body",
    "pCreated1 created",
    "pCreated2 created",
    "pDeleted deleted",
    "pUpdated updated name",
    "tCreated created",
    "tDeleted deleted",
    "tUpdated updated name,position",
];

/// Pulls an answer; the push is refused, so that what stays pending can be seen.
fn pull_only(device: &Device, server: &Canned, answer: Value) -> Value {
    server.pull(&answer.to_string());
    server.push_raw(|_| status_answer(500, &[], "no"));
    device.sync()
}

fn ids(device: &Device, table: &str) -> String {
    device.ask(&format!(
        "SELECT group_concat(id) FROM (SELECT id FROM {table} ORDER BY id)"
    ))
}

fn changes(changes: Value) -> Value {
    json!({"changes": changes, "timestamp": 3_000_000})
}

#[test]
fn the_fixture_has_ten_local_changes() {
    let server = Canned::start();
    assert_eq!(waiting(&fixture(&server)), TEN);
}

#[test]
fn a_remote_update_leaves_what_was_changed_here() {
    let server = Canned::start();
    let device = fixture(&server);
    let row = json!({"id": "tUpdated", "name": "remote", "description": "remote"});
    pull_only(&device, &server, changes(json!({"t": {"updated": [row]}})));
    assert_eq!(
        device.ask("SELECT name, position, description FROM t WHERE id = 'tUpdated'"),
        "mine|100|remote"
    );
    // Dates are the server's business; it did not send them.
    assert_eq!(
        device.ask("SELECT created_at, updated_at FROM t WHERE id = 'tUpdated'"),
        "1000|2000"
    );
    assert_eq!(waiting(&device), TEN);
}

#[test]
fn dates_change_when_the_server_sends_them() {
    let server = Canned::start();
    let device = fixture(&server);
    let row = |id: &str| json!({"id": id, "created_at": 7, "updated_at": 8});
    let both = json!({"t": {"updated": [row("tUpdated"), row("tSynced")]}});
    pull_only(&device, &server, changes(both));
    assert_eq!(
        device.ask("SELECT DISTINCT created_at, updated_at FROM t WHERE id <> 'tCreated'"),
        "7|8"
    );
}

#[test]
fn a_whole_replacement_with_an_empty_set_leaves_the_created_rows() {
    let server = Canned::start();
    let device = fixture(&server);
    let empty = json!({"created": [], "updated": [], "deleted": []});
    let mut answer = changes(json!({"p": empty, "t": empty, "c": empty}));
    answer["experimentalStrategy"] = json!("replacement");
    pull_only(&device, &server, answer);
    assert_eq!(
        waiting(&device),
        [
            "cCreated created",
            "pCreated1 created",
            "pCreated2 created",
            "tCreated created"
        ]
    );
    assert_eq!(
        TABLES.map(|table| ids(&device, table)),
        ["pCreated1,pCreated2", "tCreated", "cCreated"]
    );
}

#[test]
fn a_replacement_of_one_table_leaves_the_others() {
    let server = Canned::start();
    let device = fixture(&server);
    let mut answer = changes(json!({"p": {"created": [], "updated": []}, "t": {}, "c": {}}));
    answer["experimentalStrategy"] =
        json!({"default": "incremental", "override": {"p": "replacement"}});
    pull_only(&device, &server, answer);
    let left: Vec<&str> = TEN
        .into_iter()
        .filter(|line| !line.starts_with("pDeleted") && !line.starts_with("pUpdated"))
        .collect();
    assert_eq!(waiting(&device), left);
}

#[test]
fn a_replacement_that_deletes_a_created_row_takes_it() {
    let server = Canned::start();
    let device = fixture(&server);
    let mut answer = changes(json!({"p": {"deleted": ["pCreated1"]}}));
    answer["experimentalStrategy"] = json!("replacement");
    pull_only(&device, &server, answer);
    assert_eq!(ids(&device, "p"), "pCreated2");
}

#[test]
fn a_malformed_row_refuses_the_whole_answer() {
    for row in [
        json!({"id": "x", "_status": "updated"}),
        json!({"id": "x", "_changed": "name"}),
        json!({"name": "no id"}),
    ] {
        for kind in ["created", "updated"] {
            let server = Canned::start();
            let device = fixture(&server);
            let cursor = device.cursor("t");
            let all = json!({"p": {"created": [{"id": "good"}], "deleted": ["pSynced"]}, "t": {kind: [row]}});
            let answer = pull_only(&device, &server, changes(all));
            assert_eq!(answer["error"]["class"], "protocol", "{row} {kind}");
            assert_eq!(ids(&device, "p"), "pCreated1,pCreated2,pSynced,pUpdated");
            assert_eq!(
                (waiting(&device), device.cursor("t")),
                (TEN.map(String::from).into(), cursor)
            );
            assert_eq!(server.pushed().len(), 0);
        }
    }
}

#[test]
fn the_push_has_exactly_the_ten_changes_and_settles_them() {
    let server = Canned::start();
    let device = fixture(&server);
    let before = TABLES.map(|table| ids(&device, table));
    let answer = device.synced();
    assert_eq!(answer["pushed"], 10, "{answer}");
    let push = &server.pushed()[0];
    let listed = |table: &str, kind: &str| -> Vec<String> {
        let rows = push[table][kind].as_array().unwrap();
        let id = |row: &Value| row["id"].as_str().or(row.as_str()).unwrap().to_owned();
        let mut ids: Vec<String> = rows.iter().map(id).collect();
        ids.sort();
        ids
    };
    assert_eq!(listed("p", "created"), ["pCreated1", "pCreated2"]);
    assert_eq!(listed("p", "updated"), ["pUpdated"]);
    assert_eq!(listed("p", "deleted"), ["pDeleted"]);
    for table in ["t", "c"] {
        for (kind, name) in [
            ("created", "Created"),
            ("updated", "Updated"),
            ("deleted", "Deleted"),
        ] {
            assert_eq!(listed(table, kind), [format!("{table}{name}")]);
        }
    }
    assert_eq!(push["t"]["updated"][0]["_changed"], "name,position");
    // The push names the cursor that its pull brought.
    let seen = server.seen();
    let cursor = support::query(&seen[1].path, "last_pulled_at").unwrap_or_default();
    assert_eq!(cursor, device.cursor("t"));
    assert_eq!(waiting(&device), Vec::<String>::new());
    assert_eq!(TABLES.map(|table| ids(&device, table)), before);
    assert_eq!(device.log(), "0");
}

/// Answers a push after `edit` ran on another connection.
fn push_during(device: &Device, server: &Canned, edit: &'static str, body: &'static str) -> Value {
    let path = device.world.path();
    server.push_raw(move |_: &Seen| {
        let plain = rusqlite::Connection::open(&path).unwrap();
        plain.execute_batch(edit).expect("nobody holds a lock");
        json_answer(body)
    });
    device.sync()
}

const FOUR_EDITS: &str = "
    INSERT INTO p VALUES ('pNew', 'during');
    UPDATE p SET name = 'during' WHERE id = 'pCreated1';
    UPDATE t SET description = 'during' WHERE id = 'tUpdated';
    DELETE FROM c WHERE id = 'cCreated';";

#[test]
fn edits_during_the_push_stay_pending_and_the_rest_is_settled() {
    let server = Canned::start();
    let device = fixture(&server);
    let answer = push_during(&device, &server, FOUR_EDITS, "{}");
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(
        waiting(&device),
        [
            "cCreated deleted",
            "pCreated1 updated name",
            "pNew created",
            "tUpdated updated description"
        ]
    );
}

#[test]
fn rejected_rows_and_edits_during_the_push_stay_pending() {
    let server = Canned::start();
    let device = fixture(&server);
    let rejected = r#"{"experimentalRejectedIds":{"p":["pCreated1","pDeleted"],"t":["tUpdated"]}}"#;
    push_during(&device, &server, FOUR_EDITS, rejected);
    assert_eq!(
        waiting(&device),
        [
            "cCreated deleted",
            // Rejected, so still unknown to the server.
            "pCreated1 created name",
            "pDeleted deleted",
            "pNew created",
            // Rejected, so the old columns stay beside the new one.
            "tUpdated updated name,position,description"
        ]
    );
}

/// What an app's reset does: all rows and all that is known of syncs goes.
const RESET: &str = "
    DELETE FROM p; DELETE FROM t; DELETE FROM c; DELETE FROM _syncChange; DELETE FROM _syncCursor;
    DELETE FROM _syncPush; DELETE FROM _syncOutbox; DELETE FROM _syncLease;";

#[test]
fn a_reset_during_the_pull_aborts_it() {
    let server = Canned::start();
    let device = fixture(&server);
    let path = device.world.path();
    server.pull_raw(move |_| {
        let plain = rusqlite::Connection::open(&path).unwrap();
        plain.execute_batch(RESET).unwrap();
        json_answer(r#"{"changes":{"p":{"created":[{"id":"late"}]}},"timestamp":5000000}"#)
    });
    let error = device.failed();
    assert_eq!(error["class"], "conflict", "{error}");
    assert_eq!(ids(&device, "p"), "NULL");
    assert_eq!(device.ask("SELECT count(*) FROM _syncCursor"), "0");
    assert_eq!(server.pushed().len(), 0);
    // From then on it is a first sync.
    server.clear();
    server.changes(json!({"p": {"created": [{"id": "fresh"}]}}));
    device.synced();
    assert_eq!(ids(&device, "p"), "fresh");
}

#[test]
fn a_reset_during_the_push_is_not_settled() {
    let server = Canned::start();
    let device = fixture(&server);
    let reset = "DELETE FROM p; DELETE FROM t; DELETE FROM c; DELETE FROM _syncChange;
        DELETE FROM _syncCursor; DELETE FROM _syncPush; DELETE FROM _syncOutbox; DELETE FROM _syncLease;
        INSERT INTO p VALUES ('pCreated1', 'made again');";
    let answer = push_during(&device, &server, reset, "{}");
    assert_eq!(answer["error"]["class"], "conflict", "{answer}");
    assert_eq!(waiting(&device), ["pCreated1 created"]);
    device.synced();
    assert_eq!(waiting(&device), Vec::<String>::new());
}

#[test]
fn of_two_syncs_at_once_one_is_refused() {
    let server = Canned::start();
    let device = fixture(&server);
    let path = device.world.path();
    let (tell, told) = std::sync::mpsc::channel();
    server.pull_raw(move |_| {
        let other = rusqlite::Connection::open(&path).unwrap();
        support::load(&other);
        let text = support::refused(&other, r#"SELECT sync_entities('other', 'api', '["p"]')"#);
        tell.send(text).unwrap();
        json_answer(r#"{"changes":{"p":{"created":[{"id":"first"}]}},"timestamp":4000000}"#)
    });
    device.synced();
    let text = told.recv().unwrap();
    assert!(
        text.contains("api") && text.contains("being synced"),
        "{text}"
    );
    assert_eq!(device.cursor("p"), "4000000");
    assert_eq!(device.ask("SELECT count(*) FROM p WHERE id = 'first'"), "1");
}

#[test]
fn nothing_local_means_no_push() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &TABLES, &server.url());
    server.changes(json!({"p": {"created": [{"id": "a"}]}}));
    device.synced();
    server.clear();
    server.changes(json!({"p": {"updated": [{"id": "a", "name": "x"}]}}));
    device.synced();
    assert_eq!((server.seen().len(), server.pushed().len()), (1, 0));
    assert_eq!(device.ask("SELECT name FROM p"), "x");
}

#[test]
fn an_id_of_sql_is_inert() {
    let server = Canned::start();
    let device = fixture(&server);
    let id = "') or 1=1 --";
    pull_only(
        &device,
        &server,
        changes(json!({"p": {"created": [{"id": id}], "deleted": [id, "' or '1'='1"]}})),
    );
    assert_eq!(ids(&device, "p"), "pCreated1,pCreated2,pSynced,pUpdated");
    pull_only(
        &device,
        &server,
        changes(json!({"p": {"created": [{"id": id, "name": id}]}})),
    );
    assert_eq!(
        device.ask("SELECT count(*) FROM p WHERE name = ''') or 1=1 --'"),
        "1"
    );
}
