//! Rows that are gone: the sweep, tombstones, and what is never removed.

use serde_json::{Value, json};

use crate::phone::{Phone, ids, numbered, row};
use crate::server::{Answer, Api, Fault, Paging};

fn ready(more: Value) -> (Api, Phone) {
    let api = Api::start();
    api.set(numbered(5));
    let phone = Phone::new(&api);
    define(&phone, more);
    (api, phone)
}

fn define(phone: &Phone, more: Value) {
    let mut function = json!({"path": "/rows", "records": "$.items"});
    for (key, value) in more.as_object().expect("an object") {
        function[key] = value.clone();
    }
    phone.function("list", function);
}

#[test]
fn a_full_reading_sweeps_what_it_did_not_see() {
    for deletes in [json!({}), json!({"deletes": "sweep"})] {
        let (api, phone) = ready(deletes);
        phone.done("book", "list");
        api.set(numbered(3));
        let answer = phone.done("book", "list");
        assert_eq!(
            (phone.ids("book"), &answer["deleted"]),
            (ids(3), &json!(2)),
            "{answer}"
        );
        assert_eq!(phone.pending(), "");
    }
}

#[test]
fn deletes_none_removes_nothing() {
    let (api, phone) = ready(json!({"deletes": "none"}));
    phone.done("book", "list");
    api.set(vec![row(9)]);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 2 3 4 5 9");
    api.set(vec![]);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 2 3 4 5 9");
}

#[test]
fn tombstones_remove_their_rows_and_nothing_else() {
    for (is, gone, here) in [
        (json!(true), json!(true), json!(false)),
        (json!("deleted"), json!("deleted"), json!("active")),
        (json!(1), json!(1), json!(0)),
    ] {
        let (api, phone) = ready(json!({"deletes": {"tombstone": "$.state", "is": is}}));
        phone.done("book", "list");
        let mut rows = vec![row(2), row(3), row(8)];
        rows[0]["state"] = gone.clone();
        rows[1]["state"] = here.clone();
        // Gone before it was ever here.
        rows[2]["state"] = gone.clone();
        api.set(rows);
        phone.done("book", "list");
        assert_eq!(phone.ids("book"), "1 3 4 5", "{gone}");
        assert_eq!(phone.pending(), "");
    }
}

#[test]
fn tombstones_come_with_what_is_new() {
    let (api, phone) = ready(json!({"deletes": {"tombstone": "$.deleted", "is": true},
        "incremental": {"from": "updated", "send": {"query": "since"}}}));
    phone.done("book", "list");
    let mut gone = row(2);
    gone["deleted"] = json!(true);
    gone["updated"] = json!(2000);
    api.set(vec![gone]);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 3 4 5");
    // The tombstone moved the cursor.
    assert_eq!(phone.ask("SELECT cursor FROM sync_cursor"), "2000");
}

#[test]
fn what_is_new_sweeps_nothing_before_its_time() {
    let (api, phone) = ready(json!({"deletes": {"sweepEvery": "24h"},
        "incremental": {"from": "updated", "send": {"query": "since"}}}));
    phone.done("book", "list");
    api.set(vec![row(3), row(4), row(5)]);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(5));
    assert_eq!(api.asked()[1].query("since"), Some("1005"));
}

