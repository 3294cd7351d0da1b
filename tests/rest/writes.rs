//! What is changed here goes up, row by row.

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::shelf::{Ids, Shelf};

fn writes(shelf: &Shelf) -> Vec<String> {
    let asked = shelf
        .api
        .asked()
        .into_iter()
        .filter(|asked| asked.method != "GET");
    asked
        .map(|asked| format!("{} {}", asked.method, asked.body))
        .collect()
}

fn sync(phone: &Phone) -> Value {
    phone.read("book", "books")
}

#[track_caller]
fn synced(phone: &Phone) -> Value {
    let answer = sync(phone);
    assert_eq!(answer["state"], "synced", "{answer}");
    answer
}

fn books(phone: &Phone) -> String {
    phone.ask("SELECT coalesce(group_concat(id || '=' || title, ' '), '') FROM (SELECT * FROM book ORDER BY id)")
}

#[test]
fn w1_each_change_is_a_request_and_an_update_sends_what_was_changed() {
    let shelf = Shelf::start(Ids::Ours);
    let phone = shelf.phone("TEXT", json!({}));
    phone.exec("INSERT INTO book VALUES ('a', 'Emma', 1), ('b', 'Walden', 2)");
    let answer = synced(&phone);
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(2), &json!(0)),
        "{answer}"
    );
    assert_eq!(
        writes(&shelf),
        [
            r#"POST {"title":"Emma","n":1,"id":"a"}"#,
            r#"POST {"title":"Walden","n":2,"id":"b"}"#
        ]
    );
    assert_eq!(phone.pending(), "");
    phone.exec("UPDATE book SET n = 7 WHERE id = 'a'; DELETE FROM book WHERE id = 'b'");
    synced(&phone);
    assert_eq!(writes(&shelf), [r#"PATCH {"n":7}"#, "DELETE "]);
    assert_eq!(
        (shelf.titles(), phone.pending()),
        ("a=Emma".into(), String::new())
    );
    // Nothing more is sent.
    synced(&phone);
    assert_eq!(writes(&shelf), [""; 0]);
}

#[test]
fn w1_without_writes_changes_wait() {
    let shelf = Shelf::start(Ids::Ours);
    shelf.put("a", json!({"id": "a", "title": "Emma", "n": 1}));
    let phone = shelf.phone("TEXT", json!({}));
    phone.function("books", json!({"path": "/books"}));
    synced(&phone);
    phone.exec(
        "UPDATE book SET title = 'Mine' WHERE id = 'a'; INSERT INTO book VALUES ('n', 'New', 1)",
    );
    synced(&phone);
    assert_eq!(writes(&shelf), [""; 0]);
    assert_eq!(
        (books(&phone), phone.pending()),
        ("a=Mine n=New".into(), "a updated, n created".into())
    );
    assert_eq!(phone.ask("SELECT count(*) FROM _syncRejected"), "0");
}

#[test]
fn w1_a_kind_of_change_without_a_function_is_refused_here_and_the_others_go() {
    let shelf = Shelf::start(Ids::Ours);
    shelf.put("a", json!({"id": "a", "title": "Emma", "n": 1}));
    let phone = shelf.phone("TEXT", json!({"delete": null}));
    synced(&phone);
    phone.exec("DELETE FROM book; INSERT INTO book VALUES ('n', 'New', 1)");
    let answer = synced(&phone);
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    assert!(
        phone
            .ask("SELECT reason FROM _syncRejected")
            .contains("give delete")
    );
    assert_eq!(shelf.titles(), "a=Emma n=New");
}

#[test]
fn w2_what_the_backend_makes_of_a_row_is_applied() {
    let shelf = Shelf::start(Ids::Ours);
    let phone = shelf.phone("TEXT", json!({}));
    phone.function("create", json!({"path": "/books", "method": "POST", "body": {"id": "{key}", "title": "The {row:title}"}}));
    phone.exec("INSERT INTO book VALUES ('a', 'Emma', 1)");
    synced(&phone);
    assert_eq!(
        (books(&phone), phone.pending()),
        ("a=The Emma".into(), String::new())
    );
}

#[test]
fn w2_a_row_that_is_refused_is_kept_with_the_words_and_stops_no_other() {
    for status in [400, 403, 422] {
        let shelf = Shelf::start(Ids::Ours);
        shelf.refuse("Bad", status);
        let phone = shelf.phone("TEXT", json!({}));
        phone.exec("INSERT INTO book VALUES ('a', 'Emma', 1), ('b', 'Bad', 2), ('c', 'Walden', 3)");
        let answer = synced(&phone);
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(2), &json!(1)),
            "{status}: {answer}"
        );
        assert_eq!(shelf.titles(), "a=Emma c=Walden");
        assert!(
            phone
                .ask("SELECT reason FROM _syncRejected")
                .contains("not this one"),
            "{status}"
        );
        assert_eq!(phone.pending(), "b created");
        // It goes up when it is mended.
        phone.exec("UPDATE book SET title = 'Good' WHERE id = 'b'");
        synced(&phone);
        assert_eq!(
            (shelf.titles(), phone.pending()),
            ("a=Emma b=Good c=Walden".into(), String::new())
        );
    }
}

