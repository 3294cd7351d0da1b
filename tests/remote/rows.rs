//! What comes and goes: pulls, pushes, edits made meanwhile, uploads in parts.

use serde_json::{Value, json};
use support::remote::{On, Op, Sent, Trouble, everywhere};

/// Table, op, id and changed columns of the changes of one upload, by line.
fn listed(upload: &[Sent]) -> String {
    let lines: Vec<String> = upload
        .iter()
        .map(|sent| format!("{} {:?} {}", sent.table, sent.op, sent.id))
        .collect();
    lines.join("\n")
}

fn change<'a>(upload: &'a [Sent], id: &str) -> &'a Sent {
    let mut found = upload.iter().filter(|sent| sent.id == id);
    found
        .next()
        .unwrap_or_else(|| panic!("{id} was not sent: {upload:?}"))
}

fn counts(answer: &Value, keys: &[&str]) -> Vec<i64> {
    keys.iter()
        .map(|key| answer[key].as_i64().unwrap_or(-1))
        .collect()
}

#[test]
fn a_first_sync_brings_everything_and_sends_what_is_here() {
    everywhere(|case| {
        let server = case.server();
        server.put("list", &[json!({"id": "l1", "name": "Garden"})]);
        server.put(
            "task",
            &[
                json!({"id": "t1", "title": "Dig", "n": 1, "done": false}),
                json!({"id": "t2", "title": "żółw 🐢 \"q\" \\ \n", "n": -9_007_199_254_740_993_i64, "done": true}),
            ],
        );
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id, title, note) VALUES ('n1', 'New', 'ü')");
        let answer = client.synced();
        assert_eq!(
            counts(
                &answer,
                &["inserted", "pulled", "pushed", "rejected", "conflicts"]
            ),
            [3, 3, 1, 0, 0],
            "{answer}"
        );
        client.is_at_rest();
        client.is_idle();
        assert_eq!(server.rows("task").len(), 3);
        assert_eq!(client.run("state, phase, step"), "synced|done|NULL");
        assert_eq!(
            client.ask("SELECT DISTINCT state, error FROM _syncStatus"),
            "synced|NULL"
        );
        let wanted = ["list", "task"].map(|entity| json!(entity));
        let operations = answer["operations"].as_array().expect("operations");
        let entities: Vec<Value> = operations.iter().map(|one| one["entity"].clone()).collect();
        assert_eq!(entities, wanted);
    });
}

#[test]
fn later_syncs_bring_what_is_new_and_with_nothing_to_do_nothing_is_written() {
    everywhere(|case| {
        let server = case.server();
        server.put(
            "task",
            &[
                json!({"id": "t1", "title": "Dig", "n": 1}),
                json!({"id": "t2", "title": "Rest"}),
                json!({"id": "t3", "title": "Sow"}),
            ],
        );
        let client = case.client(&*server);
        client.synced();
        server.put(
            "task",
            &[
                json!({"id": "t1", "title": "Dig deep"}),
                json!({"id": "t4", "title": "Mow"}),
            ],
        );
        server.remove("task", &["t2"]);
        let answer = client.synced();
        assert_eq!(
            counts(&answer, &["inserted", "updated", "deleted", "pushed"]),
            [1, 1, 1, 0],
            "{answer}"
        );
        client.is_at_rest();
        assert_eq!(client.ask("SELECT n FROM task WHERE id = 't1'"), "1");
        client.exec(
            "CREATE TEMP TABLE written (what TEXT);
             CREATE TEMP TRIGGER i AFTER INSERT ON task BEGIN INSERT INTO written VALUES ('i'); END;
             CREATE TEMP TRIGGER u AFTER UPDATE ON task BEGIN INSERT INTO written VALUES ('u'); END;
             CREATE TEMP TRIGGER d AFTER DELETE ON task BEGIN INSERT INTO written VALUES ('d'); END;",
        );
        server.forget();
        let answer = client.synced();
        assert_eq!(counts(&answer, &["pulled", "pushed"]), [0, 0], "{answer}");
        assert_eq!(client.ask("SELECT count(*) FROM written"), "0");
        assert!(server.asked().iter().all(|asked| asked.on == On::Download));
    });
}

