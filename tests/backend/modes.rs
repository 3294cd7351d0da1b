//! Ways in which the reference backend breaks the rules, told from outside; see also
//! `backend_rules.rs`.

use serde_json::{Value, json};
use support::client::*;

/// The reply to a fault that should not be understood.
fn refusal(backend: &Backend, fault: &Value) -> String {
    let reply = post(&format!("{}/_control", backend.url()), fault).expect("an answer");
    assert_eq!(reply.status, 400, "{fault}");
    reply.json()["message"].as_str().unwrap().to_string()
}

#[test]
fn echo_created_gives_back_as_created_what_a_client_wrote_last() {
    let (backend, cursor) = with_tasks();
    misbehave(&backend, json!({"on": "pull", "echoCreated": true}));
    let changes = json!({"task": {"updated": [{"id": "t2", "title": "Mine"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    let edit = json!({"table": "task", "id": "t1", "set": {"title": "Theirs"}});
    let edited = post(&format!("{}/_edit", backend.url()), &edit);
    assert_eq!(edited.unwrap().status, 200);
    let echo = pull(&backend, cursor);
    assert_eq!(ids(&echo, "task", "created"), ["t2"], "pushed");
    assert_eq!(
        ids(&echo, "task", "updated"),
        ["t1"],
        "edited by the backend itself"
    );
    backend.sql(|sql| sql.execute("UPDATE task SET title = 'Theirs' WHERE key = 't2'", []));
    let later = pull(&backend, cursor);
    assert_eq!(ids(&later, "task", "created").len(), 0, "no echo any more");
    assert_eq!(ids(&later, "task", "updated"), ["t1", "t2"]);
}

#[test]
fn echo_created_is_remembered_in_the_file() {
    let folder = std::env::temp_dir().join(format!("backend-modes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = || Options {
        schema_sql: SCHEMA.to_string(),
        place: Place::File(folder.join("server.db")),
        ..Options::default()
    };
    let backend = Backend::start_with(options()).unwrap();
    let insert = "INSERT INTO task (key, title, done) VALUES ('t1', 'Dig', 0)";
    backend.sql(|sql| sql.execute(insert, []));
    let cursor = timestamp(&pull(&backend, 0));
    let changes = json!({"task": {"updated": [{"id": "t1", "title": "Mine"}]}});
    assert_eq!(push(&backend, cursor, changes).0, 200);
    drop(backend);

    let backend = Backend::start_with(options()).unwrap();
    assert_eq!(ids(&pull(&backend, cursor), "task", "updated"), ["t1"]);
    misbehave(&backend, json!({"echoCreated": true}));
    assert_eq!(ids(&pull(&backend, cursor), "task", "created"), ["t1"]);
    drop(backend);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn null_empty_and_null_changes() {
    let (backend, cursor) = with_tasks();
    misbehave(&backend, json!({"nullEmpty": true, "times": 2}));
    let first = pull(&backend, "null");
    let task = &first["changes"]["task"];
    assert_eq!(task["created"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&task["updated"], &task["deleted"]),
        (&Value::Null, &Value::Null)
    );
    let nothing = json!({"created": null, "updated": null, "deleted": null});
    let next = pull(&backend, cursor);
    assert_eq!(next["changes"]["task"], nothing);
    misbehave(&backend, json!({"nullChanges": true, "times": 1}));
    assert_eq!(
        pull(&backend, cursor),
        json!({"changes": null, "timestamp": cursor})
    );
}

#[test]
fn answer_tables_answers_for_tables_that_nobody_asked_for() {
    let (backend, _) = with_tasks();
    backend.sql(|sql| sql.execute("INSERT INTO list VALUES (1, 'one')", []));
    misbehave(&backend, json!({"on": "pull", "answerTables": ["list"]}));
    let asked = get(&format!("{}?tables=task", backend.sync_url())).unwrap();
    let answer = asked.json();
    let tables: Vec<&String> = answer["changes"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["list"]);
    assert_eq!(ids(&answer, "list", "created"), ["1"]);
}

#[test]
fn rename_tables_gives_rows_of_one_table_under_the_name_of_another_or_of_none() {
    let (backend, _) = with_tasks();
    backend.sql(|sql| sql.execute("INSERT INTO list VALUES (1, 'one')", []));
    let renamed = |names: Value| {
        misbehave(&backend, json!({"renameTables": names, "times": 1}));
        pull(&backend, "null")
    };
    let answer = renamed(json!({"task": "list"}));
    assert_eq!(ids(&answer, "list", "created"), ["t1", "t2", "t3"]);
    assert_eq!(answer["changes"].get("task"), None);
    let answer = renamed(json!({"task": "list", "list": "task"}));
    assert_eq!(ids(&answer, "list", "created"), ["t1", "t2", "t3"]);
    assert_eq!(ids(&answer, "task", "created"), ["1"]);
    let answer = renamed(json!({"task": "stranger"}));
    assert_eq!(ids(&answer, "stranger", "created"), ["t1", "t2", "t3"]);
    assert_eq!(ids(&answer, "list", "created"), ["1"]);
}

#[test]
fn numeric_ids_also_where_the_key_is_text_in_rows_and_deletes() {
    let (backend, cursor) = with_tasks();
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO task (key, title, done) VALUES ('42', 'a', 0), ('007', 'b', 0), ('x', 'c', 0);
             INSERT INTO list VALUES (4, 'four'), (5, 'five')",
        )
    });
    let seen = timestamp(&pull(&backend, cursor));
    misbehave(&backend, json!({"numericIds": true}));
    let answer = pull(&backend, cursor);
    let row_ids: Vec<&Value> = answer["changes"]["task"]["created"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!(row_ids, [&json!("007"), &json!(42), &json!("x")]);
    backend.sql(|sql| {
        sql.execute_batch(
            "DELETE FROM task WHERE key IN ('42', '007'); DELETE FROM list WHERE id = 4",
        )
    });
    let answer = pull(&backend, seen);
    assert_eq!(answer["changes"]["task"]["deleted"], json!(["007", 42]));
    assert_eq!(answer["changes"]["list"]["deleted"], json!([4]));
}

#[test]
fn reject_ids_by_list_and_by_pattern_for_one_table_or_all() {
    let (backend, cursor) = with_tasks();
    let rejected = |rules: Value| {
        misbehave(
            &backend,
            json!({"on": "push", "times": 1, "rejectIds": rules}),
        );
        let rows = |ids: &[&str]| -> Vec<Value> {
            ids.iter()
                .map(|id| json!({"id": id, "title": "x"}))
                .collect()
        };
        let all = ["a-1", "a-2", "b-1", "t1"];
        let changes = json!({"task": {"updated": rows(&all)},
            "item": {"created": [{"id": "a-1"}], "deleted": ["b-1"]}});
        let cursor = timestamp(&pull(&backend, cursor));
        let (status, answer) = push(&backend, cursor, changes);
        assert_eq!(status, 200, "{answer}");
        answer["experimentalRejectedIds"].clone()
    };
    assert_eq!(
        rejected(json!({"task": ["a-2", "t1"]})),
        json!({"task": ["a-2", "t1"]})
    );
    assert_eq!(
        rejected(json!({"task": ["a-*"]})),
        json!({"task": ["a-1", "a-2"]})
    );
    assert_eq!(
        rejected(json!({"*": ["*-1"]})),
        json!({"task": ["a-1", "b-1"], "item": ["a-1", "b-1"]})
    );
    assert_eq!(
        rejected(json!({"item": [{"id": "*", "reason": "full"}]})),
        json!({"item": ["a-1", "b-1"]})
    );
    assert_eq!(rejected(json!({"task": ["-*", "*a", "a*b*"]})), Value::Null);
}

#[test]
fn only_sends_no_other_rows() {
    let (backend, _) = with_tasks();
    misbehave(
        &backend,
        json!({"on": "pull", "only": {"task": "done AND key <> 'x'"}}),
    );
    assert_eq!(ids(&pull(&backend, "null"), "task", "created"), ["t2"]);
}

#[test]
fn extra_keys_stand_in_the_answer_to_a_push_too() {
    let (backend, cursor) = with_tasks();
    let extra = json!({"success": false, "timestamp": 5, "changes": {}});
    misbehave(&backend, json!({"on": "push", "extra": extra}));
    let changes = json!({"task": {"deleted": ["t1"]}});
    assert_eq!(push(&backend, cursor, changes), (200, extra));
    assert_eq!(title(&backend, "t1"), None, "it is taken all the same");
}

#[test]
fn modes_that_are_not_understood_are_refused_with_the_reason() {
    let backend = start();
    for (fault, reason) in [
        (json!({"echoCreated": 1}), "echoCreated: true or false"),
        (json!({"nullEmpty": "x"}), "nullEmpty: true or false"),
        (
            json!({"answerTables": "task"}),
            "answerTables: a list of texts",
        ),
        (
            json!({"answerTables": [1]}),
            "answerTables: a list of texts",
        ),
        (json!({"renameTables": ["task"]}), "renameTables: an object"),
        (json!({"only": {"task": 1}}), "only: task: a text"),
        (json!({"rejectIds": ["a"]}), "rejectIds: an object of lists"),
        (
            json!({"rejectIds": {"task": "a"}}),
            "rejectIds: task: a list",
        ),
        (json!({"rejectIds": {"task": [5]}}), "rejectIds: not an id"),
        (
            json!({"rejectIds": {"task": [{"id": "a"}]}}),
            "rejectIds: not an id",
        ),
        (json!({"strategy": "magic"}), "strategy: not"),
        (json!({"strategy": {}}), "strategy: default is missing"),
        (
            json!({"strategy": {"default": "replacement", "x": 1}}),
            "strategy: unknown key x",
        ),
        (
            json!({"strategy": {"default": "incremental", "override": {"task": "magic"}}}),
            "strategy: not",
        ),
    ] {
        let message = refusal(&backend, &fault);
        assert!(message.starts_with(reason), "{fault}: {message}");
    }
    assert_eq!(backend.faults().to_json(), json!([]));
}