#[test]
fn w2_what_is_gone_there_is_gone_and_an_edit_of_it_meets_the_policy() {
    for (policy, there) in [("serverWins", ""), ("columns", "b=b")] {
        gone_there(policy, there);
    }
}

fn gone_there(policy: &str, there: &str) {
    let shelf = Shelf::start(Ids::Ours);
    for id in ["a", "b"] {
        shelf.put(id, json!({"id": id, "title": id, "n": 1}));
    }
    let phone = shelf.phone("TEXT", json!({}));
    phone.call("sync_resolver", &["book", policy]);
    synced(&phone);
    phone.exec("DELETE FROM book WHERE id = 'a'; UPDATE book SET n = 2 WHERE id = 'b'");
    shelf.books.lock().expect("lock").rows.clear();
    let answer = synced(&phone);
    assert_eq!(books(&phone), there, "{answer}");
    // What stays is made there once more.
    synced(&phone);
    assert_eq!(
        (shelf.titles(), phone.pending()),
        (there.to_owned(), String::new())
    );
    assert_eq!(
        phone.ask("SELECT kind, pk FROM _syncConflict"),
        "deletedRemotely|b"
    );
}

#[test]
fn w3_another_version_there_is_a_conflict_and_the_next_sync_sends_what_stays() {
    let shelf = Shelf::start(Ids::Ours);
    shelf.put("a", json!({"id": "a", "title": "Emma", "n": 1, "v": 1}));
    let phone = Phone::new(&shelf.api);
    phone.table(
        "CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, title TEXT, n INTEGER, v INTEGER)",
        "book",
    );
    phone.function(
        "books",
        json!({"path": "/books", "writes": {"update": "update"}}),
    );
    phone.function("update", json!({"path": "/book", "query": {"id": "{key}"}, "method": "PATCH", "headers": {"If-Match": "{row:v}"}}));
    synced(&phone);
    phone.exec("UPDATE book SET n = 7");
    shelf.put("a", json!({"id": "a", "title": "Emma II", "n": 1, "v": 2}));
    synced(&phone);
    // Each column by itself: theirs came, ours waits.
    assert_eq!(
        (books(&phone), phone.pending()),
        ("a=Emma II".into(), "a updated".into())
    );
    synced(&phone);
    assert_eq!(phone.pending(), "");
    assert_eq!(
        shelf.books.lock().expect("lock").rows["a"],
        json!({"id": "a", "title": "Emma II", "n": 7, "v": 3})
    );
    assert_eq!(phone.ask("SELECT v FROM book"), "3");
}

