//! Rows that were refused because of others: they go up as soon as nothing refuses them, and never without a reason
//! (rules H4 and H7).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{Canned, Device, json_answer, status_answer};

/// A server's rows: id to row, for each table.
type Rows = BTreeMap<String, BTreeMap<String, Value>>;

/// A server that takes a push as a whole, if `bad` finds nothing wrong with the rows that it would have then.
struct Checked {
    server: Canned,
    rows: Arc<Mutex<Rows>>,
}

impl Checked {
    fn start(bad: fn(&Rows) -> bool) -> Checked {
        Self::saying(422, bad)
    }

    fn saying(status: u16, bad: fn(&Rows) -> bool) -> Checked {
        let checked = Checked {
            server: Canned::start(),
            rows: Arc::default(),
        };
        for _ in 0..200 {
            let rows = Arc::clone(&checked.rows);
            checked.server.push_raw(move |seen| {
                let mut rows = rows.lock().expect("lock");
                let mut new = rows.clone();
                for (table, lists) in seen.json().as_object().into_iter().flatten() {
                    let table = new.entry(table.clone()).or_default();
                    for list in ["created", "updated"] {
                        for row in lists[list].as_array().into_iter().flatten() {
                            table
                                .insert(row["id"].as_str().unwrap_or_default().into(), row.clone());
                        }
                    }
                    for id in lists["deleted"].as_array().into_iter().flatten() {
                        table.remove(id.as_str().unwrap_or_default());
                    }
                }
                if bad(&new) {
                    return status_answer(status, &[], "no");
                }
                *rows = new;
                json_answer("{}")
            });
        }
        checked
    }

    /// Rows that are there already.
    fn has(&self, table: &str, row: Value) {
        let mut rows = self.rows.lock().expect("lock");
        let id = row["id"].as_str().unwrap_or_default().to_owned();
        rows.entry(table.to_owned()).or_default().insert(id, row);
    }

    fn lacks(&self, table: &str, id: &str) {
        let mut rows = self.rows.lock().expect("lock");
        rows.entry(table.to_owned()).or_default().remove(id);
    }

    /// The ids of a table.
    fn ids(&self, table: &str) -> String {
        let rows = self.rows.lock().expect("lock");
        let ids = rows.get(table).into_iter().flat_map(BTreeMap::keys);
        ids.cloned().collect::<Vec<_>>().join(" ")
    }

    /// The next pull. Keeps the answers to pushes.
    fn pulled(&self, changes: Value) {
        self.server.changes(changes);
    }

    /// Pushes since the last time.
    fn pushes(&self) -> usize {
        let count = self.server.pushed().len();
        self.server.clear();
        count
    }
}

/// Whether two rows of a table hold the same in a column.
fn twice(rows: &Rows, table: &str, column: &str) -> bool {
    let mut seen = Vec::new();
    let mut table = rows.get(table).into_iter().flat_map(BTreeMap::values);
    table.any(|row| {
        let known = seen.contains(&&row[column]);
        seen.push(&row[column]);
        known
    })
}

/// Whether a row of a table refers to none.
fn dangling(rows: &Rows, child: &str, column: &str, parent: &str) -> bool {
    let has = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        rows.get(parent)
            .is_some_and(|parents| parents.contains_key(id))
    };
    let mut children = rows.get(child).into_iter().flat_map(BTreeMap::values);
    children.any(|row| !row[column].is_null() && !has(&row[column]))
}

