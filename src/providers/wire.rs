//! Entities and rows as they travel, whatever the protocol.

use std::borrow::Cow;
use std::fmt;

use crate::store::ValueRef;

/// How the values of a column travel; see `sync_track`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    String,
    Number,
    Boolean,
    Base64,
    Any,
}

/// What has happened to a row that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    Created,
    Updated,
    Deleted,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Deleted]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// One synced column other than the key.
#[derive(Debug, Clone, PartialEq)]
pub struct WireColumn {
    pub name: String,
    pub kind: WireType,
    /// NOT NULL: takes `''` or 0 where the answer has nothing fitting.
    pub required: bool,
}

/// An entity as a protocol sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Its name on the wire.
    pub name: String,
    pub columns: Vec<WireColumn>,
    /// The key column holds integers; on the wire an id is text.
    pub integer_key: bool,
}

/// The value of one column of a row that came in.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Slot<'a> {
    /// The row does not mention the column.
    #[default]
    Missing,
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(Vec<u8>),
}

impl Slot<'_> {
    /// The value to bind; a missing one binds as NULL.
    pub fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Missing | Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    /// A value that is there.
    pub fn of(value: ValueRef<'_>) -> Slot<'static> {
        match value {
            ValueRef::Null => Slot::Null,
            ValueRef::InvalidText(_) => Slot::Missing,
            ValueRef::Integer(number) => Slot::Integer(number),
            ValueRef::Real(number) => Slot::Real(number),
            ValueRef::Text(text) => Slot::Text(Cow::Owned(text.to_owned())),
            ValueRef::Blob(bytes) => Slot::Blob(bytes.to_vec()),
        }
    }

    /// The same value, owned.
    pub fn into_owned(self) -> Slot<'static> {
        match self {
            Self::Missing => Slot::Missing,
            Self::Null => Slot::Null,
            Self::Integer(number) => Slot::Integer(number),
            Self::Real(number) => Slot::Real(number),
            Self::Text(text) => Slot::Text(Cow::Owned(text.into_owned())),
            Self::Blob(bytes) => Slot::Blob(bytes),
        }
    }

    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// What replaces a value that is missing or does not fit.
pub fn fallback(kind: WireType, required: bool) -> Slot<'static> {
    match (required, kind) {
        (false, _) => Slot::Null,
        (true, WireType::String | WireType::Any) => Slot::Text(Cow::Borrowed("")),
        (true, WireType::Number | WireType::Boolean) => Slot::Integer(0),
        (true, WireType::Base64) => Slot::Blob(Vec::new()),
    }
}

/// The id of a row on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum WireId<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
}

impl fmt::Display for WireId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
        }
    }
}

impl WireId<'_> {
    /// The same id, owned.
    pub fn into_owned(self) -> WireId<'static> {
        match self {
            Self::Text(text) => WireId::Text(Cow::Owned(text.into_owned())),
            Self::Integer(number) => WireId::Integer(number),
        }
    }
}
