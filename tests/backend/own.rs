//! The programs of examples/own, which docs/backend.md shows, keep the rules of that page. Each needs packages
//! that `make own-backends` installs; without them its test is skipped, which CI does not accept.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::client::{Reply, get, ids, post, timestamp};
use support::{Device, World, ask, root};

const SCHEMA: &str = "
    CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
    CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT NOT NULL, done BOOLEAN NOT NULL,
                       points REAL, list_id TEXT);";

/// A program that serves one new database, and ends with the value.
struct Own {
    process: Child,
    url: String,
    _world: World,
}

impl Own {
    /// Starts it. `announced`: what stands before its port in the line that says it is ready.
    fn start(mut command: Command, announced: &str) -> Own {
        let world = World::new(false);
        let database = world.path().with_file_name("own.db");
        let mut process = command
            .env("DATABASE", database)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once(announced).map(|(_, port)| port.to_owned()))
            .expect("it says where it listens");
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        Own {
            process,
            url: format!("http://127.0.0.1:{port}/sync"),
            _world: world,
        }
    }

    fn pull(&self, query: &str) -> Value {
        let reply = get(&format!("{}{query}", self.url)).expect("an answer");
        assert_eq!(reply.status, 200, "{query}: {:?}", reply.body);
        reply.json()
    }

    fn since(&self, cursor: i64) -> Value {
        self.pull(&format!("?last_pulled_at={cursor}"))
    }

    fn push(&self, cursor: i64, changes: &Value) -> Reply {
        post(&format!("{}?last_pulled_at={cursor}", self.url), changes).expect("an answer")
    }

    /// Pushes what must be taken; the cursor of a client that has seen it.
    fn took(&self, cursor: i64, changes: &Value) -> i64 {
        let reply = self.push(cursor, changes);
        assert!(
            (200..300).contains(&reply.status),
            "{changes}: {:?}",
            reply.body
        );
        timestamp(&self.since(cursor))
    }

    /// Pushes what must be refused; nothing of it is kept.
    fn refused(&self, status: u16, cursor: i64, changes: &Value) {
        let before = self.pull("");
        assert_eq!(self.push(cursor, changes).status, status, "{changes}");
        assert_eq!(self.pull(""), before, "{changes}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn task(id: &str, title: &str) -> Value {
    json!({"id": id, "_status": "created", "_changed": "", "title": title, "done": false,
        "points": 0.5, "list_id": null})
}

fn tasks(created: &[Value], updated: &[Value], deleted: &[&str]) -> Value {
    json!({"task": {"created": created, "updated": updated, "deleted": deleted}})
}

/// Every rule of docs/backend.md.
fn keeps_the_rules(own: &Own) {
    pulls(own);
    pushes(own);
    refuses(own);
    devices_agree(own);
}

fn pulls(own: &Own) {
    let empty = json!({"created": [], "updated": [], "deleted": []});
    let first = own.pull("");
    assert_eq!(
        first["changes"],
        json!({"list": empty, "task": empty}),
        "P1"
    );
    let start = timestamp(&first);
    assert!(start > 0, "P1");
    let seen = own.took(
        start,
        &tasks(&[task("a", "A"), task("b", "B"), task("c", "C")], &[], &[]),
    );
    let next = own.took(seen, &tasks(&[task("d", "D")], &[task("b", "B!")], &["c"]));
    assert!(start < seen && seen < next, "P4: stamps grow");
    let answer = own.since(seen);
    assert_eq!(ids(&answer, "task", "created"), ["d"], "P2");
    assert_eq!(ids(&answer, "task", "updated"), ["b"], "P2");
    assert_eq!(ids(&answer, "task", "deleted"), ["c"], "P2");
    assert_eq!(own.since(next)["changes"]["task"], empty, "P2: each once");
    for query in [
        "",
        "?last_pulled_at=null",
        "?last_pulled_at=0",
        "?last_pulled_at=",
    ] {
        let answer = own.pull(query);
        let mut all = ids(&answer, "task", "created");
        all.sort();
        assert_eq!(all, ["a", "b", "d"], "P3: {query}");
        assert_eq!(ids(&answer, "task", "deleted").len(), 0, "P3: {query}");
    }
    let one = own.pull("?tables=list");
    assert_eq!(one["changes"], json!({"list": empty}), "P8");
    for migration in [
        r#"{"from":1,"tables":["task"],"columns":[]}"#,
        r#"{"from":1,"tables":[],"columns":[{"table":"task","columns":["points"]}]}"#,
    ] {
        let mut query = format!("?last_pulled_at={next}&migration=");
        query.extend(migration.bytes().map(|byte| format!("%{byte:02X}")));
        let answer = own.pull(&query);
        let mut all = ids(&answer, "task", "updated");
        all.extend(ids(&answer, "task", "created"));
        all.sort();
        assert_eq!(all, ["a", "b", "d"], "P6");
    }
    let row = &own.since(seen)["changes"]["task"]["created"][0];
    let expected = json!({"id": "d", "title": "D", "done": false, "points": 0.5, "list_id": null});
    assert_eq!(
        *row, expected,
        "P7: values as they were sent, and nothing of the client's own"
    );
}

fn pushes(own: &Own) {
    let cursor = timestamp(&own.pull(""));
    let strange = json!({"id": "e", "title": 7, "done": "yes", "points": [1], "list_id": "no-list", "unknown": 1});
    let cursor = own.took(
        cursor,
        &tasks(
            &[task("a", "again")],
            &[task("new", "by update"), strange],
            &["missing"],
        ),
    );
    let answer = own.pull("");
    let rows = answer["changes"]["task"]["created"]
        .as_array()
        .expect("rows")
        .clone();
    let row = |id: &str| {
        rows.iter()
            .find(|row| row["id"] == id)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        row("a")["title"],
        "again",
        "U2: create of what is there is an update"
    );
    assert_eq!(
        row("new")["title"],
        "by update",
        "U3: update of what is unknown creates"
    );
    let repaired =
        json!({"id": "e", "title": "", "done": false, "points": null, "list_id": "no-list"});
    assert_eq!(row("e"), repaired, "U8, U10");
    let families = json!({
        "list": {"created": [{"id": "l", "name": "L"}], "updated": [], "deleted": []},
        "task": {"created": [{"id": "child", "title": "", "done": true, "points": null, "list_id": "l"}],
                 "updated": [], "deleted": []}});
    let cursor = own.took(cursor, &families);
    own.took(
        cursor,
        &json!({"list": {"created": [], "updated": [], "deleted": ["l"]}}),
    );
    let answer = own.since(cursor);
    assert_eq!(ids(&answer, "list", "deleted"), ["l"], "U4");
    assert_eq!(ids(&answer, "task", "deleted"), ["child"], "U11");
    let cursor = timestamp(&answer);
    let back = own.took(cursor, &tasks(&[task("child", "back")], &[], &[]));
    assert_eq!(
        ids(&own.since(cursor), "task", "created"),
        ["child"],
        "U2: made again"
    );
    assert!(back > cursor);
}

fn refuses(own: &Own) {
    let cursor = timestamp(&own.pull(""));
    let newer = own.took(
        cursor,
        &tasks(&[], &[task("a", "somebody else's")], &["child"]),
    );
    own.refused(
        409,
        cursor,
        &tasks(&[task("ok", "")], &[task("a", "mine")], &[]),
    ); // U1, U5, U7
    own.refused(409, cursor, &tasks(&[task("ok", "")], &[], &["a"])); // U5
    own.refused(
        409,
        newer,
        &tasks(&[task("ok", "")], &[task("child", "")], &[]),
    ); // U3
    own.refused(
        400,
        newer,
        &tasks(&[task("ok", ""), task("a b;", "")], &[], &[]),
    ); // U9
    let unknown = json!({"task": {"created": [task("ok", "")], "updated": [], "deleted": []},
        "sqlite_master": {"created": [], "updated": [{"id": "x"}], "deleted": []}});
    own.refused(400, newer, &unknown); // U9
}

/// Two devices edit side by side, and end up alike.
fn devices_agree(own: &Own) {
    let device = || {
        let device = Device::with(SCHEMA, &["list", "task"], &own.url);
        device.sync();
        device
    };
    let (one, two) = (device(), device());
    one.exec("INSERT INTO list VALUES ('home', 'Home'); INSERT INTO task VALUES ('t', 'from one', 0, 1.5, 'home')");
    two.exec("INSERT INTO task VALUES ('u', 'from two', 1, NULL, NULL)");
    one.exec("UPDATE task SET title = 'edited by one' WHERE id = 'a'");
    two.exec("UPDATE task SET points = 42 WHERE id = 'a'; DELETE FROM task WHERE id = 'b'");
    for device in [&one, &two, &one, &two] {
        assert_eq!(device.sync()["state"], "synced", "{}", device.sync());
    }
    let rows = |device: &Device| {
        ask(
            &device.db,
            "SELECT json_group_array(json_array(id, title, done, points, list_id)) FROM (SELECT * FROM task ORDER BY id)",
        )
    };
    assert_eq!(rows(&one), rows(&two));
    assert_eq!(
        ask(&one.db, "SELECT title, points FROM task WHERE id = 'a'"),
        "edited by one|42"
    );
    assert_eq!(
        ask(&two.db, "SELECT count(*) FROM task WHERE id = 'b'"),
        "0"
    );
    assert_eq!(ask(&one.db, "SELECT count(*) FROM sync_pending"), "0");
}

/// Whether what a test needs is there; where it is not, one line says how to get it.
fn is_there(needed: &Path) -> bool {
    if needed.exists() {
        return true;
    }
    let needed = needed.display();
    assert!(
        std::env::var("CI").is_err(),
        "{needed} is missing; run make own-backends"
    );
    eprintln!("skipped: {needed} is missing; to run this test: make own-backends");
    false
}

#[test]
fn the_fastapi_program_keeps_the_rules() {
    let python = root().join("tests/python/venv/bin/python3");
    if !is_there(&python) {
        return;
    }
    let mut command = Command::new("sh");
    command.current_dir(root().join("examples/own"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-c", "exec \"$0\" -m uvicorn fastapi_app:app --port 0 2>&1"]);
    command.arg(python);
    keeps_the_rules(&Own::start(command, "running on http://127.0.0.1:"));
}

#[test]
fn the_express_program_keeps_the_rules() {
    let modules = root().join("tests/node/node_modules");
    if !is_there(&modules.join("express/package.json")) {
        return;
    }
    let mut command = Command::new("node");
    command.arg(root().join("examples/own/express_app.js"));
    command.env("NODE_PATH", modules).env("PORT", "0");
    keeps_the_rules(&Own::start(command, "listening on "));
}
