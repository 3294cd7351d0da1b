//! What a test may do with the stand-in: edits of another device, faults, moments, locks, a look at everything.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::backend::oversync::A;
use support::backend::oversync::a::{Column, ColumnKind, Held, Options, Stored, Table};
use support::backend::{Kind, Moment};
use support::wait_for;

use super::answer::Answer;
use super::client::{Client, delete, id, post, upsert, user};
use crate::wire::Exchange;

#[test]
fn another_device_writes_and_deletes_rows() {
    let server = A::example();
    server.put("mara", "users", &[user(1, "a"), user(2, "b")]);
    server.put("mara", "users", &[json!({"id": id(1), "name": "a2"})]);
    server.remove("mara", "users", &[&id(2), &id(3)]);
    let client = Client::new(&server, "phone");
    let expected = [
        "1 INSERT 1 v1",
        "2 INSERT 2 v1",
        "3 UPDATE 1 v2",
        "4 DELETE 2 v2",
    ];
    assert_eq!(client.log(0), expected);
    let page = client.download("after=2");
    assert_eq!(
        page["changes"][0]["payload"],
        json!({"id": id(1), "name": "a2", "email": "e"})
    );
    assert_eq!(page["changes"][0]["source_id"], "another-device");
    assert_eq!(
        server.rows("mara", "users"),
        [json!({"id": id(1), "name": "a2", "email": "e", "created_at": null, "updated_at": null})]
    );
    let deleted = Stored {
        version: 2,
        payload: None,
    };
    assert_eq!(server.stored("mara", "users", &id(2)), Some(deleted));
    assert_eq!(server.stored("mara", "users", &id(3)), None);
    // A row that was deleted comes back.
    server.put("mara", "users", &[user(2, "b2")]);
    assert_eq!(client.log(4), ["5 INSERT 2 v3"]);
}

#[test]
fn ids_of_parents_are_spelled_as_the_table_wants_them() {
    let server = A::example();
    let file = json!({"id": id(1), "name": "f", "data": "AP8="});
    server.put("mara", "files", &[file]);
    let review = json!({"id": id(2), "review": "r", "file_id": id(1)});
    server.put("mara", "file_reviews", std::slice::from_ref(&review));
    assert_eq!(server.rows("mara", "file_reviews"), [review]);
    let sent = server
        .stored("mara", "file_reviews", &id(2))
        .and_then(|row| row.payload);
    assert_eq!(sent.expect("a row")["file_id"], "AAAAAAAAQACAAAAAAAAAAQ==");
    server.put("mara", "posts", &[post(3, &Value::Null)]);
    let sent = server
        .stored("mara", "posts", &id(3))
        .and_then(|row| row.payload);
    assert_eq!(sent.expect("a row").get("author_id"), None);
}

#[test]
fn tables_of_any_make_are_projected() {
    use ColumnKind::{Boolean, Integer, Real, Text};
    let tables = vec![Table::new(
        "task",
        [
            Column::new("title", Text).not_null(),
            Column::new("done", Boolean),
            Column::new("n", Integer),
            Column::new("weight", Real),
        ],
    )];
    let server = A::start(Options {
        schema: "public".to_owned(),
        tables,
        ..Options::default()
    })
    .expect("a server");
    let row = json!({"id": id(1), "title": "t", "done": 1, "n": 7, "weight": 1.5});
    server.put("mara", "task", &[row]);
    assert_eq!(
        server.rows("mara", "task"),
        [json!({"id": id(1), "title": "t", "done": true, "n": 7, "weight": 1.5})]
    );
    let client = Client::new(&server, "phone");
    let untitled = json!({"id": id(2), "title": null});
    let mut change = upsert(1, "task", 0, &untitled);
    change["schema"] = json!("");
    assert_eq!(client.one(change), "applied 1");
    assert_eq!(server.rows("mara", "task").len(), 1);
}

#[test]
fn late_edits_appear_below_the_cursor() {
    let server = A::example();
    let client = Client::new(&server, "phone");
    let late = server.put_late("mara", "users", &[user(1, "late")]);
    assert_eq!(late.numbers(), [1]);
    server.put("mara", "users", &[user(2, "in time")]);
    assert_eq!(client.log(0), ["2 INSERT 2 v1"]);
    late.publish();
    assert_eq!(client.log(2), [""; 0]);
    assert_eq!(client.log(0), ["1 INSERT 1 v1", "2 INSERT 2 v1"]);
}

