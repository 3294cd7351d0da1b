//! Deletes come after all rows, children first, and entities are called as they are declared (rules H8, H9, H11).

use serde_json::{Value, json};
use support::{Canned, Device, enforced, everywhere, json_answer, query};

const TREE: &str = "CREATE TABLE project (id TEXT PRIMARY KEY NOT NULL, x TEXT);
     CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, project TEXT REFERENCES project (id) ON DELETE CASCADE, x TEXT,
       local TEXT DEFAULT 'unset');
     CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, task TEXT REFERENCES task (id) ON DELETE CASCADE)";

fn changes() -> Value {
    json!({
        "project": {"deleted": ["p"]},
        "task": {"updated": [{"id": "t1", "project": "q", "x": "a"}, {"id": "t2", "project": "q", "x": "b"}]},
    })
}

#[test]
fn h8_moved_children_survive_the_delete_of_their_old_parent() {
    for order in [
        ["project", "task", "note"],
        ["note", "task", "project"],
        ["task", "note", "project"],
    ] {
        for recursive in ["OFF", "ON"] {
            let server = Canned::start();
            let device = Device::configured(
                TREE,
                &order,
                &server.url(),
                json!({"excludeColumns": {"task": ["local"]}}),
            );
            device.exec(&format!(
                "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = {recursive}"
            ));
            server.changes(json!({
                "project": {"created": [{"id": "p"}, {"id": "q"}]},
                "task": {"created": [{"id": "t1", "project": "p"}, {"id": "t2", "project": "p"}]},
                "note": {"created": [{"id": "n", "task": "t1"}]},
            }));
            device.synced();
            device.exec("UPDATE task SET local = 'mine', x = 'edited' WHERE id = 't2'");
            server.changes(changes());
            let pushes = server.pushed().len();
            device.synced();
            assert_eq!(
                device.ask("SELECT * FROM task ORDER BY id"),
                "t1|q|a|unset\nt2|q|edited|mine",
                "{order:?}"
            );
            assert_eq!(device.ask("SELECT id FROM note"), "n", "{order:?}");
            assert_eq!(device.ask("SELECT id FROM project"), "q", "{order:?}");
            let body = server.pushed()[pushes].clone();
            assert_eq!(body["task"]["deleted"], json!([]), "{body}");
            assert_eq!(body["note"]["deleted"], json!([]), "{body}");
            assert_eq!(body["task"]["updated"][0]["id"], "t2", "{body}");
            assert_eq!(device.pending(), "");
        }
    }
}

#[test]
fn h8_a_tree_goes_from_its_leaves_and_nothing_of_it_is_sent_back() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE folder (id TEXT PRIMARY KEY NOT NULL, up TEXT REFERENCES folder (id) ON DELETE CASCADE, x TEXT)",
        &["folder"],
        &server.url(),
    );
    device.exec("PRAGMA foreign_keys = ON");
    server.changes(
        json!({"folder": {"created": [{"id": "a"}, {"id": "b", "up": "a"}, {"id": "c", "up": "b"},
        {"id": "d", "up": "c"}, {"id": "z"}]}}),
    );
    device.synced();
    device.exec("UPDATE folder SET x = 'edited' WHERE id IN ('c', 'd')");
    server.changes(
        json!({"folder": {"deleted": ["a", "b", "c"], "updated": [{"id": "d", "up": "z"}]}}),
    );
    let answer = device.synced();
    assert_eq!(
        device.ask("SELECT id, up, x FROM folder ORDER BY id"),
        "d|z|edited\nz|NULL|NULL"
    );
    assert_eq!(answer["deleted"], 3, "{answer}");
    assert_eq!(
        device.ask("SELECT rowKey, kind FROM sync_conflict WHERE kind <> 'edited'"),
        "c|deletedRemotely"
    );
    let body = server.pushed()[0].clone();
    assert_eq!(body["folder"]["deleted"], json!([]), "{body}");
    assert_eq!(device.pending(), "");
}

/// A value that a deleted row leaves behind is free for one that comes.
#[test]
fn h8_a_row_gets_the_unique_value_of_one_that_goes() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE)",
        &["t"],
        &server.url(),
    );
    server.changes(json!({"t": {"created": [{"id": "a", "u": "1"}]}}));
    device.synced();
    server.changes(json!({"t": {"created": [{"id": "b", "u": "1"}], "deleted": ["a"]}}));
    let answer = device.synced();
    assert_eq!(device.ask("SELECT * FROM t"), "b|1");
    assert_eq!(answer["held"], 0, "{answer}");
}

#[test]
fn h9_a_row_that_no_device_could_take_back_is_not_sent() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id INT PRIMARY KEY NOT NULL, x TEXT)",
        &["t"],
        &server.url(),
    );
    device.exec("INSERT INTO t VALUES (5, 'five'), ('abc', 'text'), (7, 'seven')");
    device.synced();
    let sent = &server.pushed()[0]["t"]["created"];
    assert_eq!(sent.as_array().map(Vec::len), Some(2), "{sent}");
    let reason = device.ask("SELECT reason FROM _syncRejected");
    assert!(reason.contains("whole numbers"), "{reason}");
    assert_eq!(device.ask("SELECT key FROM sync_pending"), "abc");
    device.synced();
    assert_eq!(server.pushed().len(), 1);
}