/// Whether a value was sent. Some kinds have numbers as text, beyond 2^53 or all of them, and booleans as numbers.
fn is_sent(came: &Value, value: &Value) -> bool {
    let number = match value {
        Value::Bool(truth) => json!(i64::from(*truth)),
        other => other.clone(),
    };
    came == value || *came == number || *came == json!(number.to_string())
}

#[test]
fn rows_made_changed_and_deleted_go_up_with_the_right_columns() {
    everywhere(|case| {
        let server = case.server();
        server.put(
            "task",
            &[
                json!({"id": "u", "title": "old", "n": 1, "note": "stays", "done": false}),
                json!({"id": "d", "title": "goes"}),
                json!({"id": "same", "title": "same"}),
            ],
        );
        server.put("list", &[json!({"id": "u", "name": "of the same id"})]);
        let client = case.client(&*server);
        client.synced();
        server.forget();
        client.exec(
            "UPDATE task SET title = NULL, n = 9007199254740993, done = 1 WHERE id = 'u';
             UPDATE task SET title = 'same' WHERE id = 'same';
             DELETE FROM task WHERE id = 'd';
             INSERT INTO task (id, title, note) VALUES ('c', 'made', 'later'); UPDATE task SET n = 5 WHERE id = 'c';
             INSERT INTO task (id) VALUES ('brief'); DELETE FROM task WHERE id = 'brief';
             INSERT INTO list VALUES ('l', NULL)",
        );
        let answer = client.synced();
        assert_eq!(counts(&answer, &["pushed", "rejected"]), [4, 0], "{answer}");
        let uploads = server.pushed();
        assert_eq!(uploads.len(), 1);
        let upload = &uploads[0];
        assert_eq!(
            listed(upload),
            "list Created l\ntask Created c\ntask Updated u\ntask Deleted d"
        );
        let updated = change(upload, "u");
        if let Some(changed) = &updated.changed {
            assert_eq!(changed, &["done", "n", "title"]);
        }
        for (column, value) in [
            ("title", Value::Null),
            ("n", json!(9_007_199_254_740_993_i64)),
            ("done", json!(true)),
        ] {
            let came = updated.values.get(column).cloned().unwrap_or_default();
            assert!(is_sent(&came, &value), "{column}: {came}");
        }
        let created = change(upload, "c");
        for (column, value) in [
            ("title", json!("made")),
            ("note", json!("later")),
            ("n", json!(5)),
            ("done", json!(false)),
        ] {
            let came = created.values.get(column).cloned().unwrap_or_default();
            assert!(is_sent(&came, &value), "{column}: {came}");
        }
        client.is_at_rest();
        assert_eq!(
            server.rows("task")[2],
            json!({"id": "u", "title": null, "done": true, "n": 9_007_199_254_740_993_i64, "note": "stays"})
        );
    });
}

#[test]
fn edits_made_during_the_pull_go_up_with_it() {
    for journal in ["wal", "delete"] {
        everywhere(|case| {
            let server = case.server();
            if !server.pulls_first() {
                return;
            }
            server.put(
                "task",
                &[
                    json!({"id": "a", "title": "A", "n": 1}),
                    json!({"id": "b", "title": "B"}),
                    json!({"id": "c", "title": "C"}),
                ],
            );
            let client = case.client(&*server);
            client.ask(&format!("PRAGMA journal_mode = {journal}"));
            client.synced();
            client.exec("UPDATE task SET title = 'before' WHERE id = 'a'");
            server.put(
                "task",
                &[
                    json!({"id": "a", "n": 5}),
                    json!({"id": "b", "title": "R", "n": 5}),
                ],
            );
            server.forget();
            let answer = client.sync_while(
                On::Download,
                "UPDATE task SET title = 'during' WHERE id = 'b'; DELETE FROM task WHERE id = 'c';
             INSERT INTO task (id, title) VALUES ('n', 'new')",
            );
            assert_eq!(answer["state"], "synced", "{answer}");
            assert_eq!(
                listed(&server.pushed()[0]),
                "task Created n\ntask Updated a\ntask Updated b\ntask Deleted c"
            );
            client.is_at_rest();
            assert_eq!(
                client.ask("SELECT id, title, n FROM task ORDER BY id"),
                "a|before|5\nb|during|5\nn|new|NULL"
            );
        });
    }
}

