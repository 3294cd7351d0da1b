//! The hash by which both sides know a bundle, and the one spelling of JSON that it is made of.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::providers::values::write_json;

/// SHA-256 of the rows of a bundle, put in one after the other.
#[derive(Default)]
pub struct BundleHash {
    sha: Sha256,
    rows: u64,
}

/// One row of a bundle as it is hashed.
pub struct HashedRow<'a> {
    pub schema: &'a str,
    pub table: &'a str,
    pub key: &'a Json,
    pub op: &'a str,
    pub version: i64,
    pub payload: &'a Json,
}

impl BundleHash {
    pub fn add(&mut self, row: &HashedRow<'_>) {
        let mut text = Vec::new();
        text.push(if self.rows == 0 { b'[' } else { b',' });
        text.extend_from_slice(b"{\"key\":");
        spell(row.key, &mut text);
        text.extend_from_slice(b",\"op\":");
        spell_text(row.op, &mut text);
        text.extend_from_slice(b",\"payload\":");
        spell(row.payload, &mut text);
        text.extend_from_slice(b",\"row_ordinal\":");
        spell_number(self.rows as f64, &mut text);
        text.extend_from_slice(b",\"row_version\":");
        spell_number(row.version as f64, &mut text);
        text.extend_from_slice(b",\"schema\":");
        spell_text(row.schema, &mut text);
        text.extend_from_slice(b",\"table\":");
        spell_text(row.table, &mut text);
        text.push(b'}');
        self.sha.update(&text);
        self.rows += 1;
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

/// JSON in the one spelling that is hashed: members in order, no spaces, every number as a double.
pub fn spelled(json: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    spell(json, &mut out);
    out
}

fn spell(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Json::Number(number) => spell_number(number.as_f64().unwrap_or(f64::NAN), out),
        Json::String(text) => spell_text(text, out),
        Json::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                spell(item, out);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            let mut members: Vec<(&String, &Json)> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                spell_text(name, out);
                out.push(b':');
                spell(value, out);
            }
            out.push(b'}');
        }
    }
}

/// The fewest digits, with an exponent below 1e-6 and from 1e21 on, as JavaScript has it.
fn spell_number(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    let text = match size == 0.0 || (1e-6..1e21).contains(&size) {
        true => number.to_string(),
        false => match format!("{number:e}") {
            text if text.contains("e-") => text,
            text => text.replace('e', "e+"),
        },
    };
    out.extend_from_slice(text.as_bytes());
}

/// As JSON, with what HTML would read escaped.
fn spell_text(text: &str, out: &mut Vec<u8>) {
    let mut plain = Vec::new();
    // Writing to memory can't fail.
    let _ = write_json(&mut plain, text);
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

    #[test]
    fn one_spelling_of_everything() {
        for (json, expected) in [
            (r#"{"b":1,"a":[true,null]}"#, r#"{"a":[true,null],"b":1}"#),
            ("1.0", "1"),
            ("-0.0", "-0"),
            ("1e21", "1e+21"),
            ("123456789012345680000", "123456789012345680000"),
            ("0.0000001", "1e-7"),
            ("1.5e300", "1.5e+300"),
            ("9223372036854775807", "9223372036854775807"),
            (
                r#""<a>&\u2028\u2029é\n""#,
                r#""\u003ca\u003e\u0026\u2028\u2029é\n""#,
            ),
        ] {
            let json: Json = serde_json::from_str(json).unwrap();
            let text = String::from_utf8(spelled(&json)).unwrap();
            let expected = match expected {
                // It has no double of its own.
                "9223372036854775807" => "9223372036854776000",
                expected => expected,
            };
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn an_empty_bundle_has_a_hash_too() {
        assert_eq!(BundleHash::default().finish(), hash_of(b"[]"));
    }
}