#[test]
fn rows_that_the_filter_leaves_out_count_as_gone() {
    let (api, phone) = ready(json!({"filter": ":record ->> 'n' <> 2"}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 3 4 5");
    define(&phone, json!({"filter": ":record ->> 'n' > 2"}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "3 4 5");
    // NULL is not true.
    api.set(vec![row(3), row(4), json!({"id": "9"})]);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "3 4");
}

#[test]
fn g4_a_waiting_edit_is_neither_overwritten_nor_swept_and_a_row_made_here_stays() {
    for paging in [Paging::Whole, Paging::Page] {
        let (api, phone) = ready(json!({}));
        api.paging(paging);
        if paging == Paging::Page {
            define(&phone, json!({"paging": {"kind": "page", "size": 2}}));
        }
        phone.done("book", "list");
        phone.exec(
            r#"UPDATE book SET data = json_set(data, '$.name', 'mine') WHERE id IN ('2', '4');
               DELETE FROM book WHERE id = '5';
               INSERT INTO book VALUES ('here', '{"id":"here"}', 1);"#,
        );
        // 2 is changed there, 3 and 4 are gone there, 5 is still there.
        let mut rows = vec![row(1), row(2), row(5)];
        rows[1]["name"] = json!("theirs");
        api.set(rows);
        phone.done("book", "list");
        assert_eq!(phone.ids("book"), "1 2 4 here", "{paging:?}");
        let names = "SELECT group_concat(data ->> 'name') FROM book WHERE id IN ('2', '4')";
        assert_eq!(phone.ask(names), "mine,mine", "{paging:?}");
        assert_eq!(
            phone.pending(),
            "2 updated, 4 updated, 5 deleted, here created",
            "{paging:?}"
        );
        // Again, and with force: still.
        phone.forced("book", "list");
        assert_eq!(phone.ids("book"), "1 2 4 here", "{paging:?}");
    }
}

#[test]
fn a_waiting_edit_of_a_column_is_kept_and_the_others_come() {
    let (api, phone) = ready(json!({}));
    phone.table(
        "CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, name TEXT, n INTEGER)",
        "book",
    );
    phone.done("book", "list");
    phone.exec("UPDATE book SET name = 'mine' WHERE id = '2'");
    let mut rows = numbered(5);
    rows[1]["name"] = json!("theirs");
    rows[1]["n"] = json!(22);
    api.set(rows);
    phone.done("book", "list");
    assert_eq!(phone.ask("SELECT name FROM book WHERE id = '2'"), "mine");
    assert_eq!(phone.pending(), "2 updated");
}

#[test]
fn parts_of_an_entity_sweep_only_their_own_rows() {
    let api = Api::start();
    let phone = Phone::new(&api);
    let shops = |a: &[&str], b: &[&str]| {
        let lists = json!({"a": a.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(),
            "b": b.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()});
        api.on("/shop", move |asked| {
            Answer::json(&lists[asked.query("shop").expect("shop")])
        });
    };
    phone.function("shop", json!({"path": "/shop", "query": {"shop": "{param:shop}"}, "parameters": {"shop": {"required": true}}}));
    let part =
        |shop: &str| json!({"entity": "book", "function": "shop", "parameters": {"shop": shop}});
    shops(&["a1", "a2", "a3"], &["b1", "b2", "b3"]);
    let answer = phone.run(json!([part("a"), part("b")]), json!({}));
    assert_eq!(
        (phone.ids("book").as_str(), &answer["state"]),
        ("a1 a2 a3 b1 b2 b3", &json!("synced")),
        "{answer}"
    );
    // One of them alone.
    shops(&["a1", "a2"], &["b1"]);
    let answer = phone.run(json!([part("a")]), json!({}));
    assert_eq!(
        (phone.ids("book").as_str(), &answer["state"]),
        ("a1 a2 b1 b2 b3", &json!("synced")),
        "{answer}"
    );
    // Both in one call.
    shops(&["a1", "a4"], &["b1", "b2"]);
    let answer = phone.run(json!([part("b"), part("a")]), json!({}));
    assert_eq!(
        (phone.ids("book").as_str(), &answer["state"]),
        ("a1 a4 b1 b2", &json!("synced")),
        "{answer}"
    );
    // A row that moves from one part to the other stays.
    shops(&["a1"], &["b1", "b2", "a4"]);
    let answer = phone.run(json!([part("a"), part("b")]), json!({}));
    assert_eq!(
        (phone.ids("book").as_str(), &answer["state"]),
        ("a1 a4 b1 b2", &json!("synced")),
        "{answer}"
    );
}

#[test]
fn a_part_that_fails_keeps_its_rows_and_the_other_is_swept() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function(
        "shop",
        json!({"path": "/shop/{param:shop}", "parameters": {"shop": {"required": true}}}),
    );
    let part =
        |shop: &str| json!({"entity": "book", "function": "shop", "parameters": {"shop": shop}});
    api.answer(
        "/shop/a",
        Answer::json(&json!([{"id": "a1"}, {"id": "a2"}])),
    );
    api.answer(
        "/shop/b",
        Answer::json(&json!([{"id": "b1"}, {"id": "b2"}])),
    );
    phone.run(json!([part("a"), part("b")]), json!({}));
    api.answer("/shop/a", Answer::new(500, "text/plain", "no"));
    api.answer("/shop/b", Answer::json(&json!([{"id": "b1"}])));
    let answer = phone.run(json!([part("a"), part("b")]), json!({}));
    assert_eq!(answer["state"], "failed", "{answer}");
    assert_eq!(phone.ids("book"), "a1 a2 b1", "{answer}");
}

#[test]
fn foreign_keys_are_held_until_the_parent_comes() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.exec("PRAGMA foreign_keys = ON");
    phone.table(
        "CREATE TABLE author (id TEXT PRIMARY KEY NOT NULL, name TEXT)",
        "author",
    );
    phone.table("CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, author TEXT NOT NULL REFERENCES author (id))", "book");
    phone.function("authors", json!({"path": "/authors"}));
    phone.function("books", json!({"path": "/books"}));
    api.answer("/authors", Answer::json(&json!([{"id": "x", "name": "X"}])));
    api.answer(
        "/books",
        Answer::json(&json!([{"id": "1", "author": "x"}, {"id": "2", "author": "y"}])),
    );
    // Children first: they wait, or are sorted.
    let both = json!([{"entity": "book", "function": "books"}, {"entity": "author", "function": "authors"}]);
    let answer = phone.run(both.clone(), json!({}));
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(
        (phone.ids("book").as_str(), phone.ids("author").as_str()),
        ("1", "x"),
        "{answer}"
    );
    assert_eq!(phone.ask("SELECT count(*) FROM sync_held"), "1");
    api.answer(
        "/authors",
        Answer::json(&json!([{"id": "x", "name": "X"}, {"id": "y", "name": "Y"}])),
    );
    phone.run(both, json!({}));
    assert_eq!(phone.ids("book"), "1 2");
    assert_eq!(phone.ask("SELECT count(*) FROM sync_held"), "0");
    assert_eq!(phone.ask("PRAGMA foreign_key_check"), "");
}

