//! One value of a row: taken from a payload as the database takes it, written as the server does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::spelling::{quoted, shortest, without_exponent};
use super::tables::Kind;
use crate::oversync::stamp;
use crate::oversync::uuid::from_digits;

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
    Real(f64),
    Bool(bool),
    Time(DateTime<Utc>),
}

/// How values are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whole numbers lose what a double cannot hold.
    pub rounds: bool,
    /// true and false are no whole numbers.
    pub strict_booleans: bool,
}

impl Cell {
    /// A value of a payload in a column of that kind; None if the database refuses it.
    pub fn read(kind: Kind, value: &Value, how: Reading) -> Option<Cell> {
        if value.is_null() {
            return Some(Cell::Null);
        }
        match kind {
            Kind::Text => text(value).map(Cell::Text),
            Kind::Uuid => uuid(value.as_str()?).map(Cell::Text),
            Kind::Bytes => STANDARD.decode(value.as_str()?).ok().map(Cell::Bytes),
            Kind::BigInt => whole(value, how).map(Cell::Int),
            Kind::Double => real(value).map(Cell::Real),
            Kind::Boolean => boolean(value).map(Cell::Bool),
            Kind::Timestamptz => stamp::read(value.as_str()?).map(Cell::Time),
        }
    }

    /// As in bundles: numbers as JavaScript spells them. `exact` keeps whole numbers as they are.
    pub fn in_a_bundle(&self, exact: bool) -> String {
        match self {
            Cell::Int(number) if !exact => shortest(*number as f64),
            Cell::Real(number) if number.is_finite() => shortest(*number),
            _ => self.in_the_database(),
        }
    }

    /// As the database itself writes it.
    pub fn in_the_database(&self) -> String {
        match self {
            Cell::Null => "null".to_string(),
            Cell::Text(text) => quoted(text),
            Cell::Bytes(bytes) => quoted(&STANDARD.encode(bytes)),
            Cell::Int(number) => number.to_string(),
            Cell::Real(number) if number.is_finite() => without_exponent(*number),
            Cell::Real(number) => quoted(&unusual(*number)),
            Cell::Bool(flag) => flag.to_string(),
            Cell::Time(time) => quoted(&stamp::in_a_row(*time)),
        }
    }

    /// The row that a foreign key points to.
    pub fn as_key(&self) -> Option<String> {
        match self {
            Cell::Null => None,
            Cell::Text(text) => Some(text.clone()),
            _ => Some(self.in_the_database()),
        }
    }
}

fn unusual(number: f64) -> String {
    let text = match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    text.to_string()
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => shortest(number.as_f64()?),
        other => other.to_string(),
    };
    (!text.contains('\0')).then_some(text)
}

fn whole(value: &Value, how: Reading) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) if how.rounds => shortest(number.as_f64()?).parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64()?;
            shortest(number).parse().ok()
        }),
        Value::Bool(flag) if !how.strict_booleans => Some(i64::from(*flag)),
        _ => None,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64()? {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A UUID in its one spelling, from any that the database takes.
fn uuid(text: &str) -> Option<String> {
    let bare = text.trim_start_matches('{').trim_end_matches('}');
    let digits: String = bare.chars().filter(|digit| *digit != '-').collect();
    from_digits(&digits)
}

/// Whether a text is a UUID in its one spelling.
pub fn is_canonical_uuid(text: &str) -> bool {
    uuid(text).is_some_and(|canonical| canonical == text)
}