#[test]
fn h11_a_resolver_is_for_the_entity_however_it_is_spelled() {
    for spelled in ["tasks", "Tasks", "TASKS"] {
        let server = Canned::start();
        let device = Device::with(
            "CREATE TABLE tasks (id TEXT PRIMARY KEY NOT NULL, n TEXT)",
            &["tasks"],
            &server.url(),
        );
        let row = |n: &str| json!({"tasks": {"updated": [{"id": "a", "n": n}]}});
        server.changes(row("x"));
        device.synced();
        device.ask("SELECT sync_resolver('TaskS', 'clientWins')");
        device.ask(&format!("SELECT sync_resolver('{spelled}', 'serverWins')"));
        let kept = "SELECT group_concat(entity || ' ' || policy) FROM _syncResolver";
        assert_eq!(device.ask(kept), "tasks serverWins");
        // As an older version kept it.
        device.exec(&format!("UPDATE _syncResolver SET entity = '{spelled}'"));
        device.exec("UPDATE tasks SET n = 'mine'");
        server.changes(row("theirs"));
        device.synced();
        assert_eq!(device.ask("SELECT n FROM tasks"), "theirs", "{spelled}");
        device.ask("SELECT sync_resolver('tAsks', NULL)");
        assert_eq!(device.ask("SELECT count(*) FROM _syncResolver"), "0");
    }
}

#[test]
fn h11_a_resolver_of_what_is_no_entity_is_refused_where_it_is_said() {
    let server = Canned::start();
    let device = Device::configured(
        "CREATE TABLE tasks (id TEXT PRIMARY KEY NOT NULL); CREATE TABLE later (id TEXT PRIMARY KEY NOT NULL)",
        &["tasks"],
        &server.url(),
        json!({"tableMap": {"Jobs": "tasks"}}),
    );
    let error = device.refused("SELECT sync_resolver('task', 'serverWins')");
    assert!(error.contains("did you mean \"tasks\"?"), "{error}");
    let error = device.refused("SELECT sync_resolver('_syncLog', 'serverWins')");
    assert!(error.contains("nor a table"), "{error}");
    // What may be synced one day is none of these, and to take a policy away can't go wrong.
    for (entity, policy) in [
        ("later", "'serverWins'"),
        ("jobs", "'serverWins'"),
        ("nobody", "NULL"),
        ("*", "'columns'"),
    ] {
        device.ask(&format!("SELECT sync_resolver('{entity}', {policy})"));
    }
    assert_eq!(
        device
            .ask("SELECT group_concat(entity) FROM (SELECT entity FROM _syncResolver ORDER BY 1)"),
        "*,Jobs,later"
    );
}

#[test]
fn h11_an_entity_is_called_as_it_is_declared() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE Tasks (id TEXT PRIMARY KEY NOT NULL)",
        &["Tasks"],
        &server.url(),
    );
    device.exec("INSERT INTO tasks VALUES ('a')");
    for name in ["tasks", "TASKS", "Tasks"] {
        let answer = device.sync_only(&[name]);
        assert_eq!(answer["operations"][0]["entity"], "Tasks", "{answer}");
    }
    assert_eq!(device.ask("SELECT entity FROM _syncCursor"), "Tasks");
    assert_eq!(
        device.ask("SELECT DISTINCT entity FROM _syncStatus"),
        "Tasks"
    );
    assert_eq!(server.pushed()[0]["Tasks"]["created"][0]["id"], "a");
    let pulls = server.seen().into_iter().filter(|seen| !seen.is_push());
    assert!(
        pulls
            .into_iter()
            .all(|seen| seen.path.contains("tables=Tasks"))
    );
}

/// Each entity has a cursor of its own, so each is pulled on its own.
fn pulled_apart(schema: &str, tables: &[&str], server: &Canned, all: Value) -> Device {
    let mut keys = json!({"cursorUnit": "opaque"});
    if schema.contains(" local ") {
        keys["excludeColumns"] = json!({"task": ["local"]});
    }
    let device = Device::configured(schema, tables, &server.url(), keys);
    server.changes(all);
    device.synced();
    device.exec("UPDATE _syncCursor SET cursor = json_quote(entity), reached = json_quote(entity)");
    device
}

/// Each pull is answered with what is said of the entity that it asks for; none: it fails.
fn answers(server: &Canned, changes: &Value, pulls: usize) {
    server.reset();
    for _ in 0..pulls {
        let changes = changes.clone();
        server.pull_raw(move |seen| {
            let entity = query(&seen.path, "tables").expect("an entity");
            let said = &changes[&entity];
            match said.is_null() {
                true => Vec::new(),
                false => json_answer(
                    &json!({"changes": {&entity: said}, "timestamp": format!("{entity} again")})
                        .to_string(),
                ),
            }
        });
    }
}