#[test]
fn edits_made_during_the_push_stay_pending_with_only_what_changed_since() {
    for journal in ["wal", "delete"] {
        everywhere(|case| {
            let server = case.server();
            server.put(
                "task",
                &[
                    json!({"id": "a", "title": "A", "n": 1, "note": "x"}),
                    json!({"id": "b", "title": "B"}),
                ],
            );
            let client = case.client(&*server);
            client.ask(&format!("PRAGMA journal_mode = {journal}"));
            client.synced();
            server.forget();
            client.exec(
            "UPDATE task SET title = 'one' WHERE id = 'a'; UPDATE task SET note = 'two' WHERE id = 'b';
             INSERT INTO task (id, title) VALUES ('n', 'new'), ('m', 'new')",
        );
            let answer = client.sync_while(
                On::Upload,
                "UPDATE task SET n = 7 WHERE id = 'a'; DELETE FROM task WHERE id = 'b';
             UPDATE task SET note = 'late' WHERE id = 'n'; DELETE FROM task WHERE id = 'm';
             INSERT INTO task (id, title) VALUES ('late', 'late')",
            );
            assert_eq!(answer["state"], "synced", "{answer}");
            let sent = change(&server.pushed()[0], "a").clone();
            assert_eq!(sent.values["title"], "one");
            assert_ne!(sent.values["n"], json!(7), "what was frozen was sent");
            assert_eq!(
                client.pending(),
                "task|a|updated|[\"n\"]\ntask|b|deleted|NULL\ntask|late|created|[]\n\
             task|m|deleted|NULL\ntask|n|updated|[\"note\"]"
            );
            server.forget();
            client.synced();
            let again = change(&server.pushed()[0], "a").clone();
            if let Some(changed) = &again.changed {
                assert_eq!(changed, &["n"]);
            }
            client.synced();
            client.is_at_rest();
            assert_eq!(
                client.ask("SELECT id, title, n, note FROM task ORDER BY id"),
                "a|one|7|x\nlate|late|NULL|NULL\nn|new|NULL|late"
            );
        });
    }
}

#[test]
fn an_edit_made_during_a_push_that_fails_is_not_lost_and_neither_is_what_was_sent() {
    for trouble in [
        Trouble::Refused(500, "no"),
        Trouble::Lost { done: false },
        Trouble::Lost { done: true },
    ] {
        everywhere(|case| {
            let server = case.server();
            if !server.sends_in_one_request() {
                return;
            }
            server.put("task", &[json!({"id": "a", "title": "A"})]);
            let client = case.client(&*server);
            client.synced();
            client.exec("UPDATE task SET title = 'one' WHERE id = 'a'");
            server.trouble(On::Upload, &trouble, Some(1));
            let answer =
                client.sync_while(On::Upload, "UPDATE task SET note = 'two' WHERE id = 'a'");
            assert_eq!(answer["state"], "failed", "{answer}");
            assert_eq!(client.pending(), "task|a|updated|[\"title\",\"note\"]");
            client.synced();
            client.synced();
            client.is_at_rest();
            assert_eq!(client.ask("SELECT title, note FROM task"), "one|two");
        });
    }
}

