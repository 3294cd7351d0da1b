//! The reference backend in five shapes: the same rows by other URLs, methods, bodies and answers.

use serde_json::json;
use support::client::shape::*;
use support::client::*;

// ---- pull -----------------------------------------------------------------------------------

#[test]
fn p1_p2_p3_each_preset_has_everything_at_first_and_then_what_changed() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let first = pull_by(&backend, preset, first_pull(preset));
        let section = new_section(preset);
        assert_eq!(
            ids(&first, "task", section),
            ["t1", "t2", "t3"],
            "{preset:?}"
        );
        assert_eq!(first["changes"]["task"]["deleted"], json!([]));
        stop_clock(&backend, 1);
        backend.sql(|sql| {
            sql.execute_batch(
                "INSERT INTO task (key, title, done) VALUES ('t4', 'Reap', 0);
                 UPDATE task SET title = 'Rest more' WHERE key = 't2';
                 DELETE FROM task WHERE key = 't3'",
            )
        });
        let next = pull_by(&backend, preset, next_pull(preset, timestamp(&first)));
        let (created, updated) = match preset {
            Preset::Rpc => (vec![], vec!["t2", "t4"]),
            _ => (vec!["t4"], vec!["t2"]),
        };
        assert_eq!(ids(&next, "task", "created"), created, "{preset:?}");
        assert_eq!(ids(&next, "task", "updated"), updated, "{preset:?}");
        assert_eq!(ids(&next, "task", "deleted"), ["t3"], "{preset:?}");
        let last = pull_by(&backend, preset, next_pull(preset, timestamp(&next)));
        let nothing = json!({"created": [], "updated": [], "deleted": []});
        assert_eq!(last["changes"]["task"], nothing, "{preset:?}");
    }
}

#[test]
fn p4_seconds_count_seconds_and_the_others_milliseconds() {
    for preset in Preset::ALL {
        let backend = start();
        stop_clock(&backend, 0);
        backend.sql(|sql| sql.execute("INSERT INTO list (name) VALUES ('x')", []));
        let answer = pull_by(&backend, preset, first_pull(preset));
        let expected = match preset {
            Preset::Seconds => NOON / 1000,
            _ => NOON,
        };
        assert_eq!(timestamp(&answer), expected, "{preset:?}");
    }
}

#[test]
fn p4_seconds_lose_rows_of_the_second_of_the_pull_without_an_overlap() {
    let backend = start();
    stop_clock(&backend, 0);
    backend.sql(|sql| sql.execute("INSERT INTO list (name) VALUES ('a')", []));
    let preset = Preset::Seconds;
    let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
    backend.sql(|sql| sql.execute("INSERT INTO list (name) VALUES ('b')", []));
    let lost = pull_by(&backend, preset, next_pull(preset, cursor));
    assert_eq!(ids(&lost, "list", "created").len(), 0);
    let overlapped = pull_by(&backend, preset, next_pull(preset, cursor - 1));
    assert_eq!(ids(&overlapped, "list", "created"), ["1", "2"]);
}

#[test]
fn p6_each_preset_takes_a_migration() {
    let migration = json!({"from": 1, "tables": ["list"],
        "columns": [{"table": "task", "columns": ["note"]}]});
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        backend.sql(|sql| {
            sql.execute_batch(
                "UPDATE task SET note = 'mind' WHERE key = 't2'; INSERT INTO list VALUES (7, 's')",
            )
        });
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        let mut shape = next_pull(preset, cursor);
        match &mut shape.body {
            Some(body) => body["migration"] = migration.clone(),
            None => {
                shape.query.retain(|(name, _)| *name != "migration");
                shape.query.push(("migration", migration.to_string()));
            }
        }
        let answer = pull_by(&backend, preset, shape);
        assert_eq!(
            ids(&answer, "list", new_section(preset)),
            ["7"],
            "{preset:?}"
        );
        assert_eq!(ids(&answer, "task", "updated"), ["t2"], "{preset:?}");
    }
}

