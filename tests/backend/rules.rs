//! The reference backend keeps the rules of a WatermelonDB backend, and breaks them only on request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::backend::{Kind, Moment};
use support::client::*;
use support::hold_at;

// ---- pull: P1 to P13 ------------------------------------------------------------------------

#[test]
fn p1_the_answer_has_changes_for_every_table_and_a_timestamp() {
    let backend = start();
    let answer = pull(&backend, "null");
    let empty = json!({"created": [], "updated": [], "deleted": []});
    assert_eq!(
        answer["changes"],
        json!({"task": empty, "list": empty, "item": empty})
    );
    assert!(timestamp(&answer) > 1_600_000_000_000);
    assert_eq!(answer.as_object().map(|keys| keys.len()), Some(2));
}

#[test]
fn p2_what_was_created_updated_and_deleted_since_the_cursor_once_each() {
    let (backend, cursor) = with_tasks();
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO task (key, title, done) VALUES ('t4', 'Reap', 0);
             UPDATE task SET title = 'Reap!' WHERE key = 't4';
             UPDATE task SET title = 'Rest more' WHERE key = 't2';
             DELETE FROM task WHERE key = 't3';",
        )
    });
    let answer = pull(&backend, cursor);
    assert_eq!(ids(&answer, "task", "created"), ["t4"]);
    assert_eq!(ids(&answer, "task", "updated"), ["t2"]);
    assert_eq!(ids(&answer, "task", "deleted"), ["t3"]);
    let next = timestamp(&answer);
    assert!(next > cursor);
    let nothing = pull(&backend, next);
    assert_eq!(nothing["changes"]["task"]["created"], json!([]));
    assert_eq!(timestamp(&nothing), next);
}

#[test]
fn p3_null_zero_empty_and_no_cursor_mean_everything_live_as_created() {
    let (backend, _) = with_tasks();
    backend.sql(|sql| {
        sql.execute_batch("DELETE FROM task WHERE key = 't1'; UPDATE task SET done = 1")
    });
    for query in [
        "?last_pulled_at=null",
        "?last_pulled_at=0",
        "?last_pulled_at=",
        "",
    ] {
        let answer = get(&format!("{}{query}", backend.sync_url()))
            .unwrap()
            .json();
        assert_eq!(ids(&answer, "task", "created"), ["t2", "t3"], "{query}");
        assert_eq!(ids(&answer, "task", "updated").len(), 0);
        assert_eq!(ids(&answer, "task", "deleted").len(), 0);
    }
}

#[test]
fn p4_stamps_grow_also_within_a_millisecond_and_when_the_clock_goes_back() {
    let backend = start();
    let mut last = 0;
    for at in [NOON + 3_000_000_000_000, NOON, NOON, NOON - 5] {
        backend.freeze_clock(Some(at));
        backend.sql(|sql| sql.execute("INSERT INTO list (name) VALUES ('x')", []));
        let answer = pull(&backend, last);
        let created = answer["changes"]["list"]["created"].as_array().unwrap();
        assert_eq!(created.len(), 1);
        assert!(timestamp(&answer) > last);
        last = timestamp(&answer);
    }
}

#[test]
fn p4_looking_without_changing_makes_no_new_stamp() {
    let (backend, cursor) = with_tasks();
    count(&backend, "SELECT count(*) FROM task");
    assert_eq!(timestamp(&pull(&backend, cursor)), cursor);
}

#[test]
fn p5_no_row_is_lost_or_torn_while_others_write() {
    let backend = start();
    let is_over = AtomicBool::new(false);
    let mut seen = std::collections::BTreeSet::new();
    let mut cursor = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for index in 0..200 {
                // Two rows in one transaction: a snapshot has both or none.
                backend.sql(|sql| {
                    sql.execute(
                        "INSERT INTO list (id, name) VALUES (?1 * 2, 'a'), (?1 * 2 + 1, 'b')",
                        [index],
                    )
                });
            }
            is_over.store(true, Ordering::SeqCst);
        });
        loop {
            let was_over = is_over.load(Ordering::SeqCst);
            let answer = pull(&backend, cursor);
            let new = ids(&answer, "list", "created");
            assert_eq!(new.len() % 2, 0);
            assert_eq!(ids(&answer, "list", "updated").len(), 0);
            for id in new {
                assert!(seen.insert(id));
            }
            cursor = timestamp(&answer);
            if was_over {
                break;
            }
        }
    });
    assert_eq!(seen.len(), 400);
}

