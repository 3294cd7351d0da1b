//! Functions that are asked once for each row of another table.

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::{Answer, Api};

/// Two shops with books; `GET /books?shop=…` gives those of one.
fn ready(more: Value) -> (Api, Phone) {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.table(
        "CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT)",
        "shop",
    );
    phone.table(
        "CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, title TEXT, shop INTEGER)",
        "book",
    );
    phone.function("shops", json!({"path": "/shops"}));
    let mut function = json!({"path": "/books", "query": {"shop": "{param:shop}"}, "parameters": {"shop": {"required": true}},
        "columns": {"shop": {"param": "shop"}}, "parent": {"entity": "shop", "columns": {"shop": "id"}}, "guard": {"allowEmpty": true}});
    for (key, value) in more.as_object().expect("an object") {
        function[key] = value.clone();
    }
    phone.function("books", function);
    shops(&api, &[1, 2]);
    books(&api, &[(1, &["a", "b"]), (2, &["c"])]);
    (api, phone)
}

fn shops(api: &Api, ids: &[i64]) {
    let rows: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "name": format!("Shop {id}")}))
        .collect();
    api.answer("/shops", Answer::json(&json!(rows)));
}

fn books(api: &Api, of: &[(i64, &[&str])]) {
    let of: Vec<(String, Vec<Value>)> = of
        .iter()
        .map(|(shop, ids)| {
            let rows = ids.iter().map(|id| json!({"id": id, "title": id}));
            (shop.to_string(), rows.collect())
        })
        .collect();
    api.on("/books", move |asked| {
        let shop = asked.query("shop").unwrap_or_default();
        match of.iter().find(|(known, _)| known == shop) {
            Some((_, rows)) => Answer::json(&json!(rows)),
            None => Answer::new(404, "application/json", "{}"),
        }
    });
}

fn sync(phone: &Phone) -> Value {
    let operations =
        json!([{"entity": "shop", "function": "shops"}, {"entity": "book", "function": "books"}]);
    phone.run(operations, json!({}))
}

#[track_caller]
fn synced(phone: &Phone) -> Value {
    let answer = sync(phone);
    assert_eq!(answer["state"], "synced", "{answer}");
    answer
}

fn all(phone: &Phone) -> String {
    phone.ask("SELECT coalesce(group_concat(id || '@' || shop, ' '), '') FROM (SELECT * FROM book ORDER BY id)")
}

fn asked(api: &Api) -> String {
    let asked = api
        .asked()
        .into_iter()
        .filter(|asked| asked.path == "/books");
    let shops: Vec<String> = asked
        .map(|asked| asked.query("shop").unwrap_or("-").to_owned())
        .collect();
    shops.join(" ")
}

#[test]
fn s7_each_parent_is_asked_for_and_its_column_comes_along() {
    let (api, phone) = ready(json!({}));
    let answer = synced(&phone);
    assert_eq!(all(&phone), "a@1 b@1 c@2");
    assert_eq!(asked(&api), "1 2");
    // One operation, whatever it takes.
    assert_eq!(
        answer["operations"].as_array().map(Vec::len),
        Some(2),
        "{answer}"
    );
    assert_eq!(answer["operations"][1]["pulled"], 3, "{answer}");
    assert_eq!(phone.ask("SELECT count(*) FROM _syncStatus"), "2");
    assert_eq!(phone.pending(), "");
}

#[test]
fn s7_one_parents_reading_never_removes_rows_of_another() {
    let (api, phone) = ready(json!({}));
    synced(&phone);
    books(&api, &[(1, &["b", "d"]), (2, &["c"])]);
    synced(&phone);
    assert_eq!(all(&phone), "b@1 c@2 d@1");
    books(&api, &[(1, &["b", "d"]), (2, &[])]);
    synced(&phone);
    assert_eq!(all(&phone), "b@1 d@1");
}

#[test]
fn s7_a_parent_that_is_gone_leaves_its_children() {
    let (api, phone) = ready(json!({}));
    synced(&phone);
    shops(&api, &[1]);
    phone.function(
        "shops",
        json!({"path": "/shops", "guard": {"allowEmpty": true}}),
    );
    api.asked();
    synced(&phone);
    assert_eq!(
        (all(&phone), asked(&api)),
        ("a@1 b@1 c@2".into(), "1".into())
    );
}

#[test]
fn s7_a_parent_that_fails_fails_the_operation_and_the_others_are_read() {
    let (api, phone) = ready(json!({}));
    shops(&api, &[1, 2, 3]);
    books(&api, &[(1, &["a"]), (3, &["z"])]);
    let answer = sync(&phone);
    assert_eq!(answer["state"], "failed", "{answer}");
    assert_eq!(answer["operations"][1]["state"], "failed", "{answer}");
    assert_eq!(
        (all(&phone), asked(&api)),
        ("a@1 z@3".into(), "1 2 3".into())
    );
}