#[test]
fn p7_seconds_send_booleans_as_zero_and_one_and_the_others_as_booleans() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let answer = pull_by(&backend, preset, first_pull(preset));
        let row = &answer["changes"]["task"][new_section(preset)][1];
        let expected = match preset {
            Preset::Seconds => json!(1),
            _ => json!(true),
        };
        assert_eq!(row["done"], expected, "{preset:?}");
    }
}

#[test]
fn p8_each_preset_takes_a_choice_of_tables() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let choose = |names: &str| {
            let mut shape = first_pull(preset);
            match &mut shape.body {
                Some(body) => body["tables"] = json!(names),
                None => shape.query.push(("tables", names.to_string())),
            }
            shape.send(&backend.pull_url(preset))
        };
        let answer = choose("list,task").json();
        let tables: Vec<&String> = answer["changes"].as_object().unwrap().keys().collect();
        assert_eq!(tables, ["list", "task"], "{preset:?}");
        assert_eq!(choose("nope").status, 400, "{preset:?}");
    }
}

#[test]
fn seed_also_takes_since_in_the_url() {
    let (backend, cursor) = with_tasks();
    let url = backend.pull_url(Preset::Seed);
    for everything in ["", "null", "0"] {
        let answer = get(&format!("{url}?since={everything}")).unwrap().json();
        assert_eq!(ids(&answer, "task", "created"), ["t1", "t2", "t3"]);
    }
    let answer = get(&format!("{url}?since={cursor}")).unwrap().json();
    assert_eq!(ids(&answer, "task", "created").len(), 0);
}

// ---- push -----------------------------------------------------------------------------------

#[test]
fn u1_each_preset_applies_a_push_to_the_same_rows() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        stop_clock(&backend, 1);
        let reply = push_by(&backend, preset, cursor, three_changes(preset));
        assert!((200..300).contains(&reply.status), "{preset:?}");
        assert_eq!(title(&backend, "n1").as_deref(), Some("New"), "{preset:?}");
        assert_eq!(title(&backend, "t2").as_deref(), Some("Mine"), "{preset:?}");
        assert_eq!(title(&backend, "t1"), None, "{preset:?}");
        let done = count(&backend, "SELECT done FROM task WHERE key = 'n1'");
        assert_eq!(done, 1, "{preset:?}");
        // Clients of another preset see it.
        let others = Preset::ALL.into_iter().filter(|other| *other != preset);
        for other in others {
            let answer = pull_by(&backend, other, first_pull(other));
            let rows = ids(&answer, "task", new_section(other));
            assert_eq!(rows, ["t3", "n1", "t2"], "{preset:?}, {other:?}");
        }
    }
}

#[test]
fn u5_a_conflict_is_409_in_every_preset_that_pushes_a_cursor() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        stop_clock(&backend, 1);
        backend.sql(|sql| sql.execute("UPDATE task SET title = 'Theirs' WHERE key = 't2'", []));
        let before = backend.dump("task");
        let reply = push_by(&backend, preset, cursor, three_changes(preset));
        if preset == Preset::Rpc {
            assert_eq!(reply.status, 200, "no cursor, no conflict");
            assert_eq!(title(&backend, "t2").as_deref(), Some("Mine"));
            continue;
        }
        assert_eq!(reply.status, 409, "{preset:?}");
        let error = reply.json();
        assert_eq!(
            (&error["error"], &error["table"], &error["id"]),
            (&json!("conflict"), &json!("task"), &json!("t2")),
            "{preset:?}"
        );
        assert_eq!(backend.dump("task"), before, "{preset:?}");
    }
}

#[test]
fn u6_docs_seed_and_rpc_answer_an_object_and_seconds_nothing() {
    for preset in [Preset::Docs, Preset::Seed, Preset::Rpc, Preset::Seconds] {
        let (backend, _) = with_tasks();
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        let reply = push_by(&backend, preset, cursor, three_changes(preset));
        let expected = match preset {
            Preset::Seconds => (204, Some("")),
            _ => (200, Some("{}")),
        };
        assert_eq!(
            (reply.status, reply.body.as_deref()),
            expected,
            "{preset:?}"
        );
    }
}

