//! What is new: cursors, how they are sent, kept, shown and set.

use serde_json::{Value, json};

use crate::phone::{Phone, error, ids, numbered, row};
use crate::server::{Answer, Api, Fault, Paging};

fn function(more: Value) -> Value {
    let mut function = json!({"path": "/rows", "records": "$.items",
        "incremental": {"from": "updated", "send": {"query": "since"}}});
    for (key, value) in more.as_object().expect("an object") {
        match value.as_object() {
            Some(inner) if key == "incremental" => {
                for (key, value) in inner {
                    function["incremental"][key] = value.clone();
                }
            }
            _ => function[key] = value.clone(),
        }
    }
    function
}

fn ready(rows: Vec<Value>, more: Value) -> (Api, Phone) {
    let api = Api::start();
    api.set(rows);
    let phone = Phone::new(&api);
    phone.function("new", function(more));
    (api, phone)
}

fn cursor(phone: &Phone) -> String {
    let text = phone.ask("SELECT cursor FROM sync_cursor WHERE entity = 'book'");
    text.trim_matches('"').to_owned()
}

fn sent(api: &Api) -> Vec<Option<String>> {
    let asked = api.asked();
    asked
        .iter()
        .map(|asked| asked.query("since").map(str::to_owned))
        .collect()
}

#[test]
fn the_greatest_value_is_the_cursor_wherever_its_row_stands() {
    let mut rows = numbered(5);
    rows.swap(1, 4);
    let (api, phone) = ready(rows, json!({}));
    phone.done("book", "new");
    assert_eq!(cursor(&phone), "1005");
    phone.done("book", "new");
    assert_eq!(sent(&api), [None, Some("1005".to_owned())]);
    // Numbers are no texts: 999 is less than 1005.
    api.set(vec![json!({"id": "9", "updated": 999})]);
    api.state().since = false;
    phone.done("book", "new");
    assert_eq!(cursor(&phone), "1005");
}

#[test]
fn rows_that_an_answer_does_not_name_stay() {
    let (api, phone) = ready(numbered(3), json!({}));
    phone.done("book", "new");
    api.set(vec![row(7)]);
    phone.done("book", "new");
    assert_eq!(phone.ids("book"), "1 2 3 7");
    api.set(vec![]);
    phone.done("book", "new");
    assert_eq!(phone.ids("book"), "1 2 3 7");
    assert_eq!(cursor(&phone), "1007");
}

#[test]
fn ties_at_the_edge_neither_lose_nor_double_rows() {
    let at = |id: &str, updated: i64| json!({"id": id, "updated": updated});
    let (api, phone) = ready(vec![at("a", 10), at("b", 20)], json!({}));
    phone.done("book", "new");
    // Another row of the same time came later.
    api.set(vec![at("a", 10), at("b", 20), at("c", 20)]);
    let answer = phone.done("book", "new");
    assert_eq!(
        (&answer["inserted"], &answer["updated"]),
        (&json!(1), &json!(0)),
        "{answer}"
    );
    assert_eq!(phone.ids("book"), "a b c");
}

#[test]
fn initial_is_sent_first() {
    let (api, phone) = ready(numbered(5), json!({"incremental": {"initial": 1004}}));
    phone.done("book", "new");
    assert_eq!(phone.ids("book"), "4 5");
    phone.done("book", "new");
    assert_eq!(
        sent(&api),
        [Some("1004".to_owned()), Some("1005".to_owned())]
    );
}

#[test]
fn lookback_of_a_number_reads_again_what_is_before_the_cursor() {
    let (api, phone) = ready(numbered(5), json!({"incremental": {"lookback": "3"}}));
    phone.done("book", "new");
    phone.done("book", "new");
    assert_eq!(sent(&api), [None, Some("1002".to_owned())]);
    assert_eq!(cursor(&phone), "1005");
}

