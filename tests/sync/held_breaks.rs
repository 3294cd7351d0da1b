//! Rows of the server that break a reference which is not in what came: a policy decides that a row refers to nothing, or a
//! trigger of the application writes or deletes something. They are held, and nothing else is in their way (rule H1).

use serde_json::{Value, json};
use support::{Canned, Device, enforced};

use super::pull;

/// `key|op|reason` of what is held.
fn held(device: &Device) -> String {
    device.ask("SELECT key, op, reason FROM sync_held ORDER BY key")
}

const CHILD: &str = "CREATE TABLE a (id TEXT PRIMARY KEY NOT NULL, n INTEGER CHECK (n < 10));
     CREATE TABLE b (id TEXT PRIMARY KEY NOT NULL, a TEXT REFERENCES a (id) DEFERRABLE, x TEXT, at INTEGER)";

fn child(id: &str, a: &str, x: &str, at: i64) -> Value {
    json!({"id": id, "a": a, "x": x, "at": at})
}

/// A device on which the reference of `k` was edited.
fn edited(server: &Canned, schema: &str, policy: &str) -> Device {
    let device = Device::with(schema, &["a", "b"], &server.url());
    device.ask(&format!("SELECT sync_resolver('b', {policy})"));
    server.changes(
        json!({"a": {"created": [{"id": "p1", "n": 1}, {"id": "p2", "n": 1}]},
        "b": {"created": [child("k", "p1", "", 1000)]}}),
    );
    device.synced();
    device.exec("UPDATE b SET a = 'p2', at = 2000 WHERE id = 'k'");
    device
}

const POLICIES: [&str; 4] = [
    "'serverWins'",
    "'lastWriteWins', 'at'",
    "'sql2', ':remote'",
    "'sql4', ':remote'",
];

#[test]
fn h1_a_reference_to_nothing_that_a_policy_takes_holds_its_row() {
    let immediate = CHILD.replace(" DEFERRABLE", "");
    let deferred = CHILD.replace("DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED");
    for (policy, schema) in POLICIES
        .iter()
        .flat_map(|policy| [(policy, &immediate), (policy, &deferred)])
    {
        for parent in [None, Some(json!({"id": "q", "n": 50}))] {
            enforced(|settings| {
                let what = format!("{policy} {schema} {parent:?} {settings}");
                let server = Canned::start();
                let device = edited(&server, schema, policy);
                let parents: Vec<Value> = [json!({"id": "p9", "n": 9})]
                    .into_iter()
                    .chain(parent.clone())
                    .collect();
                let refused = match parent {
                    Some(_) => "\nq|row|check",
                    None => "",
                };
                pull(
                    &server,
                    json!({"a": {"created": parents}, "b": {"updated": [child("k", "q", "there", 3000)],
                        "created": [child("good", "p9", "", 1)]}}),
                );
                device.synced();
                let rows = "SELECT id, a FROM b ORDER BY id";
                assert_eq!(device.ask(rows), "good|p9\nk|p2", "{what}");
                assert_eq!(
                    held(&device),
                    format!("k|row|foreignKey{refused}"),
                    "{what}"
                );
                // The edit has lost; it is kept, and does not undo what the server has.
                let conflicts = "SELECT kind, local ->> 'a', remote ->> 'a', resolved ->> 'a' FROM sync_conflict";
                assert_eq!(device.ask(conflicts), "edited|p2|q|q", "{what}");
                assert_eq!(device.pending(), "", "{what}");
                let pushed = json!(server.pushed()).to_string();
                assert!(!pushed.contains("p2"), "{what}: {pushed}");
                // An edit of something else goes up with what is held.
                device.exec("UPDATE b SET x = 'mine' WHERE id = 'k'");
                server.clear();
                device.synced();
                let pushed = server.pushed();
                let row = &pushed[0]["b"]["updated"][0];
                assert_eq!(
                    (&row["x"], &row["a"]),
                    (&json!("mine"), &json!("q")),
                    "{what}: {row}"
                );
                pull(&server, json!({"a": {"created": [{"id": "q", "n": 5}]}}));
                device.synced();
                assert_eq!(held(&device), "", "{what}");
                let row = "SELECT a, x FROM b WHERE id = 'k'";
                assert_eq!(device.ask(row), "q|mine", "{what}");
                assert_eq!(device.pending(), "", "{what}");
                assert_eq!(device.ask(conflicts), "edited|p2|q|q", "{what}");
            });
        }
    }
}