#[test]
fn h7_rows_that_are_good_only_together_go_up_beside_one_that_is_refused() {
    const LIST: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, pos INTEGER UNIQUE, y TEXT)";
    let is_bad = |rows: &Rows| {
        let mut all = rows.get("t").into_iter().flat_map(BTreeMap::values);
        twice(rows, "t", "pos") || all.any(|row| row["y"] == "bad")
    };
    // The odd one is told by its kind, or by trying.
    for odd in [
        "INSERT INTO t VALUES ('odd', 100, 'bad')",
        "UPDATE t SET y = 'bad' WHERE id = 'odd'",
    ] {
        let checked = Checked::start(is_bad);
        let device = Device::with(LIST, &["t"], &checked.server.url());
        let mut rows: Vec<Value> = ["a", "b", "c", "d"]
            .iter()
            .zip(0..)
            .map(|(id, pos)| json!({"id": id, "pos": pos, "y": ""}))
            .collect();
        if odd.starts_with("UPDATE") {
            rows.push(json!({"id": "odd", "pos": 100, "y": ""}));
        }
        rows.iter().for_each(|row| checked.has("t", row.clone()));
        checked.pulled(json!({"t": {"created": rows}}));
        device.synced();
        device.exec("UPDATE t SET pos = pos + 1000 WHERE id < 'e'; UPDATE t SET pos = (pos - 999) % 4 WHERE id < 'e'");
        device.exec(&format!("{odd}; INSERT INTO t VALUES ('fine', 101, '')"));
        let answer = device.synced();
        assert!(checked.pushes() <= 2 * 3 + 16);
        assert_eq!(
            device.ask("SELECT key FROM sync_pending"),
            "odd",
            "{answer}"
        );
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(5), &json!(1)),
            "{answer}"
        );
        assert_eq!(checked.rows.lock().expect("lock")["t"]["a"]["pos"], 1);
        device.exec("UPDATE t SET y = 'better' WHERE id = 'odd'");
        device.synced();
        assert_eq!(
            (
                device.pending(),
                device.ask("SELECT count(*) FROM _syncRejected")
            ),
            (String::new(), "0".into())
        );
    }
}

const FAMILY: &str = "CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL, code TEXT);
    CREATE TABLE k (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES p, x TEXT);
    CREATE TABLE g (id TEXT PRIMARY KEY NOT NULL, k TEXT REFERENCES k);";

fn family(rows: &Rows) -> bool {
    twice(rows, "p", "code") || dangling(rows, "k", "p", "p") || dangling(rows, "g", "k", "k")
}

#[test]
fn h7_what_refers_to_a_refused_row_goes_up_once_that_is_mended() {
    for foreign_keys in ["ON", "OFF"] {
        let checked = Checked::start(family);
        let device = Device::with(FAMILY, &["p", "k", "g"], &checked.server.url());
        device.exec(&format!("PRAGMA foreign_keys = {foreign_keys}"));
        checked.has("p", json!({"id": "theirs", "code": "A"}));
        device.exec(
            "INSERT INTO p VALUES ('mine', 'A'), ('fine', 'B'); INSERT INTO k VALUES ('k', 'mine', '');
             INSERT INTO g VALUES ('g', 'k')",
        );
        device.synced();
        device.synced();
        assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "3");
        // As long as nothing changes nothing is sent.
        checked.pushes();
        for _ in 0..3 {
            device.synced();
        }
        assert_eq!(checked.pushes(), 0, "{foreign_keys}");
        device.exec("UPDATE p SET code = 'C' WHERE id = 'mine'");
        device.synced();
        device.synced();
        assert_eq!(device.pending(), "", "{foreign_keys}");
        assert_eq!(checked.ids("g"), "g");
    }
}

#[test]
fn h4_a_refused_delete_goes_up_once_nothing_refers_to_the_row() {
    for foreign_keys in ["ON", "OFF"] {
        let checked = Checked::start(family);
        let device = Device::with(FAMILY, &["p", "k"], &checked.server.url());
        device.exec(&format!("PRAGMA foreign_keys = {foreign_keys}"));
        checked.has("p", json!({"id": "p", "code": "A"}));
        checked.pulled(json!({"p": {"created": [{"id": "p", "code": "A"}]}}));
        device.synced();
        device.exec("DELETE FROM p; INSERT INTO p VALUES ('fine', 'B')");
        checked.has("k", json!({"id": "k", "p": "p"}));
        checked.pulled(json!({"k": {"created": [{"id": "k", "p": "p"}]}}));
        device.synced();
        device.synced();
        device.synced();
        assert_eq!(
            device.ask("SELECT key FROM sync_pending"),
            "p",
            "{foreign_keys}"
        );
        checked.pushes();
        device.synced();
        assert_eq!(checked.pushes(), 0);
        checked.lacks("k", "k");
        checked.pulled(json!({"k": {"deleted": ["k"]}}));
        device.synced();
        assert_eq!(checked.pushes(), 1, "{foreign_keys}");
        assert_eq!(
            (device.pending(), checked.ids("p")),
            (String::new(), "fine".into())
        );
    }
}