#[test]
fn w4_an_id_of_the_backend_takes_the_place_of_ours_everywhere() {
    for key in ["INTEGER", "TEXT"] {
        let shelf = Shelf::start(Ids::Theirs);
        let phone = shelf.phone(key, json!({"mints": true}));
        phone.exec("INSERT INTO book VALUES ('1', 'Emma', 1), ('2', 'Walden', 2); INSERT INTO page VALUES (1, '1'), (2, '2')");
        synced(&phone);
        assert_eq!(writes(&shelf)[0], r#"POST {"title":"Emma","n":1}"#);
        assert_eq!(
            (books(&phone), phone.pending()),
            ("1001=Emma 1002=Walden".into(), String::new()),
            "{key}"
        );
        assert_eq!(
            phone.ask("SELECT group_concat(book) FROM page"),
            "1001,1002"
        );
        // Later edits use the new one.
        phone.exec("UPDATE book SET n = 5 WHERE title = 'Emma'");
        synced(&phone);
        assert_eq!(shelf.books.lock().expect("lock").rows["1001"]["n"], 5);
    }
}

#[test]
fn w4_an_id_in_the_location_header_does_as_well() {
    let shelf = Shelf::start(Ids::Theirs);
    shelf.api.on("/made", |asked| match asked.method.as_str() {
        "POST" => {
            crate::server::Answer::new(201, "text/plain", "").with("Location", "/book/77?x=1")
        }
        _ => crate::server::Answer::json(&json!([{"id": 77, "title": "Emma", "n": 1}])),
    });
    let phone = shelf.phone("INTEGER", json!({"mints": true}));
    phone.function(
        "books",
        json!({"path": "/made", "writes": {"create": "create", "mints": true}}),
    );
    phone.function("create", json!({"path": "/made", "method": "POST"}));
    phone.exec("INSERT INTO book VALUES (1, 'Emma', 1)");
    synced(&phone);
    assert_eq!(
        (books(&phone), phone.pending()),
        ("77=Emma".into(), String::new())
    );
}

#[test]
fn w5_a_lost_answer_doubles_nothing() {
    // Who gives the ids, and how a request is known that comes twice.
    for (ids, more) in [
        (Ids::Ours, json!({})),
        (Ids::Theirs, json!({"mints": true})),
        (
            Ids::Theirs,
            json!({"mints": true, "idempotency": "Idempotency-Key"}),
        ),
    ] {
        let shelf = Shelf::start(ids);
        shelf.put("1", json!({"id": 1, "title": "Old", "n": 1}));
        let phone = shelf.phone("INTEGER", more.clone());
        synced(&phone);
        phone.exec("INSERT INTO book VALUES (5, 'Emma', 1), (6, 'Walden', 2); INSERT INTO page VALUES (1, 5)");
        shelf.lose(1);
        let answer = sync(&phone);
        assert_eq!(
            (&answer["state"], &answer["error"]["class"]),
            (&json!("failed"), &json!("network")),
            "{more}: {answer}"
        );
        synced(&phone);
        let mut titles: Vec<String> = shelf
            .titles()
            .split(' ')
            .map(|one| one.split('=').nth(1).unwrap_or("").to_owned())
            .collect();
        titles.sort();
        assert_eq!(titles, ["Emma", "Old", "Walden"], "{more}");
        assert_eq!(phone.pending(), "", "{more}");
        assert_eq!(
            books(&phone).replace(' ', "\n").lines().count(),
            3,
            "{more}"
        );
        assert_eq!(
            phone.ask("SELECT title FROM page JOIN book ON book.id = page.book"),
            "Emma"
        );
        // The same of an edit and a delete.
        phone.exec(
            "UPDATE book SET n = 9 WHERE title = 'Emma'; DELETE FROM book WHERE title = 'Old'",
        );
        shelf.lose(2);
        sync(&phone);
        sync(&phone);
        synced(&phone);
        assert_eq!(
            (phone.pending(), shelf.titles().contains("Old")),
            (String::new(), false),
            "{more}"
        );
    }
}

#[test]
fn w5_what_was_taken_is_found_again_in_a_list_of_comma_separated_values() {
    let shelf = Shelf::start(Ids::Theirs);
    shelf.books.lock().expect("lock").csv = true;
    let phone = shelf.phone("INTEGER", json!({"mints": true}));
    synced(&phone);
    phone.exec("INSERT INTO book VALUES (5, 'Emma', 1)");
    shelf.lose(1);
    assert_eq!(sync(&phone)["state"], "failed");
    synced(&phone);
    assert_eq!(
        (shelf.titles(), books(&phone), phone.pending()),
        ("1001=Emma".into(), "1001=Emma".into(), String::new())
    );
}

#[test]
fn w5_the_key_of_a_change_is_its_own_and_stays_the_same() {
    let shelf = Shelf::start(Ids::Ours);
    let phone = shelf.phone("TEXT", json!({"idempotency": "Idempotency-Key"}));
    let keys = || -> Vec<String> {
        let asked = shelf
            .api
            .asked()
            .into_iter()
            .filter(|asked| asked.method != "GET");
        asked
            .filter_map(|asked| asked.header("idempotency-key").map(str::to_owned))
            .collect()
    };
    phone.exec("INSERT INTO book VALUES ('a', 'Emma', 1)");
    shelf.lose(1);
    sync(&phone);
    let first = keys();
    synced(&phone);
    assert_eq!((first.len(), keys()), (1, first.clone()));
    phone.exec("UPDATE book SET n = 2");
    synced(&phone);
    let second = keys();
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
}

#[test]
fn w6_a_row_that_waits_is_not_overwritten_by_what_is_read() {
    for order in ["push-first", "pull-first"] {
        let shelf = Shelf::start(Ids::Ours);
        shelf.put("a", json!({"id": "a", "title": "Emma", "n": 1}));
        let phone = shelf.phone("TEXT", json!({}));
        phone.provider(&shelf.api.url(), json!({"order": order}));
        synced(&phone);
        phone.exec("UPDATE book SET title = 'Mine'");
        shelf.api.asked();
        synced(&phone);
        let asked: Vec<String> = shelf
            .api
            .asked()
            .into_iter()
            .map(|asked| asked.method)
            .collect();
        let expected = match order {
            "push-first" => ["PATCH", "GET"],
            _ => ["GET", "PATCH"],
        };
        assert_eq!(asked, expected);
        assert_eq!(
            (shelf.titles(), phone.pending()),
            ("a=Mine".into(), String::new()),
            "{order}"
        );
    }
}

#[test]
fn w4_two_phones_with_the_same_number_make_two_books() {
    let shelf = Shelf::start(Ids::Theirs);
    let phones = [
        shelf.phone("INTEGER", json!({"mints": true})),
        shelf.phone("INTEGER", json!({"mints": true})),
    ];
    for (phone, title) in phones.iter().zip(["Emma", "Walden"]) {
        phone.exec(&format!("INSERT INTO book VALUES (1, '{title}', 1)"));
        synced(phone);
    }
    synced(&phones[0]);
    assert_eq!(books(&phones[0]), "1001=Emma 1002=Walden");
    assert_eq!(books(&phones[1]), "1001=Emma 1002=Walden");
}

#[test]
fn a_table_of_documents_sends_its_data() {
    let shelf = Shelf::start(Ids::Ours);
    shelf.put("a", json!({"id": "a", "title": "Emma"}));
    let phone = shelf.phone("TEXT", json!({}));
    phone.function("docs", json!({"path": "/books", "writes": {"create": "create", "update": "put", "delete": "delete"}}));
    phone.function(
        "put",
        json!({"path": "/book", "query": {"id": "{key}"}, "method": "PATCH", "body": "{row}"}),
    );
    phone.done("docs", "docs");
    phone.exec(
        "UPDATE docs SET data = json_set(data, '$.title', 'Emma II'); \
         INSERT INTO docs VALUES ('b', '{\"id\":\"b\",\"title\":\"Walden\"}', 1)",
    );
    phone.done("docs", "docs");
    assert_eq!(shelf.titles(), "a=Emma II b=Walden");
    assert_eq!(phone.ask("SELECT count(*) FROM sync_pending"), "0");
}

#[test]
fn w4_an_id_that_another_row_has_here_is_free_before_it_is_given() {
    let shelf = Shelf::start(Ids::Theirs);
    // The next ids there are 3 and 4.
    shelf.books.lock().expect("lock").start_at(2);
    for id in ["1", "2"] {
        let book = json!({"id": id.parse::<i64>().expect("a number"), "title": format!("Theirs {id}"), "n": 0});
        shelf.put(id, book);
    }
    let phone = shelf.phone("INTEGER", json!({"mints": true}));
    phone.exec("INSERT INTO book VALUES (1, 'A', 1), (2, 'B', 2), (3, 'C', 3); INSERT INTO page VALUES (7, 3)");
    synced(&phone);
    assert_eq!(
        shelf.titles(),
        "1=Theirs 1 2=Theirs 2 3=A 4=B 5=C",
        "each once"
    );
    assert_eq!(books(&phone), "1=Theirs 1 2=Theirs 2 3=A 4=B 5=C");
    assert_eq!(
        phone.ask("SELECT title FROM page JOIN book ON book.id = page.book"),
        "C"
    );
    assert_eq!(phone.pending(), "");
    writes(&shelf);
    synced(&phone);
    assert_eq!(writes(&shelf), [""; 0]);
}

#[test]
fn w4_an_id_that_is_given_again_means_that_its_row_is_gone() {
    let shelf = Shelf::start(Ids::Theirs);
    shelf.books.lock().expect("lock").start_at(4);
    shelf.put("5", json!({"id": 5, "title": "Old", "n": 0}));
    shelf.put("9", json!({"id": 9, "title": "Other", "n": 0}));
    let phone = shelf.phone("INTEGER", json!({"mints": true}));
    synced(&phone);
    shelf.books.lock().expect("lock").rows.remove("5");
    phone.exec("INSERT INTO book VALUES (100, 'New', 1)");
    synced(&phone);
    assert_eq!(
        (shelf.titles(), books(&phone)),
        ("5=New 9=Other".into(), "5=New 9=Other".into())
    );
    assert_eq!(phone.pending(), "");
}

#[test]
fn w5_a_new_row_that_the_backend_numbers_is_not_sent_twice_by_itself() {
    let shelf = Shelf::start(Ids::Theirs);
    let phone = shelf.phone("INTEGER", json!({"mints": true}));
    phone.provider(&shelf.api.url(), json!({"attempts": 4}));
    shelf.lose(1);
    phone.exec("INSERT INTO book VALUES (1, 'Emma', 1)");
    assert_eq!(sync(&phone)["state"], "failed");
    synced(&phone);
    assert_eq!(
        (shelf.titles(), books(&phone)),
        ("1001=Emma".into(), "1001=Emma".into())
    );
    // One that can come twice is repeated.
    shelf.lose(1);
    phone.exec("UPDATE book SET title = 'Emma II'");
    synced(&phone);
    assert_eq!(shelf.titles(), "1001=Emma II");
}

#[test]
fn w5_a_lost_id_that_another_row_has_here_is_found_all_the_same() {
    let shelf = Shelf::start(Ids::Theirs);
    shelf.books.lock().expect("lock").start_at(1);
    let phone = shelf.phone("INTEGER", json!({"mints": true}));
    shelf.lose(1);
    phone.exec("INSERT INTO book VALUES (1, 'A', 1), (2, 'B', 2)");
    assert_eq!(sync(&phone)["state"], "failed");
    synced(&phone);
    assert_eq!(
        (shelf.titles(), books(&phone)),
        ("2=A 3=B".into(), "2=A 3=B".into())
    );
}

#[test]
fn w5_a_new_row_that_is_refused_the_second_time_is_looked_for() {
    for (status, there) in [(400, true), (422, true), (400, false)] {
        let shelf = Shelf::start(Ids::Ours);
        let phone = shelf.phone("TEXT", json!({}));
        shelf.lose(1);
        phone.exec("INSERT INTO book VALUES ('a', 'Emma', 1)");
        assert_eq!(sync(&phone)["state"], "failed");
        if !there {
            shelf.books.lock().expect("lock").rows.clear();
        }
        shelf.refuse("Emma", status);
        let answer = synced(&phone);
        let (pushed, rejected) = if there { (1, 0) } else { (0, 1) };
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(pushed), &json!(rejected)),
            "{answer}"
        );
        assert_eq!(phone.pending().is_empty(), there);
        if !there {
            assert!(
                phone
                    .ask("SELECT reason FROM _syncRejected")
                    .contains("not this one")
            );
        }
    }
}