#[test]
fn lookback_of_minutes_reads_again_what_is_before_the_cursor() {
    let rows = vec![
        json!({"id": "1", "updated": "2024-03-01T12:03:00Z"}),
        json!({"id": "2", "updated": "2024-03-01T11:59:00Z"}),
    ];
    let (api, phone) = ready(rows, json!({"incremental": {"lookback": "5m"}}));
    phone.done("book", "new");
    phone.done("book", "new");
    let sent = sent(&api)[1].clone().expect("a cursor");
    assert!(sent.starts_with("2024-03-01T11:58:00"), "{sent}");
    assert!(
        cursor(&phone).contains("2024-03-01T12:03:00Z"),
        "{}",
        cursor(&phone)
    );
}

#[test]
fn lookback_writes_a_time_as_the_backend_does() {
    // Many compare times as texts, where a T comes behind a space, and a Z behind a point.
    for (last, sent_since) in [
        ("2024-03-01 12:03:00.120Z", "2024-03-01 11:58:00.120Z"),
        ("2024-03-01T12:03:00.000Z", "2024-03-01T11:58:00.000Z"),
        ("2024-03-01 12:03:00", "2024-03-01 11:58:00"),
    ] {
        let rows = vec![json!({"id": "1", "updated": last})];
        let (api, phone) = ready(rows, json!({"incremental": {"lookback": "5m"}}));
        phone.done("book", "new");
        phone.done("book", "new");
        assert_eq!(sent(&api)[1].as_deref(), Some(sent_since));
    }
}

#[test]
fn the_place_may_be_deep_in_a_row() {
    let rows = vec![
        json!({"id": "1", "meta": {"at": 5}}),
        json!({"id": "2", "meta": {"at": 7}}),
    ];
    let (api, phone) = ready(rows, json!({"incremental": {"from": "$.meta.at"}}));
    phone.done("book", "new");
    assert_eq!(cursor(&phone), "7");
    api.asked();
}

#[test]
fn integers_of_64_bits_are_exact_cursors() {
    let rows = vec![
        json!({"id": "1", "updated": 9007199254740993i64}),
        json!({"id": "2", "updated": 9007199254740992i64}),
    ];
    let (api, phone) = ready(rows, json!({}));
    phone.done("book", "new");
    phone.done("book", "new");
    assert_eq!(sent(&api)[1].as_deref(), Some("9007199254740993"));
}

#[test]
fn rows_without_the_value_are_stored_and_counted() {
    let mut rows = numbered(4);
    rows[1].as_object_mut().expect("a row").remove("updated");
    rows[2]["updated"] = Value::Null;
    let (_api, phone) = ready(rows, json!({}));
    let answer = phone.done("book", "new");
    assert_eq!(phone.ids("book"), ids(4));
    assert_eq!(cursor(&phone), "1004");
    let warnings = answer["warnings"].as_array().expect("warnings");
    assert!(
        warnings.iter().any(|warning| warning["count"] == 2),
        "{answer}"
    );
}

#[test]
fn the_cursor_goes_where_the_function_says() {
    let api = Api::start();
    api.set(numbered(5));
    let phone = Phone::new(&api);
    for (name, more) in [
        (
            "header",
            json!({"incremental": {"send": {"header": "since"}}}),
        ),
        (
            "body",
            json!({"method": "POST", "incremental": {"send": {"body": "since"}}}),
        ),
        (
            "place",
            json!({"query": {"since": "{cursor}"}, "incremental": {"send": "place"}}),
        ),
    ] {
        phone.function(name, function(more));
        let entity = format!("by_{name}");
        phone.done(&entity, name);
        api.asked();
        phone.done(&entity, name);
        let asked = &api.asked()[0];
        let sent = match name {
            "header" => asked.header("since").map(str::to_owned),
            "body" => Some(asked.json()["since"].to_string()),
            _ => asked.query("since").map(str::to_owned),
        };
        assert_eq!(
            sent.as_deref().map(|text| text.trim_matches('"')),
            Some("1005"),
            "{name}: {asked:?}"
        );
        assert_eq!(phone.ids(&entity), ids(5), "{name}");
    }
    // The first time there is none, and its place is left out.
    phone.function(
        "place",
        function(json!({"query": {"since": "{cursor}"}, "incremental": {"send": "place"}})),
    );
    phone.done("anew", "place");
    assert_eq!(api.asked()[0].query("since"), None);
}