#[test]
fn rejected_rows_and_edits_made_during_the_push_are_what_stays_pending() {
    everywhere(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        server.put(
            "task",
            &[json!({"id": "a"}), json!({"id": "b"}), json!({"id": "c"})],
        );
        let client = case.client(&*server);
        client.synced();
        client.exec(
            "UPDATE task SET title = 'one'; DELETE FROM task WHERE id = 'c';
             INSERT INTO task (id) VALUES ('n'), ('m')",
        );
        let rejected = ["b", "c", "n", "x"].map(|id| ("task", id, "no"));
        server.trouble(On::Upload, &Trouble::Rejected(rejected.into()), Some(1));
        let answer = client.sync_while(On::Upload, "UPDATE task SET n = 3 WHERE id = 'm'");
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(counts(&answer, &["pushed", "rejected"]), [2, 3], "{answer}");
        assert_eq!(
            client.pending(),
            "task|b|updated|[\"title\"]\ntask|c|deleted|NULL\ntask|m|updated|[\"n\"]\ntask|n|created|[]"
        );
        client.synced();
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn an_upload_in_parts_is_settled_part_by_part() {
    everywhere(|case| {
        let server = case.server();
        let Some(batches) = server.batches_of(2) else {
            return;
        };
        let client = case.client(&*server);
        client.declare(&batches);
        client.exec(
            "INSERT INTO list VALUES ('l', 'x');
             INSERT INTO task (id, title) VALUES ('a', '1'), ('b', '2'), ('c', '3'), ('d', '4'), ('e', '5')",
        );
        let answer = client.synced();
        assert_eq!(answer["pushed"], 6, "{answer}");
        let sizes: Vec<usize> = server.pushed().iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 6, "{sizes:?}");
        assert!(sizes.iter().all(|size| (1..=2).contains(size)), "{sizes:?}");
        client.is_at_rest();
        assert_eq!(client.run("rowsUp, rowsTotal"), "6|6");
    });
}

#[test]
fn of_an_upload_in_parts_only_the_lost_part_waits_on() {
    for done in [false, true] {
        everywhere(|case| {
            let server = case.server();
            let Some(batches) = server.batches_of(2) else {
                return;
            };
            if !server.sends_in_one_request() {
                return;
            }
            let client = case.client(&*server);
            client.declare(&batches);
            client.exec(
                "INSERT INTO task (id, title) VALUES ('a', '1'), ('b', '2'), ('c', '3'), ('d', '4')",
            );
            let trouble = Trouble::Lost { done };
            let remote = &*server;
            // The first part passes; what was sent second gets no answer.
            std::thread::scope(|scope| {
                let first = support::remote::hold(remote, On::Upload);
                scope.spawn(move || {
                    first.wait();
                    let second = support::remote::hold(remote, On::Upload);
                    first.release();
                    second.wait();
                    remote.trouble(On::Upload, &trouble, Some(1));
                    second.release();
                });
                client.failed();
            });
            assert_eq!(
                client.ask("SELECT count(*) FROM sync_pending"),
                "2",
                "done: {done}"
            );
            let sent: Vec<Op> = server
                .pushed()
                .concat()
                .iter()
                .map(|sent| sent.op)
                .collect();
            assert_eq!(sent, [Op::Created; 4]);
            client.synced();
            client.synced();
            client.is_at_rest();
            assert_eq!(server.rows("task").len(), 4, "done: {done}");
        });
    }
}

/// Whatever the kind: it is no affair of the server's.
#[test]
fn h1_a_row_that_a_table_refuses_stops_no_sync() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.exec(
            "CREATE UNIQUE INDEX one ON task (n); INSERT INTO task (id, n) VALUES ('mine', 7)",
        );
        server.put(
            "task",
            &[json!({"id": "a", "n": 1}), json!({"id": "bad", "n": 7})],
        );
        let answer = client.synced();
        assert_eq!(
            counts(&answer, &["inserted", "held", "pushed"]),
            [1, 1, 1],
            "{answer}"
        );
        assert_eq!(
            client.ask("SELECT entity, key, reason, clashesWith FROM sync_held"),
            "task|bad|unique|mine"
        );
        assert_eq!(
            client.ask("SELECT DISTINCT state, error FROM _syncStatus"),
            "synced|NULL"
        );
        client.exec("UPDATE task SET n = 8 WHERE id = 'mine'");
        assert_eq!(counts(&client.synced(), &["held"]), [0]);
        assert_eq!(client.ask("SELECT n FROM task WHERE id = 'bad'"), "7");
        client.is_at_rest();
    });
}