#[test]
fn uploads_and_requests_are_kept() {
    let server = A::example();
    let client = Client::new(&server, "phone");
    client.upload(&[
        upsert(1, "users", 0, &user(1, "a")),
        delete(2, "users", 0, 9),
    ]);
    client.ask("POST", "/sync/upload", "nonsense");
    client.download("after=0");
    let uploads = server.uploads();
    assert_eq!(uploads.len(), 1);
    let [first, second] = &uploads[0][..] else {
        panic!("{uploads:?}");
    };
    assert_eq!(
        (first.op.as_str(), first.table.as_str()),
        ("INSERT", "users")
    );
    assert_eq!(first.values(), user(1, "a"));
    assert_eq!((second.server_version, second.values()), (0, Value::Null));
    let seen = server.requests();
    let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        paths,
        ["/sync/upload", "/sync/upload", "/sync/download?after=0"]
    );
    server.clear_requests();
    assert!(server.requests().is_empty() && server.uploads().is_empty());
}

#[test]
fn an_answer_is_lost_before_or_after_the_upload_is_stored() {
    let server = A::example();
    let client = Client::new(&server, "phone");
    for (after, change, stored) in [(false, 1, 0), (true, 2, 1)] {
        let fault = json!({"on": "push", "times": 1, "drop": true, "afterCommit": after});
        server.faults().add(fault);
        let lost = client.try_upload(&[upsert(change, "users", 0, &user(1, "a"))]);
        assert_eq!(lost, Answer::default());
        assert_eq!(client.log(0).len(), stored);
    }
    // What is refused is refused, whatever is wrong with the answer.
    let fault = json!({"on": "push", "times": 1, "drop": true, "afterCommit": true});
    server.faults().add(fault);
    let refused = client.ask("POST", "/sync/upload", "nonsense");
    assert_eq!(refused.status, Some(400));
}