/// Of what the resolver has put together, the rest counts at once.
#[test]
fn h1_what_a_resolver_makes_of_a_row_that_is_held_for_its_reference_goes_up() {
    for policy in ["sql2", "sql4"] {
        let server = Canned::start();
        let resolver = format!("'{policy}', 'json_set(:remote, ''$.x'', ''both'')'");
        let device = edited(&server, CHILD, &resolver);
        device.exec("UPDATE b SET x = 'here' WHERE id = 'k'");
        pull(
            &server,
            json!({"b": {"updated": [child("k", "q", "there", 3000)]}}),
        );
        server.clear();
        device.synced();
        let pushed = server.pushed();
        let row = &pushed[0]["b"]["updated"][0];
        assert_eq!(
            (&row["x"], &row["a"]),
            (&json!("both"), &json!("q")),
            "{policy}: {pushed:?}"
        );
        assert_eq!(device.ask("SELECT a, x FROM b"), "p2|both", "{policy}");
        pull(&server, json!({"a": {"created": [{"id": "q", "n": 1}]}}));
        device.synced();
        assert_eq!(device.ask("SELECT a, x FROM b"), "q|both", "{policy}");
        assert_eq!((held(&device), device.pending()), Default::default());
    }
}

#[test]
fn h1_a_row_that_a_resolver_lets_go_and_others_refer_to_stays() {
    enforced(|settings| {
        let server = Canned::start();
        let schema = "CREATE TABLE a (id TEXT PRIMARY KEY NOT NULL, x TEXT, y TEXT);
             CREATE TABLE b (id TEXT PRIMARY KEY NOT NULL, a TEXT REFERENCES a (id))";
        let device = Device::with(schema, &["a", "b"], &server.url());
        device.ask(
            "SELECT sync_resolver('a', 'sql4', 'json_set(:resolved, ''$._status'', ''deleted'')')",
        );
        server.changes(
            json!({"a": {"created": [{"id": "k"}]}, "b": {"created": [{"id": "c", "a": "k"}]}}),
        );
        device.synced();
        device.exec("UPDATE a SET x = 'here' WHERE id = 'k'");
        pull(
            &server,
            json!({"a": {"updated": [{"id": "k", "x": "there", "y": "there"}], "created": [{"id": "good"}]}}),
        );
        device.synced();
        assert_eq!(
            device.ask("SELECT id FROM a ORDER BY id"),
            "good\nk",
            "{settings}"
        );
        assert_eq!(
            device.ask("SELECT kind FROM sync_conflict"),
            "edited",
            "{settings}"
        );
        pull(&server, json!({}));
        device.synced();
        assert_eq!(device.ask("SELECT count(*) FROM b"), "1", "{settings}");
        assert_eq!(
            device.ask("SELECT x FROM a WHERE id = 'k'"),
            "here",
            "{settings}"
        );
    });
}

/// A table that a trigger derives, which refers to lists that may not be here.
fn derived(table: &str, trigger: &str) -> String {
    format!(
        "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
         CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT, x TEXT);
         CREATE TABLE stat (list TEXT PRIMARY KEY NOT NULL REFERENCES list (id){table}, n INTEGER);
         CREATE TRIGGER derives {trigger}"
    )
}

const COUNTS: &str = "AFTER INSERT ON task BEGIN INSERT INTO stat VALUES (new.list, 1) \
     ON CONFLICT (list) DO UPDATE SET n = n + 1; END;";

fn task(id: &str, list: &str) -> Value {
    json!({"id": id, "list": list, "x": ""})
}

