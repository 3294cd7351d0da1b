//! Functions: how they are defined, what they send, and the operations that call them.

use serde_json::{Value, json};

use crate::phone::{Phone, error, ids, numbered, row};
use crate::server::{Answer, Api, Fault};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// A server with five rows and the function `list`.
fn simple() -> (Api, Phone) {
    let api = Api::start();
    api.set(numbered(5));
    let phone = Phone::new(&api);
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    (api, phone)
}

#[test]
fn functions_are_listed_redefined_and_removed() {
    let (_api, phone) = simple();
    let listed = "SELECT provider, id, method, path FROM sync_functions ORDER BY id";
    assert_eq!(phone.ask(listed), "api|list|GET|/rows");
    phone.function("list", json!({"path": "/others", "method": "POST"}));
    assert_eq!(phone.ask(listed), "api|list|POST|/others");
    phone.function("more", json!({"path": "/more"}));
    assert_eq!(phone.ask("SELECT count(*) FROM sync_functions"), "2");
    phone.ask("SELECT sync_function('api', 'list', NULL)");
    assert_eq!(phone.ask(listed), "api|more|GET|/more");
    // Removing what is not there does no harm.
    phone.ask("SELECT sync_function('api', 'list', NULL)");
    let refused = phone
        .refused(r#"SELECT sync_entities('s', 'api', '[{"entity":"book","function":"list"}]')"#);
    assert!(refused.contains("list"), "{refused}");
}

#[test]
fn a_function_needs_a_provider_of_this_kind() {
    let (_api, phone) = simple();
    let refused = phone.refused(r#"SELECT sync_function('nope', 'list', '{"path":"/x"}')"#);
    assert!(refused.contains("nope"), "{refused}");
    phone.ask(r#"SELECT sync_provider('host', '{"kind":"host"}')"#);
    let refused = phone.refused(r#"SELECT sync_function('host', 'list', '{"path":"/x"}')"#);
    assert!(refused.contains("host"), "{refused}");
}

#[test]
fn a_definition_that_is_wrong_is_refused_and_the_error_names_the_field() {
    let (_api, phone) = simple();
    for (definition, said) in [
        ("x", &["definition", "JSON"][..]),
        ("[]", &["definition", "object"]),
        ("{}", &["path"]),
        (r#"{"path":1}"#, &["path"]),
        (r#"{"path":"/x","recods":"$"}"#, &["recods", "records"]),
        (r#"{"path":"/x","method":"FETCH"}"#, &["method", "GET"]),
        (r#"{"path":"/x","query":[]}"#, &["query"]),
        (
            r#"{"path":"/x","headers":{"Authorization":"x"}}"#,
            &["Authorization"],
        ),
        (r#"{"path":"/x/{param:shop}"}"#, &["path", "shop"]),
        (
            r#"{"path":"/x","query":{"year":"{param:year}"}}"#,
            &["query.year", "year"],
        ),
        (
            r#"{"path":"/x","method":"POST","body":{"a":{"b":"{param:deep}"}}}"#,
            &["body", "deep"],
        ),
        (
            r#"{"path":"/x","parameters":{"a":{"requird":true}}}"#,
            &["requird", "required"],
        ),
        (
            r#"{"path":"/x","parameters":{"a":{"type":"date"}}}"#,
            &["parameters.a.type"],
        ),
        (r#"{"path":"/x","format":"xml"}"#, &["format", "csv"]),
        (r#"{"path":"/x","conditional":"yes"}"#, &["conditional"]),
        (r#"{"path":"/x","filter":5}"#, &["filter"]),
        (
            r#"{"path":"/x","paging":{"kind":"pages"}}"#,
            &["paging.kind", "page"],
        ),
        (
            r#"{"path":"/x","paging":{"kind":"page","siz":1}}"#,
            &["paging.siz", "paging.size"],
        ),
        (
            r#"{"path":"/x","paging":{"kind":"page","size":0}}"#,
            &["paging.size"],
        ),
        (
            r#"{"path":"/x","paging":{"kind":"page","size":2,"stop":"never"}}"#,
            &["paging.stop"],
        ),
        (
            r#"{"path":"/x","paging":{"kind":"page","size":2,"maxPages":0}}"#,
            &["paging.maxPages"],
        ),
        (
            r#"{"path":"/x","paging":{"kind":"page","size":2,"in":"cookie"}}"#,
            &["paging.in"],
        ),
        (
            r#"{"path":"/x","incremental":{"from":"updated"}}"#,
            &["incremental.send"],
        ),
        (
            r#"{"path":"/x","incremental":{"send":{"query":"since"}}}"#,
            &["incremental.from"],
        ),
        (
            r#"{"path":"/x","incremental":{"from":"u","send":{"query":"s"},"order":"up"}}"#,
            &["incremental.order"],
        ),
        (
            r#"{"path":"/x","incremental":{"from":"u","send":{"qery":"s"}}}"#,
            &["incremental.send"],
        ),
        (
            r#"{"path":"/x","incremental":{"from":"u","send":{"query":"s"},"lookback":"5 apples"}}"#,
            &["incremental.lookback"],
        ),
        (r#"{"path":"/x","deletes":"some"}"#, &["deletes"]),
        (
            r#"{"path":"/x","deletes":{"tombston":"$.gone"}}"#,
            &["deletes"],
        ),
        (
            r#"{"path":"/x","deletes":{"sweepEvery":"often"}}"#,
            &["deletes", "often", "24h"],
        ),
        (
            r#"{"path":"/x","guard":{"maxDeletePercent":101}}"#,
            &["guard.maxDeletePercent"],
        ),
        (
            r#"{"path":"/x","guard":{"allowEmpty":1}}"#,
            &["guard.allowEmpty"],
        ),
        (
            r#"{"path":"/x","errors":[{"status":99}]}"#,
            &["errors", "status"],
        ),
        (
            r#"{"path":"/x","errors":[{"clas":"data"}]}"#,
            &["clas", "class"],
        ),
        (
            r#"{"path":"/x","errors":[{"status":404,"class":"bad"}]}"#,
            &["class"],
        ),
    ] {
        let refused = phone.bad_function(definition);
        for word in said {
            assert!(refused.contains(word), "{definition}: {refused}");
        }
        assert!(refused.starts_with("sync_function: "), "{refused}");
    }
    assert_eq!(
        phone.ask("SELECT group_concat(id) FROM sync_functions"),
        "list"
    );
}

#[test]
fn an_operation_names_a_function_that_is_there() {
    let (api, phone) = simple();
    let refused = phone
        .refused(r#"SELECT sync_entities('s', 'api', '[{"entity":"book","function":"lst"}]')"#);
    assert!(
        refused.contains("lst") && refused.contains("list"),
        "{refused}"
    );
    let refused = phone.refused(r#"SELECT sync_entities('s', 'api', '["book"]')"#);
    assert!(
        refused.contains("book") && refused.contains("list"),
        "{refused}"
    );
    assert_eq!(api.asked().len(), 0);
}

#[test]
fn a_missing_required_parameter_fails_before_any_request_and_is_named() {
    let (api, phone) = simple();
    phone.function(
        "one",
        json!({"path": "/shops/{param:shop}", "parameters": {"shop": {"required": true}}}),
    );
    let operations = r#"[{"entity":"book","function":"one"}]"#;
    let said = match phone.try_call("sync_entities", &["s", "api", operations]) {
        Ok(answer) => {
            let answer = parsed(&answer);
            assert_eq!(answer["state"], "failed", "{answer}");
            error(&answer)["message"].to_string()
        }
        Err(error) => error,
    };
    assert!(said.contains("shop"), "{said}");
    assert_eq!(api.asked().len(), 0);
}

#[test]
fn parameters_that_nobody_declared_are_named() {
    let (api, phone) = simple();
    let operations = r#"[{"entity":"book","function":"list","parameters":{"colour":"red"}}]"#;
    let said = match phone.try_call("sync_entities", &["s", "api", operations]) {
        Ok(answer) => error(&parsed(&answer))["message"].to_string(),
        Err(error) => error,
    };
    assert!(said.contains("colour"), "{said}");
    assert_eq!(api.asked().len(), 0);
}

#[test]
fn a_parameter_of_another_type_is_named() {
    let (api, phone) = simple();
    phone.function(
        "typed",
        json!({"path": "/rows", "records": "$.items", "query": {"y": "{param:year}"},
        "parameters": {"year": {"type": "number"}}}),
    );
    let operations = r#"[{"entity":"book","function":"typed","parameters":{"year":"soon"}}]"#;
    let said = match phone.try_call("sync_entities", &["s", "api", operations]) {
        Ok(answer) => error(&parsed(&answer))["message"].to_string(),
        Err(error) => error,
    };
    assert!(said.contains("year") && said.contains("number"), "{said}");
    assert_eq!(api.asked().len(), 0);
}

#[test]
fn parameters_are_encoded_in_addresses_and_json_in_bodies() {
    let api = Api::start();
    let odd = "a b/c?d=e&f#é\"\\{x}";
    api.answer("/search", Answer::json(&json!([])));
    let phone = Phone::new(&api);
    let parameters = json!({"q": {}, "n": {"type": "number"}, "b": {"type": "boolean"}});
    phone.function("query", json!({"path": "/search", "query": {"q": "{param:q}", "mixed": "<{param:q}>", "n": "{param:n}", "b": "{param:b}"},
        "parameters": parameters}));
    let given = json!({"q": odd, "n": 9007199254740993u64, "b": true});
    let answer = phone.read_with("book", "query", given.clone());
    assert_eq!(answer["state"], "synced", "{answer}");
    let asked = &api.asked()[0];
    assert_eq!(asked.query("q"), Some(odd), "{}", asked.target);
    assert_eq!(asked.query("mixed"), Some(format!("<{odd}>").as_str()));
    assert_eq!(asked.query("n"), Some("9007199254740993"));
    assert_eq!(asked.query("b"), Some("true"));

    phone.function("body", json!({"path": "/search", "method": "POST", "parameters": parameters,
        "body": {"q": "{param:q}", "in": ["<{param:q}>"], "n": "{param:n}", "b": "{param:b}", "fixed": null}}));
    let answer = phone.read_with("book", "body", given);
    assert_eq!(answer["state"], "synced", "{answer}");
    let asked = &api.asked()[0];
    assert_eq!(asked.method, "POST");
    assert!(
        asked
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"))
    );
    let expected = json!({"q": odd, "in": [format!("<{odd}>")], "n": 9007199254740993u64, "b": true, "fixed": null});
    assert_eq!(asked.json(), expected);
    assert!(asked.body.contains("9007199254740993"), "{}", asked.body);
}

#[test]
fn a_parameter_cannot_leave_its_place_in_the_path() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function(
        "one",
        json!({"path": "/shops/{param:shop}/rows", "parameters": {"shop": {"required": true}}}),
    );
    for shop in ["a/../b", "x?y=1", "x#y", "a b", "%2F"] {
        phone.read_with("book", "one", json!({"shop": shop}));
        let asked = api.asked();
        let [asked] = &asked[..] else {
            panic!("{shop}: {asked:?}");
        };
        assert!(asked.query.is_empty(), "{shop}: {}", asked.target);
        let segments: Vec<&str> = asked.target.split('/').collect();
        assert_eq!(segments.len(), 4, "{shop}: {}", asked.target);
        assert_eq!(crate::server::decoded(segments[2]), shop);
    }
}

#[test]
fn an_absent_optional_parameter_leaves_its_query_key_out_and_a_default_fills_it() {
    let (api, phone) = simple();
    phone.function(
        "some",
        json!({"path": "/rows", "records": "$.items",
        "query": {"year": "{param:year}", "lang": "{param:lang}", "fixed": "1"},
        "parameters": {"year": {"type": "number"}, "lang": {"default": "en"}}}),
    );
    phone.done("book", "some");
    let asked = &api.asked()[0];
    assert_eq!(
        (
            asked.query("year"),
            asked.query("lang"),
            asked.query("fixed")
        ),
        (None, Some("en"), Some("1"))
    );
    phone.read_with("book", "some", json!({"year": 2024, "lang": "de"}));
    let asked = &api.asked()[0];
    assert_eq!(
        (asked.query("year"), asked.query("lang")),
        (Some("2024"), Some("de"))
    );
}

#[test]
fn headers_of_provider_and_function_are_sent() {
    let api = Api::start();
    api.set(numbered(1));
    let phone = Phone::with(&api, json!({"headers": {"X-App": "7"}}));
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "headers": {"Accept-Language": "en"}}),
    );
    phone.done("book", "list");
    let asked = &api.asked()[0];
    assert_eq!(
        (asked.header("x-app"), asked.header("accept-language")),
        (Some("7"), Some("en"))
    );
}

#[test]
fn a_trial_shows_request_rows_and_next_page_and_changes_nothing() {
    let (api, phone) = simple();
    phone.call("sync_secret", &["key", "hunter2", &api.url()]);
    phone.provider(&api.url(), json!({"token": "key"}));
    phone.function("one", json!({"path": "/rows", "records": "$.items", "query": {"y": "{param:y}"}, "parameters": {"y": {}}}));
    let before = phone.ask("SELECT count(*) FROM sqlite_schema");
    let text = phone.call("sync_try_function", &["api", "one", r#"{"y":"a b"}"#]);
    let trial = parsed(&text);
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(trial["request"]["method"], "GET");
    assert!(
        trial["request"]["url"]
            .as_str()
            .expect("url")
            .contains("/rows?y=a%20b"),
        "{text}"
    );
    assert_eq!(
        (&trial["status"], &trial["count"]),
        (&json!(200), &json!(5))
    );
    let rows = trial["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["id"], "1");
    assert_eq!(
        api.asked()[0].header("authorization"),
        Some("Bearer hunter2")
    );
    assert_eq!(phone.ask("SELECT count(*) FROM sqlite_schema"), before);
    assert_eq!(phone.ask("SELECT count(*) FROM _syncStatus"), "0");
    assert_eq!(phone.ask("SELECT count(*) FROM sync_cursor"), "0");
}

#[test]
fn a_trial_of_what_is_wrong_says_what() {
    let (api, phone) = simple();
    phone.function("wrong", json!({"path": "/rows", "records": "$.data"}));
    let trial = parsed(&phone.call("sync_try_function", &["api", "wrong"]));
    let said = trial.to_string();
    assert!(said.contains("$.data") && said.contains("items"), "{said}");
    phone.function("gone", json!({"path": "/nowhere"}));
    let trial = parsed(&phone.call("sync_try_function", &["api", "gone"]));
    assert_eq!(trial["status"], 404, "{trial}");
    assert!(!trial["error"].is_null(), "{trial}");
    assert!(
        phone
            .try_call("sync_try_function", &["api", "nope"])
            .expect_err("refused")
            .contains("nope")
    );
    api.asked();
}

#[test]
fn scopes_p3_the_failure_of_one_entity_does_not_stop_the_others() {
    let api = Api::start();
    api.set(numbered(3));
    let phone = Phone::new(&api);
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    phone.function("bad", json!({"path": "/broken"}));
    api.answer("/broken", Answer::new(500, "text/plain", "no"));
    phone.ask("SELECT sync_start_scope('scope', '[\"screen\"]')");
    let operations = json!([{"entity": "a", "function": "list"}, {"entity": "b", "function": "bad"}, {"entity": "c", "function": "list"}]);
    let answer = phone.run(operations, json!({}));
    assert_eq!(answer["state"], "failed", "{answer}");
    assert_eq!(
        (phone.ids("a"), phone.ids("c")),
        (ids(3), ids(3)),
        "{answer}"
    );
    let statuses = "SELECT group_concat(entity || ' ' || functionId || ' ' || state, ', ') FROM (SELECT * FROM _syncStatus ORDER BY entity)";
    assert_eq!(
        phone.ask(statuses),
        "a list synced, b bad failed, c list synced"
    );
    let status = parsed(&phone.ask("SELECT error FROM _syncStatus WHERE entity = 'b'"));
    assert_eq!(
        (&status["class"], &status["status"]),
        (&json!("server"), &json!(500))
    );
    assert_eq!(
        phone.ask("SELECT error FROM _syncStatus WHERE entity = 'a'"),
        "NULL"
    );
    assert_eq!(phone.ask("SELECT state FROM _syncScope"), "failed");
    // Mended, all is well.
    api.answer("/broken", Answer::json(&json!([{"id": "x"}])));
    let again = json!([{"entity": "a", "function": "list"}, {"entity": "b", "function": "bad"}, {"entity": "c", "function": "list"}]);
    assert_eq!(phone.run(again, json!({}))["state"], "synced");
    assert_eq!(phone.ask("SELECT state FROM _syncScope"), "synced");
}

#[test]
fn operations_have_statuses_of_their_own_for_each_function_and_parameters() {
    let api = Api::start();
    api.on("/shop", |asked| {
        let shop = asked.query("shop").expect("shop").to_owned();
        Answer::json(&json!([{"id": format!("{shop}1")}, {"id": format!("{shop}2")}]))
    });
    let phone = Phone::new(&api);
    phone.function("shop", json!({"path": "/shop", "query": {"shop": "{param:shop}"}, "parameters": {"shop": {"required": true}}}));
    let operations = json!([{"entity": "book", "function": "shop", "parameters": {"shop": "a"}},
        {"entity": "book", "function": "shop", "parameters": {"shop": "b"}},
        {"entity": "book", "function": "shop", "parameters": {"shop": "a"}}]);
    let answer = phone.run(operations, json!({}));
    assert_eq!(answer["state"], "synced", "{answer}");
    // Equal operations are one.
    assert_eq!(
        answer["operations"].as_array().expect("operations").len(),
        2,
        "{answer}"
    );
    assert_eq!(api.asked().len(), 2);
    assert_eq!(phone.ids("book"), "a1 a2 b1 b2");
    assert_eq!(phone.status("book"), "synced\nsynced");
}

#[test]
fn a_table_that_is_missing_is_made_of_documents_and_tracked() {
    let (_api, phone) = simple();
    phone.done("local/my-books", "list");
    let columns = r#"SELECT group_concat(name) FROM pragma_table_info('local/my-books')"#;
    assert_eq!(phone.ask(columns), "id,data,timestamp");
    assert_eq!(phone.ids("local/my-books"), ids(5));
    phone.exec(r#"UPDATE "local/my-books" SET data = '{}' WHERE id = '1'"#);
    assert_eq!(phone.pending(), "1 updated");
}

#[test]
fn a_table_that_is_there_must_be_tracked_first() {
    let (api, phone) = simple();
    phone.exec("CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, name TEXT)");
    let operations = r#"[{"entity":"book","function":"list"}]"#;
    let refused = phone
        .try_call("sync_entities", &["s", "api", operations])
        .expect_err("refused");
    assert!(refused.contains("sync_track"), "{refused}");
    assert_eq!(api.asked().len(), 0);
    phone.call("sync_track", &["book"]);
    phone.done("book", "list");
    assert_eq!(phone.ask("SELECT name FROM book WHERE id = '3'"), "n3");
}

#[test]
fn a_function_that_is_redefined_acts_at_once() {
    let (api, phone) = simple();
    phone.done("book", "list");
    api.answer(
        "/other",
        Answer::json(&json!({"rows": [row(1), row(2), row(3), row(9)]})),
    );
    phone.function("list", json!({"path": "/other", "records": "$.rows"}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 2 3 9");
    // The same operation: no second status.
    assert_eq!(phone.ask("SELECT count(*) FROM _syncStatus"), "1");
}

#[test]
fn another_connection_uses_the_functions_of_the_file() {
    let (_api, phone) = simple();
    let second = phone.world.open();
    let sql =
        r#"SELECT sync_entities('s', 'api', '[{"entity":"book","function":"list"}]') ->> 'state'"#;
    assert_eq!(support::ask(&second, sql), "synced");
    assert_eq!(phone.ids("book"), ids(5));
}

#[test]
fn sync_once_reads_what_was_read_before() {
    let (api, phone) = simple();
    phone.done("book", "list");
    api.set(numbered(6));
    let answer = parsed(&phone.call("sync_once", &["api"]));
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(phone.ids("book"), ids(6));
}

#[test]
fn sync_check_compares_and_changes_nothing() {
    let (api, phone) = simple();
    phone.done("book", "list");
    let check = parsed(&phone.call("sync_check", &["api"]));
    assert_eq!(check["state"], "equal", "{check}");
    let mut rows = numbered(6);
    rows[0]["name"] = json!("other");
    rows.remove(1);
    api.set(rows);
    let check = parsed(&phone.call("sync_check", &["api"]));
    assert_eq!(check["state"], "different", "{check}");
    let entity = &check["entities"][0];
    assert_eq!(
        (&entity["missing"], &entity["excess"], &entity["differing"]),
        (&json!(1), &json!(1), &json!(1)),
        "{check}"
    );
    assert_eq!(phone.ids("book"), ids(5));
    api.fault(Fault::Html(0));
    let check = parsed(&phone.call("sync_check", &["api"]));
    assert_eq!(check["state"], "failed", "{check}");
}

#[test]
fn nothing_is_read_inside_a_transaction() {
    let (api, phone) = simple();
    phone.exec("BEGIN");
    let operations = r#"[{"entity":"book","function":"list"}]"#;
    let refused = phone
        .try_call("sync_entities", &["s", "api", operations])
        .expect_err("refused");
    assert!(refused.contains("transaction"), "{refused}");
    assert_eq!(api.asked().len(), 0);
}

#[test]
fn offline_is_a_failure_of_the_network() {
    let (api, phone) = simple();
    phone.done("book", "list");
    drop(api);
    let failure = phone.failed("book", "list");
    assert_eq!(
        (&failure["class"], &failure["retryable"]),
        (&json!("network"), &json!(true))
    );
    assert_eq!(phone.ids("book"), ids(5));
}
