//! A shelf of books that takes writes, as most APIs do: POST, PATCH, PUT and DELETE by id. It can lose answers, refuse books,
//! give them ids of its own, and know a request that comes twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::{Answer, Api, Asked};

#[derive(Default)]
pub struct Books {
    pub rows: BTreeMap<String, Value>,
    last: u64,
    /// Ids go on from the last one as it is.
    small: bool,
    /// Answers to give away without a word, after the work is done.
    pub lost: usize,
    /// Status that the next write gets in place of being done.
    pub refuses: Vec<(&'static str, u16)>,
    keys: BTreeMap<String, Value>,
    /// The list is a table of comma-separated values: every number in it is a text.
    pub csv: bool,
    /// Versions are ETags: lists do not show them.
    pub etags: bool,
    /// Whatever version a write names, another one is there.
    pub always_another: bool,
}

impl Books {
    /// The last id that was given to a book.
    pub fn start_at(&mut self, last: u64) {
        self.last = last;
        self.small = true;
    }
}

pub struct Shelf {
    pub api: Api,
    pub books: Arc<Mutex<Books>>,
}

/// Who gives new books their ids.
#[derive(Clone, Copy, PartialEq)]
pub enum Ids {
    Ours,
    Theirs,
}

impl Shelf {
    pub fn start(ids: Ids) -> Shelf {
        let api = Api::start();
        let books = Arc::new(Mutex::new(Books::default()));
        let its = Arc::clone(&books);
        api.on("/books", move |asked| {
            at_the_list(&mut its.lock().expect("lock"), asked, ids)
        });
        let its = Arc::clone(&books);
        api.on("/book", move |asked| {
            at_a_book(&mut its.lock().expect("lock"), asked)
        });
        Shelf { api, books }
    }

    pub fn put(&self, id: &str, book: Value) {
        self.books
            .lock()
            .expect("lock")
            .rows
            .insert(id.to_owned(), book);
    }

    pub fn titles(&self) -> String {
        let books = self.books.lock().expect("lock");
        let titles: Vec<String> = books
            .rows
            .iter()
            .map(|(id, book)| format!("{id}={}", book["title"].as_str().unwrap_or("")))
            .collect();
        titles.join(" ")
    }

    pub fn lose(&self, answers: usize) {
        self.books.lock().expect("lock").lost = answers;
    }

    pub fn refuse(&self, title: &'static str, status: u16) {
        self.books
            .lock()
            .expect("lock")
            .refuses
            .push((title, status));
    }

    /// A phone with a table of books and the functions; `more` goes into `writes`.
    pub fn phone(&self, key: &str, more: Value) -> Phone {
        let phone = Phone::new(&self.api);
        phone.exec("PRAGMA foreign_keys = ON");
        phone.table(
            &format!("CREATE TABLE book (id {key} PRIMARY KEY NOT NULL, title TEXT, n INTEGER)"),
            "book",
        );
        phone.exec(&format!(
            "CREATE TABLE page (id INTEGER PRIMARY KEY, book {key} REFERENCES book (id))"
        ));
        let mut writes = json!({"create": "create", "update": "update", "delete": "delete"});
        for (key, value) in more.as_object().expect("an object") {
            writes[key] = value.clone();
        }
        phone.function("books", json!({"path": "/books", "writes": writes}));
        phone.function("create", json!({"path": "/books", "method": "POST"}));
        phone.function(
            "update",
            json!({"path": "/book", "query": {"id": "{key}"}, "method": "PATCH"}),
        );
        phone.function(
            "delete",
            json!({"path": "/book", "query": {"id": "{key}"}, "method": "DELETE"}),
        );
        phone
    }
}

fn refusal(books: &Books, title: &Value) -> Option<Answer> {
    let found = books.refuses.iter().find(|(known, _)| title == known);
    found.map(|(_, status)| Answer::new(*status, "application/json", r#"{"error":"not this one"}"#))
}

fn lost(books: &mut Books, answer: Answer) -> Answer {
    if books.lost == 0 {
        return answer;
    }
    books.lost -= 1;
    // More is promised than comes: whoever asked does not know.
    Answer {
        promised: Some(answer.body.len() + 100),
        ..answer
    }
}

fn at_the_list(books: &mut Books, asked: &Asked, ids: Ids) -> Answer {
    if asked.method == "GET" && books.csv {
        let rows = books.rows.values();
        let lines = rows.map(|book| {
            let title = book["title"].as_str().unwrap_or("");
            format!("{},{title},{}\n", book["id"], book["n"])
        });
        let text = format!("id,title,n\n{}", lines.collect::<String>());
        return Answer::new(200, "text/csv", text);
    }
    if asked.method == "GET" {
        let mut rows: Vec<Value> = books.rows.values().cloned().collect();
        if books.etags {
            for row in rows.iter_mut().filter_map(Value::as_object_mut) {
                row.remove("v");
            }
        }
        return Answer::json(&json!(rows));
    }
    let mut book = asked.json();
    if let Some(answer) = refusal(books, &book["title"]) {
        return answer;
    }
    let key = asked.header("idempotency-key").map(str::to_owned);
    if let Some(known) = key.as_ref().and_then(|key| books.keys.get(key)) {
        return Answer::json(known);
    }
    if ids == Ids::Theirs {
        books.last += 1;
        let first = if books.small { 0 } else { 1000 };
        book["id"] = json!(first + books.last);
    }
    let id = match &book["id"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    if ids == Ids::Ours && books.rows.contains_key(&id) {
        return Answer::new(409, "application/json", "{}");
    }
    books.rows.insert(id, book.clone());
    if let Some(key) = key {
        books.keys.insert(key, book.clone());
    }
    lost(
        books,
        Answer {
            status: 201,
            ..Answer::json(&book)
        },
    )
}

fn at_a_book(books: &mut Books, asked: &Asked) -> Answer {
    let id = asked.query("id").unwrap_or_default().to_owned();
    let change = asked.json();
    if let Some(answer) = refusal(books, &change["title"]) {
        return answer;
    }
    let Some(book) = books.rows.get_mut(&id) else {
        return Answer::new(404, "application/json", "{}");
    };
    if asked.method == "GET" {
        let book = book.clone();
        return shown(books, &book);
    }
    let (v, named) = (book["v"].to_string(), asked.header("if-match"));
    if named.is_some_and(|named| books.always_another || named.trim_matches('"') != v) {
        return Answer::new(412, "application/json", "{}");
    }
    if asked.method == "DELETE" {
        books.rows.remove(&id);
        return lost(books, Answer::new(204, "application/json", ""));
    }
    for (name, value) in change.as_object().expect("an object") {
        book[name] = value.clone();
    }
    if let Some(version) = book["v"].as_i64() {
        book["v"] = json!(version + 1);
    }
    let book = book.clone();
    let answer = shown(books, &book);
    lost(books, answer)
}

fn shown(books: &Books, book: &Value) -> Answer {
    if !books.etags {
        return Answer::json(book);
    }
    let mut shown = book.clone();
    shown.as_object_mut().expect("an object").remove("v");
    Answer::json(&shown).with("etag", &format!("\"{}\"", book["v"]))
}