#[test]
fn u6_camel_query_answers_what_it_accepted_what_it_rejected_and_its_clock() {
    let (backend, cursor) = with_tasks();
    let preset = Preset::CamelQuery;
    backend.freeze_clock(Some(NOON));
    let reply = push_by(&backend, preset, cursor, three_changes(preset));
    assert_eq!(
        (reply.status, reply.json()),
        (
            200,
            json!({"accepted": 3, "rejected": [], "timestamp": NOON})
        )
    );
    let empty = push_by(&backend, preset, cursor, json!({}));
    assert_eq!(
        empty.json(),
        json!({"accepted": 0, "rejected": [], "timestamp": cursor}),
        "a push of nothing moves no clock"
    );
}

#[test]
fn rejected_ids_are_reported_as_each_preset_does() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        misbehave(
            &backend,
            json!({"rejectIds": {"task": [{"id": "n*", "reason": "quota"}, "t1"]}}),
        );
        let reply = push_by(&backend, preset, cursor, three_changes(preset));
        assert_eq!(reply.status, 200, "{preset:?}");
        let answer = reply.json();
        match preset {
            Preset::CamelQuery => {
                assert_eq!(answer["accepted"], 1);
                assert_eq!(
                    answer["rejected"],
                    json!([{"table": "task", "id": "n1", "reason": "quota"},
                        {"table": "task", "id": "t1", "reason": "rejected on request"}])
                );
            }
            _ => assert_eq!(
                answer,
                json!({"experimentalRejectedIds": {"task": ["n1", "t1"]}}),
                "{preset:?}"
            ),
        }
        assert_eq!(title(&backend, "n1"), None, "{preset:?}");
        assert_eq!(title(&backend, "t2").as_deref(), Some("Mine"), "{preset:?}");
        assert!(title(&backend, "t1").is_some(), "{preset:?}");
    }
}

#[test]
fn seconds_refuse_booleans_that_are_not_zero_or_one() {
    let (backend, _) = with_tasks();
    let preset = Preset::Seconds;
    let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
    let reply = push_by(&backend, preset, cursor, three_changes(Preset::Docs));
    assert_eq!(reply.status, 400);
    let message = reply.json()["message"].to_string();
    assert!(message.contains("booleans are 0 and 1"), "{message}");
    assert_eq!(title(&backend, "n1"), None);
}

#[test]
fn a_lost_acknowledgement_leaves_the_push_in_place_in_every_preset() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let cursor = timestamp(&pull_by(&backend, preset, first_pull(preset)));
        let fault = json!({"on": "push", "times": 1, "drop": true, "afterCommit": true});
        misbehave(&backend, fault);
        let shape = a_push(preset, cursor, &three_changes(preset));
        let body = shape.body.unwrap().to_string();
        let lost = agent()
            .post(backend.push_url(preset))
            .query_pairs(shape.query)
            .send(body);
        assert!(lost.is_err(), "{preset:?}");
        assert_eq!(title(&backend, "n1").as_deref(), Some("New"), "{preset:?}");
    }
}

#[test]
fn each_preset_can_be_redirected_to_its_second_address() {
    for preset in Preset::ALL {
        let (backend, _) = with_tasks();
        let target = format!("/moved{}", preset.pull_path());
        misbehave(&backend, json!({"on": "pull", "redirect": target}));
        let reply = first_pull(preset).send(&backend.pull_url(preset));
        assert_eq!(reply.status, 307, "{preset:?}");
        let location = reply.header("location").unwrap();
        assert!(location.starts_with(&target), "{preset:?}: {location}");
        let moved = first_pull(preset).send(&format!("{}{target}", backend.url()));
        let answer = moved.json();
        let rows = ids(&answer, "task", new_section(preset));
        assert_eq!(rows, ["t1", "t2", "t3"], "{preset:?}");
    }
}
