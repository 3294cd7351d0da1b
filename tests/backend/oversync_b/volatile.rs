//! What of an answer changes from one run to the next.

use std::collections::HashMap;

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
