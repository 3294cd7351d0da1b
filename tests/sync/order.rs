//! A push that is cut never has a row in an earlier part than the row it refers to.

use std::collections::HashMap;

use serde_json::{Value, json};
use support::{Canned, Device, everywhere};

const LATE: &str = "DEFERRABLE INITIALLY DEFERRED";

/// A device that pushes `batch` rows at a time, and what it pushed when `sql` was done in one transaction.
fn pushed(batch: u64, ddl: &str, tables: &[&str], sql: &str) -> Vec<Value> {
    let server = Canned::start();
    let keys = json!({"pushBatch": batch, "sendEmptyTables": false});
    let device = Device::configured(ddl, tables, &server.url(), keys);
    device.exec("PRAGMA foreign_keys = ON");
    device.exec(&format!("BEGIN; {sql}; COMMIT"));
    device.synced();
    server.pushed()
}

/// Every row, with the part and the place in its list where it went up.
fn places(pushes: &[Value], kind: &str) -> HashMap<String, (usize, usize)> {
    let mut places = HashMap::new();
    for (part, push) in pushes.iter().enumerate() {
        for lists in push.as_object().expect("tables").values() {
            for (place, row) in lists[kind].as_array().expect("a list").iter().enumerate() {
                let id = row["id"].as_str().or(row.as_str()).expect("an id");
                places.insert(id.to_owned(), (part, place));
            }
        }
    }
    places
}

fn tree() -> String {
    format!(
        "CREATE TABLE node (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES node {LATE}, n INTEGER)"
    )
}

#[test]
fn t5_parents_go_first_inside_one_table() {
    // A tree whose rows are made leaves first: node i hangs below node (i + 1) / 2 of the numbers counted down.
    let nodes = (1..=60).rev().map(|number| match number {
        1 => "('n1', NULL)".to_owned(),
        number => format!("('n{number}', 'n{}')", number / 2),
    });
    let nodes: Vec<String> = nodes.collect();
    let sql = format!("INSERT INTO node (id, parent) VALUES {}", nodes.join(", "));
    for batch in [1, 7, 0] {
        let pushes = pushed(batch, &tree(), &["node"], &sql);
        let places = places(&pushes, "created");
        assert_eq!(places.len(), 60);
        for number in 2..=60 {
            let (child, parent) = (format!("n{number}"), format!("n{}", number / 2));
            assert!(places[&parent] < places[&child], "{batch}: {child}");
        }
    }
}

#[test]
fn t5_a_row_moved_below_a_new_one_goes_after_it() {
    let sql = "INSERT INTO node (id) VALUES ('note'), ('folder'); \
               UPDATE node SET parent = 'folder' WHERE id = 'note'";
    let pushes = pushed(1, &tree(), &["node"], sql);
    assert_eq!(pushes[0]["node"]["created"][0]["id"], "folder");
}

#[test]
fn t5_parents_go_first_between_tables_that_refer_to_each_other() {
    let ddl = format!(
        "CREATE TABLE team (id TEXT PRIMARY KEY NOT NULL, lead TEXT REFERENCES person(id) {LATE});
         CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, team TEXT REFERENCES team(id) {LATE})"
    );
    // p1 leads t1 and belongs to t2, which has no lead: only t2, p1, t1, p2 is an order.
    let sql = "INSERT INTO team VALUES ('t1', 'p1'), ('t2', NULL); \
               INSERT INTO person VALUES ('p2', 't1'), ('p1', 't2')";
    for tables in [["team", "person"], ["person", "team"]] {
        let places = places(&pushed(1, &ddl, &tables, sql), "created");
        let order: Vec<usize> = ["t2", "p1", "t1", "p2"]
            .iter()
            .map(|id| places[*id].0)
            .collect();
        assert_eq!(order, [0, 1, 2, 3], "{tables:?}");
    }
    // A circle goes up together, whatever the batch.
    let circle = "INSERT INTO team VALUES ('t', 'p'); INSERT INTO person VALUES ('p', 't'); \
                  INSERT INTO team (id) VALUES ('u')";
    let pushes = pushed(1, &ddl, &["team", "person"], circle);
    assert_eq!(pushes.len(), 2);
    assert_eq!(
        (
            &pushes[0]["team"]["created"][0]["id"],
            &pushes[0]["person"]["created"][0]["id"]
        ),
        (&json!("t"), &json!("p"))
    );
}

