//! Backends that count whole seconds: what happens in the cursor's second arrives.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{Canned, Device, json_answer, query};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, s TEXT)";

/// Which deletes a backend names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Names {
    /// Those after the cursor.
    Late,
    /// Of these, those of rows that were made at or before it.
    Known,
}

#[derive(Default)]
struct Rows {
    now: i64,
    /// Id, made at, changed at, deleted at.
    rows: Vec<(String, i64, i64, Option<i64>)>,
}

impl Rows {
    fn put(&mut self, id: &str) {
        let now = self.now;
        match self.rows.iter_mut().find(|row| row.0 == id) {
            Some(row) => row.2 = now,
            None => self.rows.push((id.to_owned(), now, now, None)),
        }
    }

    fn delete(&mut self, id: &str) {
        let now = self.now;
        let row = self.rows.iter_mut().find(|row| row.0 == id);
        row.expect("the row").3 = Some(now);
    }

    fn changes(&self, since: Option<i64>, names: Names) -> Value {
        let row = |id: &String| json!({"id": id, "s": "x"});
        let (mut created, mut updated, mut deleted) = (vec![], vec![], vec![]);
        for (id, made, changed, gone) in &self.rows {
            let since_made = since.is_none_or(|since| *made > since);
            match gone {
                Some(gone) => {
                    let late = since.is_some_and(|since| *gone > since);
                    if late && (names == Names::Late || !since_made) {
                        deleted.push(json!(id));
                    }
                }
                None if since_made => created.push(row(id)),
                None if since.is_some_and(|since| *changed > since) => updated.push(row(id)),
                None => {}
            }
        }
        json!({"t": {"created": created, "updated": updated, "deleted": deleted}})
    }
}

/// A backend, and a device that syncs with it.
struct World {
    server: Canned,
    rows: Arc<Mutex<Rows>>,
    names: Names,
    device: Device,
}

impl World {
    fn new(names: Names, keys: Value) -> World {
        let server = Canned::start();
        let device = Device::configured(TABLE, &["t"], &server.url(), keys);
        let rows = Arc::default();
        World {
            server,
            rows,
            names,
            device,
        }
    }

    fn at(&self, second: i64, act: impl FnOnce(&mut Rows)) {
        let mut rows = self.rows.lock().expect("lock");
        rows.now = second;
        act(&mut rows);
    }

    fn sync(&self) {
        for _ in 0..2 {
            let (rows, names) = (Arc::clone(&self.rows), self.names);
            self.server.pull_raw(move |seen| {
                let since =
                    query(&seen.path, "last_pulled_at").and_then(|since| since.parse().ok());
                let rows = rows.lock().expect("lock");
                let changes = rows.changes(since, names);
                json_answer(&json!({"changes": changes, "timestamp": rows.now}).to_string())
            });
        }
        let rows = Arc::clone(&self.rows);
        self.server.push_raw(move |seen| {
            let mut rows = rows.lock().expect("lock");
            for row in seen.json()["t"]["created"].as_array().expect("rows") {
                rows.put(row["id"].as_str().expect("an id"));
            }
            json_answer("{}")
        });
        self.device.synced();
        // What was not asked for this time must not answer the next.
        self.server.reset();
    }

    fn here(&self) -> String {
        self.device
            .ask("SELECT group_concat(id, '') FROM (SELECT id FROM t ORDER BY id)")
    }
}

#[test]
fn a2_rows_and_deletes_of_the_cursors_second_arrive() {
    let second = json!({"cursorUnit": "s"});
    let preset = json!({"preset": "seconds"});
    for (names, keys) in [
        (Names::Known, second.clone()),
        (Names::Late, second),
        (Names::Known, preset),
        (Names::Known, json!({"overlap": 1})),
    ] {
        let world = World::new(names, keys);
        world.at(90, |rows| rows.put("a"));
        world.at(100, |rows| rows.put("b"));
        world.device.exec("INSERT INTO t VALUES ('c', 'x')");
        world.sync();
        assert_eq!(world.here(), "abc", "{names:?}");
        // In the second of the pull and the push: made, deleted; later: deleted what was made in it.
        world.at(100, |rows| rows.put("d"));
        world.at(100, |rows| rows.delete("a"));
        world.at(160, |rows| rows.delete("b"));
        world.at(160, |rows| rows.delete("c"));
        world.at(170, |_| {});
        world.sync();
        assert_eq!(world.here(), "d", "{names:?}");
        assert_eq!(world.device.cursor("t"), "170");
        world.at(170, |rows| rows.put("e"));
        world.at(180, |rows| rows.delete("e"));
        world.at(180, |rows| rows.delete("d"));
        world.sync();
        world.at(190, |_| {});
        world.sync();
        assert_eq!(world.device.ask("SELECT count(*) FROM t"), "0", "{names:?}");
    }
}

#[test]
fn a2_the_cursor_stays_when_the_second_question_gets_no_answer() {
    let world = World::new(Names::Known, json!({"cursorUnit": "s"}));
    world.at(100, |rows| rows.put("a"));
    world.sync();
    world.at(100, |rows| rows.put("b"));
    let half = json!({"changes": {"t": {"created": [{"id": "b", "s": "x"}]}}, "timestamp": 120});
    world.server.pull(&half.to_string());
    world.server.pull_raw(|_| Vec::new());
    world.device.failed();
    assert_eq!(
        (world.here().as_str(), world.device.cursor("t").as_str()),
        ("ab", "100")
    );
    // What came again does not come back to life.
    world.device.exec("DELETE FROM t WHERE id = 'b'");
    world.at(130, |_| {});
    world.sync();
    assert_eq!(world.here(), "a");
}
