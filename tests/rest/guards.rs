//! An answer that is empty, cut or no answer must not empty a table.

use serde_json::{Value, json};

use crate::phone::{Phone, error, ids, numbered};
use crate::server::{Answer, Api, Fault, Paging};

fn ready(count: usize, guard: Value) -> (Api, Phone) {
    let api = Api::start();
    api.set(numbered(count));
    let phone = Phone::new(&api);
    let mut function = json!({"path": "/rows", "records": "$.items"});
    if !guard.is_null() {
        function["guard"] = guard;
    }
    phone.function("list", function);
    phone.done("book", "list");
    assert_eq!(phone.count("book"), count);
    (api, phone)
}

#[test]
fn g1_a_reading_that_would_remove_too_many_rows_fails_and_removes_none() {
    for (before, after, guard, kept) in [
        // Half of them may go.
        (20, 10, Value::Null, false),
        (20, 9, Value::Null, true),
        (40, 19, Value::Null, true),
        (40, 20, Value::Null, false),
        // Small tables may shrink, but not to nothing.
        (19, 1, Value::Null, false),
        (19, 0, Value::Null, true),
        (3, 1, Value::Null, false),
        (1, 0, Value::Null, true),
        (20, 0, Value::Null, true),
        (20, 18, json!({"maxDeletePercent": 10}), false),
        (20, 17, json!({"maxDeletePercent": 10}), true),
        (20, 19, json!({"maxDeletePercent": 0}), true),
        (20, 20, json!({"maxDeletePercent": 0}), false),
        (20, 1, json!({"maxDeletePercent": 100}), false),
        (20, 0, json!({"maxDeletePercent": 100}), true),
        (20, 0, json!({"allowEmpty": true}), false),
        (3, 0, json!({"allowEmpty": true}), false),
    ] {
        let case = format!("{before} to {after} with {guard}");
        let (api, phone) = ready(before, guard);
        api.set(numbered(after));
        let answer = phone.read("book", "list");
        if kept {
            assert_eq!(answer["state"], "failed", "{case}: {answer}");
            let failure = error(&answer);
            assert_eq!(
                (&failure["class"], &failure["code"]),
                (&json!("data"), &json!("SYNC_ERROR_SHRINK")),
                "{case}"
            );
            assert!(
                failure["message"].to_string().contains("book"),
                "{case}: {failure}"
            );
            assert_eq!(phone.ids("book"), ids(before), "{case}");
            // Said to be right.
            let answer = phone.forced("book", "list");
            assert_eq!(answer["state"], "synced", "{case}: {answer}");
        } else {
            assert_eq!(answer["state"], "synced", "{case}: {answer}");
        }
        assert_eq!(phone.ids("book"), ids(after), "{case}");
    }
}

#[test]
fn g1_the_guard_counts_over_all_pages() {
    let api = Api::start();
    api.set(numbered(30));
    api.paging(Paging::Page);
    let phone = Phone::new(&api);
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "paging": {"kind": "page", "size": 4}}),
    );
    phone.done("book", "list");
    api.set(numbered(9));
    let failure = phone.failed("book", "list");
    assert_eq!(failure["code"], "SYNC_ERROR_SHRINK");
    assert_eq!(phone.ids("book"), ids(30));
    api.set(numbered(16));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(16));
}

#[test]
fn g1_an_empty_answer_to_an_empty_table_is_fine() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    phone.done("book", "list");
    assert_eq!(phone.count("book"), 0);
    phone.done("book", "list");
}

#[test]
fn g1_a_filter_that_leaves_nothing_is_guarded_too() {
    let (api, phone) = ready(5, Value::Null);
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "filter": "0"}),
    );
    let failure = phone.failed("book", "list");
    assert_eq!(failure["code"], "SYNC_ERROR_SHRINK");
    assert_eq!(phone.ids("book"), ids(5));
    api.asked();
}

#[test]
fn g1_one_entity_that_would_shrink_does_not_stop_the_others() {
    let (api, phone) = ready(5, Value::Null);
    api.set(vec![]);
    api.answer("/other", Answer::json(&json!([{"id": "x"}])));
    phone.function("other", json!({"path": "/other"}));
    let operations =
        json!([{"entity": "book", "function": "list"}, {"entity": "pen", "function": "other"}]);
    let answer = phone.run(operations, json!({}));
    assert_eq!(answer["state"], "failed", "{answer}");
    assert_eq!(
        (phone.ids("book"), phone.ids("pen")),
        (ids(5), "x".to_owned())
    );
    assert_eq!(
        (phone.status("book"), phone.status("pen")),
        ("failed".to_owned(), "synced".to_owned())
    );
}

