//! The recordings as steps, and their requests as bytes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use support::backend::oversync::token;
use support::root;

type Members = HashMap<String, Box<RawValue>>;

/// A line of a recording.
pub struct Step {
    pub number: u64,
    pub note: String,
    /// Done beside HTTP.
    pub is_operator: bool,
    /// When the request was sent, if it overlaps with others.
    pub sent: Option<u64>,
    pub request: Option<Request>,
    pub answer: Answer,
}

pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer, recorded or come just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// None: the connection ended without one.
    pub status: Option<u16>,
    /// Before the semicolon.
    pub content_type: String,
    pub allow: Option<String>,
    /// Without the last line feed.
    pub body: String,
    /// The client gave up before.
    pub is_given_up: bool,
}

pub fn folder() -> PathBuf {
    root().join("tests/fixtures/oversync/a")
}

/// The steps of a file.
pub fn read(file: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let mut lines = text.lines().map(members);
    let meta = lines.next().expect("step 0");
    let meta: Value = serde_json::from_str(meta["meta"].get()).expect("meta");
    lines.map(|line| step(&line, &meta["devices"])).collect()
}

fn members(text: &str) -> Members {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn step(line: &Members, devices: &Value) -> Step {
    let value = |name: &str| -> Value {
        line.get(name).map_or(Value::Null, |raw| {
            serde_json::from_str(raw.get()).expect("JSON")
        })
    };
    let text = |name: &str| value(name).as_str().unwrap_or_default().to_owned();
    let is_there = |name: &str| line.get(name).filter(|raw| raw.get() != "null");
    let note = text("note");
    let is_latin = note.contains("latin-1");
    let request = is_there("request").map(|raw| request(&members(raw.get()), devices, is_latin));
    Step {
        number: value("step").as_u64().expect("a number"),
        is_operator: text("device") == "operator",
        sent: value("t_ms")["sent"].as_u64(),
        request,
        answer: is_there("response")
            .map_or_else(Answer::default, |raw| answer(&members(raw.get()))),
        note,
    }
}

fn request(members: &Members, devices: &Value, is_latin: bool) -> Request {
    let text = |name: &str| serde_json::from_str::<String>(members[name].get()).expect("a text");
    let headers: HashMap<String, String> =
        serde_json::from_str(members["headers"].get()).expect("headers");
    let body = match (members.get("body_text"), members["body"].get()) {
        (Some(_), _) if is_latin => text("body_text").chars().map(|byte| byte as u8).collect(),
        (Some(_), _) => text("body_text").into_bytes(),
        (None, "null") => Vec::new(),
        (None, body) => body.as_bytes().to_vec(),
    };
    Request {
        method: text("method"),
        path: text("path"),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name, with_token(&value, devices)))
            .collect(),
        body,
    }
}

fn answer(members: &Members) -> Answer {
    let headers: Value = members.get("headers").map_or(Value::Null, |raw| {
        serde_json::from_str(raw.get()).expect("headers")
    });
    let is_text = members
        .get("body_is_text")
        .is_some_and(|raw| raw.get() == "true");
    let body = members.get("body").map_or("", |raw| raw.get());
    let body = match is_text {
        true => serde_json::from_str::<String>(body).expect("a text"),
        false => body.to_owned(),
    };
    let status: Option<u16> = serde_json::from_str(members["status"].get()).expect("a status");
    let error = members.get("error").map_or("", |raw| raw.get());
    Answer {
        status,
        content_type: class(headers["content-type"].as_str().unwrap_or_default()),
        allow: headers["allow"].as_str().map(str::to_owned),
        body: match status {
            Some(_) => body.trim_end_matches('\n').to_owned(),
            None => String::new(),
        },
        is_given_up: error.contains("Timeout"),
    }
}

/// A content type without its parameters.
pub fn class(content_type: &str) -> String {
    let class = content_type.split(';').next().unwrap_or_default();
    class.trim().to_owned()
}

/// Puts a token in the place of its description.
fn with_token(value: &str, devices: &Value) -> String {
    let Some((before, rest)) = value.split_once('<') else {
        return value.to_owned();
    };
    let (described, after) = rest.split_once('>').expect("the end of a description");
    let after = after.replace(" (two spaces)", "");
    format!("{before}{}{after}", token_of(described, devices))
}

fn token_of(described: &str, devices: &Value) -> String {
    if described == "credentials" {
        return "bWFyYTp4".to_owned();
    }
    let of = described.split("of ").nth(1).unwrap_or("d1");
    let name: String = of.chars().take_while(char::is_ascii_alphanumeric).collect();
    let device = &devices[name.as_str()];
    assert!(device.is_object(), "{described}: no device {name}");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a time after 1970")
        .as_secs();
    let mut claims = json!({"sub": device["user"], "did": device["source_id"], "exp": now + 3600});
    let (mut algorithm, mut key) = ("HS256", token::KEY);
    match described.replace(&name, "d1").as_str() {
        "token of d1" => {}
        "token of d1 signed with another key" => key = b"another key",
        "expired token of d1" => claims["exp"] = json!(now - 60),
        "token of d1, not valid yet" => claims["nbf"] = json!(now + 600),
        "token of d1 with empty did" => claims["did"] = json!(""),
        "token of d1 without did" => claims["did"] = Value::Null,
        "token without sub" => claims["sub"] = Value::Null,
        "token of d1 without exp" => claims["exp"] = Value::Null,
        "token of d1, HS512" => algorithm = "HS512",
        "unsigned token of d1, alg none" => algorithm = "none",
        _ => panic!("what is <{described}>?"),
    }
    claims
        .as_object_mut()
        .expect("an object")
        .retain(|_, value| !value.is_null());
    token::encode(algorithm, &claims, key)
}

/// A body with the values that are different each time as `*`.
pub fn masked(body: &str) -> String {
    let mut body = body.to_owned();
    for name in ["ts", "first_seen", "token"] {
        body = mask(&body, &format!("\"{name}\":\""));
    }
    mask(&body, "\"device\":\"device-")
}

fn mask(body: &str, before: &str) -> String {
    let mut parts = body.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('"').expect("the end of a text");
        out += before;
        out += "*\"";
        out += rest;
    }
    out
}
