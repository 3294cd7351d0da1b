//! Every cell of the decision table: what the backend sends, met by what was done here.

use serde_json::{Value, json};
use support::{Canned, Device, status_answer};

const SCHEMA: &str = "
    CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL DEFAULT 'dname', n INTEGER,
                        note TEXT DEFAULT 'dnote', ok BOOLEAN NOT NULL DEFAULT 0);";

/// What was done here before the pull.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Local {
    Absent,
    Synced,
    Created,
    CreatedName,
    UpdatedName,
    Deleted,
}

/// What the pull says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Remote {
    Created,
    Updated,
    Deleted,
    NotSent,
}

struct Cell {
    local: Local,
    remote: Remote,
    /// `name|n|note|ok`, or nothing for no row.
    row: &'static str,
    /// `op|changed`, or nothing.
    pending: &'static str,
    warned: bool,
}

const fn cell(
    local: Local,
    remote: Remote,
    row: &'static str,
    pending: &'static str,
    warned: bool,
) -> Cell {
    Cell {
        local,
        remote,
        row,
        pending,
        warned,
    }
}

#[rustfmt::skip]
const TABLE: &[Cell] = &[
    cell(Local::Absent, Remote::Created, "R|2|dnote|0", "", false),
    cell(Local::Absent, Remote::Updated, "R|2|dnote|0", "", true),
    cell(Local::Absent, Remote::Deleted, "", "", false),
    cell(Local::Absent, Remote::NotSent, "", "", false),
    cell(Local::Synced, Remote::Created, "R|2|lnote|1", "", true),
    cell(Local::Synced, Remote::Updated, "R|2|lnote|1", "", false),
    cell(Local::Synced, Remote::Deleted, "", "", false),
    cell(Local::Synced, Remote::NotSent, "local|1|lnote|1", "", false),
    cell(Local::Created, Remote::Created, "R|2|lnote|1", "created|[]", true),
    cell(Local::Created, Remote::Updated, "R|2|lnote|1", "created|[]", false),
    cell(Local::Created, Remote::Deleted, "", "", false),
    cell(Local::Created, Remote::NotSent, "local|1|lnote|1", "created|[]", false),
    cell(Local::CreatedName, Remote::Created, "mine|2|lnote|1", "created|[\"name\"]", true),
    cell(Local::CreatedName, Remote::Updated, "mine|2|lnote|1", "created|[\"name\"]", false),
    cell(Local::CreatedName, Remote::Deleted, "", "", false),
    cell(Local::CreatedName, Remote::NotSent, "mine|1|lnote|1", "created|[\"name\"]", false),
    cell(Local::UpdatedName, Remote::Created, "mine|2|lnote|1", "updated|[\"name\"]", true),
    cell(Local::UpdatedName, Remote::Updated, "mine|2|lnote|1", "updated|[\"name\"]", false),
    cell(Local::UpdatedName, Remote::Deleted, "", "", false),
    cell(Local::UpdatedName, Remote::NotSent, "mine|1|lnote|1", "updated|[\"name\"]", false),
    cell(Local::Deleted, Remote::Created, "R|2|dnote|0", "", true),
    cell(Local::Deleted, Remote::Updated, "", "deleted|NULL", false),
    cell(Local::Deleted, Remote::Deleted, "", "", false),
    cell(Local::Deleted, Remote::NotSent, "", "deleted|NULL", false),
];

const INSERT: &str = "INSERT INTO thing VALUES ('x', 'local', 1, 'lnote', 1)";

fn prepare(device: &Device, server: &Canned, local: Local) {
    if matches!(local, Local::Synced | Local::UpdatedName | Local::Deleted) {
        let row = json!({"id": "x", "name": "local", "n": 1, "note": "lnote", "ok": true});
        server.changes(json!({"thing": {"created": [row], "updated": [], "deleted": []}}));
    }
    device.synced();
    match local {
        Local::Absent | Local::Synced => {}
        Local::Created => device.exec(INSERT),
        Local::CreatedName => {
            device.exec(INSERT);
            device.exec("UPDATE thing SET name = 'mine'");
        }
        Local::UpdatedName => device.exec("UPDATE thing SET name = 'mine'"),
        Local::Deleted => device.exec("DELETE FROM thing"),
    }
}

fn changes(remote: Remote) -> Value {
    let row = json!({"id": "x", "name": "R", "n": 2});
    let mut set = json!({"created": [], "updated": [], "deleted": []});
    match remote {
        Remote::Created => set["created"] = json!([row]),
        Remote::Updated => set["updated"] = json!([row]),
        Remote::Deleted => set["deleted"] = json!(["x"]),
        Remote::NotSent => {}
    }
    json!({ "thing": set })
}

/// What must go up for a row and its pending state.
fn expected_push(row: &str, pending: &str) -> Option<Value> {
    let (op, changed) = pending.split_once('|')?;
    let mut set = json!({"created": [], "updated": [], "deleted": []});
    if op == "deleted" {
        set["deleted"] = json!(["x"]);
    } else {
        let columns: Vec<&str> = row.split('|').collect();
        let changed: Vec<String> = serde_json::from_str(changed).unwrap();
        let n: i64 = columns[1].parse().unwrap();
        set[op] = json!([{"id": "x", "_status": op, "_changed": changed.join(","),
            "name": columns[0], "n": n, "note": columns[2], "ok": columns[3] == "1"}]);
    }
    Some(json!({ "thing": set }))
}