#[test]
fn without_a_parameter_the_rows_are_filtered_here() {
    let (api, phone) = ready(numbered(5), json!({"incremental": {"send": "nothing"}}));
    phone.done("book", "new");
    let mut rows = numbered(6);
    // Not touched by the server: its time is the old one, so it is not looked at.
    rows[0]["name"] = json!("old news");
    api.set(rows);
    let answer = phone.done("book", "new");
    assert_eq!(phone.ids("book"), ids(6));
    assert_eq!(
        phone.ask("SELECT data ->> 'name' FROM book WHERE id = '1'"),
        "n1",
        "{answer}"
    );
    assert_eq!(cursor(&phone), "1006");
    assert!(sent(&api).iter().all(Option::is_none));
}

#[test]
fn an_answer_may_say_the_cursor_itself() {
    let api = Api::start();
    api.on("/feed", |asked| match asked.query("since") {
        None => Answer::json(&json!({"items": [row(1)], "token": "t-1"})),
        Some("t-1") => Answer::json(&json!({"items": [row(2)], "token": "t-2"})),
        Some(_) => Answer::json(&json!({"items": [], "token": "t-2"})),
    });
    let phone = Phone::new(&api);
    phone.function(
        "new",
        function(json!({"path": "/feed", "incremental": {"cursor": "$.token"}})),
    );
    phone.done("book", "new");
    assert_eq!(cursor(&phone), "t-1");
    phone.done("book", "new");
    phone.done("book", "new");
    assert_eq!(
        (phone.ids("book"), cursor(&phone)),
        (ids(2), "t-2".to_owned())
    );
    assert_eq!(
        sent(&api),
        [None, Some("t-1".to_owned()), Some("t-2".to_owned())]
    );
}

#[test]
fn p2_a_reading_that_fails_midway_leaves_the_cursor() {
    for fault in [
        Fault::Broken(2),
        Fault::Html(2),
        Fault::Repeat(2),
        Fault::Cut(2),
    ] {
        let (api, phone) = ready(numbered(2), json!({"paging": {"kind": "page", "size": 2}}));
        api.paging(Paging::Page);
        phone.done("book", "new");
        assert_eq!(cursor(&phone), "1002");
        api.set(numbered(7));
        api.fault(fault);
        phone.failed("book", "new");
        assert_eq!(cursor(&phone), "1002", "{fault:?}");
        // Rows that were applied stay.
        assert!(phone.count("book") >= 4, "{fault:?}: {}", phone.ids("book"));
        api.fault(Fault::Nothing);
        api.asked();
        phone.done("book", "new");
        assert_eq!(sent(&api)[0].as_deref(), Some("1002"), "{fault:?}");
        assert_eq!(
            (phone.ids("book"), cursor(&phone)),
            (ids(7), "1007".to_owned()),
            "{fault:?}"
        );
    }
}

#[test]
fn in_ascending_order_each_page_moves_the_cursor() {
    let more = json!({"paging": {"kind": "page", "size": 2}, "incremental": {"order": "asc"}});
    let (api, phone) = ready(numbered(7), more);
    api.paging(Paging::Page);
    api.fault(Fault::Broken(2));
    phone.failed("book", "new");
    assert_eq!(
        (phone.ids("book"), cursor(&phone)),
        (ids(4), "1004".to_owned())
    );
    api.fault(Fault::Nothing);
    api.asked();
    phone.done("book", "new");
    assert_eq!(sent(&api)[0].as_deref(), Some("1004"));
    assert_eq!(
        (phone.ids("book"), cursor(&phone)),
        (ids(7), "1007".to_owned())
    );
}