#[test]
fn p6_migration_adds_new_tables_whole_and_rows_with_something_in_new_columns() {
    let (backend, _) = with_tasks();
    backend.sql(|sql| {
        sql.execute_batch(
            "UPDATE task SET note = 'mind the gap' WHERE key = 't2';
             UPDATE task SET points = 3 WHERE key = 't3'; INSERT INTO list VALUES (7, 'seven')",
        )
    });
    let cursor = timestamp(&pull(&backend, "null"));
    let ask = |migration: &Value| {
        let reply = agent()
            .get(backend.sync_url())
            .query("last_pulled_at", cursor.to_string())
            .query("migration", migration.to_string())
            .call();
        answered(reply)
    };
    let answer = ask(&json!({"from": 1, "tables": ["list"],
        "columns": [{"table": "task", "columns": ["note"]}]}))
    .json();
    assert_eq!(ids(&answer, "list", "created"), ["7"]);
    assert_eq!(ids(&answer, "task", "created").len(), 0);
    assert_eq!(ids(&answer, "task", "updated"), ["t2"]);
    let answer = ask(&json!({"from": 1, "tables": [],
        "columns": [{"table": "task", "columns": ["note", "points"]}]}))
    .json();
    assert_eq!(ids(&answer, "task", "updated"), ["t2", "t3"]);
    for wrong in [
        json!({"tables": ["nope"]}),
        json!({"columns": [{"table": "task", "columns": ["nope"]}]}),
        json!({"columns": 5}),
        json!({"tables": [1]}),
    ] {
        assert_eq!(ask(&wrong).status, 400, "{wrong}");
    }
}

#[test]
fn p7_values_have_the_declared_types_and_numbers_are_exact() {
    let backend = start();
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO task VALUES ('t', 'a \"b\" é', 1, 9007199254740993, 0.1, NULL);
             INSERT INTO list VALUES (9223372036854775807, '')",
        )
    });
    let answer = pull(&backend, "null");
    assert_eq!(
        answer["changes"]["task"]["created"],
        json!([{"id": "t", "title": "a \"b\" é", "done": true, "points": 9007199254740993_i64,
                "weight": 0.1, "note": null}])
    );
    assert_eq!(
        answer["changes"]["list"]["created"],
        json!([{"id": "9223372036854775807", "name": ""}])
    );
}

#[test]
fn p8_tables_can_be_chosen_and_must_exist() {
    let (backend, _) = with_tasks();
    let answer = get(&format!("{}?tables=task,list", backend.sync_url())).unwrap();
    let answer = answer.json();
    let tables: Vec<&String> = answer["changes"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["list", "task"]);
    for query in [
        "tables=nope",
        "last_pulled_at=x",
        "last_pulled_at=1.5",
        "migration=%7B",
    ] {
        let reply = get(&format!("{}?{query}", backend.sync_url())).unwrap();
        assert_eq!(reply.status, 400, "{query}");
    }
}

#[test]
fn a_row_that_comes_back_is_created_and_a_replaced_one_is_updated() {
    let (backend, cursor) = with_tasks();
    backend.sql(|sql| sql.execute_batch("DELETE FROM task WHERE key = 't1'"));
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO task (key, title, done) VALUES ('t1', 'Again', 0);
             INSERT OR REPLACE INTO task (key, title, done) VALUES ('t2', 'Replaced', 0);
             UPDATE task SET key = 't9' WHERE key = 't3'",
        )
    });
    let answer = pull(&backend, cursor);
    assert_eq!(ids(&answer, "task", "created"), ["t1", "t9"]);
    assert_eq!(ids(&answer, "task", "updated"), ["t2"]);
    assert_eq!(ids(&answer, "task", "deleted"), ["t3"]);
}

#[test]
fn a_row_that_another_one_replaces_is_deleted() {
    let backend =
        Backend::start("CREATE TABLE seat (id TEXT PRIMARY KEY NOT NULL, number INTEGER UNIQUE)");
    backend.sql(|sql| sql.execute_batch("INSERT INTO seat VALUES ('a', 1)"));
    let cursor = timestamp(&pull(&backend, "null"));
    backend.sql(|sql| sql.execute_batch("INSERT OR REPLACE INTO seat VALUES ('b', 1)"));
    let answer = pull(&backend, cursor);
    assert_eq!(ids(&answer, "seat", "created"), ["b"]);
    assert_eq!(ids(&answer, "seat", "deleted"), ["a"]);
}

#[test]
fn gzip_is_used_when_the_client_takes_it() {
    let backend = start();
    backend.sql(|sql| {
        sql.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO list SELECT i, 'name of list ' || i FROM n",
        )
    });
    // ureq unpacks by itself, so the bytes are looked at in another way.
    let head = first_bytes(&backend, "accept-encoding: deflate, gzip;q=1.0");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let head = first_bytes(&backend, "accept-encoding: gzip;q=0");
    assert!(!head.contains("content-encoding"), "{head}");
    let packed = pull(&backend, "null");
    assert_eq!(ids(&packed, "list", "created").len(), 20000);
    let plain = agent()
        .get(backend.sync_url())
        .header("accept-encoding", "identity")
        .call();
    assert_eq!(answered(plain).json(), packed);
}

