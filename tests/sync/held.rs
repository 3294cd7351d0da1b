//! Rows of the server that the file refuses for now: held, tried again, and never in the way of others (rules H1 to H6).

use serde_json::{Value, json};
use support::{Canned, Device, enforced, everywhere, json_answer, status_answer};

/// `key|op|reason` of what is held.
fn held(device: &Device) -> String {
    device.ask("SELECT key, op, reason FROM sync_held ORDER BY key")
}

fn warned(answer: &Value, code: &str) -> i64 {
    let warnings = answer["warnings"].as_array().expect("warnings");
    let ours = warnings.iter().filter(|warning| warning["code"] == code);
    ours.map(|warning| warning["count"].as_i64().expect("a count"))
        .sum()
}

#[test]
fn h1_every_kind_of_constraint_holds_its_row_and_nothing_else() {
    everywhere(|settings| {
        for (reason, schema, bad) in [
            (
                "check",
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER CHECK (n > 0))",
                json!({"id": "bad", "n": -1}),
            ),
            (
                "unique",
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER UNIQUE)",
                json!({"id": "bad", "n": 1}),
            ),
            (
                "trigger",
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER);
                 CREATE TRIGGER no AFTER INSERT ON t WHEN new.n < 0 BEGIN SELECT RAISE(ABORT, 'no'); END",
                json!({"id": "bad", "n": -1}),
            ),
            (
                "trigger",
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER);
                 CREATE TRIGGER no AFTER INSERT ON t WHEN new.n < 0 BEGIN SELECT RAISE(FAIL, 'no'); END",
                json!({"id": "bad", "n": -1}),
            ),
            (
                "trigger",
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER);
                 CREATE TRIGGER no BEFORE INSERT ON t WHEN new.n < 0 BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
                json!({"id": "bad", "n": -1}),
            ),
        ] {
            let context = format!("{reason} {schema} {settings}");
            let server = Canned::start();
            let device = Device::with(schema, &["t"], &server.url());
            device.exec("INSERT INTO t (id, n) VALUES ('here', 7)");
            server.changes(json!({"t": {"created": [{"id": "a", "n": 1}, bad, {"id": "z", "n": 9}]}}));
            let answer = device.synced();
            let rows = "SELECT id FROM t ORDER BY id";
            assert_eq!(device.ask(rows), "a\nhere\nz", "{context}");
            assert_eq!(held(&device), format!("bad|row|{reason}"), "{context}");
            assert_eq!(answer["held"], 1, "{context}: {answer}");
            assert_eq!(answer["operations"][0]["held"], 1, "{context}");
            assert_eq!(warned(&answer, "rowsHeld"), 1, "{context}");
            assert_eq!(device.pending(), "", "{context}: the push went on");
            // It counts for sync_check as what it is.
            server.changes(json!({"t": {"created": [{"id": "a", "n": 1}, bad, {"id": "here", "n": 7},
                {"id": "z", "n": 9}]}}));
            let check: Value = serde_json::from_str(&device.ask("SELECT sync_check('api')")).expect("JSON");
            assert_eq!(check["state"], "equal", "{context}: {check}");
            assert_eq!(check["entities"][0]["held"], 1, "{context}: {check}");
            // A newer state takes its place, and fits.
            server.changes(json!({"t": {"updated": [{"id": "bad", "n": 5}]}}));
            let answer = device.synced();
            assert_eq!((answer["held"].as_i64(), held(&device).as_str()), (Some(0), ""), "{context}");
            assert_eq!(device.ask("SELECT n FROM t WHERE id = 'bad'"), "5", "{context}");
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}

