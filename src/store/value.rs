//! SQLite values, borrowed and owned.

use std::borrow::Cow;

/// A value borrowed from SQLite or on its way to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    /// Text that is not valid UTF-8. SQLite stores it happily; JSON can't.
    InvalidText(&'a [u8]),
    Blob(&'a [u8]),
}

/// A value we own.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// As [`ValueRef::InvalidText`].
    InvalidText(Vec<u8>),
    Blob(Vec<u8>),
}

impl<'a> ValueRef<'a> {
    /// SQLite's name of the type, for messages.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::InvalidText(_) => "text that is not valid UTF-8",
            Self::Blob(_) => "blob",
        }
    }

    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, if this is valid text.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if this is one.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A whole number, also where it comes as a real: drivers of JavaScript bind every number as one.
    pub fn as_whole(self) -> Option<i64> {
        // Beyond it reals leave numbers out, so that nobody can have meant this very one.
        const EXACT: f64 = (1u64 << 53) as f64;
        match self {
            Self::Integer(number) => Some(number),
            Self::Real(real) if real.trunc() == real && real.abs() <= EXACT => Some(real as i64),
            _ => None,
        }
    }

    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(number),
            Self::Real(number) => Value::Real(number),
            Self::Text(text) => Value::Text(text.into()),
            Self::InvalidText(bytes) => Value::InvalidText(bytes.into()),
            Self::Blob(bytes) => Value::Blob(bytes.into()),
        }
    }
}

impl Value {
    pub fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::InvalidText(bytes) => ValueRef::InvalidText(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        self.borrow().as_str()
    }

    pub fn as_i64(&self) -> Option<i64> {
        self.borrow().as_i64()
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.borrow()
    }
}

impl<'a> From<&'a str> for ValueRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for ValueRef<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Cow<'_, str>> for ValueRef<'a> {
    fn from(text: &'a Cow<'_, str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for ValueRef<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for ValueRef<'_> {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for ValueRef<'_> {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl<'a, T: Into<ValueRef<'a>>> From<Option<T>> for ValueRef<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
