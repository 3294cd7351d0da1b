//! Entities and rows as they travel, whatever the protocol.

use std::borrow::Cow;
use std::fmt;

use crate::ground::{Affinity, uuid};
use crate::store::{Value, ValueRef};

/// How the values of a column travel; see `sync_track`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    String,
    Number,
    Boolean,
    Base64,
    /// JSON of any shape, kept as its text.
    Json,
    Any,
    Uuid(Uuid),
}

/// A column of UUIDs. What is none is a text or a blob like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid {
    /// How the column keeps them.
    pub here: UuidForm,
    /// How they travel. Both forms are read.
    pub there: UuidForm,
}

/// A form of UUIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuidForm {
    Text,
    /// The 16 bytes; in JSON as base64.
    Bytes,
}

/// How a column keeps its values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    pub affinity: Affinity,
    /// A STRICT table's column: it takes values of one type only.
    pub strict: Option<StrictType>,
}

/// The types of STRICT tables. ANY takes everything, so it counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrictType {
    Integer,
    Real,
    Text,
    Blob,
}

impl Holds {
    /// By SQLite's rules; `declared` in upper case.
    pub fn of(declared: &str, strict: bool) -> Self {
        let only = match declared {
            "INT" | "INTEGER" => Some(StrictType::Integer),
            "REAL" => Some(StrictType::Real),
            "TEXT" => Some(StrictType::Text),
            "BLOB" => Some(StrictType::Blob),
            _ => None,
        };
        Self {
            affinity: Affinity::of(declared, strict),
            strict: only.filter(|_| strict),
        }
    }
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
    pub holds: Holds,
}

#[cfg(test)]
impl WireColumn {
    /// A column that may be NULL, as a test declares it.
    pub fn of(name: &str, kind: WireType, declared: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: false,
            holds: Holds::of(declared, false),
        }
    }
}

/// An entity as a protocol sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Its name on the wire.
    pub name: String,
    pub columns: Vec<WireColumn>,
    /// The name of the key column.
    pub key: String,
    /// Places of the columns that refer to other rows.
    pub references: Vec<usize>,
    pub key_type: KeyType,
}

/// What the key column holds. On the wire an id is text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyType {
    #[default]
    Text,
    Integer,
    /// Blobs of 16 bytes. Ids are their UUIDs, in the usual spelling.
    Uuid,
}

/// The columns of a table of documents, besides its key `id`.
const DOCUMENT: [&str; 2] = ["data", "timestamp"];

impl Entity {
    /// Whether it is kept as documents: `id`, `data`, `timestamp`.
    pub fn is_document(&self) -> bool {
        let is_one = |column: &WireColumn| {
            DOCUMENT
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&column.name))
        };
        self.key.eq_ignore_ascii_case("id")
            && self.columns.len() == DOCUMENT.len()
            && self.columns.iter().all(is_one)
    }

    /// The place of the column of a document that says when it came.
    pub fn stamp(&self) -> Option<usize> {
        let mut columns = self.columns.iter();
        let place = columns.position(|column| column.name.eq_ignore_ascii_case(DOCUMENT[1]));
        place.filter(|_| self.is_document())
    }

    /// The id of the row with a key; none where it can't have any.
    pub fn id_of<'k>(&self, key: ValueRef<'k>) -> Option<Cow<'k, str>> {
        match key {
            ValueRef::Text(id) => Some(Cow::Borrowed(id)),
            ValueRef::Integer(number) => Some(Cow::Owned(number.to_string())),
            ValueRef::Blob(bytes) if self.key_type == KeyType::Uuid => {
                uuid::text(bytes).map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// The key that an id stands for; none when it can't be one.
    pub fn key_of(&self, id: &str) -> Option<Value> {
        match self.key_type {
            KeyType::Text => Some(Value::from(id)),
            KeyType::Integer => {
                let number: i64 = id.parse().ok()?;
                (number.to_string() == id).then_some(Value::Integer(number))
            }
            KeyType::Uuid => uuid::bytes(id).map(|bytes| Value::Blob(bytes.into())),
        }
    }
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
    /// The column can't hold the value so that it would go up again as it came: it holds the nearest thing,
    /// and the value is kept aside.
    Kept(Box<Kept>),
}

/// A value that its column can't hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What the column gets; never another of these.
    pub local: Slot<'static>,
    /// The value as it came.
    pub json: String,
    /// The column gets the same value in another form, not something in its place.
    pub close: bool,
}

/// The value of a column as it would be sent.
#[derive(Debug, Clone, Copy)]
pub enum Face<'a> {
    /// What the column holds.
    Value(ValueRef<'a>),
    /// What is kept aside for it.
    Json(&'a str),
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
            Self::Kept(kept) => kept.local.value(),
        }
    }

    /// What is to be kept aside.
    pub fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Kept(kept) => Some(kept),
            _ => None,
        }
    }

    /// As the server has it.
    pub fn face(&self) -> Face<'_> {
        match self {
            Self::Kept(kept) => Face::Json(&kept.json),
            _ => Face::Value(self.value()),
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
            Self::Kept(kept) => Slot::Kept(kept),
        }
    }

    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// What replaces a value that is missing or does not fit.
pub fn fallback(column: &WireColumn) -> Slot<'static> {
    if !column.required {
        return Slot::Null;
    }
    let empty = || Slot::Text(Cow::Borrowed(""));
    match (column.holds.strict, column.kind) {
        (None | Some(StrictType::Text), WireType::Json) => Slot::Text(Cow::Borrowed("null")),
        (Some(StrictType::Text), _) => empty(),
        (Some(StrictType::Integer), _) => Slot::Integer(0),
        (Some(StrictType::Real), _) => Slot::Real(0.0),
        (Some(StrictType::Blob), _) => Slot::Blob(Vec::new()),
        (None, WireType::String | WireType::Any) => empty(),
        (None, WireType::Number | WireType::Boolean) => Slot::Integer(0),
        (None, WireType::Uuid(uuid)) if uuid.here == UuidForm::Text => empty(),
        (None, WireType::Base64 | WireType::Uuid(_)) => Slot::Blob(Vec::new()),
    }
}

/// The id of a row on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum WireId<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    /// Text with half of a surrogate pair, which no column can hold, as its JSON: never a key.
    Broken(String),
}

impl fmt::Display for WireId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Broken(json) => f.write_str(json),
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
            Self::Broken(json) => WireId::Broken(json),
        }
    }
}