#[test]
fn a_cursor_that_the_server_refuses_makes_a_full_reading_and_a_warning() {
    for (status, rules) in [
        (410, json!([])),
        (
            400,
            json!([{"status": 400, "text": "cursor is gone", "expired": true}]),
        ),
    ] {
        let (api, phone) = ready(numbered(3), json!({"errors": rules}));
        phone.done("book", "new");
        api.set(numbered(5));
        api.state().refuse_since = Some(status);
        let answer = phone.done("book", "new");
        assert_eq!(phone.ids("book"), ids(5), "{status}");
        assert_eq!(cursor(&phone), "1005", "{status}");
        let said = answer["warnings"].to_string();
        assert!(
            answer["warnings"]
                .as_array()
                .is_some_and(|list| !list.is_empty()),
            "{status}: {said}"
        );
        assert_eq!(
            sent(&api),
            [None, Some("1003".to_owned()), None],
            "{status}"
        );
    }
}

#[test]
fn a_410_without_a_cursor_is_a_failure() {
    let (api, phone) = ready(numbered(3), json!({}));
    api.answer("/gone", Answer::new(410, "text/plain", "gone"));
    phone.function("new", function(json!({"path": "/gone"})));
    let failure = phone.failed("book", "new");
    assert_eq!(failure["status"], 410, "{failure}");
    assert!(api.asked().len() <= 2);
}

#[test]
fn cursors_can_be_set_and_taken_away() {
    let (api, phone) = ready(numbered(5), json!({}));
    phone.done("book", "new");
    phone.exec("UPDATE sync_cursor SET cursor = 1002 WHERE entity = 'book'");
    assert_eq!(cursor(&phone), "1002");
    phone.done("book", "new");
    assert_eq!(cursor(&phone), "1005");
    phone.exec("UPDATE sync_cursor SET cursor = NULL WHERE entity = 'book'");
    phone.done("book", "new");
    phone.exec("DELETE FROM sync_cursor WHERE entity = 'book'");
    phone.done("book", "new");
    assert_eq!(sent(&api), [None, Some("1002".to_owned()), None, None]);
    assert_eq!(
        (phone.ids("book"), cursor(&phone)),
        (ids(5), "1005".to_owned())
    );
}

#[test]
fn each_operation_has_a_cursor_of_its_own() {
    let api = Api::start();
    api.on("/shop", |asked| {
        let shop = asked.query("shop").expect("shop").to_owned();
        let at = if shop == "a" { 10 } else { 20 };
        Answer::json(&json!({"items": [{"id": format!("{shop}1"), "updated": at}]}))
    });
    let phone = Phone::new(&api);
    phone.function("new", function(json!({"path": "/shop", "query": {"shop": "{param:shop}"}, "parameters": {"shop": {"required": true}}})));
    phone.read_with("book", "new", json!({"shop": "a"}));
    phone.read_with("book", "new", json!({"shop": "b"}));
    phone.read_with("book", "new", json!({"shop": "a"}));
    assert_eq!(sent(&api), [None, None, Some("10".to_owned())]);
    let cursors = "SELECT (parameters ->> 'shop') || cursor FROM sync_cursor ORDER BY 1";
    assert_eq!(phone.ask(cursors), "a10\nb20");
    assert_eq!(phone.ids("book"), "a1 b1");
}

#[test]
fn a_function_that_is_given_again_keeps_its_cursor() {
    let (api, phone) = ready(numbered(5), json!({}));
    phone.done("book", "new");
    phone.function("new", function(json!({})));
    phone.done("book", "new");
    assert_eq!(sent(&api), [None, Some("1005".to_owned())]);
}

#[test]
fn a_function_that_is_redefined_brings_what_it_stores_from_now_on() {
    let (api, phone) = ready(numbered(3), json!({"columns": {"data": "$.id"}}));
    phone.done("book", "new");
    assert_eq!(phone.ask("SELECT group_concat(data) FROM book"), "1,2,3");
    phone.function("new", function(json!({"columns": {"data": "$.name"}})));
    api.set(numbered(4));
    phone.done("book", "new");
    assert_eq!(phone.ids("book"), ids(4));
    assert_eq!(phone.ask("SELECT data FROM book WHERE id = '4'"), "n4");
}

