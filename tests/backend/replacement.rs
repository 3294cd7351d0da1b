//! Answers that replace what clients have, and answers after a migration (rule P6).

use serde_json::{Value, json};
use support::client::shape::*;
use support::client::*;

/// Tasks t1 to t3 and lists 1 and 2; then t4 is new, t2 changed, t3 gone; the cursor between.
fn changed() -> (Backend, i64) {
    let (backend, _) = with_tasks();
    backend.sql(|sql| sql.execute_batch("INSERT INTO list VALUES (1, 'one'), (2, 'two')"));
    let cursor = timestamp(&pull(&backend, 0));
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO task (key, title, done) VALUES ('t4', 'Reap', 0);
             UPDATE task SET title = 'Rest more' WHERE key = 't2';
             DELETE FROM task WHERE key = 't3'",
        )
    });
    (backend, cursor)
}

/// A pull in the shape of `docs` with a strategy and a migration.
fn ask(backend: &Backend, cursor: i64, name: &str, value: &str) -> Reply {
    answered(
        agent()
            .get(backend.sync_url())
            .query("last_pulled_at", cursor.to_string())
            .query(name, value)
            .call(),
    )
}

// ---- replacement ----------------------------------------------------------------------------

#[test]
fn no_strategy_is_answered_unless_it_is_asked_for() {
    let (backend, cursor) = changed();
    let answer = pull(&backend, cursor);
    assert_eq!(answer.get("experimentalStrategy"), None);
    assert_eq!(ids(&answer, "task", "created"), ["t4"]);
    let asked = ask(&backend, cursor, "strategy", "incremental").json();
    assert_eq!(asked["experimentalStrategy"], "incremental");
    assert_eq!(asked["changes"], answer["changes"]);
}

#[test]
fn replacement_gives_complete_sets_and_still_tells_created_updated_and_deleted_apart() {
    let (backend, cursor) = changed();
    let answer = ask(&backend, cursor, "strategy", "replacement").json();
    assert_eq!(answer["experimentalStrategy"], "replacement");
    assert_eq!(ids(&answer, "task", "created"), ["t4"]);
    assert_eq!(ids(&answer, "task", "updated"), ["t1", "t2"]);
    assert_eq!(ids(&answer, "task", "deleted"), ["t3"]);
    assert_eq!(ids(&answer, "list", "updated"), ["1", "2"]);
    let first = ask(&backend, 0, "strategy", "replacement").json();
    assert_eq!(ids(&first, "task", "created"), ["t1", "t2", "t4"]);
    assert_eq!(ids(&first, "task", "updated").len(), 0);
}

#[test]
fn replacement_per_table_leaves_the_others_incremental() {
    let (backend, cursor) = changed();
    for strategy in [
        json!({"default": "incremental", "override": {"list": "replacement"}}),
        json!({"default": "replacement", "override": {"task": "incremental", "item": "incremental"}}),
    ] {
        let answer = ask(&backend, cursor, "strategy", &strategy.to_string()).json();
        assert_eq!(answer["experimentalStrategy"], strategy);
        assert_eq!(ids(&answer, "task", "updated"), ["t2"], "{strategy}");
        assert_eq!(ids(&answer, "list", "updated"), ["1", "2"], "{strategy}");
    }
    let bare = json!({"default": "replacement"});
    let answer = ask(&backend, cursor, "strategy", &bare.to_string()).json();
    assert_eq!(answer["experimentalStrategy"], bare, "override left out");
    assert_eq!(ids(&answer, "task", "updated"), ["t1", "t2"]);
}

#[test]
fn replacement_of_an_emptied_table_is_an_empty_set() {
    let (backend, cursor) = changed();
    backend.sql(|sql| sql.execute("DELETE FROM list", []));
    let seen = timestamp(&pull(&backend, cursor));
    let answer = ask(&backend, seen, "strategy", "replacement").json();
    let nothing = json!({"created": [], "updated": [], "deleted": []});
    assert_eq!(answer["changes"]["list"], nothing);
}

#[test]
fn replacement_as_a_switch_counts_before_what_the_client_asks_for() {
    let (backend, cursor) = changed();
    misbehave(&backend, json!({"on": "pull", "strategy": "replacement"}));
    let answer = pull(&backend, cursor);
    assert_eq!(answer["experimentalStrategy"], "replacement");
    assert_eq!(ids(&answer, "task", "updated"), ["t1", "t2"]);
    let asked = ask(&backend, cursor, "strategy", "incremental").json();
    assert_eq!(asked, answer);
}

#[test]
fn replacement_of_a_part_of_a_table() {
    let (backend, cursor) = changed();
    misbehave(
        &backend,
        json!({"strategy": "replacement", "only": {"task": "title LIKE 'Re%'"}}),
    );
    let answer = pull(&backend, cursor);
    assert_eq!(ids(&answer, "task", "created"), ["t4"]);
    assert_eq!(ids(&answer, "task", "updated"), ["t2"]);
}