#[test]
fn h7_a_row_is_sent_once_more_when_what_it_refers_to_has_changed_there() {
    let is_closed = |rows: &Rows| {
        let has_child = rows.get("k").is_some_and(|rows| !rows.is_empty());
        has_child && rows["p"]["p"]["code"] == "closed"
    };
    let checked = Checked::start(is_closed);
    let device = Device::with(FAMILY, &["p", "k"], &checked.server.url());
    let parent = |code: &str| {
        checked.has("p", json!({"id": "p", "code": code}));
        checked.pulled(json!({"p": {"updated": [{"id": "p", "code": code}]}}));
    };
    parent("closed");
    device.synced();
    device.exec("INSERT INTO k VALUES ('k', 'p', ''); INSERT INTO p VALUES ('fine', '')");
    device.synced();
    device.synced();
    assert_eq!(device.ask("SELECT key FROM sync_pending"), "k");
    checked.pushes();
    // What it does not refer to is no reason.
    checked.pulled(json!({"p": {"updated": [{"id": "other", "code": "x"}]}}));
    device.synced();
    assert_eq!(checked.pushes(), 0);
    parent("open");
    device.synced();
    assert_eq!(checked.pushes(), 1);
    assert_eq!(
        (device.pending(), checked.ids("k")),
        (String::new(), "k".into())
    );
}

#[test]
fn h7_a_row_that_cant_be_sent_any_more_does_not_send_the_others_again_for_ever() {
    let checked = Checked::start(|rows| {
        let mut rows = rows.get("k").into_iter().flat_map(BTreeMap::values);
        rows.any(|row| row["x"] != "fine")
    });
    let device = Device::with(FAMILY, &["k"], &checked.server.url());
    device.exec("INSERT INTO k VALUES ('a', NULL, 'a'), ('b', NULL, 'b'), ('c', NULL, 'fine')");
    device.synced();
    device.synced();
    device.exec("UPDATE k SET x = x'00' WHERE id = 'a'");
    device.synced();
    device.synced();
    checked.pushes();
    for _ in 0..3 {
        device.synced();
    }
    assert_eq!(checked.pushes(), 0);
    assert_eq!(
        device.ask("SELECT key FROM sync_pending ORDER BY key"),
        "a\nb"
    );
}

const TEAMS: &str = "CREATE TABLE team (id TEXT PRIMARY KEY NOT NULL, name TEXT, lead TEXT REFERENCES person DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, team TEXT REFERENCES team DEFERRABLE INITIALLY DEFERRED);";

/// A name that the server won't have, or a row that refers to none.
fn teams(rows: &Rows) -> bool {
    let mut all = rows.get("team").into_iter().flat_map(BTreeMap::values);
    all.any(|row| row["name"] == "bad")
        || dangling(rows, "team", "lead", "person")
        || dangling(rows, "person", "team", "team")
}

#[test]
fn h7_rows_that_refer_to_each_other_are_refused_together_and_the_rest_goes_through() {
    let batches = [json!({}), json!({"pushBatch": 1})];
    for (status, batch) in [400, 403, 413, 422].into_iter().zip(batches.iter().cycle()) {
        let checked = Checked::saying(status, teams);
        let device = Device::configured(
            TEAMS,
            &["team", "person"],
            &checked.server.url(),
            batch.clone(),
        );
        let known = ["old", "kept"].map(|id| json!({"id": id, "name": "", "lead": null}));
        for row in &known {
            checked.has("team", row.clone());
        }
        checked.pulled(json!({"team": {"created": known}}));
        device.synced();
        device.exec(
            "BEGIN; INSERT INTO team VALUES ('t', 'bad', 'p'), ('good', '', NULL); INSERT INTO person VALUES ('p', 't');
             UPDATE team SET name = 'edited' WHERE id = 'kept'; DELETE FROM team WHERE id = 'old'; COMMIT",
        );
        checked.pushes();
        let answer = device.synced();
        assert!(
            checked.pushes() <= 6,
            "{status}: whole, in halves, and the others"
        );
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(3), &json!(2)),
            "{status}: {answer}"
        );
        assert_eq!(checked.ids("team"), "good kept", "{status}");
        let told = format!("HTTP {status}: %one of 2 rows that refer to each other%");
        let refused =
            format!("SELECT pk FROM _syncRejected WHERE reason LIKE '{told}' ORDER BY pk");
        assert_eq!(device.ask(&refused), "p\nt", "{status}");
        // Others were taken after them, so they have a second chance; then they are left out, and nobody waits for them.
        device.synced();
        assert!(checked.pushes() <= 2, "{status}");
        device.exec("INSERT INTO team VALUES ('new', '', NULL)");
        device.synced();
        assert_eq!(
            (checked.pushes(), checked.ids("team").as_str()),
            (1, "good kept new"),
            "{status}"
        );
        if status == 403 {
            // Alone, that would be about the account.
            continue;
        }
        // One brings the other.
        assert_eq!(device.ask("SELECT sync_retry('person', 'p')"), "1");
        device.synced();
        assert!((1..=2).contains(&checked.pushes()), "{status}");
        assert_eq!(device.ask(&refused), "p\nt", "{status}");
        device.exec("UPDATE team SET name = 'better' WHERE id = 't'");
        device.synced();
        assert_eq!(checked.pushes(), 1, "{status}");
        assert_eq!(
            (device.pending(), checked.ids("person")),
            (String::new(), "p".into()),
            "{status}"
        );
        assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
    }
}