/// What a pull with this header line answers first, as it is on the wire.
fn first_bytes(backend: &Backend, header: &str) -> String {
    let address = backend.url().replace("http://", "");
    let mut socket = TcpStream::connect(&address).unwrap();
    let request = format!("GET /sync HTTP/1.1\r\nhost: {address}\r\n{header}\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 200];
    socket.read_exact(&mut first).unwrap();
    String::from_utf8_lossy(&first).to_ascii_lowercase()
}

// ---- push: U1 to U11 ------------------------------------------------------------------------

#[test]
fn u1_a_push_is_applied_whole_and_comes_back_as_an_echo() {
    let (backend, cursor) = with_tasks();
    let (status, answer) = push(
        &backend,
        cursor,
        json!({"task": {
            "created": [{"id": "n1", "_status": "created", "_changed": "", "title": "New", "done": true, "points": 5}],
            "updated": [{"id": "t2", "_status": "updated", "_changed": "title", "title": "Rest more", "done": false}],
            "deleted": ["t1"]},
            "list": {"created": [], "updated": [], "deleted": []}}),
    );
    assert_eq!((status, answer), (200, json!({})));
    let echo = pull(&backend, cursor);
    assert_eq!(ids(&echo, "task", "created"), ["n1"]);
    assert_eq!(ids(&echo, "task", "updated"), ["t2"]);
    assert_eq!(ids(&echo, "task", "deleted"), ["t1"]);
    assert_eq!(
        echo["changes"]["task"]["created"][0],
        json!({"id": "n1", "title": "New", "done": true, "points": 5, "weight": null, "note": "none"})
    );
}

#[test]
fn u1_u7_nothing_of_a_refused_push_is_kept() {
    let (backend, cursor) = with_tasks();
    let before = backend.dump("task");
    let (status, _) = push(
        &backend,
        cursor,
        json!({"task": {"created": [{"id": "n1", "title": "New"}], "deleted": ["t1"]}, "nope": {}}),
    );
    assert_eq!(status, 400);
    assert_eq!(backend.dump("task"), before);
    assert_eq!(timestamp(&pull(&backend, cursor)), cursor);
}

#[test]
fn u2_create_of_an_existing_id_is_an_update() {
    let (backend, cursor) = with_tasks();
    let changes = json!({"task": {"created": [{"id": "t2", "title": "Mine"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    assert_eq!(title(&backend, "t2").as_deref(), Some("Mine"));
    assert_eq!(count(&backend, "SELECT done FROM task WHERE key = 't2'"), 1);
    assert_eq!(ids(&pull(&backend, cursor), "task", "updated"), ["t2"]);
}

#[test]
fn u3_update_of_an_unknown_id_creates_and_of_a_deleted_one_fails() {
    let (backend, cursor) = with_tasks();
    let changes = json!({"task": {"updated": [{"id": "n1", "title": "New"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    assert_eq!(title(&backend, "n1").as_deref(), Some("New"));
    backend.sql(|sql| sql.execute("DELETE FROM task WHERE key = 't1'", []));
    let cursor = timestamp(&pull(&backend, cursor));
    let changes = json!({"task": {"updated": [{"id": "t1", "title": "Late"}]}});
    let (status, answer) = push(&backend, cursor, changes);
    assert_eq!((status, &answer["error"]), (409, &json!("deleted")));
    assert_eq!(title(&backend, "t1"), None);
}

#[test]
fn u4_delete_of_a_missing_id_is_ignored() {
    let (backend, cursor) = with_tasks();
    backend.sql(|sql| sql.execute("DELETE FROM task WHERE key = 't1'", []));
    let (status, _) = push(
        &backend,
        cursor,
        json!({"task": {"deleted": ["t1", "nope"]}}),
    );
    assert_eq!(status, 200);
}

#[test]
fn u5_a_row_changed_since_the_cursor_refuses_the_push_and_names_the_row() {
    for changes in [
        json!({"task": {"updated": [{"id": "t1", "title": "x"}, {"id": "t2", "title": "Mine"}]}}),
        json!({"task": {"created": [{"id": "n", "title": "x"}, {"id": "t2", "title": "Mine"}]}}),
        json!({"task": {"deleted": ["t1", "t2"]}}),
    ] {
        let (backend, cursor) = with_tasks();
        backend.sql(|sql| sql.execute("UPDATE task SET title = 'Theirs' WHERE key = 't2'", []));
        let before = backend.dump("task");
        let (status, answer) = push(&backend, cursor, changes.clone());
        assert_eq!(status, 409);
        assert_eq!(answer["error"], "conflict");
        assert_eq!(
            (&answer["table"], &answer["id"]),
            (&json!("task"), &json!("t2"))
        );
        assert_eq!(backend.dump("task"), before, "nothing of the push is kept");
        // After a pull the same push is fine.
        let cursor = timestamp(&pull(&backend, cursor));
        assert_eq!(push(&backend, cursor, changes).0, 200);
    }
}

#[test]
fn u5_an_update_of_a_row_deleted_since_the_cursor_is_a_conflict() {
    let (backend, cursor) = with_tasks();
    backend.sql(|sql| sql.execute("DELETE FROM task WHERE key = 't1'", []));
    let changes = json!({"task": {"updated": [{"id": "t1", "title": "Late"}]}});
    let (status, answer) = push(&backend, cursor, changes);
    assert_eq!((status, &answer["error"]), (409, &json!("conflict")));
}

#[test]
fn u5_a_push_does_not_conflict_with_itself() {
    let (backend, cursor) = with_tasks();
    let changes = json!({"task": {"created": [{"id": "n", "title": "1"}],
        "updated": [{"id": "n", "title": "2"}], "deleted": ["n"]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    assert_eq!(title(&backend, "n"), None);
}

#[test]
fn u8_u9_notes_are_ignored_and_unknown_names_refused() {
    let (backend, cursor) = with_tasks();
    let refused = [
        json!({"nope": {"created": []}}),
        json!({"task": {"created": [{"id": "a", "nope": 1}]}}),
        json!({"task": {"created": [{"id": "a", "key": "b"}]}}),
        json!({"task": {"nope": []}}),
        json!({"task": {"created": {}}}),
        json!({"task": {"created": [5]}}),
        json!({"task": []}),
        json!([]),
        json!({"_backend_clock": {"deleted": ["1"]}}),
    ];
    for changes in refused {
        assert_eq!(push(&backend, cursor, changes.clone()).0, 400, "{changes}");
    }
    let no_json = agent()
        .post(format!("{}?last_pulled_at=1", backend.sync_url()))
        .send("{");
    assert_eq!(answered(no_json).status, 400);
    assert_eq!(
        post(&backend.sync_url(), &json!({})).unwrap().status,
        400,
        "no cursor"
    );
}

#[test]
fn u9_ids_are_validated() {
    let (backend, cursor) = with_tasks();
    let wrong = [
        json!(""),
        json!("a b"),
        json!("') or 1=1 --"),
        json!("é"),
        json!(5),
        Value::Null,
    ];
    for id in wrong {
        let rows = json!({"task": {"created": [{"id": id, "title": "x"}]}});
        assert_eq!(push(&backend, cursor, rows).0, 400, "{id}");
        let deletes = json!({"task": {"deleted": [id]}});
        assert_eq!(push(&backend, cursor, deletes).0, 400, "{id}");
    }
    for id in [json!("x"), json!(1.5), json!([1])] {
        let rows = json!({"list": {"created": [{"id": id, "name": "x"}]}});
        assert_eq!(push(&backend, cursor, rows).0, 400, "{id}");
    }
    let both =
        json!({"list": {"created": [{"id": "8", "name": "text"}, {"id": 9, "name": "number"}]}});
    assert_eq!(push(&backend, cursor, both).0, 200);
    assert_eq!(
        count(&backend, "SELECT count(*) FROM list WHERE id IN (8, 9)"),
        2
    );
}

#[test]
fn u10_bad_content_is_repaired() {
    let (backend, cursor) = with_tasks();
    let row = json!({"id": "n", "title": 5, "done": "yes", "points": "many", "weight": true});
    assert_eq!(
        push(&backend, cursor, json!({"task": {"created": [row]}})).0,
        200
    );
    let answer = pull(&backend, cursor);
    assert_eq!(
        answer["changes"]["task"]["created"][0],
        json!({"id": "n", "title": "", "done": false, "points": null, "weight": null, "note": "none"})
    );
}

#[test]
fn u11_descendants_go_too_and_references_may_come_in_any_order() {
    let (backend, cursor) = with_tasks();
    let changes = json!({"item": {"created": [{"id": "i1", "list": 1}]},
        "list": {"created": [{"id": "1", "name": "one"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    let cursor = timestamp(&pull(&backend, cursor));
    assert_eq!(
        push(&backend, cursor, json!({"list": {"deleted": ["1"]}})).0,
        200
    );
    let answer = pull(&backend, cursor);
    assert_eq!(ids(&answer, "item", "deleted"), ["i1"]);
    let orphan = json!({"item": {"created": [{"id": "i2", "list": 99}]}});
    let (status, answer) = push(&backend, cursor, orphan);
    assert_eq!((status, &answer["error"]), (400, &json!("constraint")));
}

#[test]
fn pushes_at_the_same_time_are_applied_one_after_the_other() {
    let (backend, cursor) = with_tasks();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|index| {
                let backend = &backend;
                let row = json!({"id": "t1", "title": format!("by {index}")});
                scope.spawn(move || push(backend, cursor, json!({"task": {"updated": [row]}})).0)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7);
}

// ---- misbehaviour ---------------------------------------------------------------------------

#[test]
fn switch_delay_before_the_answer() {
    let (backend, cursor) = with_tasks();
    backend.faults().add(json!({"delayMs": 300, "times": 1}));
    let start = Instant::now();
    pull(&backend, cursor);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(backend.faults().to_json(), json!([]), "used up");
}

#[test]
fn switch_delay_in_the_middle_of_the_body() {
    let (backend, cursor) = with_tasks();
    let answer = || {
        let url = format!("{}?last_pulled_at={cursor}", backend.sync_url());
        let request = agent().get(url).header("accept-encoding", "identity");
        request.call().unwrap()
    };
    // The first half comes at once: for the second this test would wait in vain.
    backend
        .faults()
        .add(json!({"delayBodyMs": 600_000, "times": 1}));
    let mut first = [0; 10];
    let mut response = answer();
    response
        .body_mut()
        .as_reader()
        .read_exact(&mut first)
        .unwrap();
    drop(response);
    backend.faults().add(json!({"delayBodyMs": 300}));
    let start = Instant::now();
    answer().body_mut().read_to_string().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(push(&backend, cursor, json!({})), (200, json!({})));
}

#[test]
fn switch_drop_without_an_answer_and_after_the_commit() {
    let (backend, cursor) = with_tasks();
    let changes = json!({"task": {"created": [{"id": "n", "title": "New"}]}});
    backend
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true}));
    assert!(push_reply(&backend, cursor, &changes).is_none());
    assert_eq!(title(&backend, "n"), None);
    backend
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
    assert!(push_reply(&backend, cursor, &changes).is_none());
    assert_eq!(title(&backend, "n").as_deref(), Some("New"));
    backend
        .faults()
        .add(json!({"on": "pull", "times": 1, "drop": true}));
    assert!(pull_reply(&backend, cursor).is_none());
    assert_eq!(ids(&pull(&backend, cursor), "task", "created"), ["n"]);
}

#[test]
fn switch_status_with_retry_after() {
    let (backend, cursor) = with_tasks();
    for status in [401, 403, 409, 413, 429, 500, 503] {
        backend
            .faults()
            .add(json!({"status": status, "times": 2, "retryAfter": "7"}));
        let reply = pull_reply(&backend, cursor).unwrap();
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (status, Some("7"))
        );
        let changes = json!({"task": {"deleted": ["t1"]}});
        assert_eq!(
            push_reply(&backend, cursor, &changes).unwrap().status,
            status
        );
    }
    assert!(
        title(&backend, "t1").is_some(),
        "a refused push is not applied"
    );
    backend
        .faults()
        .add(json!({"status": 500, "afterCommit": true, "times": 1}));
    let changes = json!({"task": {"deleted": ["t1"]}});
    assert_eq!(push_reply(&backend, cursor, &changes).unwrap().status, 500);
    assert_eq!(title(&backend, "t1"), None, "this one is");
}

#[test]
fn switch_truncate_breaks_the_body_and_cut_ends_it_early() {
    let (backend, cursor) = with_tasks();
    for limit in [0, 20, 1_000_000] {
        backend.faults().add(json!({"truncate": limit, "times": 2}));
        assert!(
            pull_reply(&backend, 0).is_none_or(|reply| reply.body.is_none()),
            "{limit}"
        );
        let push = push_reply(&backend, cursor, &json!({}));
        assert!(push.is_none_or(|reply| reply.body.is_none()), "{limit}");
    }
    backend.faults().add(json!({"cut": 20, "times": 1}));
    let reply = pull_reply(&backend, 0).unwrap();
    assert_eq!(reply.body.as_deref(), Some("{\"changes\":{\"item\":{"));
}

#[test]
fn switch_garbage_html_and_empty() {
    let (backend, cursor) = with_tasks();
    backend.faults().add(json!({"garbage": true, "times": 1}));
    let reply = pull_reply(&backend, cursor).unwrap();
    assert_eq!(reply.status, 200);
    assert!(serde_json::from_str::<Value>(&reply.body.unwrap()).is_err());
    backend.faults().add(json!({"html": true, "times": 1}));
    let reply = pull_reply(&backend, cursor).unwrap();
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    backend
        .faults()
        .add(json!({"html": true, "status": 502, "times": 1}));
    assert_eq!(pull_reply(&backend, cursor).unwrap().status, 502);
    backend
        .faults()
        .add(json!({"empty": true, "afterCommit": true, "times": 1}));
    let changes = json!({"task": {"deleted": ["t1"]}});
    let reply = push_reply(&backend, cursor, &changes).unwrap();
    assert_eq!((reply.status, reply.body.as_deref()), (204, Some("")));
    assert_eq!(title(&backend, "t1"), None);
}

#[test]
fn switch_redirect_on_the_same_and_to_another_origin() {
    let (backend, cursor) = with_tasks();
    backend.faults().add(json!({"redirect": "/moved/sync"}));
    let reply = pull_reply(&backend, cursor).unwrap();
    let target = format!("/moved/sync?last_pulled_at={cursor}");
    assert_eq!(
        (reply.status, reply.header("location")),
        (307, Some(target.as_str()))
    );
    let moved = get(&format!("{}{target}", backend.url())).unwrap();
    assert_eq!(timestamp(&moved.json()), cursor);
    backend.faults().clear();
    backend
        .faults()
        .add(json!({"redirect": "http://other.invalid/sync", "status": 302}));
    let reply = push_reply(&backend, cursor, &json!({})).unwrap();
    assert_eq!(reply.status, 302);
    assert!(
        reply
            .header("location")
            .unwrap()
            .starts_with("http://other.invalid/sync?")
    );
}

#[test]
fn switch_duplicates_and_ids_that_are_deleted_too() {
    let (backend, _) = with_tasks();
    backend
        .faults()
        .add(json!({"duplicates": true, "times": 1}));
    let answer = pull(&backend, "null");
    assert_eq!(
        ids(&answer, "task", "created"),
        ["t1", "t1", "t2", "t2", "t3", "t3"]
    );
    assert_eq!(ids(&answer, "task", "updated").len(), 6);
    backend
        .faults()
        .add(json!({"alsoDeleted": true, "times": 1}));
    let answer = pull(&backend, "null");
    assert_eq!(
        ids(&answer, "task", "created"),
        ids(&answer, "task", "deleted")
    );
}

#[test]
fn switch_out_of_order_and_empty_arrays_left_out() {
    let (backend, _) = with_tasks();
    backend
        .faults()
        .add(json!({"outOfOrder": true, "times": 1}));
    let text = pull_reply(&backend, "null").unwrap().body.unwrap();
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part} in {text}"))
    };
    assert!(at("\"timestamp\"") < at("\"changes\""));
    assert!(at("\"task\"") < at("\"item\""));
    assert!(at("\"deleted\"") < at("\"updated\"") && at("\"updated\"") < at("\"created\""));
    assert!(serde_json::from_str::<Value>(&text).is_ok());
    backend.faults().add(json!({"omitEmpty": true, "times": 1}));
    let answer = pull(&backend, "null");
    let sections: Vec<&String> = answer["changes"]["task"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(sections, ["created"]);
    assert_eq!(answer["changes"]["list"], json!({}));
}

#[test]
fn switch_rows_with_status_without_id_with_numeric_id_and_zero_one() {
    let (backend, _) = with_tasks();
    backend.sql(|sql| sql.execute("INSERT INTO list VALUES (4, 'four')", []));
    backend
        .faults()
        .add(json!({"meta": true, "missingIds": true, "zeroOne": true, "times": 1}));
    let row = pull(&backend, "null")["changes"]["task"]["created"][1].clone();
    assert_eq!(
        (&row["_status"], &row["_changed"]),
        (&json!("synced"), &json!(""))
    );
    assert_eq!((row.get("id"), &row["done"]), (None, &json!(1)));
    backend
        .faults()
        .add(json!({"numericIds": true, "times": 1}));
    assert_eq!(
        pull(&backend, "null")["changes"]["list"]["created"][0]["id"],
        json!(4)
    );
}

#[test]
fn switch_all_updated_and_all_created() {
    let (backend, cursor) = with_tasks();
    backend
        .faults()
        .add(json!({"allUpdated": true, "times": 1}));
    let answer = pull(&backend, "null");
    assert_eq!(ids(&answer, "task", "created").len(), 0);
    assert_eq!(ids(&answer, "task", "updated"), ["t1", "t2", "t3"]);
    push(
        &backend,
        cursor,
        json!({"task": {"updated": [{"id": "t2", "title": "Mine"}]}}),
    );
    backend
        .faults()
        .add(json!({"allCreated": true, "times": 1}));
    let answer = pull(&backend, cursor);
    assert_eq!(
        ids(&answer, "task", "created"),
        ["t2"],
        "an echo as created"
    );
    assert_eq!(ids(&answer, "task", "updated").len(), 0);
    backend
        .faults()
        .add(json!({"allCreated": true, "allUpdated": true, "times": 1}));
    let answer = pull(&backend, "null");
    assert_eq!(ids(&answer, "task", "created"), ["t1", "t3", "t2"]);
    assert_eq!(ids(&answer, "task", "updated").len(), 0);
}

#[test]
fn switch_seconds_clock_loses_rows_of_the_same_second() {
    let backend = start();
    backend.freeze_clock(Some(NOON));
    let insert = |name: &str| {
        backend.sql(|sql| sql.execute("INSERT INTO list (name) VALUES (?)", [name]));
    };
    insert("a");
    backend.faults().add(json!({"secondsClock": true}));
    let cursor = timestamp(&pull(&backend, "null"));
    assert_eq!(cursor, NOON / 1000);
    insert("b");
    let same_second = pull(&backend, cursor);
    assert_eq!(ids(&same_second, "list", "created").len(), 0, "lost");
    let overlapped = pull(&backend, cursor - 1);
    assert_eq!(ids(&overlapped, "list", "created").len(), 2);
    let changes = json!({"list": {"updated": [{"id": "1", "name": "mine"}]}});
    assert_eq!(
        push(&backend, cursor, changes).0,
        200,
        "nor is a conflict seen"
    );
}

#[test]
fn switch_timestamp_after_the_queries_loses_rows_written_meanwhile() {
    let (backend, cursor) = with_tasks();
    backend
        .faults()
        .add(json!({"timestampAfterMs": 1, "times": 1}));
    let read = hold_at(&backend, Kind::Pull, Moment::Read, 0);
    let answer = std::thread::scope(|scope| {
        let slow = scope.spawn(|| pull(&backend, cursor));
        read.wait();
        backend.sql(|sql| sql.execute("UPDATE task SET title = 'Lost' WHERE key = 't1'", []));
        read.release();
        slow.join().unwrap()
    });
    assert_eq!(ids(&answer, "task", "updated").len(), 0);
    assert!(timestamp(&answer) > cursor);
    let next = pull(&backend, timestamp(&answer));
    assert_eq!(ids(&next, "task", "updated").len(), 0, "never sent");
}

#[test]
fn switch_timestamp_and_extra_keys() {
    let (backend, cursor) = with_tasks();
    for wrong in [json!(0), json!(-5), json!("text"), Value::Null, json!(1.5)] {
        backend
            .faults()
            .add(json!({"timestamp": wrong, "times": 1}));
        assert_eq!(pull(&backend, cursor)["timestamp"], wrong);
    }
    backend
        .faults()
        .add(json!({"timestamp": "omit", "times": 1}));
    let answer = pull(&backend, cursor);
    assert_eq!(
        answer.as_object().map(|keys| keys.len()),
        Some(1),
        "only changes"
    );
    let extra = json!({"experimentalStrategy": "replacement", "hello": [1]});
    backend.faults().add(json!({"extra": extra, "times": 1}));
    let answer = pull(&backend, cursor);
    assert_eq!(
        (&answer["experimentalStrategy"], &answer["hello"]),
        (&json!("replacement"), &json!([1]))
    );
}

#[test]
fn switch_no_u2_no_u5_and_any_ids() {
    let (backend, cursor) = with_tasks();
    backend.faults().add(json!({"noU2": true, "times": 1}));
    let changes =
        json!({"task": {"created": [{"id": "n", "title": "x"}, {"id": "t1", "title": "Mine"}]}});
    let (status, answer) = push(&backend, cursor, changes);
    assert_eq!(
        (status, &answer["error"], &answer["id"]),
        (409, &json!("exists"), &json!("t1"))
    );
    assert_eq!(title(&backend, "n"), None);
    backend.sql(|sql| sql.execute("UPDATE task SET title = 'Theirs' WHERE key = 't1'", []));
    backend.faults().add(json!({"noU5": true, "times": 1}));
    let changes = json!({"task": {"updated": [{"id": "t1", "title": "Mine"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    assert_eq!(title(&backend, "t1").as_deref(), Some("Mine"));
    backend.faults().add(json!({"anyIds": true, "times": 1}));
    let changes = json!({"task": {"created": [{"id": "') or 1=1 --", "title": "inert"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    assert_eq!(title(&backend, "') or 1=1 --").as_deref(), Some("inert"));
}

#[test]
fn switch_rejected_ids_are_left_out_and_reported() {
    let (backend, cursor) = with_tasks();
    backend
        .faults()
        .add(json!({"rejectIds": {"task": ["n1", "t1", "absent"]}}));
    let changes = json!({"task": {"created": [{"id": "n1", "title": "a"}, {"id": "n2", "title": "b"}],
        "deleted": ["t1"]}});
    let (status, answer) = push(&backend, cursor, changes);
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({"experimentalRejectedIds": {"task": ["n1", "t1"]}})
    );
    assert_eq!(title(&backend, "n1"), None);
    assert!(title(&backend, "n2").is_some() && title(&backend, "t1").is_some());
}

#[test]
fn faults_are_counted_per_kind_skipped_and_combined() {
    let (backend, cursor) = with_tasks();
    backend
        .faults()
        .add(json!({"on": "pull", "skip": 1, "times": 2, "status": 503}));
    backend.faults().add(json!({"on": "push", "noU5": true}));
    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            assert_eq!(push(&backend, cursor, json!({})).0, 200);
            pull_reply(&backend, cursor).unwrap().status
        })
        .collect();
    assert_eq!(statuses, [200, 503, 503, 200]);
}

// ---- from outside ---------------------------------------------------------------------------

#[test]
fn control_adds_replaces_shows_and_clears_faults() {
    let backend = start();
    let url = format!("{}/_control", backend.url());
    let one = json!({"on": "pull", "times": 2, "status": 500});
    assert_eq!(post(&url, &one).unwrap().json(), json!([one]));
    assert_eq!(pull_reply(&backend, 0).unwrap().status, 500);
    assert_eq!(get(&url).unwrap().json()[0]["times"], 1);
    let two = json!([{"on": "any", "drop": true}, {"on": "push", "delayMs": 1}]);
    assert_eq!(post(&url, &two).unwrap().json(), two);
    for wrong in [
        json!({"nope": 1}),
        json!({"drop": 1}),
        json!({"status": 99}),
        json!(5),
        json!({"on": "x"}),
        json!([1]),
    ] {
        let reply = post(&url, &wrong).unwrap();
        assert_eq!(
            (reply.status, &reply.json()["error"]),
            (400, &json!("request")),
            "{wrong}"
        );
    }
    assert_eq!(
        get(&url).unwrap().json(),
        two,
        "a wrong fault changes nothing"
    );
    assert_eq!(answered(agent().delete(&url).call()).json(), json!([]));
    assert_eq!(pull_reply(&backend, 0).unwrap().status, 200);
}

#[test]
fn edit_writes_like_another_client_and_dump_shows_all_rows() {
    let (backend, cursor) = with_tasks();
    let edit = |body: Value| {
        post(&format!("{}/_edit", backend.url()), &body)
            .unwrap()
            .status
    };
    assert_eq!(
        edit(json!({"table": "task", "id": "t1", "set": {"title": "Edited"}})),
        200
    );
    assert_eq!(
        edit(json!({"table": "task", "id": "t0", "set": {"title": "Made"}})),
        200
    );
    assert_eq!(
        edit(json!({"table": "task", "id": "t2", "delete": true})),
        200
    );
    for wrong in [
        json!({}),
        json!({"table": "nope", "id": "a", "set": {}}),
        json!({"table": "task", "id": "a"}),
        json!({"table": "task", "id": "a", "set": {"nope": 1}}),
    ] {
        assert_eq!(edit(wrong.clone()), 400, "{wrong}");
    }
    let answer = pull(&backend, cursor);
    assert_eq!(ids(&answer, "task", "created"), ["t0"]);
    assert_eq!(ids(&answer, "task", "updated"), ["t1"]);
    assert_eq!(ids(&answer, "task", "deleted"), ["t2"]);
    let dump = get(&format!("{}/_dump?table=task", backend.url())).unwrap();
    let rows = dump.json();
    let keys: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["id"].as_str())
        .collect();
    assert_eq!(keys, ["t0", "t1", "t3"]);
    assert_eq!(dump.body.unwrap(), backend.dump("task"));
    assert_eq!(
        get(&format!("{}/_dump?table=nope", backend.url()))
            .unwrap()
            .status,
        400
    );
}

#[test]
fn a_token_guards_everything() {
    let options = Options {
        schema_sql: SCHEMA.to_string(),
        token: Some("secret".to_string()),
        ..Options::default()
    };
    let backend = Backend::start_with(options).unwrap();
    for path in ["/sync", "/_dump?table=task", "/_control"] {
        assert_eq!(
            get(&format!("{}{path}", backend.url())).unwrap().status,
            401,
            "{path}"
        );
    }
    assert_eq!(push_reply(&backend, 1, &json!({})).unwrap().status, 401);
    let with = |token: &str| {
        answered(
            agent()
                .get(backend.sync_url())
                .header("authorization", token)
                .call(),
        )
        .status
    };
    assert_eq!(
        (with("Bearer secret"), with("Bearer wrong"), with("secret")),
        (200, 401, 401)
    );
}

#[test]
fn requests_are_logged_as_sent() {
    let (backend, cursor) = with_tasks();
    backend.clear_requests();
    push(&backend, cursor, json!({"task": {"deleted": ["t1"]}}));
    get(&format!("{}/wrong?a=1", backend.url()));
    let requests = backend.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].path, format!("/sync?last_pulled_at={cursor}"));
    assert_eq!(requests[0].body, "{\"task\":{\"deleted\":[\"t1\"]}}");
    assert!(requests[0].header("user-agent").is_some());
    assert_eq!(requests[1].path, "/wrong?a=1");
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let options = Options {
        schema_sql: SCHEMA.to_string(),
        max_body: 100,
        ..Options::default()
    };
    let backend = Backend::start_with(options).unwrap();
    let changes = json!({"task": {"created": [{"id": "a", "title": "x".repeat(200)}]}});
    assert_eq!(push_reply(&backend, 1, &changes).unwrap().status, 413);
}

#[test]
fn clients_that_go_away_do_no_harm() {
    let backend = start();
    backend.sql(|sql| {
        sql.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             INSERT INTO list SELECT i, 'name of list ' || i FROM n",
        )
    });
    for _ in 0..20 {
        let mut response = agent().get(backend.sync_url()).call().unwrap();
        let mut first = [0; 100];
        response
            .body_mut()
            .as_reader()
            .read_exact(&mut first)
            .unwrap();
    }
    assert_eq!(ids(&pull(&backend, 0), "list", "created").len(), 50000);
    assert_eq!(
        push(&backend, i64::MAX, json!({"list": {"deleted": ["1"]}})).0,
        200
    );
}

#[test]
fn a_file_keeps_data_stamps_and_tombstones_over_a_restart_on_the_same_port() {
    let folder = std::env::temp_dir().join(format!("backend-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let csv = folder.join("task.csv");
    std::fs::write(
        &csv,
        "key,title,done,note\na,\"say \"\"hi\"\",\nagain\",1,NA\r\nb,plain,0,x\n",
    )
    .unwrap();
    let options = |port: u16| Options {
        schema_sql: SCHEMA.to_string(),
        csv: vec![("task".to_string(), PathBuf::from(&csv))],
        place: Place::File(folder.join("server.db")),
        port,
        ..Options::default()
    };
    let backend = Backend::start_with(options(0)).unwrap();
    assert_eq!(title(&backend, "a").as_deref(), Some("say \"hi\",\nagain"));
    assert_eq!(
        count(&backend, "SELECT count(*) FROM task WHERE note IS NULL"),
        1
    );
    let cursor = timestamp(&pull(&backend, "null"));
    backend.sql(|sql| sql.execute("DELETE FROM task WHERE key = 'b'", []));
    let (port, url) = (backend.port(), backend.sync_url());
    drop(backend);
    assert!(get(&url).is_none(), "stopped");

    let backend = Backend::start_with(options(port)).unwrap();
    assert_eq!(backend.sync_url(), url);
    assert_eq!(ids(&pull(&backend, cursor), "task", "deleted"), ["b"]);
    drop(backend);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn schemas_that_cannot_be_synced_are_refused_with_the_reason() {
    for (schema, reason) in [
        ("CREATE TABLE a (x TEXT)", "primary key of one column"),
        (
            "CREATE TABLE a (x TEXT, y TEXT, PRIMARY KEY (x, y))",
            "primary key of one column",
        ),
        ("CREATE TABLE a (x BLOB PRIMARY KEY)", "TEXT or INTEGER"),
        (
            "CREATE TABLE a (x TEXT PRIMARY KEY, id TEXT)",
            "only the key may be called so",
        ),
        ("CREATE TABLE a (", "schema: "),
    ] {
        let options = Options {
            schema_sql: schema.to_string(),
            ..Options::default()
        };
        let error = Backend::start_with(options).err().expect("an error");
        assert!(error.contains(reason), "{error}");
    }
}