#[test]
fn s7_each_parent_has_a_cursor_and_a_tag_of_its_own() {
    let (api, phone) = ready(json!({"incremental": {"from": "n", "send": {"query": "since"}}}));
    api.on("/books", |asked| {
        let n = match asked.query("shop") {
            Some("1") => 10,
            _ => 20,
        };
        let id = format!("{}-{n}", asked.query("shop").unwrap_or_default());
        Answer::json(&json!([{"id": id, "title": "x", "n": n}]))
    });
    synced(&phone);
    api.asked();
    synced(&phone);
    let since: Vec<String> = api
        .asked()
        .into_iter()
        .filter(|asked| asked.path == "/books")
        .map(|asked| asked.query("since").unwrap_or("-").to_owned())
        .collect();
    assert_eq!(since, ["10", "20"]);
}

#[test]
fn s7_only_some_parents_and_a_call_about_one() {
    let (api, phone) = ready(
        json!({"parent": {"entity": "shop", "columns": {"shop": "id"}, "where": "name LIKE '%2'"}}),
    );
    synced(&phone);
    assert_eq!((all(&phone), asked(&api)), ("c@2".into(), "2".into()));
    phone.read_with("book", "books", json!({"shop": 1}));
    assert_eq!(
        (all(&phone), asked(&api)),
        ("a@1 b@1 c@2".into(), "1".into())
    );
}

#[test]
fn s7_a_sync_that_names_no_operations_repeats_it_with_the_parents_of_now() {
    let (api, phone) = ready(json!({}));
    synced(&phone);
    shops(&api, &[1, 2, 3]);
    books(&api, &[(1, &["a", "b"]), (2, &["c"]), (3, &["n"])]);
    api.asked();
    let answer: Value = serde_json::from_str(&phone.call("sync_once", &["api"])).expect("JSON");
    assert_eq!(answer["error"], Value::Null, "{answer}");
    assert_eq!(
        (all(&phone), asked(&api)),
        ("a@1 b@1 c@2 n@3".into(), "1 2 3".into())
    );
}

#[test]
fn s7_no_parents_is_no_request_and_a_table_that_is_not_there_is_said() {
    let (api, phone) = ready(json!({}));
    shops(&api, &[]);
    synced(&phone);
    assert_eq!(asked(&api), "");
    let missing = json!({"path": "/books", "query": {"shop": "{param:shop}"}, "parameters": {"shop": {}},
        "parent": {"entity": "store", "columns": {"shop": "id"}}});
    phone.function("books", missing);
    let answer = sync(&phone);
    let message = answer["operations"][1]["error"]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(message.contains("store"), "{answer}");
}

#[test]
fn s7_sync_check_reads_all_parents() {
    let (api, phone) = ready(json!({}));
    synced(&phone);
    let check = |phone: &Phone| -> Value {
        serde_json::from_str(&phone.call("sync_check", &["api"])).expect("JSON")
    };
    let answer = check(&phone);
    assert_eq!(answer["state"], "equal", "{answer}");
    books(&api, &[(1, &["a", "b"]), (2, &[])]);
    assert_eq!(check(&phone)["state"], "different");
}

#[test]
fn s7_sql_of_a_stranger_is_not_run() {
    let (_api, phone) = ready(
        json!({"parent": {"entity": "shop", "columns": {"shop": "id"}, "where": "name <> ''"}}),
    );
    synced(&phone);
    let other = phone.world.open();
    let sql = r#"SELECT sync_entities('s', 'api', '["book"]')"#;
    let sql = sql.replace(r#"["book"]"#, r#"[{"entity":"book","function":"books"}]"#);
    let answer: String = other
        .query_row(&sql, [], |row| row.get(0))
        .expect("an answer");
    assert!(
        answer.contains("not run unless this connection declared it"),
        "{answer}"
    );
}

#[test]
fn what_is_wrong_with_a_parent_is_named() {
    let (_api, phone) = ready(json!({}));
    for (parent, said) in [
        (r#"{"entity":"shop"}"#, "columns"),
        (r#"{"entity":"shop","columns":{}}"#, "names no parameter"),
        (
            r#"{"entity":"shop","columns":{"x":"id"}}"#,
            "parameter \"x\"",
        ),
        (
            r#"{"entity":"shop","columns":{"shop":"id"},"where":"no such("}"#,
            "parent.where",
        ),
    ] {
        let definition =
            format!(r#"{{"path":"/books","parameters":{{"shop":{{}}}},"parent":{parent}}}"#);
        let refused = phone.bad_function(&definition);
        assert!(refused.contains(said), "{parent}: {refused}");
    }
}

#[test]
fn sync_check_compares_though_the_last_operation_has_nothing_to_read() {
    let (api, phone) =
        ready(json!({"parent": {"entity": "shop", "columns": {"shop": "id"}, "where": "id > 2"}}));
    synced(&phone);
    phone.function("never", json!({"path": "/books", "when": "0"}));
    phone.read("book", "never");
    shops(&api, &[1, 2, 3]);
    let answer: Value = serde_json::from_str(&phone.call("sync_check", &["api"])).expect("JSON");
    assert_eq!(answer["state"], "different", "{answer}");
}
