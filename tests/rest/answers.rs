//! What answers are made of: rows wherever they are, values of each type, other formats, and answers that say no.

use serde_json::{Value, json};

use crate::phone::{Phone, error, ids, numbered};
use crate::server::{Answer, Api};

/// A phone whose function `list` reads `answer`, with further keys.
fn given(answer: Answer, more: Value) -> (Api, Phone) {
    let api = Api::start();
    api.answer("/one", answer);
    let phone = Phone::new(&api);
    define(&phone, more);
    (api, phone)
}

fn define(phone: &Phone, more: Value) {
    let mut function = json!({"path": "/one"});
    for (key, value) in more.as_object().expect("an object") {
        function[key] = value.clone();
    }
    phone.function("list", function);
}

fn typed(phone: &Phone) {
    phone.table(
        "CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, name TEXT, n INTEGER, price REAL, sold BOOLEAN)",
        "book",
    );
}

#[test]
fn rows_are_found_wherever_they_are() {
    for (records, more, text) in [
        ("$", json!({}), r#"[{"id":"1"},{"id":"2"}]"#),
        ("$.items", json!({}), r#"{"items":[{"id":"1"},{"id":"2"}]}"#),
        ("$.a.b", json!({}), r#"{"a":{"b":[{"id":"1"},{"id":"2"}]}}"#),
        (
            "$.a[0].b",
            json!({}),
            r#"{"a":[{"b":[{"id":"1"},{"id":"2"}]},{"b":[{"id":"3"}]}]}"#,
        ),
        (
            "$[*].data",
            json!({}),
            r#"[{"data":{"id":"1"}},{"data":{"id":"2"}}]"#,
        ),
        (
            "$.items[*].node",
            json!({}),
            r#"{"items":[{"node":{"id":"1"}},{"node":{"id":"2"}}]}"#,
        ),
        (
            "$.byId",
            json!({"keyed": "id"}),
            r#"{"byId":{"1":{"x":1},"2":{"x":2}}}"#,
        ),
        ("$", json!({"keyed": "id"}), r#"{"1":{"x":1},"2":{"x":2}}"#),
        (
            "$.items",
            json!({"key": "code"}),
            r#"{"items":[{"code":"1"},{"code":"2"}]}"#,
        ),
        (
            "$.items",
            json!({"key": "$.meta.uid"}),
            r#"{"items":[{"meta":{"uid":1}},{"meta":{"uid":2}}]}"#,
        ),
    ] {
        let mut more = more;
        more["records"] = json!(records);
        let (_api, phone) = given(Answer::text(text), more);
        let answer = phone.read("book", "list");
        assert_eq!(answer["state"], "synced", "{records} of {text}: {answer}");
        assert_eq!(phone.ids("book"), "1 2", "{records} of {text}");
    }
}

#[test]
fn one_object_is_one_row() {
    for (records, text) in [
        ("$", r#"{"id":"me","name":"n"}"#),
        ("$.user", r#"{"user":{"id":"me"}}"#),
    ] {
        let (_api, phone) = given(Answer::text(text), json!({"records": records}));
        phone.done("user", "list");
        assert_eq!(phone.ids("user"), "me", "{text}");
    }
}

#[test]
fn bare_keys_are_rows() {
    let (_api, phone) = given(Answer::text(r#"["a","b","c"]"#), json!({}));
    phone.done("tag", "list");
    assert_eq!(phone.ids("tag"), "a b c");
    let (_api, phone) = given(Answer::text("[3,1,2]"), json!({}));
    phone.table("CREATE TABLE tag (id INTEGER PRIMARY KEY)", "tag");
    phone.done("tag", "list");
    assert_eq!(phone.ids("tag"), "1 2 3");
}

#[test]
fn a_key_of_several_members_is_joined_with_hyphens() {
    let (_api, phone) = given(
        Answer::text(r#"[{"a":1,"b":"x"},{"a":1,"b":"y"}]"#),
        json!({"key": ["a", "b"]}),
    );
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1-x 1-y");
}

#[test]
fn a_row_without_a_key_fails_and_is_named() {
    for text in [
        r#"[{"id":"1"},{"name":"x"}]"#,
        r#"[{"id":"1"},{"id":null}]"#,
        r#"[{"id":"1"},{"id":{}}]"#,
    ] {
        let (_api, phone) = given(Answer::text(text), json!({}));
        let answer = phone.read("book", "list");
        // Either nothing is taken, or the row is counted: never is it lost in silence.
        if answer["state"] == "failed" {
            assert!(
                error(&answer)["message"].to_string().contains("id"),
                "{text}: {answer}"
            );
        } else {
            assert_ne!(answer["warnings"], json!([]), "{text}: {answer}");
        }
    }
}

#[test]
fn a_key_that_is_twice_in_an_answer_is_one_row() {
    let (_api, phone) = given(
        Answer::text(r#"[{"id":"1","n":1},{"id":"2","n":2},{"id":"1","n":3}]"#),
        json!({}),
    );
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 2");
    let kept = phone.ask("SELECT data ->> 'n' FROM book WHERE id = '1'");
    // Read again nothing changes.
    phone.done("book", "list");
    assert_eq!(
        phone.ask("SELECT data ->> 'n' FROM book WHERE id = '1'"),
        kept
    );
    assert_eq!(
        (phone.ids("book").as_str(), phone.pending().as_str()),
        ("1 2", "")
    );
}

#[test]
fn a_row_that_is_twice_in_an_answer_is_written_once() {
    let (_api, phone) = given(
        Answer::text(r#"[{"id":"1","n":1},{"id":"1","n":1}]"#),
        json!({}),
    );
    let answer = phone.done("book", "list");
    assert_eq!(
        (&answer["inserted"], &answer["updated"]),
        (&json!(1), &json!(0)),
        "{answer}"
    );
    let answer = phone.done("book", "list");
    assert_eq!(
        (&answer["pulled"], phone.count("book")),
        (&json!(0), 1),
        "{answer}"
    );
}

#[test]
fn numbers_are_exact_in_documents_and_columns() {
    let text = r#"[{"id":"1","n":9223372036854775807,"price":0.1},{"id":"2","n":-9223372036854775808,"price":1e300},{"id":"3","n":9007199254740993,"price":5}]"#;
    let (_api, phone) = given(Answer::text(text), json!({}));
    phone.done("paper", "list");
    let documents =
        phone.ask("SELECT group_concat(data ->> 'n') FROM (SELECT data FROM paper ORDER BY id)");
    assert_eq!(
        documents,
        "9223372036854775807,-9223372036854775808,9007199254740993"
    );
    assert_eq!(
        phone.ask("SELECT data FROM paper WHERE id = '1'"),
        r#"{"id":"1","n":9223372036854775807,"price":0.1}"#
    );
    typed(&phone);
    phone.done("book", "list");
    let columns = phone.ask("SELECT typeof(n) || n FROM book ORDER BY id");
    assert_eq!(
        columns,
        "integer9223372036854775807\ninteger-9223372036854775808\ninteger9007199254740993"
    );
    assert_eq!(
        phone.ask("SELECT typeof(price) || (price = 0.1) FROM book WHERE id = '1'"),
        "real1"
    );
}

#[test]
fn values_of_each_type_come_into_columns() {
    let text = r#"[{"id":"1","name":"é\u0041\n\"","n":1,"price":2.5,"sold":true},{"id":"2","name":null,"n":null,"price":null,"sold":false},{"id":"3"}]"#;
    let (_api, phone) = given(Answer::text(text), json!({}));
    typed(&phone);
    phone.done("book", "list");
    assert_eq!(
        phone.ask("SELECT * FROM book WHERE id = '1'"),
        "1|éA\n\"|1|2.5|1"
    );
    assert_eq!(
        phone.ask("SELECT * FROM book WHERE id = '2'"),
        "2|NULL|NULL|NULL|0"
    );
    assert_eq!(
        phone.ask("SELECT name, n FROM book WHERE id = '3'"),
        "NULL|NULL"
    );
}

#[test]
fn values_of_the_wrong_type_do_not_stop_the_reading_and_are_not_lost_in_silence() {
    let text = r#"[{"id":"1","n":"many","name":"a"},{"id":"2","n":2,"name":{"x":1}},{"id":"3","n":3,"name":"c"}]"#;
    let (_api, phone) = given(Answer::text(text), json!({}));
    typed(&phone);
    let answer = phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(3));
    assert_eq!(phone.ask("SELECT n || name FROM book WHERE id = '3'"), "3c");
    let number = phone.ask("SELECT n FROM book WHERE id = '1'");
    assert!(
        number == "many" || answer["warnings"] != json!([]),
        "{number}: {answer}"
    );
    assert_eq!(phone.pending(), "");
}

#[test]
fn columns_have_paths_constants_parameters_documents_and_expressions() {
    let text = r#"[{"id":"1","info":{"title":"T","tags":["a","b"]},"cents":250}]"#;
    let (_api, phone) = given(
        Answer::text(text),
        json!({
        "parameters": {"shop": {"default": "main"}},
        "columns": {"title": "$.info.title", "second": "$.info.tags[1]", "source": {"value": "api"}, "shop": {"param": "shop"},
            "whole": "*", "price": {"sql": "(:record ->> 'cents') / 100.0"}, "missing": "$.nope.deep"}}),
    );
    phone.table("CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, title TEXT, second TEXT, source TEXT, shop TEXT, whole TEXT, price REAL, missing TEXT)", "book");
    phone.done("book", "list");
    assert_eq!(
        phone.ask("SELECT id, title, second, source, shop, price, missing FROM book"),
        "1|T|b|api|main|2.5|NULL"
    );
    assert_eq!(phone.ask("SELECT whole ->> '$.info.title' FROM book"), "T");
}

#[test]
fn the_time_of_a_document_is_the_one_that_is_named() {
    let text = r#"[{"id":"1","at":1700000000000},{"id":"2","at":"2024-03-01T00:00:00Z"}]"#;
    let (_api, phone) = given(Answer::text(text), json!({"timestamp": "at"}));
    phone.done("book", "list");
    assert_eq!(
        phone.ask("SELECT timestamp FROM book ORDER BY id"),
        "1700000000000\n1709251200000"
    );
}

#[test]
fn rows_that_are_the_same_are_not_written_again() {
    let (_api, phone) = given(Answer::text(r#"[{"id":"1","n":1}]"#), json!({}));
    phone.done("book", "list");
    phone.exec("CREATE TABLE seen (n); CREATE TRIGGER watch AFTER UPDATE ON book BEGIN INSERT INTO seen VALUES (1); END");
    let answer = phone.done("book", "list");
    assert_eq!(
        (&answer["unchanged"], phone.count("seen")),
        (&json!(1), 0),
        "{answer}"
    );
}

#[test]
fn csv_and_ndjson_are_read_by_content_type_or_format() {
    let csv = "id,name,n\r\n1,\"a, \"\"b\"\"\",5\r\n2,\"line\nbreak\",\r\n3,é,7\r\n";
    let ndjson = "{\"id\":\"1\",\"name\":\"a\",\"n\":5}\n{\"id\":\"2\",\"name\":\"b\"}\n\n{\"id\":\"3\",\"name\":\"é\",\"n\":7}";
    for (kind, format, text) in [
        ("text/csv", None, csv),
        ("text/csv; charset=utf-8", None, csv),
        ("text/plain", Some("csv"), csv),
        ("application/x-ndjson", None, ndjson),
        ("text/plain", Some("ndjson"), ndjson),
    ] {
        for bom in ["", "\u{feff}"] {
            let case = format!("{kind}, {format:?}, {}", bom.len());
            let more = format.map_or(json!({}), |format| json!({"format": format}));
            let (_api, phone) = given(Answer::new(200, kind, format!("{bom}{text}")), more);
            typed(&phone);
            let answer = phone.read("book", "list");
            assert_eq!(answer["state"], "synced", "{case}: {answer}");
            assert_eq!(phone.ids("book"), ids(3), "{case}");
            assert_eq!(
                phone.ask("SELECT name || n || typeof(n) FROM book WHERE id = '3'"),
                "é7integer",
                "{case}"
            );
            if text == csv {
                assert_eq!(
                    phone.ask("SELECT name FROM book WHERE id = '1'"),
                    "a, \"b\"",
                    "{case}"
                );
                assert_eq!(
                    phone.ask("SELECT name FROM book WHERE id = '2'"),
                    "line\nbreak",
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn a_byte_order_mark_before_json_is_passed_over() {
    let (_api, phone) = given(Answer::text("\u{feff}[{\"id\":\"1\"}]"), json!({}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1");
}

#[test]
fn ndjson_and_csv_that_are_broken_fail() {
    for (kind, text) in [
        ("application/x-ndjson", "{\"id\":\"1\"}\n{\"id\":"),
        ("application/x-ndjson", "{\"id\":\"1\"}\noops\n"),
        ("text/csv", "<!DOCTYPE html><html></html>"),
    ] {
        let (api, phone) = given(Answer::text(r#"[{"id":"1"},{"id":"2"}]"#), json!({}));
        phone.done("book", "list");
        api.answer("/one", Answer::new(200, kind, text));
        let answer = phone.read("book", "list");
        assert_eq!(answer["state"], "failed", "{text}: {answer}");
        assert!(phone.ids("book") == "1 2", "{text}");
    }
}

#[test]
fn an_answer_is_good_if_the_function_says_so() {
    let (api, phone) = given(
        Answer::text(r#"{"status":"ok","items":[{"id":"1"}]}"#),
        json!({"records": "$.items", "success": {"$.status": "ok"}}),
    );
    phone.done("book", "list");
    api.answer(
        "/one",
        Answer::text(r#"{"status":"token expired","items":[]}"#),
    );
    phone.failed("book", "list");
    assert_eq!(phone.ids("book"), "1");
    // Without the member it isn't good either.
    api.answer("/one", Answer::text(r#"{"items":[{"id":"2"}]}"#));
    phone.failed("book", "list");
    assert_eq!(phone.ids("book"), "1");
}

#[test]
fn rules_say_what_an_answer_means() {
    let rules = json!([
        {"status": 404, "ignore": true},
        {"status": 418, "class": "data", "message": "the shop is a teapot", "retryable": true},
        {"path": "$.code", "is": "E42", "class": "auth", "message": "log in again"},
        {"text": "maintenance", "class": "server", "retryable": true},
    ]);
    let (api, phone) = given(
        Answer::text(r#"{"items":[{"id":"1"}]}"#),
        json!({"records": "$.items", "errors": rules}),
    );
    phone.done("book", "list");
    for (answer, class, retryable, said) in [
        (
            Answer::new(418, "application/json", "{}"),
            "data",
            json!(true),
            "teapot",
        ),
        (
            Answer::text(r#"{"ok":false,"code":"E42"}"#),
            "auth",
            json!(false),
            "log in again",
        ),
        (
            Answer::new(400, "application/json", r#"{"code":"E42"}"#),
            "auth",
            json!(false),
            "log in again",
        ),
        (
            Answer::new(400, "text/plain", "down for maintenance"),
            "server",
            json!(true),
            "",
        ),
    ] {
        api.answer("/one", answer);
        let failure = phone.failed("book", "list");
        assert_eq!(
            (&failure["class"], &failure["retryable"]),
            (&json!(class), &retryable),
            "{failure}"
        );
        assert!(failure["message"].to_string().contains(said), "{failure}");
    }
    // Nothing came: nothing goes.
    api.answer("/one", Answer::new(404, "text/plain", "none"));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1");
}

#[test]
fn an_answer_that_says_no_with_status_200_is_no_row() {
    let rules =
        json!([{"path": "$.code", "is": "E42", "class": "auth", "message": "log in again"}]);
    for (more, said) in [
        (json!({}), "expired"),
        (json!({"errors": rules}), "log in again"),
    ] {
        let (api, phone) = given(Answer::text(r#"[{"id":"1"}]"#), more);
        phone.done("book", "list");
        api.answer(
            "/one",
            Answer::text(r#"{"ok":false,"code":"E42","message":"token expired"}"#),
        );
        let failure = phone.failed("book", "list");
        assert!(failure["message"].to_string().contains(said), "{failure}");
        assert_eq!(phone.ids("book"), "1");
    }
}

#[test]
fn the_words_of_the_server_are_in_the_error() {
    let (_api, phone) = given(
        Answer::new(
            400,
            "application/json",
            r#"{"message":"limit must be less than 50"}"#,
        ),
        json!({}),
    );
    let failure = phone.failed("book", "list");
    assert!(
        failure["message"]
            .to_string()
            .contains("limit must be less than 50"),
        "{failure}"
    );
}

#[test]
fn an_answer_that_has_not_changed_is_not_sent_again() {
    let api = Api::start();
    api.set(numbered(3));
    api.state().etag = true;
    let phone = Phone::new(&api);
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    phone.done("book", "list");
    let answer = phone.done("book", "list");
    assert_eq!(
        (phone.ids("book"), &answer["pulled"]),
        (ids(3), &json!(0)),
        "{answer}"
    );
    assert_eq!(phone.status("book"), "synced");
    let asked = api.asked();
    assert_eq!(asked[0].header("if-none-match"), None);
    assert!(asked[1].header("if-none-match").is_some());
    // It did.
    api.set(numbered(4));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(4));
    phone.done("book", "list");
    assert_ne!(
        api.asked()[1].header("if-none-match"),
        asked[1].header("if-none-match")
    );
    // Forced, all is read.
    phone.forced("book", "list");
    assert_eq!(phone.ids("book"), ids(4));
}

#[test]
fn the_time_of_the_last_change_is_sent_back() {
    let api = Api::start();
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    api.on("/one", move |asked| {
        match asked.header("if-modified-since") {
            Some(since) if since == date => Answer::new(304, "application/json", ""),
            _ => Answer::text(r#"[{"id":"1"}]"#).with("Last-Modified", date),
        }
    });
    let phone = Phone::new(&api);
    define(&phone, json!({}));
    phone.done("book", "list");
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1");
    assert_eq!(api.asked()[1].header("if-modified-since"), Some(date));
}

#[test]
fn a_tag_is_kept_only_for_the_operation_and_the_definition_it_came_with() {
    let api = Api::start();
    api.on("/one", |asked| {
        let tag = "\"same for all\"";
        if asked.header("if-none-match") == Some(tag) {
            return Answer::new(304, "application/json", "");
        }
        let shop = asked.query("shop").unwrap_or("none").to_owned();
        Answer::json(&json!([{"id": shop, "n": "one", "m": "two"}])).with("ETag", tag)
    });
    let phone = Phone::new(&api);
    let more = json!({"query": {"shop": "{param:shop}"}, "parameters": {"shop": {}}});
    define(&phone, more.clone());
    phone.read_with("book", "list", json!({"shop": "a"}));
    phone.read_with("book", "list", json!({"shop": "b"}));
    assert_eq!(phone.ids("book"), "a b");
    // Stored otherwise from now on: the same answer is needed again.
    let mut other = more;
    other["columns"] = json!({"data": "$.m"});
    define(&phone, other);
    phone.read_with("book", "list", json!({"shop": "a"}));
    assert_eq!(phone.ask("SELECT data FROM book WHERE id = 'a'"), "two");
}

#[test]
fn conditional_false_keeps_no_tag_and_a_failed_reading_none_either() {
    let api = Api::start();
    api.set(numbered(3));
    api.state().etag = true;
    let phone = Phone::new(&api);
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "conditional": false}),
    );
    phone.done("book", "list");
    phone.done("book", "list");
    assert!(
        api.asked()
            .iter()
            .all(|asked| asked.header("if-none-match").is_none())
    );
    // What the guard refused comes again.
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    phone.done("book", "list");
    api.set(vec![]);
    phone.failed("book", "list");
    let failure = phone.failed("book", "list");
    assert_eq!(failure["code"], "SYNC_ERROR_SHRINK");
}

#[test]
fn a_filter_needs_a_connection_that_was_given_it() {
    let (_api, phone) = given(
        Answer::text(r#"[{"id":"1","n":1},{"id":"2","n":9}]"#),
        json!({"filter": ":record ->> 'n' > 5"}),
    );
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "2");
    // Another one did not write the expression: it fails, and takes nothing unfiltered.
    let second = phone.world.open();
    let sql = r#"SELECT sync_entities('s', 'api', '[{"entity":"book","function":"list"}]')"#;
    let said = match support::try_ask(&second, sql) {
        Ok(answer) => {
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!(answer["state"], "failed", "{answer}");
            error(&answer)["message"].to_string()
        }
        Err(error) => error.to_string(),
    };
    assert!(
        said.contains("filter") || said.contains("sync_function"),
        "{said}"
    );
    assert_eq!(phone.ids("book"), "2");
}

#[test]
fn an_expression_that_fails_ends_the_operation_and_names_its_key() {
    let (_api, phone) = given(Answer::text(r#"[{"id":"1","n":1}]"#), json!({}));
    for more in [
        json!({"filter": "nonsense("}),
        json!({"filter": "nope > 1"}),
        json!({"filter": "json('x') > 1"}),
    ] {
        let mut function = json!({"path": "/one"});
        function["filter"] = more["filter"].clone();
        let said = match phone.try_call("sync_function", &["api", "list", &function.to_string()]) {
            Err(error) => error,
            Ok(_) => phone.failed("book", "list")["message"].to_string(),
        };
        assert!(said.contains("filter"), "{more}: {said}");
    }
}

#[test]
fn a_redirect_to_another_origin_is_not_followed() {
    let other = support::listener::Untouched::listen();
    let api = Api::start();
    let to = format!("{}/rows", other.origin());
    api.answer(
        "/one",
        Answer::new(302, "text/plain", "").with("Location", &to),
    );
    let phone = Phone::new(&api);
    define(&phone, json!({}));
    let failure = phone.failed("book", "list");
    assert_eq!(failure["class"], "protocol", "{failure}");
    other.check();
}

#[test]
fn a_full_page_that_has_not_changed_may_have_another_behind_it() {
    let api = Api::start();
    let phone = Phone::new(&api);
    api.paging(crate::server::Paging::Page);
    api.state().etag = true;
    api.set(numbered(3));
    let paging = json!({"kind": "page", "size": 3});
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "paging": paging}),
    );
    phone.done("book", "list");
    api.set(numbered(4));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(4));
}

#[test]
fn an_answer_that_nothing_has_changed_may_say_that_another_page_follows() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function("list", json!({"path": "/list"}));
    let list = |page: &str, more: bool| {
        let page = page.to_owned();
        api.on("/list", move |asked| {
            let link = |answer: Answer| match more && asked.query("page").is_none() {
                true => answer.with("Link", "</list?page=2>; rel=\"next\""),
                false => answer,
            };
            if asked.header("if-none-match").is_some() {
                return link(Answer::new(304, "application/json", ""));
            }
            match asked.query("page") {
                Some(_) => Answer::text(&page),
                None => link(Answer::text(r#"[{"id":1},{"id":2}]"#).with("ETag", "\"one\"")),
            }
        });
    };
    list("[]", false);
    phone.done("book", "list");
    list(r#"[{"id":3}]"#, true);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 2 3");
}