#[test]
fn h8_children_that_move_in_a_later_pull_survive_the_delete_of_their_old_parent() {
    enforced(|_| {
        for action in [
            "CASCADE",
            "SET NULL",
            "SET DEFAULT",
            "NO ACTION",
            "RESTRICT",
        ] {
            for order in [["project", "task", "note"], ["note", "task", "project"]] {
                let schema = TREE.replacen("ON DELETE CASCADE", &format!("ON DELETE {action}"), 1);
                let server = Canned::start();
                let all = json!({
                    "project": {"created": [{"id": "p"}, {"id": "q"}, {"id": "r"}]},
                    "task": {"created": [{"id": "t1", "project": "p"}, {"id": "t2", "project": "p"},
                        {"id": "t3", "project": "p"}, {"id": "t4", "project": "r"}]},
                    "note": {"created": [{"id": "n", "task": "t1"}, {"id": "n3", "task": "t3"}]},
                });
                let device = pulled_apart(&schema, &order, &server, all);
                device.exec("UPDATE task SET local = 'mine', x = 'edited' WHERE id = 't2'");
                let mut said = changes();
                said["task"]["deleted"] = json!(["t3", "t4"]);
                said["project"]["deleted"] = json!(["p", "r"]);
                said["note"] = json!({"deleted": ["n3"]});
                answers(&server, &said, 3);
                let answer = device.synced();
                let context = format!("{action} {order:?} {answer}");
                assert_eq!(
                    device.ask("SELECT * FROM task ORDER BY id"),
                    "t1|q|a|unset\nt2|q|edited|mine",
                    "{context}"
                );
                assert_eq!(device.ask("SELECT id FROM note"), "n", "{context}");
                assert_eq!(device.ask("SELECT id FROM project"), "q", "{context}");
                assert_eq!(answer["held"], 0, "{context}");
                let sent = &server.pushed()[0];
                assert_eq!(sent["task"]["updated"][0]["id"], "t2", "{context}");
                for table in order {
                    assert_eq!(sent[table]["deleted"], json!([]), "{context}");
                }
                assert_eq!(device.pending(), "", "{context}");
            }
        }
    });
}

/// What others do by a foreign key, a trigger does here.
#[test]
fn h8_children_that_move_in_a_later_pull_survive_a_trigger_of_their_old_parent() {
    let schema = "CREATE TABLE project (id TEXT PRIMARY KEY NOT NULL);
         CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, project TEXT);
         CREATE VIRTUAL TABLE task_words USING fts5 (project);
         CREATE TRIGGER clean AFTER DELETE ON project BEGIN DELETE FROM task WHERE project = OLD.id; END;
         CREATE TRIGGER words AFTER DELETE ON task BEGIN DELETE FROM task_words WHERE rowid = OLD.rowid; END;";
    everywhere(|settings| {
        for order in [["project", "task"], ["task", "project"]] {
            let server = Canned::start();
            let all = json!({
                "project": {"created": [{"id": "p"}, {"id": "q"}]},
                "task": {"created": [{"id": "t1", "project": "p"}, {"id": "t2", "project": "p"}]},
            });
            let device = pulled_apart(schema, &order, &server, all);
            let said = json!({
                "project": {"deleted": ["p"]},
                "task": {"updated": [{"id": "t1", "project": "q"}], "deleted": ["t2"]},
            });
            answers(&server, &said, 2);
            let answer = device.synced();
            let context = format!("{order:?} {settings}");
            assert_eq!(device.ask("SELECT * FROM task"), "t1|q", "{context}");
            assert_eq!(device.ask("SELECT * FROM project"), "q", "{context}");
            assert_eq!(answer["held"], 0, "{context}");
            assert_eq!(device.pending(), "", "{context}");
            assert!(server.pushed().is_empty(), "{context}");
        }
    });
}

/// The pull that moves the children fails: the parent waits for the next run.
#[test]
fn h8_a_delete_waits_for_the_run_that_brings_the_rest() {
    enforced(|_| {
        let server = Canned::start();
        let all = json!({
            "project": {"created": [{"id": "p"}, {"id": "q"}]},
            "task": {"created": [{"id": "t1", "project": "p"}, {"id": "t2", "project": "p"}]},
            "note": {"created": [{"id": "n", "task": "t2"}]},
        });
        let tables = ["project", "task", "note"];
        let device = pulled_apart(TREE, &tables, &server, all);
        answers(&server, &json!({"project": {"deleted": ["p"]}}), 2);
        device.failed();
        let held = || device.ask("SELECT key, op, reason FROM sync_held");
        assert_eq!(held(), "p|delete|foreignKey");
        let rest =
            json!({"project": {}, "task": {"updated": [{"id": "t2", "project": "q"}]}, "note": {}});
        answers(&server, &rest, 3);
        device.synced();
        assert_eq!(held(), "");
        assert_eq!(device.ask("SELECT id, project FROM task"), "t2|q");
        assert_eq!(device.ask("SELECT id FROM project"), "q");
        assert_eq!(device.ask("SELECT id FROM note"), "n");
        assert_eq!(device.pending(), "");
    });
}
