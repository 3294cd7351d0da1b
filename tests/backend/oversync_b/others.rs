//! What tests do to the server beside its addresses, and what it does wrong on request.

use serde_json::json;
use syncscope_backend::oversync::B;
use syncscope_backend::oversync::b::{Kind as Column, Options, tables_of};
use syncscope_backend::{Kind, Moment};

use super::client::{Client, category, id};

#[test]
fn another_device_writes_and_deletes() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    let root = json!({"id": id(1), "name": "Root"});
    let child = json!({"id": id(2), "name": "Child", "parent_id": id(1)});
    server.put("mara", "categories", &[root, child]);
    server.put(
        "mara",
        "categories",
        &[json!({"id": id(2), "name": "Renamed"})],
    );
    let rows = server.rows("mara", "categories");
    assert_eq!(
        rows[1],
        json!({"id": id(2), "name": "Renamed", "parent_id": id(1)})
    );
    server.remove("mara", "categories", &[&id(1)]);
    assert!(
        server.rows("mara", "categories").is_empty(),
        "the child goes with its parent"
    );
    let (_, pulled) = client.get("/sync/pull");
    let ops: Vec<&str> = pulled["bundles"]
        .as_array()
        .expect("bundles")
        .iter()
        .flat_map(|bundle| bundle["rows"].as_array().expect("rows"))
        .map(|row| row["op"].as_str().expect("an op"))
        .collect();
    assert_eq!(ops, ["INSERT", "INSERT", "UPDATE", "DELETE", "DELETE"]);
    assert_eq!(server.head("mara"), 3);
    assert!(server.rows("nils", "categories").is_empty());
}

#[test]
fn what_was_pushed_is_kept_as_it_was_sent() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    let rows = [category(1, "One"), category(2, "Two")];
    client.push(1, &rows);
    let pushes = server.pushes();
    assert_eq!((pushes.len(), pushes[0].bundle_seq), (1, 1));
    assert_eq!(pushes[0].rows, rows);
    assert!(
        server
            .requests()
            .iter()
            .any(|request| request.path.ends_with("/commit"))
    );
    server.forget();
    assert!(server.pushes().is_empty() && server.requests().is_empty());
    server.wipe();
    assert_eq!(client.get("/sync/pull").0, 409);
}

#[test]
fn an_answer_is_lost_before_or_after_the_commit() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    let lost = |after| {
        json!({"on": "push", "path": "/commit", "times": 1, "drop": true,
        "afterCommit": after})
    };
    let push = client.stage(1, &[category(1, "One")]);
    let commit = format!("/sync/push-sessions/{push}/commit");
    server.faults().add(lost(false));
    assert!(client.reply("POST", &commit, None).is_none());
    assert_eq!(server.head("mara"), 0);
    server.faults().add(lost(true));
    assert!(client.reply("POST", &commit, None).is_none());
    assert_eq!(server.head("mara"), 1);
    let (_, again) = client.create(1);
    assert_eq!(again["status"], "already_committed");
}

#[test]
fn answers_break_and_rows_are_refused_on_request() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    client.push(1, &[category(1, "One")]);
    server
        .faults()
        .add(json!({"on": "pull", "times": 1, "status": 500, "says": "sorry"}));
    let (status, answer) = client.get("/sync/pull");
    assert_eq!((status, &answer["message"]), (500, &json!("sorry")));
    server
        .faults()
        .add(json!({"on": "pull", "times": 1, "cut": 40}));
    let cut = client.reply("GET", "/sync/pull", None).expect("an answer");
    assert_eq!((cut.status, cut.body.len()), (200, 40));
    server
        .faults()
        .add(json!({"on": "pull", "times": 1, "renameTables": {"categories": "unheard_of"}}));
    let (_, renamed) = client.get("/sync/pull");
    assert_eq!(renamed["bundles"][0]["rows"][0]["table"], "unheard_of");
    server
        .faults()
        .add(json!({"on": "push", "rejectIds": {"categories": [{"id": id(2), "reason": "full"}]}}));
    let (_, session) = client.create(2);
    let path = format!(
        "/sync/push-sessions/{}/chunks",
        session["push_id"].as_str().expect("an id")
    );
    let chunk = json!({"start_row_ordinal": 0, "rows": [category(2, "Two")]});
    let (status, refused) = client.post(&path, &chunk);
    assert_eq!((status, &refused["message"]), (400, &json!("full")));
}

#[test]
fn something_is_done_while_a_request_waits() {
    let server = std::sync::Arc::new(B::example());
    let client = Client::connected(&server, "phone");
    let meanwhile = std::sync::Arc::clone(&server);
    server
        .moments()
        .plan_at(Kind::Push, "/commit", Moment::Arrived, move || {
            meanwhile.put(
                "mara",
                "categories",
                &[json!({"id": id(1), "name": "First"})],
            );
        });
    let (status, refused) = client.commit(&client.stage(1, &[category(1, "Second")]));
    assert_eq!((status, &refused["error"]), (409, &json!("push_conflict")));
    assert_eq!(refused["conflict"]["server_row"]["name"], "First");
}

#[test]
fn tables_can_be_those_of_a_client() {
    let tables = tables_of(
        "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
         CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, done BOOLEAN, points REAL, picture BLOB,
                            size INTEGER, list_id TEXT REFERENCES list ON DELETE CASCADE);",
    );
    let kinds: Vec<Column> = tables[1].columns.iter().map(|column| column.kind).collect();
    let wanted = [
        Column::Text,
        Column::Boolean,
        Column::Double,
        Column::Bytes,
        Column::BigInt,
        Column::Text,
    ];
    assert_eq!(kinds, wanted);
    let options = Options {
        schema: "main".to_string(),
        tables,
        tokens: vec![("secret".to_string(), "mara".to_string())],
        ..Options::default()
    };
    let server = B::start(options).expect("it starts");
    server.put("mara", "list", &[json!({"id": "l1", "name": "List"})]);
    server.put(
        "mara",
        "task",
        &[json!({"id": "t1", "done": true, "points": 1.5, "list_id": "l1"})],
    );
    let wanted = json!({"id": "t1", "done": true, "points": 1.5, "picture": null, "size": null,
        "list_id": "l1"});
    assert_eq!(server.rows("mara", "task"), [wanted]);
}

#[test]
fn faults_come_from_outside_too() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    let fault = json!({"on": "pull", "path": "/sync/pull", "times": 1, "garbage": true});
    assert_eq!(client.post("/_control", &fault).0, 200);
    let reply = client.reply("GET", "/sync/pull", None).expect("an answer");
    assert!(serde_json::from_str::<serde_json::Value>(&reply.body).is_err());
    assert_eq!(client.get("/_control"), (200, json!([])));
    assert_eq!(client.post("/_control", &json!({"on": "tea"})).0, 400);
}

#[test]
fn streams_are_counted_and_ended() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    assert_eq!(server.open_streams(), 0);
    let mut ended = client.send("GET", "/sync/watch", None);
    assert_eq!(ended.head().status, 200);
    assert_eq!(server.open_streams(), 1);
    server.end_streams();
    assert_eq!(ended.finish().expect("an answer").body, "");
    let mut left = client.send("GET", "/sync/watch", None);
    assert_eq!(left.head().status, 200);
    drop(left);
    support::wait_for("the stream to be gone", || server.open_streams() == 0);
}