#[test]
fn a_held_row_that_is_gone_there_is_no_longer_held() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.exec("PRAGMA foreign_keys = ON");
    phone.table(
        "CREATE TABLE author (id TEXT PRIMARY KEY NOT NULL)",
        "author",
    );
    phone.table("CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, author TEXT NOT NULL REFERENCES author (id))", "book");
    phone.function(
        "books",
        json!({"path": "/books", "guard": {"allowEmpty": true}}),
    );
    api.answer("/books", Answer::json(&json!([{"id": "2", "author": "y"}])));
    phone.done("book", "books");
    assert_eq!(phone.ask("SELECT count(*) FROM sync_held"), "1");
    api.answer("/books", Answer::json(&json!([])));
    phone.done("book", "books");
    assert_eq!(phone.ask("SELECT count(*) FROM sync_held"), "0");
}

#[test]
fn generated_columns_and_indexes_over_documents_survive() {
    let (api, phone) = ready(json!({}));
    phone.done("book", "list");
    phone.exec(
        "ALTER TABLE book ADD COLUMN name TEXT GENERATED ALWAYS AS (data ->> '$.name') VIRTUAL;
         CREATE INDEX by_name ON book (name);
         CREATE INDEX by_n ON book (data ->> '$.n');",
    );
    let mut rows = numbered(4);
    rows[0]["name"] = json!("other");
    api.set(rows);
    phone.done("book", "list");
    assert_eq!(phone.ask("SELECT id FROM book WHERE name = 'other'"), "1");
    assert_eq!(
        phone.ask("SELECT count(*) FROM book WHERE name = 'n1'"),
        "0"
    );
    assert_eq!(
        phone.ask("SELECT id FROM book WHERE data ->> '$.n' = 4"),
        "4"
    );
    assert_eq!(phone.ask("SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE name IN ('by_name', 'by_n') ORDER BY 1)"), "by_n,by_name");
    assert_eq!(phone.ask("PRAGMA integrity_check"), "ok");
    phone.exec("DELETE FROM book WHERE id = '2'");
    assert_eq!(phone.pending(), "2 deleted");
}

#[test]
fn g2_rows_of_the_old_generation_stay_until_the_last_page() {
    let (api, phone) = ready(json!({"paging": {"kind": "page", "size": 2}}));
    api.paging(Paging::Page);
    phone.done("book", "list");
    api.set(vec![row(1), row(6), row(7), row(8), row(9)]);
    for page in 0..3 {
        api.fault(Fault::Broken(page));
        phone.failed("book", "list");
        for id in 1..=5 {
            let there = phone.ask(&format!("SELECT count(*) FROM book WHERE id = '{id}'"));
            assert_eq!(there, "1", "page {page}, row {id}");
        }
    }
}