#[test]
fn replacement_in_every_preset() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        stop_clock(&backend, 0);
        backend.sql(|sql| sql.execute("UPDATE task SET done = 1 WHERE key = 't3'", []));
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        let mut shape = next_pull(preset, cursor);
        match &mut shape.body {
            Some(body) => body["strategy"] = json!({"default": "replacement"}),
            None => shape.query.push(("strategy", "replacement".to_string())),
        }
        let answer = pull_by(&backend, preset, shape);
        assert_eq!(
            ids(&answer, "task", "updated"),
            ["t1", "t2", "t3"],
            "{preset:?}"
        );
        assert!(answer.get("experimentalStrategy").is_some(), "{preset:?}");
    }
}

#[test]
fn strategies_that_do_not_exist_are_refused() {
    let (backend, cursor) = changed();
    for wrong in [
        "magic",
        "",
        "{",
        "{}",
        "{\"default\":\"magic\"}",
        "{\"default\":5}",
    ] {
        let reply = ask(&backend, cursor, "strategy", wrong);
        assert_eq!(reply.status, 400, "{wrong}");
    }
}

// ---- migrations -----------------------------------------------------------------------------

/// A pull with a migration from version 1.
fn migrated(backend: &Backend, cursor: i64, tables: Value, columns: Value) -> Value {
    let migration = json!({"from": 1, "tables": tables, "columns": columns});
    let reply = ask(backend, cursor, "migration", &migration.to_string());
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    reply.json()
}

#[test]
fn p6_all_rows_of_a_new_table_are_created_and_its_tombstones_left_out() {
    let (backend, cursor) = changed();
    backend.sql(|sql| sql.execute("DELETE FROM list WHERE id = 2", []));
    let answer = migrated(&backend, cursor, json!(["list"]), json!([]));
    assert_eq!(ids(&answer, "list", "created"), ["1"]);
    assert_eq!(ids(&answer, "list", "deleted").len(), 0);
    assert_eq!(
        ids(&answer, "task", "created"),
        ["t4"],
        "the rest is incremental"
    );
    assert_eq!(ids(&answer, "task", "updated"), ["t2"]);
    assert_eq!(ids(&answer, "task", "deleted"), ["t3"]);
}

#[test]
fn p6_rows_with_something_in_a_new_column_come_once_beside_those_that_changed() {
    let (backend, _) = changed();
    backend.sql(|sql| {
        sql.execute_batch(
            "UPDATE task SET points = 3 WHERE key = 't1'; UPDATE task SET points = 4 WHERE key = 't2'",
        )
    });
    let cursor = timestamp(&pull(&backend, 0));
    backend.sql(|sql| {
        sql.execute_batch(
            "UPDATE task SET title = 'x' WHERE key = 't2';
             INSERT INTO task (key, title, done, points) VALUES ('t5', 'New', 0, 5)",
        )
    });
    let columns = json!([{"table": "task", "columns": ["points"]}]);
    let answer = migrated(&backend, cursor, json!([]), columns);
    assert_eq!(ids(&answer, "task", "created"), ["t5"]);
    assert_eq!(ids(&answer, "task", "updated"), ["t1", "t2"]);
}

#[test]
fn p6_the_default_is_the_declared_one_or_else_that_of_the_type() {
    let (backend, _) = with_tasks();
    backend.sql(|sql| {
        sql.execute_batch(
            "UPDATE task SET done = 0; UPDATE task SET done = 1 WHERE key = 't2';
             UPDATE task SET note = NULL WHERE key = 't1';
             UPDATE task SET weight = 0 WHERE key = 't3'",
        )
    });
    let cursor = timestamp(&pull(&backend, 0));
    for (column, expected) in [
        // Required and without a default: 0. Optional: NULL. Declared: 'none'.
        ("done", "t2"),
        ("weight", "t3"),
        ("note", "t1"),
    ] {
        let columns = json!([{"table": "task", "columns": [column]}]);
        let answer = migrated(&backend, cursor, json!([]), columns);
        assert_eq!(ids(&answer, "task", "updated"), [expected], "{column}");
    }
}

#[test]
fn p6_a_new_table_that_the_client_does_not_ask_for_stays_out() {
    let (backend, cursor) = changed();
    let migration = json!({"from": 1, "tables": ["list"], "columns": []});
    let reply = answered(
        agent()
            .get(backend.sync_url())
            .query("last_pulled_at", cursor.to_string())
            .query("tables", "task")
            .query("migration", migration.to_string())
            .call(),
    );
    assert_eq!(reply.json()["changes"].get("list"), None);
}

#[test]
fn p6_migrations_that_are_not_understood_are_refused_in_url_and_body() {
    let (backend, cursor) = changed();
    for wrong in [
        json!({"tables": ["nope"]}),
        json!({"columns": [{"table": "nope", "columns": []}]}),
        json!({"columns": [{"columns": ["note"]}]}),
        json!(5),
        json!("x"),
        json!([]),
    ] {
        let in_url = ask(&backend, cursor, "migration", &wrong.to_string());
        assert_eq!(in_url.status, 400, "{wrong}");
        for preset in [Preset::Seed, Preset::Rpc] {
            let mut shape = next_pull(preset, cursor);
            shape.body.as_mut().unwrap()["migration"] = wrong.clone();
            let in_body = shape.send(&backend.pull_url(preset));
            assert_eq!(in_body.status, 400, "{preset:?}: {wrong}");
        }
    }
}