#[test]
fn answers_go_wrong_on_request() {
    let server = A::example();
    server.put("mara", "users", &[user(1, "a")]);
    let client = Client::new(&server, "phone");
    let ask = |fault: Value| {
        server.faults().add(fault);
        client.ask("GET", "/sync/download", "")
    };
    let busy = ask(json!({"on": "pull", "times": 1, "status": 503, "says": "busy"}));
    assert_eq!(busy.status, Some(503));
    assert!(busy.body.contains("busy"), "{busy:?}");
    let garbage = ask(json!({"times": 1, "garbage": true}));
    assert_eq!(garbage.status, Some(200));
    assert!(garbage.body.contains("garbage"), "{garbage:?}");
    let renamed = ask(json!({"times": 1, "renameTables": {"users": "people"}}));
    assert!(renamed.body.contains(r#""table":"people""#), "{renamed:?}");
    let well = ask(json!({"on": "push", "times": 1, "garbage": true}));
    assert!(well.body.contains(r#""table":"users""#), "{well:?}");
    server.faults().clear();
    server.faults().add(json!({"times": 1, "cut": 20}));
    let url = format!("{}/sync/download", server.url());
    let token = format!("Bearer {}", server.token("mara", "phone"));
    let get = || {
        let request = support::client::agent().get(&url);
        // A connection that breaks early may take the head of the answer with it.
        let mut answer = request.header("authorization", &token).call().ok()?;
        answer.body_mut().read_to_string().ok()
    };
    assert_eq!(get().as_deref(), Some(r#"{"changes":[{"server"#));
    server.faults().add(json!({"times": 1, "truncate": 20}));
    assert_eq!(get(), None);
    assert!(get().is_some_and(|body| body.len() > 20));
}

#[test]
fn rows_are_refused_on_request() {
    let server = A::example();
    let client = Client::new(&server, "phone");
    let rows = json!({"users": [{"id": id(1), "reason": "too many"},
        {"id": id(2), "reason": "precheck_error"}]});
    server
        .faults()
        .add(json!({"on": "push", "rejectIds": rows}));
    let statuses = client.upload(&[
        upsert(1, "users", 0, &user(1, "a")),
        upsert(2, "users", 0, &user(2, "b")),
        upsert(3, "users", 0, &user(3, "c")),
    ]);
    assert_eq!(
        (&statuses[0]["message"], &statuses[0]["invalid"]["reason"]),
        (&json!("too many"), &json!("bad_payload"))
    );
    assert_eq!(statuses[1]["invalid"]["reason"], "precheck_error");
    assert_eq!(client.log(0), ["1 INSERT 3 v1"]);
}

#[test]
fn something_is_done_while_a_request_waits() {
    let server = Arc::new(A::example());
    let client = Client::new(&server, "phone");
    let seen = Arc::new(Mutex::new(Vec::new()));
    for (kind, moment) in [
        (Kind::Push, Moment::Arrived),
        (Kind::Push, Moment::Committed),
        (Kind::Pull, Moment::Arrived),
        (Kind::Pull, Moment::Read),
    ] {
        let (seen, looked_at) = (Arc::clone(&seen), Arc::clone(&server));
        server.moments().plan(kind, moment, 0, move || {
            let rows = looked_at.rows("mara", "users").len();
            seen.lock().expect("a lock").push((kind, moment, rows));
        });
    }
    client.upload(&[upsert(1, "users", 0, &user(1, "a"))]);
    client.download("after=0");
    let expected = [
        (Kind::Push, Moment::Arrived, 0),
        (Kind::Push, Moment::Committed, 1),
        (Kind::Pull, Moment::Arrived, 1),
        (Kind::Pull, Moment::Read, 1),
    ];
    assert_eq!(*seen.lock().expect("a lock"), expected);
}

#[test]
fn whoever_changes_a_held_row_waits() {
    let server = A::example();
    server.set(|options| options.lock_wait = support::PATIENCE);
    server.put("mara", "users", &[user(1, "a")]);
    let client = Client::new(&server, "phone");
    let held = || Held::Row {
        user: "mara".to_owned(),
        table: "users".to_owned(),
        pk: id(1),
    };
    for (commits, change, expected) in [
        (true, 1, "internal_error"),
        (false, 2, "\"new_server_version\":2"),
    ] {
        let holder = server.hold(held());
        let body = json!({"changes": [upsert(change, "users", 1, &user(1, "b"))]}).to_string();
        let sent = Exchange::send(
            &server.url(),
            &client.request("POST", "/sync/upload", &body),
        );
        wait_for("the upload waits", || server.waiting() == 1);
        // Others do not.
        let other = upsert(10 + change, "users", 0, &user(10 + change as u32, "c"));
        assert_eq!(client.one(other), "applied 1");
        match commits {
            true => holder.commit(),
            false => holder.roll_back(),
        }
        let answer = Answer::of(sent);
        assert!(answer.body.contains(expected), "{answer:?}");
    }
}

#[test]
fn passwords_and_known_tokens() {
    let server = A::start(Options {
        password: Some("open sesame".to_owned()),
        ..Options::default()
    })
    .expect("a server");
    server.accept("simple", "mara", "phone");
    let mut request = Client::new(&server, "phone").request("GET", "/sync/download", "");
    request.headers = vec![("authorization".to_owned(), "Bearer simple".to_owned())];
    let client = Client::new(&server, "phone");
    assert_eq!(client.send(&request).status, Some(200));
    let sign_in = |password: &str| {
        let body = json!({"user": "mara", "password": password, "device": "phone"});
        client.ask("POST", "/dummy-signin", &body.to_string())
    };
    assert_eq!(sign_in("guess").status, Some(401));
    let answer: Value = serde_json::from_str(&sign_in("open sesame").body).expect("JSON");
    let token = answer["token"].as_str().expect("a token");
    request.headers[0].1 = format!("Bearer {token}");
    assert_eq!(client.send(&request).status, Some(200));
}

#[test]
fn faults_come_from_outside_too() {
    let server = A::example();
    let client = Client::new(&server, "phone");
    let fault = json!({"path": "/download", "times": 1, "status": 503});
    assert_eq!(
        client.ask("POST", "/_control", &fault.to_string()).status,
        Some(200)
    );
    assert_eq!(
        client.one(upsert(1, "users", 0, &user(1, "a"))),
        "applied 1"
    );
    assert_eq!(client.ask("GET", "/sync/download", "").status, Some(503));
    assert_eq!(client.log(0).len(), 1);
    assert_eq!(
        client.ask("POST", "/_control", r#"{"on": "tea"}"#).status,
        Some(400)
    );
    server.faults().add(json!({"on": "pull", "status": 503}));
    assert_eq!(client.ask("DELETE", "/_control", "").body, "[]");
    assert_eq!(client.log(0).len(), 1);
}