#[test]
fn a_cursor_that_is_text_can_be_set() {
    let rows = vec![json!({"id": "1", "updated": "2024-03-01T00:00:00Z"})];
    let (api, phone) = ready(rows, json!({}));
    phone.done("book", "new");
    phone.exec("UPDATE sync_cursor SET cursor = '2024-01-01T00:00:00Z' WHERE entity = 'book'");
    assert_eq!(cursor(&phone), "2024-01-01T00:00:00Z");
    phone.done("book", "new");
    assert_eq!(sent(&api)[1].as_deref(), Some("2024-01-01T00:00:00Z"));
    assert_eq!(cursor(&phone), "2024-03-01T00:00:00Z");
}

#[test]
fn a_waiting_edit_is_not_overwritten_by_what_is_new() {
    let (api, phone) = ready(numbered(3), json!({}));
    phone.done("book", "new");
    phone.exec(r#"UPDATE book SET data = json_set(data, '$.name', 'mine') WHERE id = '2'"#);
    let mut rows = numbered(3);
    rows[1]["name"] = json!("theirs");
    rows[1]["updated"] = json!(2000);
    api.set(rows);
    phone.done("book", "new");
    assert_eq!(
        phone.ask("SELECT data ->> 'name' FROM book WHERE id = '2'"),
        "mine"
    );
    assert_eq!(phone.pending(), "2 updated");
}

#[test]
fn pages_of_what_is_new_all_carry_the_same_cursor() {
    let (api, phone) = ready(
        numbered(2),
        json!({"paging": {"kind": "offset", "size": 2}}),
    );
    api.paging(Paging::Offset);
    phone.done("book", "new");
    api.set(numbered(7));
    api.asked();
    let answer = phone.read("book", "new");
    assert_eq!(
        answer["state"],
        "synced",
        "{}",
        if answer["error"].is_null() {
            json!(null)
        } else {
            error(&answer)
        }
    );
    assert!(
        sent(&api)
            .iter()
            .all(|since| since.as_deref() == Some("1002"))
    );
    assert_eq!(phone.ids("book"), ids(7));
}

#[test]
fn a_check_reads_all_and_moves_no_cursor() {
    let (api, phone) = ready(numbered(3), json!({}));
    phone.done("book", "new");
    api.asked();
    let check: Value = serde_json::from_str(&phone.call("sync_check", &["api"])).expect("JSON");
    assert_eq!(check["state"], "equal", "{check}");
    api.set(numbered(5));
    let check: Value = serde_json::from_str(&phone.call("sync_check", &["api"])).expect("JSON");
    assert_eq!(
        (&check["state"], &check["entities"][0]["missing"]),
        (&json!("different"), &json!(2)),
        "{check}"
    );
    assert_eq!(
        (cursor(&phone), phone.ids("book")),
        ("1003".to_owned(), ids(3))
    );
    assert!(sent(&api).iter().all(Option::is_none));
}

#[test]
fn sync_once_reads_what_is_new_of_each_operation() {
    let (api, phone) = ready(numbered(3), json!({}));
    phone.done("book", "new");
    phone.done("pen", "new");
    api.set(numbered(5));
    api.asked();
    let answer: Value = serde_json::from_str(&phone.call("sync_once", &["api"])).expect("JSON");
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!((phone.ids("book"), phone.ids("pen")), (ids(5), ids(5)));
    assert_eq!(
        sent(&api),
        [Some("1003".to_owned()), Some("1003".to_owned())]
    );
}

#[test]
fn a_page_after_which_a_reading_in_ascending_order_fails_is_not_read_again() {
    let more = json!({"paging": {"kind": "page", "size": 2}, "incremental": {"order": "asc"}});
    let (api, phone) = ready(numbered(2), more);
    api.paging(Paging::Page);
    phone.done("book", "new");
    api.set(numbered(9));
    api.fault(Fault::Broken(2));
    phone.failed("book", "new");
    api.fault(Fault::Nothing);
    api.asked();
    phone.done("book", "new");
    // Begun at 1002, pages of 2 and 3, of 4 and 5.
    assert_eq!(sent(&api)[0].as_deref(), Some("1005"));
    assert_eq!(phone.ids("book"), ids(9));
}
