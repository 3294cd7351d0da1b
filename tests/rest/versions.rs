//! Another state of a row there: it is read, and the policy decides.

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::shelf::{Ids, Shelf};

/// A shelf whose books have versions, and a phone that has read one of them.
fn ready(etags: bool) -> (Shelf, Phone) {
    let shelf = Shelf::start(Ids::Ours);
    shelf.books.lock().expect("lock").etags = etags;
    shelf.put("a", json!({"id": "a", "title": "Emma", "n": 1, "v": 1}));
    let phone = shelf.phone("TEXT", json!({}));
    phone.exec("ALTER TABLE book ADD COLUMN v");
    let writes = json!({"create": "create", "update": "update", "delete": "delete", "read": "read", "version": "v"});
    let mut columns = json!({"title": "title", "n": "n", "v": "v"});
    if etags {
        columns["v"] = json!({"header": "ETag"});
    }
    phone.function(
        "books",
        json!({"path": "/books", "columns": columns, "writes": writes}),
    );
    phone.function("read", json!({"path": "/book", "query": {"id": "{key}"}}));
    for (id, method) in [("update", "PATCH"), ("delete", "DELETE")] {
        phone.function(id, json!({"path": "/book", "query": {"id": "{key}"}, "method": method, "headers": {"If-Match": "{row:v}"}}));
    }
    synced(&phone);
    (shelf, phone)
}

#[track_caller]
fn synced(phone: &Phone) -> Value {
    phone.done("book", "books")
}

fn policy(phone: &Phone, policy: &str) {
    phone.call("sync_resolver", &["book", policy]);
}

fn book(phone: &Phone) -> String {
    phone.ask("SELECT coalesce(group_concat(id || '=' || title || ' ' || n, ' '), '') FROM book")
}

/// Somebody else writes to the book.
fn there(shelf: &Shelf, title: &str, v: i64) {
    shelf.put("a", json!({"id": "a", "title": title, "n": 1, "v": v}));
}

fn sent(shelf: &Shelf) -> Vec<String> {
    let asked = shelf.api.asked().into_iter();
    let asked = asked.map(|asked| {
        let version = asked.header("if-match").unwrap_or("-").to_owned();
        format!("{} {} {version}", asked.method, asked.path)
    });
    asked.collect()
}

#[test]
fn w2_another_state_there_is_read_and_what_stays_goes_up_in_the_same_sync() {
    for (chosen, title) in [
        ("clientWins", "Mine"),
        ("serverWins", "Theirs"),
        ("columns", "Mine"),
    ] {
        let (shelf, phone) = ready(false);
        policy(&phone, chosen);
        phone.exec("UPDATE book SET title = 'Mine'");
        there(&shelf, "Theirs", 5);
        sent(&shelf);
        let answer = synced(&phone);
        assert_eq!(answer["conflicts"], 1, "{chosen}: {answer}");
        assert_eq!(
            (book(&phone), phone.pending()),
            (format!("a={title} 1"), String::new()),
            "{chosen}"
        );
        assert_eq!(shelf.titles(), format!("a={title}"), "{chosen}");
        let asked = sent(&shelf);
        assert_eq!(asked[..2], ["PATCH /book 1", "GET /book -"], "{chosen}");
        assert_eq!(
            asked.iter().any(|asked| asked == "PATCH /book 5"),
            title == "Mine",
            "{chosen}: {asked:?}"
        );
    }
}

#[test]
fn w2_a_resolver_of_the_program_is_asked_with_the_row_that_is_there() {
    let (shelf, phone) = ready(false);
    let both = "json_object('title', (:local ->> 'title') || '+' || (:remote ->> 'title'))";
    phone.call("sync_resolver", &["book", "sql2", both]);
    phone.exec("UPDATE book SET title = 'Mine'");
    there(&shelf, "Theirs", 5);
    synced(&phone);
    assert_eq!(shelf.titles(), "a=Mine+Theirs");
}