#[test]
fn h7_a_circle_in_one_table_is_refused_as_a_whole_and_another_goes_up() {
    const NODES: &str = "CREATE TABLE node (id TEXT PRIMARY KEY NOT NULL, name TEXT, mate TEXT REFERENCES node DEFERRABLE INITIALLY DEFERRED)";
    let checked = Checked::start(|rows| {
        let mut all = rows.get("node").into_iter().flat_map(BTreeMap::values);
        all.any(|row| row["name"] == "bad") || dangling(rows, "node", "mate", "node")
    });
    let device = Device::with(NODES, &["node"], &checked.server.url());
    device.exec(
        "BEGIN; INSERT INTO node VALUES ('a', 'bad', 'b'), ('b', '', 'c'), ('c', '', 'a'), ('x', '', 'y'), ('y', '', 'x'); COMMIT",
    );
    device.synced();
    assert!(checked.pushes() <= 4);
    assert_eq!(checked.ids("node"), "x y");
    device.synced();
    device.synced();
    checked.pushes();
    device.synced();
    assert_eq!(checked.pushes(), 0);
    assert_eq!(
        device.ask("SELECT group_concat(pk) FROM (SELECT pk FROM _syncRejected ORDER BY pk)"),
        "a,b,c"
    );
}

const BATCH: &str = "SELECT batch FROM _syncPeer";

#[test]
fn h7_one_row_that_is_too_large_makes_no_later_push_smaller() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    for _ in 0..60 {
        server.push_raw(|seen| match seen.json().to_string().len() > 10_000 {
            true => status_answer(413, &[], "too large"),
            false => json_answer("{}"),
        });
    }
    for n in 0..20 {
        let length = if n == 7 { 20_000 } else { 1 };
        device.exec(&format!(
            "INSERT INTO task (id, title) VALUES ('t{n}', hex(zeroblob({length})))"
        ));
    }
    device.synced();
    assert_eq!(device.ask("SELECT key FROM sync_pending"), "t7");
    assert_eq!(device.ask(BATCH), "NULL");
    device.synced();
    server.clear();
    device.exec("UPDATE task SET n = 1 WHERE id <> 't7'");
    device.synced();
    assert_eq!(server.pushed().len(), 1);
}

#[test]
fn h7_a_batch_that_was_lowered_grows_again() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    let limit = |most: usize| {
        super::pull(&server, json!({}));
        for _ in 0..60 {
            server.push_raw(move |seen| {
                let body = seen.json();
                let rows = |list: &str| body["task"][list].as_array().map_or(0, Vec::len);
                match rows("created") + rows("updated") > most {
                    true => status_answer(413, &[], "too large"),
                    false => json_answer("{}"),
                }
            });
        }
    };
    limit(4);
    (0..16).for_each(|n| device.exec(&format!("INSERT INTO task (id) VALUES ('t{n}')")));
    device.synced();
    assert_eq!(device.ask(BATCH), "4");
    // Where it is the limit, trying a larger one costs one request, and no row waits.
    limit(4);
    for pushes in [4, 2 + 4, 4] {
        server.clear();
        device.exec("UPDATE task SET n = ifnull(n, 0) + 1");
        device.synced();
        assert_eq!(
            (server.pushed().len(), device.pending()),
            (pushes, String::new())
        );
    }
    limit(100);
    for pushes in [2, 1, 1] {
        server.clear();
        device.exec("UPDATE task SET n = n + 1");
        device.synced();
        assert_eq!(server.pushed().len(), pushes);
    }
}