#[test]
fn g1_rows_made_here_do_not_hide_that_all_of_the_server_are_gone() {
    let (api, phone) = ready(3, Value::Null);
    phone.exec(r#"INSERT INTO book VALUES ('here', '{"id":"here"}', 1)"#);
    api.set(vec![]);
    let failure = phone.failed("book", "list");
    assert_eq!(failure["code"], "SYNC_ERROR_SHRINK");
    assert_eq!(phone.ids("book"), "1 2 3 here");
}

#[test]
fn g2_nobody_ever_sees_the_table_empty() {
    let api = Api::start();
    api.set(numbered(6));
    let phone = Phone::new(&api);
    let path = phone.world.path();
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    phone.done("book", "list");
    let counts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let its = std::sync::Arc::clone(&counts);
    api.on("/pages", move |asked| {
        let plain = rusqlite::Connection::open(&path).expect("open");
        let count: i64 = support::ask(&plain, "SELECT count(*) FROM book")
            .parse()
            .expect("a number");
        its.lock().expect("lock").push(count);
        let page: usize = asked
            .query("page")
            .expect("page")
            .parse()
            .expect("a number");
        let rows: Vec<Value> = (5..=9)
            .skip((page - 1) * 2)
            .take(2)
            .map(crate::phone::row)
            .collect();
        Answer::json(&json!({"items": rows}))
    });
    phone.function(
        "list",
        json!({"path": "/pages", "records": "$.items", "paging": {"kind": "page", "size": 2}}),
    );
    phone.done("book", "list");
    let counts = counts.lock().expect("lock");
    assert!(counts.iter().all(|count| *count >= 6), "{counts:?}");
    assert_eq!(phone.ids("book"), "5 6 7 8 9");
}

#[test]
fn g3_what_is_no_answer_fails_and_changes_nothing() {
    let html = "<!DOCTYPE html><html><body>Log in</body></html>";
    for (case, answer) in [
        ("HTML", Answer::new(200, "text/html", html)),
        (
            "HTML called JSON",
            Answer::new(200, "application/json", html),
        ),
        ("nothing", Answer::new(200, "application/json", "")),
        ("no JSON", Answer::new(200, "application/json", "oops")),
        ("half JSON", Answer::text(r#"{"items":[{"id":"1"},"#)),
        ("JSON and more", Answer::text(r#"{"items":[]} x"#)),
        ("no rows there", Answer::text(r#"{"results":[],"count":0}"#)),
        ("a number there", Answer::text(r#"{"items":5}"#)),
        ("a text there", Answer::text(r#"{"items":"none"}"#)),
        ("a list", Answer::text("[]")),
        (
            "an error with 200",
            Answer::text(r#"{"ok":false,"error":"expired","items":[]}"#),
        ),
        (
            "GraphQL errors",
            Answer::text(r#"{"errors":[{"message":"expired"}],"items":[]}"#),
        ),
    ] {
        let (api, phone) = ready(3, json!({"allowEmpty": true}));
        api.answer("/rows", answer);
        let answer = phone.read("book", "list");
        assert_eq!(answer["state"], "failed", "{case}: {answer}");
        assert_eq!(phone.ids("book"), ids(3), "{case}");
        let failure = error(&answer);
        assert_ne!(failure["class"], "network", "{case}: {failure}");
        if case == "no rows there" {
            let said = failure["message"].to_string();
            assert!(
                said.contains("results") && said.contains("count") && said.contains("$.items"),
                "{said}"
            );
            assert!(!said.contains("null"), "{said}");
        }
    }
}

#[test]
fn g3_an_empty_list_is_an_answer() {
    let (api, phone) = ready(3, json!({"allowEmpty": true}));
    api.answer("/rows", Answer::text(r#"{"items":[]}"#));
    phone.done("book", "list");
    assert_eq!(phone.count("book"), 0);
}

#[test]
fn statuses_that_are_not_2xx_fail_and_remove_nothing() {
    for (status, class) in [
        (400, "server"),
        (401, "auth"),
        (403, "auth"),
        (404, "server"),
        (429, "server"),
        (500, "server"),
        (503, "server"),
    ] {
        let (api, phone) = ready(3, json!({"allowEmpty": true}));
        api.answer(
            "/rows",
            Answer::new(status, "application/json", r#"{"items":[]}"#),
        );
        let failure = phone.failed("book", "list");
        assert_eq!(
            (&failure["class"], &failure["status"]),
            (&json!(class), &json!(status)),
            "{failure}"
        );
        assert_eq!(phone.ids("book"), ids(3));
    }
}

#[test]
fn force_does_not_make_a_cut_reading_whole() {
    for fault in [
        Fault::Broken(1),
        Fault::Html(1),
        Fault::Repeat(1),
        Fault::TotalMore(2),
        Fault::NoItems(0),
    ] {
        let (api, phone) = ready(6, Value::Null);
        api.set(numbered(5));
        api.paging(Paging::Page);
        phone.function(
            "list",
            json!({"path": "/rows", "records": "$.items",
            "paging": {"kind": "page", "size": 2, "total": "$.total"}}),
        );
        api.fault(fault);
        let answer = phone.forced("book", "list");
        assert_eq!(answer["state"], "failed", "{fault:?}: {answer}");
        assert_eq!(phone.ids("book"), ids(6), "{fault:?}");
    }
}

#[test]
fn g1_the_guard_of_a_part_counts_its_own_rows() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function(
        "shop",
        json!({"path": "/shop/{param:shop}", "parameters": {"shop": {"required": true}}}),
    );
    let part =
        |shop: &str| json!([{"entity": "book", "function": "shop", "parameters": {"shop": shop}}]);
    let rows = |shop: &str, count: usize| {
        let rows: Vec<Value> = (1..=count)
            .map(|n| json!({"id": format!("{shop}{n}")}))
            .collect();
        api.answer(&format!("/shop/{shop}"), Answer::json(&json!(rows)));
    };
    rows("a", 30);
    rows("b", 30);
    phone.run(part("a"), json!({}));
    phone.run(part("b"), json!({}));
    // An expired token: nothing comes of this part.
    rows("a", 0);
    let answer = phone.run(part("a"), json!({}));
    assert_eq!(answer["state"], "failed", "{answer}");
    assert_eq!(error(&answer)["code"], "SYNC_ERROR_SHRINK");
    assert_eq!(phone.count("book"), 60);
}