#[test]
fn w2_rules_of_a_function_that_writes_say_what_its_answers_mean() {
    let shelf = Shelf::start(Ids::Ours);
    let phone = shelf.phone("TEXT", json!({}));
    phone.function(
        "create",
        json!({"path": "/odd", "method": "POST",
        "errors": [{"path": "$.status", "is": "full", "message": "the shelf is full"}]}),
    );
    shelf.api.answer(
        "/odd",
        crate::server::Answer::json(&json!({"status": "full"})),
    );
    phone.exec("INSERT INTO book VALUES ('a', 'Emma', 1)");
    let answer = synced(&phone);
    assert_eq!(answer["rejected"], 1, "{answer}");
    assert!(
        phone
            .ask("SELECT reason FROM _syncRejected")
            .contains("the shelf is full")
    );
}

#[test]
fn w6_nothing_is_sent_behind_a_reading_that_shows_that_the_backend_does_not_know_us() {
    for (status, body) in [(401, "{}"), (200, "[]")] {
        let shelf = Shelf::start(Ids::Ours);
        shelf.put("a", json!({"id": "a", "title": "Emma", "n": 1}));
        shelf.put("b", json!({"id": "b", "title": "Walden", "n": 1}));
        let phone = shelf.phone("TEXT", json!({}));
        phone.provider(&shelf.api.url(), json!({"order": "pull-first"}));
        synced(&phone);
        phone.exec("DELETE FROM book WHERE id = 'a'");
        shelf.api.answer(
            "/books",
            crate::server::Answer::new(status, "application/json", body),
        );
        shelf.api.asked();
        assert_eq!(sync(&phone)["state"], "failed");
        assert_eq!(
            (writes(&shelf), phone.pending()),
            (vec![], "a deleted".into()),
            "{status}"
        );
    }
}