#[test]
fn h1_what_a_trigger_writes_and_a_foreign_key_refuses_holds_the_row() {
    let changed = "CREATE TRIGGER moves AFTER UPDATE OF list ON task WHEN new.list IS NOT old.list \
         BEGIN INSERT INTO stat VALUES (new.list, 1) ON CONFLICT (list) DO UPDATE SET n = n + 1; END;";
    let replaces =
        "AFTER INSERT ON task BEGIN INSERT OR REPLACE INTO stat VALUES (new.list, 1); END;";
    let before = COUNTS.replace("AFTER", "BEFORE");
    for (table, trigger) in [
        ("", COUNTS),
        (" DEFERRABLE INITIALLY DEFERRED", COUNTS),
        ("", replaces),
        ("", &before),
    ] {
        enforced(|settings| {
            let what = format!("{table} {trigger} {settings}");
            let server = Canned::start();
            let schema = derived(table, trigger) + changed;
            let device = Device::with(&schema, &["list", "task"], &server.url());
            server.changes(json!({"list": {"created": [{"id": "l1"}]},
                "task": {"created": [task("moved", "l1"), task("stays", "l1")]}}));
            device.synced();
            pull(
                &server,
                json!({"task": {"created": [task("bad", "l2"), task("good", "l1"), task("bad2", "l2"), task("bad3", "l3"),
                    task("new", "l5")], "updated": [task("moved", "l4"), {"id": "stays", "list": "l1", "x": "2"}]},
                    "list": {"created": [{"id": "l5"}]}}),
            );
            let answer = device.synced();
            let rows =
                "SELECT id FROM task WHERE list <> 'l1' OR x = '2' OR id = 'good' ORDER BY id";
            assert_eq!(device.ask(rows), "good\nnew\nstays", "{what}");
            let all = "bad|row|foreignKey\nbad2|row|foreignKey\nbad3|row|foreignKey\nmoved|row|foreignKey";
            assert_eq!(held(&device), all, "{what}");
            assert_eq!(answer["held"], 4, "{what}");
            let named = device.ask("SELECT \"constraint\" FROM sync_held WHERE key = 'bad'");
            assert!(named.contains("list(id) l2"), "{what}: {named}");
            // In vain, and it costs one try.
            pull(&server, json!({}));
            device.synced();
            assert_eq!(held(&device), all, "{what}");
            let named = device.ask("SELECT \"constraint\" FROM sync_held WHERE key = 'bad'");
            assert!(named.contains("list(id) l2"), "{what}: {named}");
            pull(
                &server,
                json!({"list": {"created": [{"id": "l2"}, {"id": "l4"}]}}),
            );
            device.synced();
            assert_eq!(held(&device), "bad3|row|foreignKey", "{what}");
            assert_eq!(
                device.ask("SELECT list FROM task WHERE id = 'moved'"),
                "l4",
                "{what}"
            );
            pull(&server, json!({"task": {"deleted": ["bad3"]}}));
            device.synced();
            assert_eq!(held(&device), "", "{what}");
            assert_eq!(
                device.ask("SELECT id FROM task WHERE list = 'l2' ORDER BY id"),
                "bad\nbad2",
                "{what}"
            );
            assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{what}");
            assert_eq!(device.pending(), "", "{what}");
        });
    }
}

/// What the trigger writes is a row that is synced itself: an edit made here, once its row is in.
#[test]
fn h1_what_a_trigger_writes_into_a_synced_table_holds_the_row_too() {
    enforced(|settings| {
        // Zones come after the tasks whose visits refer to them.
        let server = Canned::start();
        let schema = "CREATE TABLE zone (id TEXT PRIMARY KEY NOT NULL);
             CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT);
             CREATE TABLE visit (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES zone (id));
             CREATE TRIGGER visits AFTER INSERT ON task BEGIN INSERT INTO visit VALUES ('v' || new.id, new.list); END;";
        let device = Device::with(schema, &["task", "visit", "zone"], &server.url());
        server.changes(
            json!({"zone": {"created": [{"id": "l1"}]}, "task": {"created":
            [{"id": "bad", "list": "l2"}, {"id": "good", "list": "l1"}]}}),
        );
        device.synced();
        assert_eq!(held(&device), "bad|row|foreignKey", "{settings}");
        assert_eq!(device.ask("SELECT id FROM visit"), "vgood", "{settings}");
        pull(&server, json!({"zone": {"created": [{"id": "l2"}]}}));
        device.synced();
        assert_eq!(held(&device), "", "{settings}");
        assert_eq!(
            device.ask("SELECT id FROM visit ORDER BY id"),
            "vbad\nvgood",
            "{settings}"
        );
        assert_eq!(device.pending(), "", "{settings}");
    });
}

#[test]
fn h1_a_row_whose_trigger_deletes_what_others_refer_to_is_held() {
    for key in ["", " DEFERRABLE INITIALLY DEFERRED", " ON DELETE RESTRICT"] {
        enforced(|settings| {
            let what = format!("{key} {settings}");
            let server = Canned::start();
            let schema = format!(
                "CREATE TABLE a (id TEXT PRIMARY KEY NOT NULL, x TEXT);
                 CREATE TABLE b (id TEXT PRIMARY KEY NOT NULL, a TEXT REFERENCES a (id){key});
                 CREATE TRIGGER goes AFTER INSERT ON a WHEN new.x = 'replaces 1' BEGIN DELETE FROM a WHERE id = '1'; END;"
            );
            let device = Device::with(&schema, &["a", "b"], &server.url());
            server.changes(json!({"a": {"created": [{"id": "1", "x": ""}]}, "b": {"created": [{"id": "b1", "a": "1"}]}}));
            device.synced();
            // The row that it would delete is in the answer too, and none the worse for it.
            pull(
                &server,
                json!({"a": {"created": [{"id": "1", "x": "new"}, {"id": "bad", "x": "replaces 1"}, {"id": "good", "x": ""}]}}),
            );
            device.synced();
            assert_eq!(
                device.ask("SELECT id, x FROM a ORDER BY id"),
                "1|new\ngood|",
                "{what}"
            );
            assert_eq!(held(&device), "bad|row|foreignKey", "{what}");
            pull(&server, json!({"b": {"deleted": ["b1"]}}));
            device.synced();
            assert_eq!(held(&device), "", "{what}");
            assert_eq!(
                device.ask("SELECT id FROM a ORDER BY id"),
                "bad\ngood",
                "{what}"
            );
        });
    }
}

