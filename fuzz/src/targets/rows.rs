//! Rows made of any values: each column gets what the documentation says, to the last digit.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use syncscope::providers::base64::decode;
use syncscope::providers::sink::Announced;
use syncscope::providers::wire::{Slot, WireId, WireType};

use crate::common::{self, Event};

#[derive(Arbitrary, Debug, Clone)]
enum Given {
    Null,
    Truth(bool),
    Integer(i64),
    Large(u64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<i8>),
    Object(String),
}

impl Given {
    fn json(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Truth(truth) => truth.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Large(number) => number.to_string(),
            Self::Real(number) if !number.is_finite() => "null".into(),
            Self::Real(number) => serde_json::to_string(number).expect("finite"),
            Self::Text(text) => serde_json::to_string(text).expect("text"),
            Self::Bytes(bytes) => format!("\"{}\"", base64(bytes)),
            Self::List(list) => format!("{list:?}"),
            Self::Object(key) => format!("{{{}:[]}}", serde_json::to_string(key).expect("text")),
        }
    }

    /// What the column gets.
    fn kept(&self, kind: WireType, required: bool) -> Slot<'static> {
        let kept = match (self, kind) {
            (Self::Truth(truth), WireType::Boolean | WireType::Any) => {
                Some(Slot::Integer((*truth).into()))
            }
            (Self::Integer(number), WireType::Number | WireType::Any) => {
                Some(Slot::Integer(*number))
            }
            (Self::Integer(number @ (0 | 1)), WireType::Boolean) => Some(Slot::Integer(*number)),
            (Self::Large(number), _) => return large(*number).kept(kind, required),
            (Self::Real(number), _) if !number.is_finite() => None,
            // Nought has no sign, and what has no fraction was written without one or with ".0".
            (Self::Real(number), WireType::Number | WireType::Any) if *number == 0.0 => {
                Some(Slot::Integer(0))
            }
            (Self::Real(number), WireType::Number | WireType::Any) => Some(Slot::Real(*number)),
            (Self::Real(number), WireType::Boolean) if *number == 0.0 || *number == 1.0 => {
                Some(Slot::Integer(*number as i64))
            }
            (Self::Text(text), WireType::String | WireType::Any) => {
                Some(Slot::Text(text.clone().into()))
            }
            (Self::Bytes(bytes), WireType::Base64) => Some(Slot::Blob(bytes.clone())),
            (Self::Bytes(bytes), WireType::String | WireType::Any) => {
                Some(Slot::Text(base64(bytes).into()))
            }
            // A text may happen to be base64.
            (Self::Text(text), WireType::Base64) => decode(text).map(Slot::Blob),
            _ => None,
        };
        kept.unwrap_or(if required {
            Slot::Integer(0)
        } else {
            Slot::Null
        })
    }
}

/// An integer beyond 64 bits with a sign is a real.
fn large(number: u64) -> Given {
    i64::try_from(number).map_or(Given::Real(number as f64), Given::Integer)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(DIGITS[(bits >> (18 - 6 * place)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[derive(Arbitrary, Debug)]
pub struct Row {
    id: String,
    number: Option<i64>,
    updated: bool,
    values: Vec<(u8, Given)>,
}

pub fn run(rows: Vec<Row>) {
    let mut lists = [String::new(), String::new()];
    let mut wanted = [Vec::new(), Vec::new()];
    let mut ids = std::collections::HashSet::new();
    for row in &rows {
        let (id, event_id) = match row.number {
            Some(number) => (number.to_string(), WireId::Integer(number)),
            None => (
                serde_json::to_string(&row.id).expect("text"),
                WireId::Text(row.id.clone().into()),
            ),
        };
        if !ids.insert(
            row.number
                .map_or_else(|| row.id.clone(), |number| number.to_string()),
        ) {
            continue;
        }
        let mut slots: Vec<Slot<'static>> = vec![Slot::Missing; common::COLUMNS.len()];
        let mut members = format!("\"id\":{id}");
        for (column, given) in &row.values {
            let place = usize::from(*column) % common::COLUMNS.len();
            let (name, kind, required) = common::COLUMNS[place];
            members += &format!(",\"{name}\":{}", given.json());
            slots[place] = given.kept(kind, required);
        }
        let list = usize::from(row.updated);
        let comma = if lists[list].is_empty() { "" } else { "," };
        lists[list] += &format!("{comma}{{{members}}}");
        let announced = [Announced::Created, Announced::Updated][list];
        wanted[list].push(Event::Upsert(0, announced, event_id, slots));
    }
    let [created, updated] = lists;
    let body = format!(
        r#"{{"changes":{{"t":{{"created":[{created}],"updated":[{updated}]}},"i":{{}}}},"timestamp":1}}"#
    );
    let (end, events) = common::pull("", body.as_bytes());
    let end = end.unwrap_or_else(|error| panic!("{error:?}: {body}"));
    assert!(end.warnings.is_empty(), "{:?}: {body}", end.warnings);
    let [mut all, second] = wanted;
    all.extend(second);
    // It is a pull from the beginning.
    all.extend([Event::Named(0), Event::Named(1)]);
    assert_eq!(events, all, "{body}");
}