#[test]
fn a_reading_after_one_that_failed_removes_what_the_failed_one_brought() {
    let (api, phone) = ready(json!({"paging": {"kind": "page", "size": 2}}));
    api.paging(Paging::Page);
    phone.done("book", "list");
    api.set(vec![row(1), row(6), row(2), row(3), row(4), row(5)]);
    api.fault(Fault::Broken(1));
    phone.failed("book", "list");
    assert_eq!(phone.ids("book"), ids(6));
    api.fault(Fault::Nothing);
    api.set(numbered(5));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(5));
}

#[test]
fn parts_are_read_by_sync_once_and_compared_together() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function(
        "shop",
        json!({"path": "/shop/{param:shop}", "parameters": {"shop": {"required": true}}}),
    );
    let part =
        |shop: &str| json!({"entity": "book", "function": "shop", "parameters": {"shop": shop}});
    api.answer(
        "/shop/a",
        Answer::json(&json!([{"id": "a1"}, {"id": "a2"}])),
    );
    api.answer(
        "/shop/b",
        Answer::json(&json!([{"id": "b1"}, {"id": "b2"}])),
    );
    phone.run(json!([part("a"), part("b")]), json!({}));
    let check: Value = serde_json::from_str(&phone.call("sync_check", &["api"])).expect("JSON");
    assert_eq!(check["state"], "equal", "{check}");
    api.answer(
        "/shop/a",
        Answer::json(&json!([{"id": "a1"}, {"id": "a3"}])),
    );
    api.answer(
        "/shop/b",
        Answer::json(&json!([{"id": "b2"}, {"id": "b3"}])),
    );
    let answer: Value = serde_json::from_str(&phone.call("sync_once", &["api"])).expect("JSON");
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(phone.ids("book"), "a1 a3 b2 b3");
}

#[test]
fn a_row_of_two_parts_stays_until_both_have_lost_it() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.function(
        "tag",
        json!({"path": "/tag/{param:tag}", "parameters": {"tag": {"required": true}}}),
    );
    let part =
        |tag: &str| json!([{"entity": "book", "function": "tag", "parameters": {"tag": tag}}]);
    api.answer(
        "/tag/a",
        Answer::json(&json!([{"id": "1"}, {"id": "2"}, {"id": "3"}])),
    );
    api.answer("/tag/b", Answer::json(&json!([{"id": "3"}, {"id": "4"}])));
    phone.run(part("a"), json!({}));
    phone.run(part("b"), json!({}));
    api.answer("/tag/a", Answer::json(&json!([{"id": "1"}, {"id": "2"}])));
    phone.run(part("a"), json!({}));
    assert_eq!(phone.ids("book"), "1 2 3 4");
    api.answer("/tag/b", Answer::json(&json!([{"id": "4"}])));
    phone.run(part("b"), json!({}));
    assert_eq!(phone.ids("book"), "1 2 4");
}

#[test]
fn a_sweep_leaves_no_child_without_its_parent() {
    for action in [
        "",
        "ON DELETE CASCADE",
        "ON DELETE SET NULL",
        "ON DELETE RESTRICT",
    ] {
        let api = Api::start();
        let phone = Phone::new(&api);
        phone.exec("PRAGMA foreign_keys = ON");
        phone.table(
            "CREATE TABLE author (id TEXT PRIMARY KEY NOT NULL, name TEXT)",
            "author",
        );
        phone.table(&format!("CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, author TEXT REFERENCES author (id) {action})"), "book");
        phone.function("authors", json!({"path": "/authors"}));
        phone.function("books", json!({"path": "/books"}));
        api.answer(
            "/authors",
            Answer::json(&json!([{"id": "x"}, {"id": "y"}, {"id": "z"}])),
        );
        api.answer(
            "/books",
            Answer::json(&json!([{"id": "1", "author": "x"}, {"id": "2", "author": "y"}])),
        );
        phone.done("author", "authors");
        phone.done("book", "books");
        // Its parent goes first, the book only with the next reading.
        api.answer(
            "/authors",
            Answer::json(&json!([{"id": "x", "name": "new"}, {"id": "z"}])),
        );
        phone.read("author", "authors");
        assert_eq!(phone.ask("PRAGMA foreign_key_check"), "", "{action}");
        assert_eq!(
            phone.ask("SELECT name FROM author WHERE id = 'x'"),
            "new",
            "{action}"
        );
        api.answer("/books", Answer::json(&json!([{"id": "1", "author": "x"}])));
        let both = json!([{"entity": "book", "function": "books"}, {"entity": "author", "function": "authors"}]);
        let answer = phone.run(both.clone(), json!({}));
        assert_eq!(answer["state"], "synced", "{action}: {answer}");
        phone.run(both, json!({}));
        assert_eq!(
            (phone.ids("book").as_str(), phone.ids("author").as_str()),
            ("1", "x z"),
            "{action}"
        );
        assert_eq!(phone.ask("PRAGMA foreign_key_check"), "", "{action}");
        assert_eq!(phone.pending(), "", "{action}");
    }
}