#[test]
fn h1_a_delete_whose_trigger_breaks_a_reference_is_held_alone() {
    for (schema, cascades) in [
        (
            "CREATE TRIGGER logs AFTER DELETE ON task BEGIN INSERT INTO gone VALUES (old.id, old.list); END;",
            false,
        ),
        (
            "CREATE TABLE part (id TEXT PRIMARY KEY NOT NULL, task TEXT REFERENCES task (id) ON DELETE CASCADE, list TEXT);
             CREATE TRIGGER logs AFTER DELETE ON part BEGIN INSERT INTO gone VALUES (old.id, old.list); END;",
            true,
        ),
    ] {
        enforced(|settings| {
            let what = format!("{schema} {settings}");
            let server = Canned::start();
            let tables = "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
                 CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT);
                 CREATE TABLE gone (id TEXT, list TEXT REFERENCES list (id));";
            let device = Device::with(&format!("{tables}{schema}"), &["list", "task"], &server.url());
            let row = |id: &str, list: &str| json!({"id": id, "list": list});
            server.changes(json!({"list": {"created": [{"id": "l1"}]}, "task": {"created": [row("bad", "l2"),
                row("good", "l1"), row("last", "l1")]}}));
            device.synced();
            if cascades {
                device.exec("INSERT INTO part SELECT id, id, list FROM task");
            }
            pull(&server, json!({"task": {"deleted": ["good", "bad", "last"], "created": [row("new", "l1")]}}));
            device.synced();
            assert_eq!(device.ask("SELECT id FROM task ORDER BY id"), "bad\nnew", "{what}");
            assert_eq!(held(&device), "bad|delete|foreignKey", "{what}");
            pull(&server, json!({}));
            device.synced();
            assert_eq!(held(&device), "bad|delete|foreignKey", "{what}");
            pull(&server, json!({"list": {"created": [{"id": "l2"}]}}));
            device.synced();
            assert_eq!((held(&device), device.ask("SELECT id FROM task")), (String::new(), "new".into()), "{what}");
            assert_eq!(device.pending(), "", "{what}");
        });
    }
}

/// An edit meets it, and the trigger runs for what is decided.
#[test]
fn h1_an_edited_row_whose_trigger_breaks_a_reference_is_held() {
    let trigger = "AFTER UPDATE ON task WHEN new.x = 'there' BEGIN INSERT INTO stat VALUES ('l' || new.list, 1); END;";
    for policy in [
        "'columns'",
        "'serverWins'",
        "'sql2', ':remote'",
        "'sql4', ':remote'",
    ] {
        enforced(|settings| {
            let what = format!("{policy} {settings}");
            let server = Canned::start();
            let device = Device::with(&derived("", trigger), &["list", "task"], &server.url());
            device.ask(&format!("SELECT sync_resolver('task', {policy})"));
            server.changes(json!({"task": {"created": [task("k", "1")]}}));
            device.synced();
            let (edit, mine) = match policy {
                "'columns'" => ("list = '3'", "3"),
                _ => ("x = 'here', list = '2'", "9"),
            };
            device.exec(&format!("UPDATE task SET {edit} WHERE id = 'k'"));
            pull(
                &server,
                json!({"task": {"updated": [{"id": "k", "list": "9", "x": "there"}], "created": [task("good", "1")]}}),
            );
            device.synced();
            assert_eq!(held(&device), "k|row|foreignKey", "{what}");
            assert_eq!(
                device.ask("SELECT id FROM task WHERE id = 'good'"),
                "good",
                "{what}"
            );
            assert_eq!(
                device.ask("SELECT count(*) FROM sync_conflict"),
                "1",
                "{what}"
            );
            assert_eq!(device.pending(), "", "{what}");
            pull(&server, json!({}));
            device.synced();
            pull(
                &server,
                json!({"list": {"created": [{"id": format!("l{mine}")}]}}),
            );
            device.synced();
            assert_eq!(held(&device), "", "{what}");
            assert_eq!(
                device.ask("SELECT list, x FROM task WHERE id = 'k'"),
                format!("{mine}|there"),
                "{what}"
            );
            assert_eq!(device.pending(), "", "{what}");
        });
    }
}
