//! How the server spells JSON: the same bytes are sent and hashed.

use crate::oversync::escape::escaped;

/// A text as JSON, with nothing escaped that need not be.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A number in its fewest digits, as JavaScript spells it: with an exponent below 1e-6 and from
/// 1e21 on.
pub fn shortest(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return without_exponent(number);
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// A number in its fewest digits, however many zeros that takes.
pub fn without_exponent(number: f64) -> String {
    if number == 0.0 {
        return "0".to_string();
    }
    number.to_string()
}

/// Writes an object member by member, in the order given.
pub struct Object(String);

impl Object {
    pub fn new() -> Object {
        Object("{".to_string())
    }

    pub fn text(self, name: &str, value: &str) -> Object {
        let value = escaped(&quoted(value));
        self.raw(name, &value)
    }

    pub fn number(self, name: &str, value: i64) -> Object {
        self.raw(name, &value.to_string())
    }

    pub fn flag(self, name: &str, value: bool) -> Object {
        self.raw(name, &value.to_string())
    }

    /// A member whose value is JSON already.
    pub fn raw(mut self, name: &str, value: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// An array of what is JSON already.
pub fn array(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    format!("[{}]", items.join(","))
}