/// Foreign keys that are judged late, or not at all: the parents may be deleted first.
#[test]
fn t5_children_are_deleted_before_their_parents_whatever_the_program_deletes_first() {
    everywhere(|settings| {
        for (key, ids) in [
            ("TEXT", ["a", "b", "c", "d"]),
            ("INTEGER", ["1", "2", "3", "4"]),
        ] {
            let [a, b, c, d] = ids;
            let up = |id: &str| id.parse::<i64>().map_or_else(|_| json!(id), |id| json!(id));
            let server = Canned::start();
            let ddl = format!(
                "CREATE TABLE node (id {key} PRIMARY KEY NOT NULL, parent {key} REFERENCES node {LATE}, x TEXT)"
            );
            let keys = json!({"pushBatch": 1, "sendEmptyTables": false});
            let device = Device::configured(&ddl, &["node"], &server.url(), keys);
            server.changes(json!({"node": {"created": [{"id": a}, {"id": b, "parent": up(a)}, {"id": c, "parent": up(b)},
                {"id": d, "parent": up(d)}]}}));
            device.synced();
            device.exec(&format!(
                "BEGIN; DELETE FROM node WHERE id = '{a}'; DELETE FROM node WHERE id = '{d}'; \
                 UPDATE node SET x = 'edited' WHERE id = '{b}'; DELETE FROM node WHERE id = '{b}'; \
                 DELETE FROM node WHERE id = '{c}'; COMMIT"
            ));
            device.synced();
            let places = places(&server.pushed(), "deleted");
            assert_eq!(places.len(), 4, "{settings}");
            assert!(
                places[c] < places[b] && places[b] < places[a],
                "{key} {settings}: {places:?}"
            );
            assert_eq!(device.pending(), "");
        }
    });
}

#[test]
fn t5_children_are_deleted_before_their_parents() {
    for (action, delete) in [
        ("ON DELETE CASCADE", "DELETE FROM node WHERE id = 'a'"),
        (
            LATE,
            "DELETE FROM node WHERE id = 'c'; DELETE FROM node WHERE id = 'b'; DELETE FROM node WHERE id = 'a'",
        ),
    ] {
        for batch in [1, 0] {
            let server = Canned::start();
            let ddl = format!(
                "CREATE TABLE node (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES node {action})"
            );
            let keys = json!({"pushBatch": batch, "sendEmptyTables": false});
            let device = Device::configured(&ddl, &["node"], &server.url(), keys);
            server.changes(json!({"node": {"created": [{"id": "a"}, {"id": "b", "parent": "a"}, {"id": "c", "parent": "b"}]}}));
            device.exec("PRAGMA foreign_keys = ON");
            device.synced();
            device.exec(delete);
            device.synced();
            let places = places(&server.pushed(), "deleted");
            assert!(
                places["c"] < places["b"] && places["b"] < places["a"],
                "{action}: {places:?}"
            );
        }
    }
}

#[test]
fn t5_references_to_other_columns_than_the_key_count_too() {
    let ddl = format!(
        "CREATE TABLE node (id TEXT PRIMARY KEY NOT NULL, a INTEGER, b TEXT COLLATE NOCASE, up INTEGER, upper TEXT,
         UNIQUE (a, b), FOREIGN KEY (up, upper) REFERENCES node (a, b) {LATE})"
    );
    let sql = "INSERT INTO node VALUES ('x', 2, 'x', 1, 'ROOT'), ('y', 1, 'root', NULL, 'none')";
    let pushes = pushed(1, &ddl, &["node"], sql);
    assert_eq!(pushes[0]["node"]["created"][0]["id"], "y");
}