#[test]
fn h1_a_delete_that_a_trigger_refuses_is_held_too() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT);
         CREATE TRIGGER no BEFORE DELETE ON t WHEN old.x = 'keep' BEGIN SELECT RAISE(ABORT, 'kept'); END",
        &["t"],
        &server.url(),
    );
    server.changes(json!({"t": {"created": [{"id": "a", "x": "keep"}, {"id": "b"}]}}));
    device.synced();
    server.changes(json!({"t": {"deleted": ["a", "b"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT id FROM t"), "a");
    assert_eq!(held(&device), "a|delete|trigger");
    device.exec("DROP TRIGGER no");
    device.synced();
    assert_eq!(
        (device.ask("SELECT id FROM t"), held(&device)),
        Default::default()
    );
    assert_eq!(device.pending(), "");
}

const CLASH: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE, x TEXT);
     CREATE TABLE of (id TEXT PRIMARY KEY NOT NULL, t TEXT REFERENCES t (id))";

#[test]
fn h2_held_rows_are_tried_again_replaced_and_removed() {
    let server = Canned::start();
    let device = Device::with(CLASH, &["t", "of"], &server.url());
    device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
    server.changes(json!({"t": {"created": [{"id": "a", "u": "v", "x": "1"}, {"id": "b", "u": "v", "x": "2"}]}}));
    device.synced();
    assert_eq!(held(&device), "a|row|unique\nb|row|unique");
    assert_eq!(
        device.ask("SELECT DISTINCT clashesWith FROM sync_held"),
        "mine"
    );
    let tries = || device.ask("SELECT min(tries) FROM sync_held");
    let before: i64 = tries().parse().expect("a number");
    // In vain.
    device.synced();
    assert!(tries().parse::<i64>().expect("a number") > before);
    // Deleted there: nothing is left of it.
    server.changes(json!({"t": {"deleted": ["b"]}}));
    device.synced();
    assert_eq!(held(&device), "a|row|unique");
    // The value is free: the next sync takes it, whatever that is about.
    device.exec("UPDATE t SET u = 'w' WHERE id = 'mine'");
    device.sync_only(&["t"]);
    assert_eq!(held(&device), "");
    assert_eq!(
        device.ask("SELECT * FROM t ORDER BY id"),
        "a|v|1\nmine|w|here"
    );
    assert_eq!(device.pending(), "");
}

/// A pull from the beginning names no deleted rows: what it does not name is not there any more.
#[test]
fn h2_held_rows_that_a_pull_from_the_beginning_does_not_name_are_gone() {
    let server = Canned::start();
    let schema = format!(
        "{CLASH}; CREATE TRIGGER stays BEFORE DELETE ON t WHEN OLD.id = 'kept' BEGIN SELECT RAISE(ABORT, 'stays'); END;"
    );
    let device = Device::with(&schema, &["t", "of"], &server.url());
    device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
    let row = |id: &str, u: &str| json!({"id": id, "u": u, "x": "1"});
    server.changes(json!({"t": {"created": [row("a", "v"), row("b", "v"), row("kept", "k")]}}));
    device.synced();
    server.changes(json!({"t": {"deleted": ["kept"]}}));
    device.synced();
    let before = "a|row|unique\nb|row|unique\nkept|delete|trigger";
    assert_eq!(held(&device), before);
    device.exec("DELETE FROM _syncCursor");
    // Nothing is said of the table.
    server.changes(json!({"of": {"created": []}}));
    device.synced();
    assert_eq!(held(&device), before);
    device.exec("DELETE FROM _syncCursor");
    server.changes(json!({"t": {"created": [row("a", "v")]}}));
    device.synced();
    assert_eq!(held(&device), "a|row|unique\nkept|delete|trigger");
}

const FAMILY: &str = "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, best TEXT REFERENCES child (id));
     CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent (id), up TEXT REFERENCES child (id))";

/// The child's page comes first, and ends before its parent is there; they even refer to each other.
#[test]
fn h3_references_are_judged_at_the_end_of_all_pulls() {
    for tables in [["child", "parent"], ["parent", "child"]] {
        let server = Canned::start();
        let device = Device::with(FAMILY, &["parent", "child"], &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        server.changes(json!({"parent": {"created": [{"id": "p"}]}}));
        device.sync_only(&["parent"]);
        let child = json!({"child": {"created": [{"id": "c", "parent": "q"}, {"id": "d", "parent": "p", "up": "c"},
            {"id": "e", "parent": "p", "up": "d"}]}});
        let parent = json!({"parent": {"created": [{"id": "q", "best": "c"}]}});
        // Which of the two pulls comes first is the conversation's affair.
        for _ in 0..2 {
            let (child, parent) = (child.clone(), parent.clone());
            server.pull_raw(move |seen| {
                let changes = match seen.path.contains("tables=child") {
                    true => &child,
                    false => &parent,
                };
                support::json_answer(&json!({"changes": changes, "timestamp": 50}).to_string())
            });
        }
        let answer = device.sync_only(&tables);
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(
            (answer["held"].as_i64(), held(&device).as_str()),
            (Some(0), ""),
            "{answer}"
        );
        assert_eq!(warned(&answer, "rowsHeld"), 0);
        assert_eq!(
            device.ask("SELECT id, parent, up FROM child ORDER BY id"),
            "c|q|NULL\nd|p|c\ne|p|d"
        );
        assert_eq!(device.pending(), "");
    }
}

/// What was broken before is nobody's fault.
#[test]
fn h3_references_that_were_broken_before_hold_nothing() {
    let server = Canned::start();
    let device = Device::with(FAMILY, &["parent", "child"], &server.url());
    device.exec("PRAGMA foreign_keys = OFF");
    server.changes(json!({"child": {"created": [{"id": "orphan", "parent": "nobody"}]}}));
    device.synced();
    device.exec("PRAGMA foreign_keys = ON");
    server.changes(
        json!({"child": {"created": [{"id": "lost", "parent": "gone"}, {"id": "fine"},
        {"id": "under", "up": "lost"}]}}),
    );
    device.synced();
    assert_eq!(held(&device), "lost|row|foreignKey\nunder|row|foreignKey");
    assert_eq!(
        device.ask("SELECT id FROM child ORDER BY id"),
        "fine\norphan"
    );
    let named = device.ask("SELECT \"constraint\" FROM sync_held WHERE key = 'lost'");
    assert!(named.contains("parent(id) gone"), "{named}");
    // SQLite refuses to write the reference again, even as it is.
    server.changes(
        json!({"child": {"updated": [{"id": "orphan", "parent": "nobody", "up": "fine"}]}}),
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_held WHERE key = 'orphan'"),
        "1"
    );
    server.changes(json!({"parent": {"created": [{"id": "nobody"}, {"id": "gone"}]}}));
    device.synced();
    assert_eq!(held(&device), "");
    assert_eq!(
        device.ask("SELECT id, up FROM child ORDER BY id"),
        "fine|NULL\nlost|NULL\norphan|fine\nunder|lost"
    );
}

#[test]
fn h4_a_parent_that_is_deleted_there_stays_as_long_as_a_child_made_here_refers_to_it() {
    for (action, kept) in [
        ("", true),
        ("ON DELETE RESTRICT", true),
        ("ON DELETE SET NULL", false),
        ("ON DELETE CASCADE", false),
    ] {
        let server = Canned::start();
        let schema = format!(
            "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL);
             CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent (id) {action})"
        );
        let device = Device::with(&schema, &["parent", "child"], &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        server.changes(json!({"parent": {"created": [{"id": "p"}, {"id": "q"}]}}));
        device.synced();
        device.exec("INSERT INTO child VALUES ('c', 'p')");
        server.changes(json!({"parent": {"deleted": ["p", "q"]}}));
        device.synced();
        if !kept {
            assert_eq!(
                (device.ask("SELECT id FROM parent"), held(&device)),
                Default::default(),
                "{action}"
            );
            continue;
        }
        assert_eq!(device.ask("SELECT id FROM parent"), "p", "{action}");
        assert_eq!(held(&device), "p|delete|foreignKey", "{action}");
        assert_eq!(server.pushed().len(), 1, "{action}: the child went up");
        device.exec("DELETE FROM child");
        device.synced();
        device.synced();
        assert_eq!(
            (device.ask("SELECT id FROM parent"), held(&device)),
            Default::default(),
            "{action}"
        );
    }
}

/// A newer state of a row is held here, and nobody has seen it when the row is deleted or gets another key.
#[test]
fn h4_a_row_that_is_deleted_here_while_a_newer_state_of_it_is_held_is_a_conflict() {
    everywhere(|settings| {
        for how in [
            "DELETE FROM t WHERE id = 'a'",
            "UPDATE t SET id = 'other' WHERE id = 'a'",
        ] {
            let context = format!("{how} {settings}");
            let server = Canned::start();
            let device = Device::with(CLASH, &["t", "of"], &server.url());
            server.changes(json!({"t": {"created": [{"id": "a", "u": "1", "x": "old"}]}}));
            device.synced();
            device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
            server.changes(json!({"t": {"updated": [{"id": "a", "u": "v", "x": "newer"}]}}));
            device.synced();
            assert_eq!(held(&device), "a|row|unique", "{context}");
            device.exec(how);
            // The push is lost once: one conflict all the same.
            server.reset();
            server.push_raw(|_| status_answer(500, &[], "no"));
            device.failed();
            device.synced();
            let pushed = server.pushed();
            assert_eq!(pushed[0]["t"]["deleted"], json!(["a"]), "{context}");
            let conflicts = "SELECT kind, rowKey, remote FROM sync_conflict";
            assert_eq!(
                device.ask(conflicts),
                r#"deletedHere|a|{"id":"a","u":"v","x":"newer"}"#,
                "{context}"
            );
            assert_eq!(
                (held(&device).as_str(), device.pending().as_str()),
                ("", ""),
                "{context}"
            );
        }
    });
}

#[test]
fn h5_an_edit_of_a_held_row_sends_nothing_older_along() {
    let server = Canned::start();
    let device = Device::with(CLASH, &["t", "of"], &server.url());
    server.changes(json!({"t": {"created": [{"id": "a", "u": "1", "x": "old"}, {"id": "b", "u": "2", "x": "b"}]}}));
    device.synced();
    device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
    server.changes(json!({"t": {"updated": [{"id": "a", "u": "v", "x": "newer"}]}}));
    device.synced();
    assert_eq!(held(&device), "a|row|unique");
    assert_eq!(device.ask("SELECT u, x FROM t WHERE id = 'a'"), "1|old");
    // The title is edited; the unique value that waits must stay on the server.
    device.exec("UPDATE t SET x = 'mine' WHERE id = 'a'");
    server.reset();
    device.synced();
    let pushed = &server.pushed()[0]["t"]["updated"][0];
    assert_eq!(
        (&pushed["u"], &pushed["x"], &pushed["_changed"]),
        (&json!("v"), &json!("mine"), &json!("x"))
    );
    // Applied at last, it is what both sides said.
    device.exec("DELETE FROM t WHERE id = 'mine'");
    device.synced();
    device.synced();
    assert_eq!(held(&device), "");
    assert_eq!(device.ask("SELECT u, x FROM t WHERE id = 'a'"), "v|mine");
    assert_eq!(device.pending(), "");
}

#[test]
fn h5_an_edit_that_was_refused_is_not_taken_for_what_the_server_has() {
    let server = Canned::start();
    let device = Device::with(CLASH, &["t", "of"], &server.url());
    server.changes(json!({"t": {"created": [{"id": "a", "u": "1", "x": "old"}]}}));
    device.synced();
    device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
    server.changes(json!({"t": {"updated": [{"id": "a", "u": "v", "x": "newer"}]}}));
    device.synced();
    device.exec("UPDATE t SET x = 'mine' WHERE id = 'a'");
    let held = || device.ask("SELECT payload ->> 'u', payload ->> 'x' FROM sync_held");
    for _ in 0..2 {
        server.reset();
        for _ in 0..4 {
            server.push_raw(|_| status_answer(422, &[], "no"));
        }
        device.synced();
        assert_eq!(device.pending(), "t|a|updated|[\"x\"]");
        assert_eq!(held(), "v|newer");
        device.ask("SELECT sync_retry('t', 'a')");
    }
    // Accepted, it is what the server has.
    server.reset();
    device.synced();
    assert_eq!(device.pending(), "");
    assert_eq!(held(), "v|mine");
}

#[test]
fn h6_a_row_made_here_with_the_unique_value_of_another() {
    everywhere(|settings| {
        for (on_clash, rows, pushed, conflicts) in [
            ("hold", "mine|v|here", json!("created"), ""),
            ("adopt", "there|v|here", json!("updated"), "edited"),
            ("serverWins", "there|v|remote", Value::Null, "uniqueClash"),
        ] {
            let server = Canned::start();
            let device = Device::configured(
                CLASH,
                &["t", "of"],
                &server.url(),
                json!({"onClash": {"t": on_clash}}),
            );
            device.exec(
                "INSERT INTO t VALUES ('mine', 'v', 'here'); INSERT INTO of VALUES ('o', 'mine')",
            );
            server.changes(json!({"t": {"created": [{"id": "there", "u": "v", "x": "remote"}, {"id": "z", "u": "z"}]}}));
            device.synced();
            let context = format!("{on_clash} {settings}");
            assert_eq!(
                device.ask("SELECT * FROM t WHERE id <> 'z'"),
                rows,
                "{context}"
            );
            let owner = rows.split('|').next().expect("a key");
            assert_eq!(device.ask("SELECT t FROM of"), owner, "{context}");
            assert_eq!(
                device.ask("SELECT kind FROM sync_conflict"),
                conflicts,
                "{context}"
            );
            let body = &server.pushed()[0];
            let sent = |kind: &str| body["t"][kind][0]["id"] == owner;
            let kind = ["created", "updated"].into_iter().find(|kind| sent(kind));
            assert_eq!(json!(kind), pushed, "{context}: {body}");
            let what = if on_clash == "hold" {
                "there|row|unique"
            } else {
                ""
            };
            assert_eq!(held(&device), what, "{context}");
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}

/// No answer came to the push of a row made here. The next pull does not name it, so it did not arrive; or it names it, and
/// the server has both.
#[test]
fn h6_a_row_whose_push_was_lost_makes_room_if_it_did_not_arrive() {
    everywhere(|settings| {
        for (on_clash, arrived, rows, held_rows, kind) in [
            ("hold", false, "mine|v|here", "there|row|unique", "created"),
            ("adopt", false, "there|v|here", "", "updated"),
            ("serverWins", false, "there|v|remote", "", ""),
            ("adopt", true, "mine|v|here", "there|row|unique", ""),
            ("serverWins", true, "mine|v|here", "there|row|unique", ""),
        ] {
            let server = Canned::start();
            let keys = json!({"onClash": {"t": on_clash}});
            let device = Device::configured(CLASH, &["t", "of"], &server.url(), keys);
            device.synced();
            device.exec(
                "INSERT INTO t VALUES ('mine', 'v', 'here'); INSERT INTO of VALUES ('o', 'mine')",
            );
            server.push_raw(|_| Vec::new());
            device.failed();
            server.reset();
            let there = json!({"id": "there", "u": "v", "x": "remote"});
            server.changes(match arrived {
                false => json!({"t": {"created": [there]}}),
                true => json!({"t": {"created": [there, {"id": "mine", "u": "v", "x": "here"}]},
                    "of": {"created": [{"id": "o", "t": "mine"}]}}),
            });
            device.synced();
            let context = format!("{on_clash} {arrived} {settings}");
            assert_eq!(device.ask("SELECT * FROM t"), rows, "{context}");
            let owner = rows.split('|').next().expect("a key");
            assert_eq!(device.ask("SELECT t FROM of"), owner, "{context}");
            assert_eq!(held(&device), held_rows, "{context}");
            let pushed = server.pushed();
            let sent = |kind: &str| {
                let push = pushed.first();
                push.is_some_and(|push| push["t"][kind][0]["id"] == owner)
            };
            let sent = ["created", "updated"].into_iter().find(|kind| sent(kind));
            assert_eq!(sent.unwrap_or(""), kind, "{context}: {pushed:?}");
            assert_eq!(device.pending(), "", "{context}");
            // It is as if it had never been sent: a delete of the row goes up as that of the server's.
            server.reset();
            device.exec("DELETE FROM of; DELETE FROM t");
            device.synced();
            let push = &server.pushed()[0];
            assert_eq!(push["t"]["deleted"], json!([owner]), "{context}");
        }
    });
}

#[test]
fn h6_whatever_unique_index_it_is_that_a_row_made_here_clashes_by() {
    for (columns, index, mine, theirs) in [
        (
            "u TEXT, gone INTEGER NOT NULL DEFAULT 0",
            "(u) WHERE gone = 0",
            "'v'",
            json!("v"),
        ),
        (
            "u TEXT, gone INTEGER NOT NULL DEFAULT 0",
            "(lower(u))",
            "'V'",
            json!("v"),
        ),
        (
            "u TEXT, gone INTEGER NOT NULL DEFAULT 0",
            "(u COLLATE NOCASE)",
            "'V'",
            json!("v"),
        ),
        (
            "u TEXT, gone INTEGER NOT NULL DEFAULT 0",
            "(u, gone) WHERE u IS NOT NULL",
            "'v'",
            json!("v"),
        ),
        (
            "u INTEGER, gone INTEGER NOT NULL DEFAULT 0",
            "(u % 10, gone)",
            "13",
            json!(23),
        ),
    ] {
        for on_clash in ["hold", "adopt", "serverWins"] {
            let server = Canned::start();
            let schema = format!(
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, {columns}, x TEXT); CREATE UNIQUE INDEX i ON t {index};
                 CREATE TABLE of (id TEXT PRIMARY KEY NOT NULL, t TEXT REFERENCES t (id))"
            );
            let keys = json!({"onClash": {"t": on_clash}, "excludeColumns": {"t": ["gone"]}});
            let device = Device::configured(&schema, &["t", "of"], &server.url(), keys);
            device.exec(&format!(
                "INSERT INTO t (id, u, x) VALUES ('mine', {mine}, 'here'), ('other', NULL, ''); INSERT INTO of VALUES ('o', 'mine')"
            ));
            server
                .changes(json!({"t": {"created": [{"id": "there", "u": theirs, "x": "remote"}]}}));
            device.synced();
            let context = format!("{index} {on_clash}");
            let owner = if on_clash == "hold" { "mine" } else { "there" };
            assert_eq!(
                device.ask("SELECT id FROM t WHERE id <> 'other'"),
                owner,
                "{context}"
            );
            assert_eq!(device.ask("SELECT t FROM of"), owner, "{context}");
            let held = device.ask("SELECT key, clashesWith FROM sync_held");
            assert_eq!(
                held,
                if on_clash == "hold" { "there|mine" } else { "" },
                "{context}"
            );
        }
    }
}

/// The server has another row under the key of the one that makes room, and rows that refer to it.
#[test]
fn h6_what_the_server_refers_to_stays_when_a_row_made_here_gets_another_key() {
    everywhere(|settings| {
        for on_clash in ["adopt", "serverWins"] {
            let server = Canned::start();
            let keys = json!({"onClash": {"t": on_clash}});
            let device = Device::configured(CLASH, &["t", "of"], &server.url(), keys);
            // Else what was made on both sides is as the server has it, and nothing clashes.
            device.ask("SELECT sync_resolver('t', 'clientWins')");
            device.exec("INSERT INTO t VALUES ('x', 'v', 'here'), ('y', 'y', '')");
            server.changes(json!({"of": {"created": [{"id": "theirs", "t": "x"}]}}));
            device.sync_only(&["of"]);
            device.exec("INSERT INTO of VALUES ('ours', 'x')");
            server.changes(json!({"t": {"created": [{"id": "there", "u": "v", "x": ""}, {"id": "x", "u": "w", "x": ""}]}}));
            device.synced();
            let context = format!("{on_clash} {settings}");
            assert_eq!(
                device.ask("SELECT id, t FROM of ORDER BY id"),
                "ours|there\ntheirs|x",
                "{context}"
            );
            assert_eq!(
                device.ask("SELECT u FROM t WHERE id = 'x'"),
                "w",
                "{context}"
            );
            let sent = server.pushed();
            let sent: Vec<&Value> = sent.iter().map(|body| &body["of"]).collect();
            let created: Vec<&Value> = sent
                .iter()
                .flat_map(|of| of["created"].as_array().expect("rows"))
                .collect();
            assert_eq!(created.len(), 1, "{context}");
            assert_eq!(created[0]["t"], "there", "{context}");
            assert!(
                sent.iter().all(|of| of["updated"] == json!([])),
                "{context}"
            );
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}

/// The server took what refers to a row that it did not take.
#[test]
fn h6_what_was_sent_before_follows_a_row_that_gets_another_key_and_is_sent_again() {
    everywhere(|settings| {
        for on_clash in ["adopt", "serverWins"] {
            let server = Canned::start();
            let keys = json!({"onClash": {"t": on_clash}});
            let device = Device::configured(CLASH, &["t", "of"], &server.url(), keys);
            device
                .exec("INSERT INTO t VALUES ('x', 'v', 'here'); INSERT INTO of VALUES ('o', 'x')");
            server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"t":["x"]}}"#));
            device.sync();
            server.push_raw(|_| json_answer("{}"));
            assert_eq!(device.ask("SELECT key FROM sync_pending"), "x");
            server.changes(json!({"t": {"created": [{"id": "there", "u": "v", "x": ""}]}}));
            device.synced();
            let context = format!("{on_clash} {settings}");
            assert_eq!(device.ask("SELECT * FROM of"), "o|there", "{context}");
            let body = &server.pushed()[1];
            assert_eq!(body["of"]["updated"][0]["t"], "there", "{context}: {body}");
            assert_eq!(body["of"]["updated"][0]["_changed"], "t", "{context}");
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}

/// More clashes than wait in memory.
#[test]
fn h1_any_number_of_rows_is_held() {
    let server = Canned::start();
    let device = Device::with(CLASH, &["t", "of"], &server.url());
    device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
    let rows: Vec<Value> = (0..10_050)
        .map(|n| json!({"id": format!("r{n}"), "u": "v"}))
        .collect();
    server.changes(json!({"t": {"created": rows}}));
    let answer = device.synced();
    assert_eq!(answer["held"], 10_050);
}

/// No number, so no key there can be.
#[test]
fn h1_a_row_whose_id_cant_be_a_key_is_held() {
    everywhere(|_| {
        let server = Canned::start();
        let schema = "CREATE TABLE n (id INTEGER PRIMARY KEY, x TEXT)";
        let device = Device::with(schema, &["n"], &server.url());
        let bad = ["abc", "", "01", "1.0", "9223372036854775808"];
        let rows = bad.iter().map(|id| json!({"id": id, "x": "bad"}));
        let rows: Vec<Value> = rows
            .chain([json!({"id": 1, "x": "a"}), json!({"id": "2", "x": "b"})])
            .collect();
        server.changes(json!({"n": {"created": rows}}));
        let answer = device.synced();
        assert_eq!(device.ask("SELECT id, x FROM n ORDER BY id"), "1|a\n2|b");
        assert_eq!(
            (answer["held"].as_i64(), warned(&answer, "rowsHeld")),
            (Some(5), 5)
        );
        let named = device.ask("SELECT reason, \"constraint\" FROM sync_held WHERE key = 'abc'");
        assert!(
            named.starts_with("key|") && named.contains("\"abc\""),
            "{named}"
        );
        // In vain, and never in the place of another row.
        device.synced();
        assert_eq!(device.ask("SELECT x FROM n WHERE id = 1"), "a");
        server.changes(json!({"n": {"created": rows_of(&bad)}}));
        let check = device.ask("SELECT sync_check('api')");
        let check: Value = serde_json::from_str(&check).expect("JSON");
        assert_eq!(
            (
                &check["entities"][0]["held"],
                &check["entities"][0]["missing"]
            ),
            (&json!(5), &json!(0))
        );
        // Deleted there; and a table whose key takes it.
        server.changes(json!({"n": {"deleted": ["01", "1.0", "", "zzz"]}}));
        device.synced();
        assert_eq!(held(&device), "9223372036854775808|row|key\nabc|row|key");
        assert_eq!(device.pending(), "");
    });
}

fn rows_of(ids: &[&str]) -> Vec<Value> {
    ids.iter().map(|id| json!({"id": id, "x": "bad"})).collect()
}

/// The run is about the parents only.
#[test]
fn h2_rows_of_entities_outside_the_call_are_tried_and_named() {
    enforced(|_| {
        let server = Canned::start();
        let schema = "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL);
             CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent (id))";
        let device = Device::with(schema, &["parent", "child"], &server.url());
        let child = |id: &str, parent: &str| json!({"id": id, "parent": parent});
        server.changes(json!({"child": {"created": [child("c", "p"), child("d", "q")]}}));
        device.synced();
        assert_eq!(held(&device), "c|row|foreignKey\nd|row|foreignKey");
        server.changes(json!({"parent": {"created": [{"id": "p"}]}}));
        let answer = device.sync_only(&["parent"]);
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(device.ask("SELECT id, parent FROM child"), "c|p");
        assert_eq!(held(&device), "d|row|foreignKey");
        let warning = &answer["warnings"][0];
        assert_eq!(
            (&warning["code"], &warning["entity"], &warning["count"]),
            (&json!("rowsHeld"), &json!("child"), &json!(1))
        );
        assert_eq!(device.pending(), "");
        // Nothing of a table that is gone by then stops a sync.
        device.exec("DROP TABLE child");
        server.changes(json!({"parent": {"created": [{"id": "q"}]}}));
        let answer = device.sync_only(&["parent"]);
        assert_eq!(answer["state"], "synced", "{answer}");
    });
}

#[test]
fn h2_an_edit_of_a_row_outside_the_call_meets_what_is_held_of_it() {
    enforced(|_| {
        let server = Canned::start();
        let device = Device::with(FAMILY, &["parent", "child"], &server.url());
        server.changes(json!({"parent": {"created": [{"id": "p"}]}, "child": {"created": [{"id": "c", "parent": "p"}]}}));
        device.synced();
        server.changes(json!({"child": {"updated": [{"id": "c", "parent": "q"}]}}));
        device.synced();
        device.exec(
            "INSERT INTO child VALUES ('d', 'p', NULL); UPDATE child SET up = 'd' WHERE id = 'c'",
        );
        server.changes(json!({"parent": {"created": [{"id": "q"}]}}));
        device.sync_only(&["parent"]);
        assert_eq!(
            device.ask("SELECT parent, up FROM child WHERE id = 'c'"),
            "q|d"
        );
        assert_eq!(
            device.pending(),
            "child|c|updated|[\"up\"]\nchild|d|created|[]"
        );
    });
}

/// Nobody had the row here; the server's is held when one of its key is made.
#[test]
fn h5_a_row_made_here_under_the_key_of_a_held_one_goes_up_as_an_update() {
    const TABLE: &str =
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE, x TEXT, n INTEGER DEFAULT 0)";
    everywhere(|_| {
        for insert in [
            "INSERT INTO t (id, x) VALUES ('a', 'mine')",
            "INSERT OR REPLACE INTO t (id, x) VALUES ('a', 'first'); INSERT OR REPLACE INTO t (id, x) VALUES ('a', 'mine')",
            "INSERT INTO t (id) VALUES ('a'); UPDATE t SET x = 'mine' WHERE id = 'a'",
        ] {
            let server = Canned::start();
            let device = Device::with(TABLE, &["t"], &server.url());
            device.exec("INSERT INTO t (id, u) VALUES ('mine', 'v')");
            server
                .changes(json!({"t": {"created": [{"id": "a", "u": "v", "x": "theirs", "n": 7}]}}));
            device.synced();
            assert_eq!(held(&device), "a|row|unique");
            device.exec(insert);
            server.reset();
            device.synced();
            assert_eq!(server.pushed().len(), 1, "{insert}");
            let body = &server.pushed()[0]["t"];
            let sent = &body["updated"][0];
            assert_eq!(body["created"], json!([]), "{insert}: {body}");
            assert_eq!(
                (
                    &sent["id"],
                    &sent["u"],
                    &sent["x"],
                    &sent["n"],
                    &sent["_changed"]
                ),
                (
                    &json!("a"),
                    &json!("v"),
                    &json!("mine"),
                    &json!(7),
                    &json!("x")
                ),
                "{insert}"
            );
            assert_eq!(device.pending(), "");
            // It fits at last, with what was said on both sides.
            device.exec("DELETE FROM t WHERE id = 'mine'");
            device.synced();
            device.synced();
            assert_eq!(held(&device), "");
            assert_eq!(device.ask("SELECT * FROM t"), "a|v|mine|7", "{insert}");
            assert_eq!(device.pending(), "");
        }
    });
}

/// Made again after it was deleted there, before the delete is carried out here.
#[test]
fn h5_a_row_made_here_that_fits_with_the_held_one_is_an_update_too() {
    let server = Canned::start();
    let device = Device::with(CLASH, &["t", "of"], &server.url());
    device.exec("INSERT INTO t VALUES ('mine', 'v', 'here')");
    server.changes(json!({"t": {"created": [{"id": "a", "u": "v", "x": "theirs"}]}}));
    device.synced();
    device.exec("INSERT INTO t VALUES ('a', 'w', NULL)");
    server.reset();
    device.synced();
    let body = &server.pushed()[0]["t"];
    assert_eq!(
        (
            &body["created"],
            &body["updated"][0]["u"],
            &body["updated"][0]["x"]
        ),
        (&json!([]), &json!("w"), &json!("theirs"))
    );
    assert_eq!(held(&device), "");
    assert_eq!(device.ask("SELECT * FROM t WHERE id = 'a'"), "a|w|theirs");
}

/// Two devices give the same number to two rows, and the other's does not fit here.
#[test]
fn h5_a_row_made_here_under_the_counted_number_of_a_held_one_is_another_row() {
    enforced(|_| {
        for (reason, bad) in [
            ("unique", json!({"id": 5, "u": "v"})),
            ("foreignKey", json!({"id": 5, "above": 99})),
        ] {
            let server = Canned::start();
            let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, above INTEGER REFERENCES t (id))";
            let device = Device::with(schema, &["t"], &server.url());
            device.exec("INSERT INTO t VALUES (1, 'v', NULL)");
            server.changes(json!({"t": {"created": [bad]}}));
            device.synced();
            assert_eq!(held(&device), format!("5|row|{reason}"));
            device.exec("INSERT INTO t VALUES (5, NULL, NULL)");
            server.reset();
            device.synced();
            assert_eq!(
                device.ask("SELECT id FROM t ORDER BY id"),
                "1\n6",
                "{reason}"
            );
            assert_eq!(server.pushed()[0]["t"]["created"][0]["id"], "6", "{reason}");
            assert_eq!(held(&device), format!("5|row|{reason}"));
            assert_eq!(device.ask("SELECT kind FROM sync_conflict"), "rekeyed");
        }
    });
}

/// What the server's row holds is not overwritten in silence: as where nothing is held, it is a conflict.
#[test]
fn h5_a_row_made_here_under_the_key_of_a_held_one_is_a_conflict_where_it_differs() {
    const TABLE: &str = "CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL);
         CREATE TABLE c (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES p (id), x TEXT, y TEXT, at TEXT);
         CREATE INDEX c_p ON c (p)";
    let ours = ("mine", "theirs", "5", r#"["at","x"]"#);
    let theirs = ("theirs", "theirs", "3", "");
    enforced(|_| {
        for (policy, at, (x, y, when, changed)) in [
            ("'columns'", "5", ours),
            ("'clientWins'", "5", ours),
            ("'serverWins'", "5", theirs),
            ("'lastWriteWins', 'at'", "5", ours),
            ("'lastWriteWins', 'at'", "2", theirs),
        ] {
            let context = format!("{policy} {at}");
            let server = Canned::start();
            let device = Device::with(TABLE, &["p", "c"], &server.url());
            device.ask(&format!("SELECT sync_resolver('c', {policy})"));
            server.changes(json!({"c": {"created": [
                {"id": "a", "p": "later", "x": "theirs", "y": "theirs", "at": "3"}]}}));
            device.synced();
            assert_eq!(held(&device), "a|row|foreignKey", "{context}");
            device.exec(&format!(
                "INSERT INTO c VALUES ('a', NULL, 'mine', NULL, '{at}')"
            ));
            server.reset();
            let answer = device.synced();
            assert_eq!(answer["conflicts"], 1, "{context}: {answer}");
            let told = "SELECT kind, local ->> 'x', remote ->> 'x', resolved ->> 'x', resolved ->> 'p' FROM sync_conflict";
            assert_eq!(
                device.ask(told),
                format!("edited|mine|theirs|{x}|later"),
                "{context}"
            );
            // Only what stays of the row made here goes up.
            let pushed = server.pushed();
            let sent = pushed.first().map(|body| &body["c"]["updated"][0]);
            let sent = sent.map(|row| (row["p"].clone(), row["x"].clone(), row["y"].clone()));
            let expected = (json!("later"), json!("mine"), json!("theirs"));
            assert_eq!(
                sent,
                (!changed.is_empty()).then_some(expected),
                "{context}: {pushed:?}"
            );
            // Once is enough.
            server.changes(json!({"p": {"created": [{"id": "later"}]}}));
            device.synced();
            assert_eq!(
                device.ask("SELECT * FROM c"),
                format!("a|later|{x}|{y}|{when}"),
                "{context}"
            );
            assert_eq!(
                device.ask("SELECT count(*) FROM sync_conflict"),
                "1",
                "{context}"
            );
            assert_eq!((held(&device), device.pending()), Default::default());
        }
        // What fits within the same answer meets the server's row as any edit does.
        let server = Canned::start();
        let device = Device::with(TABLE, &["p", "c"], &server.url());
        server.changes(json!({"c": {"created": [{"id": "a", "p": "later", "x": "theirs"}]}}));
        device.synced();
        device.exec("INSERT INTO c (id, x) VALUES ('a', 'mine')");
        server.changes(json!({"p": {"created": [{"id": "later"}]}}));
        device.synced();
        assert_eq!(device.ask("SELECT p, x FROM c"), "later|mine");
        assert_eq!(
            device.ask("SELECT count(*), local ->> 'x', remote ->> 'x' FROM sync_conflict"),
            "1|mine|theirs"
        );
    });
}

/// The number is the same by chance, but the UNIQUE value says that it is one row.
#[test]
fn h6_a_row_made_here_with_the_number_and_the_unique_value_of_another() {
    const TABLE: &str =
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT UNIQUE, x TEXT)";
    everywhere(|settings| {
        for (how, row, conflict) in [
            ("adopt", "1|v|mine", "edited|1"),
            ("serverWins", "1|v|theirs", "uniqueClash|1"),
        ] {
            let server = Canned::start();
            let device = Device::with(TABLE, &["t"], &server.url());
            let config = json!({"kind": "watermelon", "url": server.url(), "onClash": {"t": how}});
            device.ask(&format!("SELECT sync_provider('api', '{config}')"));
            device.exec("INSERT INTO t (u, x) VALUES ('v', 'mine')");
            server.changes(json!({"t": {"created": [{"id": "1", "u": "v", "x": "theirs"}]}}));
            device.synced();
            let context = format!("{how} {settings}");
            assert_eq!(device.ask("SELECT * FROM t"), row, "{context}");
            assert_eq!(
                device.ask("SELECT kind, rowKey FROM sync_conflict"),
                conflict,
                "{context}"
            );
            assert_eq!((held(&device), device.pending()), Default::default());
            let pushed = server.pushed();
            let created = pushed
                .iter()
                .filter(|body| body["t"]["created"] != json!([]));
            assert_eq!(created.count(), 0, "{context}: {pushed:?}");
        }
    });
}