#[test]
fn a_list_of_keys_says_what_is_gone() {
    let (api, phone) = ready(json!({"deletes": {"ids": "keys"},
        "incremental": {"from": "updated", "send": {"query": "since"}}}));
    phone.function("keys", json!({"path": "/keys"}));
    let keys = |from: u64, to: u64| {
        let keys: Vec<u64> = (from..=to).collect();
        api.answer("/keys", Answer::json(&json!(keys)));
    };
    keys(1, 5);
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), "1 2 3 4 5");
    // Only what is new is read, and the keys: 1 is gone, and so is what nobody has read anew.
    keys(2, 5);
    let answer = phone.done("book", "list");
    assert_eq!(
        (phone.ids("book"), &answer["deleted"]),
        ("2 3 4 5".into(), &json!(1)),
        "{answer}"
    );
    // What waits here stays; an empty list is no reason to remove all.
    phone.exec("SELECT sync_track('book')");
    api.answer("/keys", Answer::json(&json!([])));
    let error = phone.failed("book", "list");
    assert_eq!(error["code"], "SYNC_ERROR_SHRINK", "{error}");
    // A list that breaks off removes nothing.
    api.answer("/keys", Answer::new(500, "application/json", "{}"));
    phone.failed("book", "list");
    assert_eq!(phone.ids("book"), "2 3 4 5");
}

#[test]
fn a_list_of_keys_is_read_page_by_page_and_is_about_one_part() {
    let api = Api::start();
    let phone = Phone::new(&api);
    let function = |deletes: Value| {
        json!({"path": "/rows", "records": "$.items", "deletes": deletes,
        "incremental": {"from": "updated", "send": {"query": "since"}}, "parameters": {"part": {}}})
    };
    phone.function("list", function(json!({"ids": "keys"})));
    phone.function(
        "keys",
        json!({"path": "/keys", "records": "$.ids", "paging": {"kind": "next", "next": "$.next"}}),
    );
    api.on("/keys", |asked| match asked.query("page") {
        None => Answer::json(&json!({"ids": [1, 2], "next": "/keys?page=2"})),
        Some(_) => Answer::json(&json!({"ids": [{"id": 3}], "next": null})),
    });
    api.set(numbered(3));
    phone.read_with("book", "list", json!({"part": 1}));
    assert_eq!(phone.ids("book"), "1 2 3");
    // Another part keeps what it has.
    let mut more = row(8);
    more["updated"] = json!(3000);
    api.set(vec![row(3), more]);
    api.answer("/keys", Answer::json(&json!({"ids": [3, 8], "next": null})));
    phone.read_with("book", "list", json!({"part": 2}));
    assert_eq!(phone.ids("book"), "1 2 3 8");
    api.set(vec![]);
    api.answer("/keys", Answer::json(&json!({"ids": [2], "next": null})));
    phone.read_with("book", "list", json!({"part": 1}));
    // 3 belongs to the other part, too.
    assert_eq!(phone.ids("book"), "2 3 8");
    api.answer("/keys", Answer::json(&json!({"ids": [8], "next": null})));
    phone.read_with("book", "list", json!({"part": 2}));
    assert_eq!(phone.ids("book"), "2 8");
}

#[test]
fn a_function_that_lists_keys_must_be_there() {
    let (_api, phone) = ready(json!({"deletes": {"ids": "keys"}}));
    let refused = phone.try_call(
        "sync_entities",
        &["s", "api", r#"[{"entity":"book","function":"list"}]"#],
    );
    assert!(
        refused
            .expect_err("refused")
            .contains("names the function \"keys\"")
    );
}
