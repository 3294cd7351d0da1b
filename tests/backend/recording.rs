//! Recorded conversations with real servers, as lines of JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::value::RawValue;
use support::root;

/// One line of a recording.
pub struct Step {
    pub number: u64,
    pub note: String,
    /// Done beside HTTP.
    pub is_operator: bool,
    pub request: Option<Request>,
    /// Milliseconds since the beginning at which it was sent, where that matters.
    pub sent: Option<u64>,
    /// None: no complete answer came.
    pub status: Option<u16>,
    pub headers: Value,
    /// As it stands in the line.
    pub body: String,
    /// The client gave up before there was an answer.
    pub is_given_up: bool,
}

/// A request, recorded or new.
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Members as they are spelled.
type Raw = BTreeMap<String, Box<RawValue>>;

fn folder(generation: &str) -> PathBuf {
    root().join("tests/fixtures/oversync").join(generation)
}

/// The files of a generation of the protocol, `a` or `b`, in order.
pub fn files(generation: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder(generation)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut files: Vec<String> = names
        .map(|name| name.into_string().expect("a name"))
        .filter(|name| name.ends_with(".jsonl"))
        .collect();
    files.sort();
    files
}

/// The devices of a file by name, and the steps after its first line.
pub fn read(generation: &str, file: &str) -> (Value, Vec<Step>) {
    let path = folder(generation).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut lines = text.lines();
    let first: Value = serde_json::from_str(lines.next().expect("a first line")).expect("JSON");
    (first["meta"]["devices"].clone(), lines.map(step).collect())
}

fn step(line: &str) -> Step {
    let line: Raw = serde_json::from_str(line).expect("an object");
    let note = text(&line, "note");
    let answer = members(&line, "response").unwrap_or_default();
    let status = value(&answer, "status").as_u64().map(|it| it as u16);
    let body = match (status, value(&answer, "body_is_text") == true) {
        (None, _) => String::new(),
        (_, true) => text(&answer, "body"),
        (_, false) => spelled(&answer, "body"),
    };
    Step {
        number: value(&line, "step").as_u64().expect("a number"),
        is_operator: text(&line, "device") == "operator",
        request: members(&line, "request").map(|it| request(&it, note.contains("latin-1"))),
        sent: value(&line, "t_ms")["sent"].as_u64(),
        status,
        headers: value(&answer, "headers"),
        body,
        is_given_up: text(&answer, "error").contains("Timeout"),
        note,
    }
}

fn request(members: &Raw, is_latin: bool) -> Request {
    let body = match (members.contains_key("body_text"), is_latin) {
        (true, true) => text(members, "body_text")
            .chars()
            .map(|byte| byte as u8)
            .collect(),
        (true, false) => text(members, "body_text").into_bytes(),
        (false, _) => match spelled(members, "body") {
            body if body == "null" => Vec::new(),
            body => body.into_bytes(),
        },
    };
    let headers = value(members, "headers");
    let headers = headers.as_object().expect("headers").iter();
    Request {
        method: text(members, "method"),
        path: text(members, "path"),
        headers: headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        body,
    }
}

/// A member that is an object itself.
fn members(of: &Raw, name: &str) -> Option<Raw> {
    serde_json::from_str(of.get(name)?.get()).ok()
}

/// A member. Not for bodies: some have numbers beyond every range.
fn value(of: &Raw, name: &str) -> Value {
    of.get(name).map_or(Value::Null, |raw| {
        serde_json::from_str(raw.get()).expect("JSON")
    })
}

fn text(of: &Raw, name: &str) -> String {
    value(of, name).as_str().unwrap_or_default().to_owned()
}

/// A member as it is spelled: numbers, texts, order.
fn spelled(of: &Raw, name: &str) -> String {
    of.get(name).map_or("", |raw| raw.get()).to_owned()
}
