//! `when`, and readings that are applied at once.

use serde_json::{Value, json};

use crate::phone::{Phone, ids, numbered};
use crate::server::{Api, Fault, Paging};

#[test]
fn s1_an_operation_whose_condition_does_not_hold_asks_nothing_and_is_synced() {
    let api = Api::start();
    api.set(numbered(3));
    let phone = Phone::new(&api);
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "parameters": {"year": {"type": "number"}}, "when": ":year > 2000"}),
    );
    for (year, skipped, count) in [
        (json!(1999), true, 0),
        (Value::Null, true, 0),
        (json!(2001), false, 3),
    ] {
        let answer = phone.read_with("book", "list", json!({"year": year}));
        let operation = &answer["operations"][0];
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(operation["skipped"] == json!(true), skipped, "{answer}");
        assert_eq!(operation["state"], "synced", "{answer}");
        assert_eq!(api.asked().len(), usize::from(!skipped), "{year}");
        assert_eq!(phone.ask("SELECT count(*) FROM book"), count.to_string());
    }
    assert_eq!(
        phone.ask("SELECT group_concat(DISTINCT state) FROM _syncStatus"),
        "synced"
    );
    // The others of a call go on.
    phone.function("all", json!({"path": "/rows", "records": "$.items"}));
    let operations = json!([{"entity": "book", "function": "list", "parameters": {"year": 1}}, {"entity": "tale", "function": "all"}]);
    let answer = phone.run(operations, json!({}));
    assert_eq!(
        (&answer["state"], &answer["pulled"]),
        (&json!("synced"), &json!(3)),
        "{answer}"
    );
}

#[test]
fn s1_a_condition_that_is_no_sql_is_refused_and_one_of_a_stranger_is_not_run() {
    let api = Api::start();
    let phone = Phone::new(&api);
    let refused = phone.bad_function(r#"{"path":"/rows","when":"no such("}"#);
    assert!(refused.contains("when"), "{refused}");
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "when": "1 = 1"}),
    );
    let other = phone.world.open();
    let sql = r#"SELECT sync_entities('s', 'api', '[{"entity":"book","function":"list"}]')"#;
    let answer: String = other
        .query_row(sql, [], |row| row.get(0))
        .expect("an answer");
    assert!(
        answer.contains("not run unless this connection declared it"),
        "{answer}"
    );
}

fn paged(atomic: bool) -> (Api, Phone) {
    let api = Api::start();
    api.paging(Paging::Page);
    api.set(numbered(7));
    let phone = Phone::new(&api);
    let paging = json!({"kind": "page", "size": 2});
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "paging": paging, "atomic": atomic}),
    );
    (api, phone)
}

#[test]
fn p3_a_reading_that_is_atomic_applies_all_or_nothing() {
    for atomic in [true, false] {
        let (api, phone) = paged(atomic);
        api.fault(Fault::Broken(2));
        phone.failed("book", "list");
        let came = phone.ask("SELECT count(*) FROM book");
        assert_eq!(came, if atomic { "0" } else { "4" });
        api.fault(Fault::Nothing);
        let answer = phone.done("book", "list");
        assert_eq!(phone.ids("book"), ids(7), "{answer}");
        // A later one that breaks off leaves all as it is, and the next one sweeps.
        api.set(numbered(5));
        api.fault(Fault::Cut(1));
        phone.failed("book", "list");
        assert_eq!(phone.ids("book"), ids(7));
        api.fault(Fault::Nothing);
        phone.done("book", "list");
        assert_eq!(phone.ids("book"), ids(5));
    }
}

#[test]
fn p3_rows_that_are_kept_may_have_breaks_of_lines() {
    let api = Api::start();
    let phone = Phone::new(&api);
    api.answer(
        "/odd",
        crate::server::Answer::text(
            "[\n  {\n \"id\": 1,\r\n \"title\": \"two\\nlines\" }\n,\n{\"id\":\n2}]",
        ),
    );
    phone.function("odd", json!({"path": "/odd", "atomic": true}));
    phone.done("book", "odd");
    assert_eq!(phone.ids("book"), "1 2");
    assert_eq!(
        phone.ask("SELECT data ->> 'title' FROM book WHERE id = 1"),
        "two\nlines"
    );
}