#[test]
fn w2_a_row_that_is_gone_when_it_is_read_meets_the_policy_as_a_delete() {
    let (shelf, phone) = ready(false);
    policy(&phone, "serverWins");
    phone.function("update", json!({"path": "/strict", "method": "PATCH"}));
    shelf.api.answer(
        "/strict",
        crate::server::Answer::new(409, "application/json", "{}"),
    );
    phone.exec("UPDATE book SET title = 'Mine'");
    shelf.books.lock().expect("lock").rows.clear();
    shelf.put("b", json!({"id": "b", "title": "Other", "n": 2, "v": 1}));
    synced(&phone);
    assert_eq!(
        (book(&phone), phone.pending()),
        ("b=Other 2".into(), String::new())
    );
}

#[test]
fn w2_a_delete_stands_though_the_row_was_changed_there() {
    let (shelf, phone) = ready(false);
    policy(&phone, "serverWins");
    phone.function("delete", json!({"path": "/strict", "method": "DELETE"}));
    shelf.api.answer(
        "/strict",
        crate::server::Answer::new(409, "application/json", "{}"),
    );
    phone.exec("DELETE FROM book");
    there(&shelf, "Theirs", 5);
    sent(&shelf);
    synced(&phone);
    let asked = sent(&shelf);
    assert_eq!(asked[..2], ["DELETE /strict -", "GET /book -"]);
    assert_eq!(
        (book(&phone), phone.pending()),
        (String::new(), "a deleted".into())
    );
}

#[test]
fn w2_a_backend_that_always_says_that_another_state_is_there_ends_the_sync() {
    let (shelf, phone) = ready(false);
    shelf.books.lock().expect("lock").always_another = true;
    policy(&phone, "clientWins");
    phone.exec("UPDATE book SET title = 'Mine'");
    sent(&shelf);
    let answer = synced(&phone);
    let writes = sent(&shelf)
        .iter()
        .filter(|asked| asked.starts_with("PATCH"))
        .count();
    assert_eq!(writes, 4, "once, and three times anew: {answer}");
    assert_eq!(
        (book(&phone), phone.pending()),
        ("a=Mine 1".into(), "a updated".into())
    );
}

#[test]
fn w3_etags_of_answers_about_one_row_are_kept_in_a_column() {
    let (shelf, phone) = ready(true);
    // The list does not show it: the first write goes without.
    phone.exec("UPDATE book SET n = 2");
    sent(&shelf);
    synced(&phone);
    assert_eq!(sent(&shelf)[0], "PATCH /book -");
    assert_eq!(phone.ask("SELECT v FROM book"), "\"2\"");
    phone.exec("UPDATE book SET n = 3");
    synced(&phone);
    assert_eq!(sent(&shelf)[0], "PATCH /book \"2\"");
    // Somebody else writes: the version of the row that is read is the next to be sent.
    policy(&phone, "clientWins");
    phone.exec("UPDATE book SET n = 4");
    there(&shelf, "Theirs", 9);
    synced(&phone);
    let asked = sent(&shelf);
    assert_eq!(
        asked[..3],
        ["PATCH /book \"3\"", "GET /book -", "PATCH /book \"9\""]
    );
    assert_eq!(
        (phone.ask("SELECT n, v FROM book"), phone.pending()),
        ("4|\"10\"".into(), String::new())
    );
}

#[test]
fn w3_an_etag_of_an_answer_without_a_body_counts_as_well() {
    let (shelf, phone) = ready(true);
    phone.function("update", json!({"path": "/silent", "method": "PUT"}));
    let silent = crate::server::Answer::new(204, "text/plain", "").with("etag", "\"new\"");
    shelf.api.answer("/silent", silent);
    phone.exec("UPDATE book SET n = 2");
    synced(&phone);
    assert_eq!(phone.ask("SELECT v FROM book"), "\"new\"");
    assert_eq!(phone.pending(), "");
}

#[test]
fn a_function_that_reads_one_row_must_be_there() {
    let (_shelf, phone) = ready(false);
    phone.exec("SELECT sync_function('api', 'read', NULL)");
    let operations = r#"[{"entity":"book","function":"books"}]"#;
    let error = phone.try_call("sync_entities", &["screen", "api", operations]);
    assert!(
        error
            .expect_err("refused")
            .contains("writes.read names the function \"read\"")
    );
}
