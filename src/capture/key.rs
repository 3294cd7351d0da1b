//! Keys as they are in the log.
//!
//! A key of one column is logged as the value it is. A key of several columns is logged as text: the
//! values joined by commas, text as `t` and its bytes in hexadecimal, everything else as SQLite's
//! `quote()` writes it. Both are built by the triggers in plain SQL.

use std::hash::{Hash, Hasher};

use crate::store::{Database, Error, Result, Value, quote_name, shown};

/// A key, usable in sets and maps. Numbers are equal as SQLite sees them: 1 and 1.0 are one key.
#[derive(Debug, Clone)]
pub struct Key(pub Value);

impl Key {
    /// Bytes beside its own size.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) | Value::InvalidText(bytes) => bytes.len(),
            Value::Null | Value::Integer(_) | Value::Real(_) => 0,
        }
    }
}

/// The integer that a number is, if it is one.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Real(number) => {
            let truncated = *number as i64;
            (truncated as f64 == *number && truncated != i64::MAX).then_some(truncated)
        }
        _ => None,
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (whole(&self.0), whole(&other.0)) {
            (Some(one), Some(two)) => return one == two,
            (None, None) => {}
            _ => return false,
        }
        match (&self.0, &other.0) {
            (Value::Real(one), Value::Real(two)) => one.to_bits() == two.to_bits(),
            (one, two) => one == two,
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(number) = whole(&self.0) {
            return number.hash(state);
        }
        match &self.0 {
            Value::Null | Value::Integer(_) => 0u8.hash(state),
            Value::Real(number) => number.to_bits().hash(state),
            Value::Text(text) => text.hash(state),
            Value::InvalidText(bytes) | Value::Blob(bytes) => bytes.hash(state),
        }
    }
}

/// How a database stores text. Composite keys hold the bytes of text as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16Little,
    Utf16Big,
}

impl Encoding {
    /// Asks the database. All attached files have the same.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database) -> Result<Self> {
        let name = database.query_value("PRAGMA encoding", &[])?;
        Ok(match name.as_str() {
            Some("UTF-16le") => Self::Utf16Little,
            Some("UTF-16be") => Self::Utf16Big,
            _ => Self::Utf8,
        })
    }

    fn decode(self, bytes: Vec<u8>) -> Value {
        let units = |join: fn([u8; 2]) -> u16| -> Vec<u16> {
            bytes
                .chunks_exact(2)
                .map(|pair| join([pair[0], pair[1]]))
                .collect()
        };
        let units = match self {
            Self::Utf16Little => units(u16::from_le_bytes),
            Self::Utf16Big => units(u16::from_be_bytes),
            Self::Utf8 => {
                return match String::from_utf8(bytes) {
                    Ok(text) => Value::Text(text),
                    Err(error) => Value::InvalidText(error.into_bytes()),
                };
            }
        };
        Value::Text(String::from_utf16_lossy(&units))
    }
}

/// The SQL expression that builds the logged key from the columns of `row` (`NEW`, `OLD`, an alias).
pub fn expression(row: &str, keys: &[&str]) -> String {
    if let [key] = keys {
        return format!("{row}.{}", quote_name(key));
    }
    let parts: Vec<String> = keys
        .iter()
        .map(|key| {
            let column = format!("{row}.{}", quote_name(key));
            format!(
                "CASE typeof({column}) WHEN 'text' THEN 't' || hex({column}) ELSE quote({column}) END"
            )
        })
        .collect();
    parts.join(" || ',' || ")
}

/// The values of a logged key of `count` columns.
///
/// # Errors
/// [`Error::Corrupt`] when the log was edited by hand.
pub fn values(key: &Value, count: usize, encoding: Encoding) -> Result<Vec<Value>> {
    if count == 1 {
        return Ok(vec![key.clone()]);
    }
    let broken = || {
        let key = shown(key);
        Error::Corrupt(format!("_syncChange holds the malformed key {key}"))
    };
    let text = key.as_str().ok_or_else(broken)?;
    let values: Option<Vec<Value>> = text.split(',').map(|part| decode(part, encoding)).collect();
    values
        .filter(|values| values.len() == count)
        .ok_or_else(broken)
}

fn decode(part: &str, encoding: Encoding) -> Option<Value> {
    if let Some(digits) = part.strip_prefix('t') {
        return unhex(digits).map(|bytes| encoding.decode(bytes));
    }
    if let Some(digits) = part
        .strip_prefix("X'")
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return unhex(digits).map(Value::Blob);
    }
    if part == "NULL" {
        return Some(Value::Null);
    }
    if let Ok(number) = part.parse::<i64>() {
        return Some(Value::Integer(number));
    }
    part.parse::<f64>().ok().map(Value::Real)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_column_is_the_value_itself() {
        assert_eq!(expression("NEW", &["a\"b"]), "NEW.\"a\"\"b\"");
        assert_eq!(
            values(&Value::Integer(7), 1, Encoding::Utf8),
            Ok(vec![Value::Integer(7)])
        );
    }

    #[test]
    fn several_columns_come_back_as_they_were() {
        let key = Value::Text("t612C27,-5,X'00FF',1.5,NULL".into());
        let expected = vec![
            Value::Text("a,'".into()),
            Value::Integer(-5),
            Value::Blob(vec![0, 255]),
            Value::Real(1.5),
            Value::Null,
        ];
        assert_eq!(values(&key, 5, Encoding::Utf8), Ok(expected));
        assert!(values(&key, 4, Encoding::Utf8).is_err());
        assert!(values(&Value::Text("tZZ,1".into()), 2, Encoding::Utf8).is_err());
        assert!(values(&Value::Null, 2, Encoding::Utf8).is_err());
    }

    #[test]
    fn text_of_a_utf_16_database() {
        let key = Value::Text("te4007100,1".into());
        let expected = vec![Value::Text("äq".into()), Value::Integer(1)];
        assert_eq!(values(&key, 2, Encoding::Utf16Little), Ok(expected));
    }

    #[test]
    fn numbers_are_one_key_whatever_their_type() {
        assert_eq!(Key(Value::Integer(1)), Key(Value::Real(1.0)));
        assert_ne!(Key(Value::Integer(1)), Key(Value::Real(1.5)));
        assert_ne!(Key(Value::Integer(1)), Key(Value::Text("1".into())));
    }
}
