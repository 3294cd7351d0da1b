//! Recorded conversations, and what of them changes from one run to the next.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use serde_json::value::RawValue;
use support::root;

/// One line of a recording.
pub struct Step {
    pub number: u64,
    pub note: String,
    pub request: Option<Asked>,
    /// Milliseconds since the beginning at which it was sent, where that is known.
    pub sent: Option<u64>,
    pub status: Option<u16>,
    pub headers: Value,
    /// As it stands in the line.
    pub body: String,
}

/// A recorded request.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

type Raw = BTreeMap<String, Box<RawValue>>;

/// The users of the devices, and the steps after the first line.
pub fn read(file: &str) -> (HashMap<String, String>, Vec<Step>) {
    let path = root().join("tests/fixtures/oversync/b").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut lines = text.lines();
    let first: Value = serde_json::from_str(lines.next().expect("a first line")).expect("JSON");
    let devices = first["meta"]["devices"]
        .as_object()
        .expect("devices")
        .iter();
    let users = devices.map(|(name, device)| {
        (
            name.clone(),
            device["user"].as_str().expect("a user").to_string(),
        )
    });
    (users.collect(), lines.map(step).collect())
}

fn step(line: &str) -> Step {
    let plain: Value = serde_json::from_str(line).expect("JSON");
    let raw: Raw = serde_json::from_str(line).expect("an object");
    let answer: Raw = raw
        .get("response")
        .and_then(|answer| serde_json::from_str(answer.get()).ok())
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_string);
    let body = match plain["response"]["body_is_text"].as_bool() {
        Some(true) => text(&plain["response"]["body"]).unwrap_or_default(),
        _ => answer
            .get("body")
            .map(|body| body.get().to_string())
            .unwrap_or_default(),
    };
    Step {
        number: plain["step"].as_u64().expect("a number"),
        note: text(&plain["note"]).unwrap_or_default(),
        request: asked(&plain["request"], raw.get("request").map(Box::as_ref)),
        sent: plain["t_ms"]["sent"].as_u64(),
        status: plain["response"]["status"]
            .as_u64()
            .map(|status| status as u16),
        headers: plain["response"]["headers"].clone(),
        body,
    }
}

fn asked(plain: &Value, raw: Option<&RawValue>) -> Option<Asked> {
    let members = plain.as_object()?;
    let raw: Raw = serde_json::from_str(raw?.get()).ok()?;
    let headers = members["headers"].as_object().expect("headers").iter();
    let body = match members.get("body_text") {
        Some(text) => text.as_str().map(str::to_string),
        None => raw
            .get("body")
            .map(|body| body.get().to_string())
            .filter(|body| body != "null"),
    };
    Some(Asked {
        method: members["method"].as_str()?.to_string(),
        path: members["path"].as_str()?.to_string(),
        headers: headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_string()))
            .collect(),
        body,
    })
}

/// The ids that the server made up: as recorded, and as they are now.
#[derive(Default)]
pub struct Ids(HashMap<String, String>);

impl Ids {
    /// A recorded text with the ids of now.
    pub fn translate(&self, text: &str) -> String {
        let mut out = text.to_string();
        for id in ids(text) {
            if let Some(now) = self.0.get(&id) {
                out = out.replace(&id, now);
            }
        }
        out
    }

    /// Learns which id is which from the same answer; says what does not fit.
    pub fn learn(&mut self, recorded: &str, now: &str) -> Result<(), String> {
        let (recorded, now) = (ids(recorded), ids(now));
        if recorded.len() != now.len() {
            return Err(format!("{} ids instead of {}", now.len(), recorded.len()));
        }
        for (recorded, now) in recorded.into_iter().zip(now) {
            let known = self
                .0
                .entry(recorded.clone())
                .or_insert_with(|| now.clone());
            if *known != now {
                return Err(format!("{recorded} is {known} now, not {now}"));
            }
        }
        Ok(())
    }
}

/// The ids in a text that the server made up.
fn ids(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut place = 0;
    while place + 36 <= bytes.len() {
        let candidate = &bytes[place..place + 36];
        if !is_uuid(candidate) {
            place += 1;
            continue;
        }
        let id = String::from_utf8_lossy(candidate).into_owned();
        if !id.starts_with("b00000") {
            found.push(id);
        }
        place += 36;
    }
    found
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    })
}

/// A text without what changes from one run to the next.
pub fn masked(text: &str, more: &[&str]) -> String {
    let mut out = text.trim_end_matches('\n').to_string();
    for id in ids(text) {
        out = out.replace(&id, "(id)");
    }
    let usual = [
        "\"expires_at\":\"",
        "\"lease_expires_at\":\"",
        "is initializing until ",
        "\"token\":\"",
        "\"app_name\":\"",
        "\"retry_after_seconds\":",
    ];
    for before in usual.iter().chain(more) {
        out = masked_after(&out, before);
    }
    out
}

fn masked_after(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let end = part.find(['"', '}', ',']).unwrap_or(part.len());
        out += before;
        out += "(…)";
        out += &part[end..];
    }
    out
}
