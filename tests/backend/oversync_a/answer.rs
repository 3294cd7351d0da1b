//! Answers as they are compared, and the tokens that stand for descriptions.

use serde_json::{Value, json};
use support::backend::oversync::token;

use crate::recording::{Request, Step};
use crate::wire::{Exchange, Reply};

/// What counts of an answer, recorded or come just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// None: the connection ended without one.
    pub status: Option<u16>,
    /// Before the semicolon.
    pub content_type: String,
    pub allow: Option<String>,
    /// Without the last line feed.
    pub body: String,
}

impl Answer {
    pub fn recorded(step: &Step) -> Answer {
        let header = |name: &str| step.headers[name].as_str();
        Answer {
            status: step.status,
            content_type: class(header("content-type")),
            allow: header("allow").map(str::to_owned),
            body: step.body.trim_end_matches('\n').to_owned(),
        }
    }

    /// Waits for the whole answer.
    pub fn of(mut exchange: Exchange) -> Answer {
        match exchange.finish() {
            Some(reply) if exchange.ended() => Answer::came(&reply),
            _ => Answer::default(),
        }
    }

    fn came(reply: &Reply) -> Answer {
        let length = reply.header("content-length").expect("a length");
        assert_eq!(length, reply.body.len().to_string(), "{}", reply.body);
        Answer {
            status: Some(reply.status),
            content_type: class(reply.header("content-type")),
            allow: reply.header("allow").map(str::to_owned),
            body: reply.body.trim_end_matches('\n').to_owned(),
        }
    }
}

/// A content type without its parameters.
fn class(content_type: Option<&str>) -> String {
    let class = content_type.unwrap_or_default().split(';').next();
    class.unwrap_or_default().trim().to_owned()
}

/// A recorded request with tokens in the place of their descriptions.
pub fn with_tokens(request: &Request, devices: &Value) -> Request {
    let headers = request.headers.iter();
    Request {
        method: request.method.clone(),
        path: request.path.clone(),
        headers: headers
            .map(|(name, value)| (name.clone(), with_token(value, devices)))
            .collect(),
        body: request.body.clone(),
    }
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