fn check(cell: &Cell) {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    prepare(&device, &server, cell.local);
    server.clear();
    server.changes(changes(cell.remote));
    // The push fails first, so that what the pull left pending can be looked at.
    server.push_raw(|_| status_answer(500, &[], "no"));
    let answer = device.sync();
    let context = format!("{:?} × {:?}: {answer}", cell.local, cell.remote);
    let state = if cell.pending.is_empty() {
        "synced"
    } else {
        "failed"
    };
    assert_eq!(answer["state"], state, "{context}");
    let row = device.ask("SELECT name, n, note, ok FROM thing");
    assert_eq!(row, cell.row, "{context}");
    assert_eq!(
        device.ask("SELECT op, changed FROM sync_pending"),
        cell.pending,
        "{context}"
    );
    let warnings = answer["warnings"].as_array().expect("warnings");
    assert_eq!(!warnings.is_empty(), cell.warned, "{context}");

    let expected = expected_push(cell.row, cell.pending);
    assert_eq!(
        server.pushed(),
        Vec::from_iter(expected.clone()),
        "{context}"
    );
    server.clear();
    let answer = device.synced();
    assert_eq!(
        server.pushed(),
        Vec::from_iter(expected),
        "again; {context}"
    );
    assert_eq!(
        device.ask("SELECT name, n, note, ok FROM thing"),
        cell.row,
        "{context}; {answer}"
    );
    assert_eq!(device.pending(), "", "{context}");
    assert_eq!(device.log(), "0", "{context}");
}

#[test]
fn every_cell_of_the_decision_table() {
    let mut seen = std::collections::HashSet::new();
    for cell in TABLE {
        assert!(seen.insert(format!("{:?} {:?}", cell.local, cell.remote)));
        check(cell);
    }
    assert_eq!(seen.len(), 24);
}

#[test]
fn a_remote_row_equal_to_the_local_one_is_not_written() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    prepare(&device, &server, Local::Synced);
    device.exec(
        "CREATE TABLE written (what TEXT);
         CREATE TRIGGER spy AFTER UPDATE ON thing BEGIN INSERT INTO written VALUES ('update'); END;",
    );
    let row = json!({"id": "x", "name": "local", "n": 1, "ok": true});
    server.changes(json!({"thing": {"updated": [row]}}));
    let answer = device.synced();
    assert_eq!(answer["unchanged"], 1, "{answer}");
    assert_eq!(answer["pulled"], 0, "{answer}");
    assert_eq!(device.ask("SELECT count(*) FROM written"), "0");
}

#[test]
fn a_row_deleted_and_made_again_here_is_an_update_of_every_column() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    prepare(&device, &server, Local::Deleted);
    device.exec("INSERT INTO thing VALUES ('x', 'again', 5, NULL, 0)");
    server.clear();
    server.changes(changes(Remote::Updated));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM thing"), "x|again|5|NULL|0");
    let push = &server.pushed()[0]["thing"];
    assert_eq!(push["created"], json!([]));
    assert_eq!(push["updated"][0]["_status"], "updated");
    assert_eq!(push["updated"][0]["_changed"], "name,n,note,ok");
}

#[test]
fn a_changed_key_is_a_delete_and_a_create() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    prepare(&device, &server, Local::Synced);
    device.exec("UPDATE thing SET id = 'y'");
    server.clear();
    device.synced();
    let push = &server.pushed()[0]["thing"];
    assert_eq!(push["deleted"], json!(["x"]));
    assert_eq!(push["created"][0]["id"], "y");
    assert_eq!(push["updated"], json!([]));
}

#[test]
fn a_row_made_and_deleted_here_before_any_push_sends_nothing() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    device.synced();
    device.exec(INSERT);
    device.exec("DELETE FROM thing");
    server.clear();
    device.synced();
    assert_eq!(server.seen().len(), 1);
    assert_eq!(
        (device.pending().as_str(), device.log().as_str()),
        ("", "0")
    );
}

#[test]
fn an_edit_there_and_back_again_stays_pending() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    prepare(&device, &server, Local::Synced);
    device.exec("UPDATE thing SET name = 'b'; UPDATE thing SET name = 'local'");
    assert_eq!(device.pending(), "thing|x|updated|[\"name\"]");
    device.exec("UPDATE thing SET n = n, note = note");
    assert_eq!(device.pending(), "thing|x|updated|[\"name\"]");
}

#[test]
fn the_counts_of_the_summary_say_what_happened() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    let row = |id: &str, name: &str| json!({"id": id, "name": name, "n": 1});
    server.changes(json!({"thing": {"created": [row("a", "a"), row("b", "b"), row("c", "c")]}}));
    device.synced();
    device
        .exec("UPDATE thing SET name = 'mine' WHERE id = 'b'; INSERT INTO thing (id) VALUES ('n')");
    server.changes(json!({"thing": {"created": [row("d", "d")],
        "updated": [row("a", "A"), row("b", "B")], "deleted": ["c", "gone"]}}));
    let answer = device.synced();
    let counts = [
        "inserted",
        "updated",
        "deleted",
        "pulled",
        "conflicts",
        "pushed",
        "rejected",
    ];
    let got: Vec<i64> = counts
        .iter()
        .map(|name| answer[name].as_i64().unwrap())
        .collect();
    // b: n is the same on both sides, name is ours, so nothing of it is written.
    assert_eq!(got, [1, 1, 1, 3, 1, 2, 0], "{answer}");
    assert_eq!(answer["operations"][0]["inserted"], 1);
    assert_eq!(answer["phase"], "done");
    assert_eq!(
        device.ask("SELECT summary FROM _syncRun ORDER BY id DESC LIMIT 1"),
        answer.to_string()
    );
}
