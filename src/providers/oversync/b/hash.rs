//! The hash by which both sides know a bundle, and the one spelling of JSON that it is made of.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::revision::Revision;
use crate::providers::values::write_json;

/// SHA-256 of the rows of a bundle, put in one after the other.
pub struct BundleHash {
    revision: Revision,
    sha: Sha256,
    rows: u64,
}

/// One row of a bundle as it is hashed.
pub struct HashedRow<'a> {
    pub schema: &'a str,
    pub table: &'a str,
    /// Spelled, as the payload.
    pub key: &'a [u8],
    pub op: &'a str,
    pub version: Version,
    pub payload: &'a [u8],
}

/// The version that is hashed along.
#[derive(Clone, Copy)]
pub enum Version {
    /// Of a row that is sent: what it is based on.
    Base(i64),
    Row(i64),
}

impl BundleHash {
    pub fn new(revision: Revision) -> Self {
        Self {
            revision,
            sha: Sha256::default(),
            rows: 0,
        }
    }

    pub fn add(&mut self, row: &HashedRow<'_>) {
        let text = |text: &str| spelled(self.revision, &Json::from(text));
        let ordinal = self.counter(self.rows as f64, self.rows.to_string());
        let version = match row.version {
            Version::Base(version) | Version::Row(version) => {
                self.counter(version as f64, version.to_string())
            }
        };
        let is_base = matches!(row.version, Version::Base(_));
        let members: [(&str, &[u8], bool); 8] = [
            ("base_row_version", &version, is_base),
            ("key", row.key, true),
            ("op", &text(row.op), true),
            ("payload", row.payload, true),
            ("row_ordinal", &ordinal, true),
            ("row_version", &version, !is_base),
            ("schema", &text(row.schema), true),
            ("table", &text(row.table), true),
        ];
        let mut comma = if self.rows == 0 { "[{" } else { ",{" };
        for (name, value, _) in members.iter().filter(|(_, _, is_meant)| *is_meant) {
            self.sha.update(std::mem::replace(&mut comma, ","));
            self.sha.update(format!("\"{name}\":"));
            self.sha.update(value);
        }
        self.sha.update("}");
        self.rows += 1;
    }

    fn counter(&self, number: f64, text: String) -> Vec<u8> {
        let number = match self.revision {
            Revision::Earlier => Json::from(number),
            Revision::Later => Json::from(text),
        };
        spelled(self.revision, &number)
    }

    /// In hexadecimal.
    pub fn finish(mut self) -> String {
        self.sha.update(if self.rows == 0 { "[]" } else { "]" });
        hex(&self.sha.finalize())
    }
}

/// SHA-256 of a text, in hexadecimal.
pub fn hash_of(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON in the one spelling that is hashed: members in order, no spaces, every number as a double. Of the later revision
/// it is that of RFC 8785.
pub fn spelled(revision: Revision, json: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    spell(revision, json, &mut out);
    out
}

fn spell(revision: Revision, json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Json::Number(number) => spell_number(revision, number.as_f64().unwrap_or(f64::NAN), out),
        Json::String(text) => spell_text(revision, text, out),
        Json::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                spell(revision, item, out);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            let mut members: Vec<(&String, &Json)> = members.iter().collect();
            match revision {
                Revision::Earlier => members.sort_unstable_by_key(|(name, _)| *name),
                Revision::Later => {
                    members.sort_by_cached_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>())
                }
            }
            out.push(b'{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                spell_text(revision, name, out);
                out.push(b':');
                spell(revision, value, out);
            }
            out.push(b'}');
        }
    }
}

/// The fewest digits, with an exponent below 1e-6 and from 1e21 on, as JavaScript has it.
fn spell_number(revision: Revision, number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    let text = match size == 0.0 || (1e-6..1e21).contains(&size) {
        true if size == 0.0 && revision == Revision::Later => "0".to_owned(),
        true => number.to_string(),
        false => match format!("{number:e}") {
            text if text.contains("e-") => text,
            text => text.replace('e', "e+"),
        },
    };
    out.extend_from_slice(text.as_bytes());
}

/// As JSON; of the earlier revision with what HTML would read escaped.
fn spell_text(revision: Revision, text: &str, out: &mut Vec<u8>) {
    let mut plain = Vec::new();
    // Writing to memory can't fail.
    let _ = write_json(&mut plain, text);
    if revision == Revision::Later {
        out.append(&mut plain);
        return;
    }
    let plain = String::from_utf8_lossy(&plain);
    for letter in plain.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
            }
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JSON, its spelling, and that of the later revision where it is another.
    const SPELLED: &[(&str, &str, Option<&str>)] = &[
        (
            r#"{"b":1,"a":[true,null]}"#,
            r#"{"a":[true,null],"b":1}"#,
            None,
        ),
        ("1.0", "1", None),
        ("-0.0", "-0", Some("0")),
        ("1e21", "1e+21", None),
        ("123456789012345680000", "123456789012345680000", None),
        ("0.0000001", "1e-7", None),
        ("1.5e300", "1.5e+300", None),
        // It has no double of its own.
        ("9223372036854775807", "9223372036854776000", None),
        (
            r#""<a>&\u2028\u2029é\n\u001f""#,
            r#""\u003ca\u003e\u0026\u2028\u2029é\n\u001f""#,
            Some("\"<a>&\u{2028}\u{2029}é\\n\\u001f\""),
        ),
        (
            "{\"\u{e000}\":1,\"\u{1f600}\":2}",
            "{\"\u{e000}\":1,\"\u{1f600}\":2}",
            Some("{\"\u{1f600}\":2,\"\u{e000}\":1}"),
        ),
    ];

    #[test]
    fn line_14_one_spelling_of_everything() {
        for (json, earlier, later) in SPELLED {
            let json: Json = serde_json::from_str(json).unwrap();
            let text = |revision| String::from_utf8(spelled(revision, &json)).unwrap();
            assert_eq!(text(Revision::Earlier), *earlier);
            assert_eq!(text(Revision::Later), later.unwrap_or(earlier));
        }
    }

    #[test]
    fn line_14_counters_are_text_in_the_hash_of_the_later_revision() {
        let hashed = |revision, version| {
            let mut hash = BundleHash::new(revision);
            for key in [r#"{"id":"a"}"#, r#"{"id":"b"}"#] {
                hash.add(&HashedRow {
                    schema: "s",
                    table: "t",
                    key: key.as_bytes(),
                    op: "INSERT",
                    version,
                    payload: b"null",
                });
            }
            hash.finish()
        };
        let expected = |open: &str, close: &str| {
            let row = |key, ordinal| open.replace("KEY", key).replace("ORD", ordinal) + close;
            hash_of(format!("[{},{}]", row("a", "0"), row("b", "1")).as_bytes())
        };
        let end = r#","schema":"s","table":"t"}"#;
        for (revision, version, open) in [
            (
                Revision::Earlier,
                Version::Row(7),
                r#"{"key":{"id":"KEY"},"op":"INSERT","payload":null,"row_ordinal":ORD,"row_version":7"#,
            ),
            (
                Revision::Later,
                Version::Row(7),
                r#"{"key":{"id":"KEY"},"op":"INSERT","payload":null,"row_ordinal":"ORD","row_version":"7""#,
            ),
            (
                Revision::Later,
                Version::Base(0),
                r#"{"base_row_version":"0","key":{"id":"KEY"},"op":"INSERT","payload":null,"row_ordinal":"ORD""#,
            ),
        ] {
            assert_eq!(hashed(revision, version), expected(open, end));
        }
    }

    #[test]
    fn an_empty_bundle_has_a_hash_too() {
        let empty = BundleHash::new(Revision::Later);
        assert_eq!(empty.finish(), hash_of(b"[]"));
    }
}
