//! A kind of provider, and a configuration of it.

use std::fmt;

use serde_json::{Map, Value as Json};

use super::conversation::Provider;
use super::imported::{Description, Imported};
use crate::ground::key::{Keys, Takes, check_keys};
use crate::ground::origin;

/// Who moves the data between the backend and the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The host program, which hands over responses or reports what it did.
    Nobody,
    /// Requests to a server.
    Http,
    /// Another file, which is opened within the call.
    File,
}

/// One kind. The list of them is in `kinds.rs`.
pub struct Kind {
    /// What `kind` in a configuration says.
    pub name: &'static str,
    pub transport: Transport,
    pub keys: Keys,
    /// Values of keys that are not given, where they follow from others that are.
    pub fill: fn(&Map<String, Json>) -> Map<String, Json>,
    /// Checks what no key shows by itself. The error is `<key> <problem>; <what to do>`.
    pub check: fn(&Settings) -> Result<(), String>,
    /// How functions are described, where what is asked for is described by such; none where the protocol says it.
    pub functions: Option<Functions>,
    /// The provider that a configuration describes; none when the host program moves the data.
    pub open: Open,
}

/// See [`Kind::open`].
pub type Open = Option<fn(&Settings, &Stored) -> Result<Box<dyn Provider>, String>>;

/// An SQL expression in a function.
#[derive(Debug, Clone)]
pub struct Expression {
    /// The key that has it.
    pub key: String,
    pub sql: String,
    /// The table whose columns it is about; none: it stands alone.
    pub table: Option<String>,
}

impl Expression {
    /// One that stands alone.
    pub fn new(key: &str, sql: &str) -> Self {
        Self {
            key: key.to_owned(),
            sql: sql.to_owned(),
            table: None,
        }
    }
}

/// See [`Functions::import`].
pub type Import = fn(&Settings, Description, &Map<String, Json>) -> Result<Imported, String>;

/// How the functions of a kind are described.
pub struct Functions {
    pub keys: Keys,
    /// Checks what no key shows by itself. The error is `<key> <problem>; <what to do>`.
    pub check: fn(&Map<String, Json>) -> Result<(), String>,
    /// The SQL in a function that was checked: it only runs on connections that were given it.
    pub sql: fn(&Map<String, Json>) -> Vec<Expression>,
    /// What a document gives in which the API is described by others. The error is a document that is of another kind.
    pub import: Import,
}

/// What the file keeps of a provider, besides its configuration.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// What its conversations have asked to be remembered; null at first.
    pub memory: Json,
    /// Its functions, as they were checked.
    pub functions: Vec<(String, Map<String, Json>)>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A configuration whose keys have been checked one by one, with what is filled in and all defaults. A key
/// that the kind does not have reads as one that is not set.
#[derive(Debug, Clone)]
pub struct Settings {
    kind: &'static Kind,
    /// What the user has given.
    stored: String,
    /// That, and what the kind fills in.
    set: Map<String, Json>,
    /// The keys that are not set, where they have a default of their own.
    defaults: Map<String, Json>,
}

impl Settings {
    /// Reads the keys of a configuration but `kind` itself.
    ///
    /// # Errors
    /// A key that is not one of this kind, that is missing, or whose value is not as declared:
    /// `<key> <problem>; <what to do>`.
    pub fn read(kind: &'static Kind, given: &Map<String, Json>) -> Result<Self, String> {
        let mut stored = Map::new();
        stored.insert("kind".into(), kind.name.into());
        let mut set = given.clone();
        check_keys(&mut set, kind.keys, "", kind.name)?;
        let mut defaults = Map::new();
        let filled = (kind.fill)(&set);
        for key in kind.keys.iter().copied().flatten() {
            if let Some(value) = set.get(key.name) {
                stored.insert(key.name.into(), ordered(value, key.takes));
            } else if let Some(value) = filled.get(key.name) {
                set.insert(key.name.into(), value.clone());
            } else if let Some(value) = key.default_value() {
                defaults.insert(key.name.into(), value);
            }
        }
        Ok(Self {
            kind,
            stored: Json::Object(stored).to_string(),
            set,
            defaults,
        })
    }

    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The provider that is described.
    ///
    /// # Errors
    /// A kind whose data the host program moves; a configuration that [`Kind::check`] would refuse.
    pub fn open(&self, stored: &Stored) -> Result<Box<dyn Provider>, String> {
        match self.kind.open {
            Some(open) => open(self, stored),
            None => Err(format!("config: kind {} has no protocol", self.kind.name)),
        }
    }

    /// What was given, in a form that is the same however it was recorded.
    pub fn stored(&self) -> &str {
        &self.stored
    }

    /// Whether a key was given or is filled in.
    pub fn is_set(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }

    /// The first key with which another configuration is, or may be, about other data.
    pub fn moved_by(&self, other: &Self) -> Option<&'static str> {
        if self.kind.name != other.kind.name {
            return Some("kind");
        }
        let (old, new) = (parts(self.text("url")), parts(other.text("url")));
        if !old.0.eq_ignore_ascii_case(new.0) {
            return Some("the origin of url");
        }
        if old.1 != new.1 {
            return Some("the parameters of url");
        }
        PLACE
            .iter()
            .copied()
            .find(|key| self.get(key) != other.get(key))
    }

    /// The value that holds.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.set.get(key).or_else(|| self.defaults.get(key))
    }

    /// A text; none when there is no value.
    pub fn optional_text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// A text; empty when there is no value.
    pub fn text(&self, key: &str) -> &str {
        self.optional_text(key).unwrap_or_default()
    }

    /// A switch; none when there is no value.
    pub fn optional_flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// A switch; false when there is no value.
    pub fn flag(&self, key: &str) -> bool {
        self.optional_flag(key).unwrap_or_default()
    }

    /// A number; none when there is no value.
    pub fn optional_number(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// A number; 0 when there is no value.
    pub fn number(&self, key: &str) -> u64 {
        self.optional_number(key).unwrap_or_default()
    }

    /// The texts of a list; none when there is no value.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let list = self.get(key).and_then(Json::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect()
    }

    /// The members of an object; none when there is no value.
    pub fn map(&self, key: &str) -> impl Iterator<Item = (&str, &Json)> {
        let members = self.get(key).and_then(Json::as_object);
        let members = members.into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), value))
    }

    /// The members of an object of texts; none when there is no value.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = (&str, &str)> {
        self.map(key)
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
    }
}

/// Keys that say which data a configuration is about, besides `url`, in the kinds that have them: with another value, cursors
/// may mean something else.
const PLACE: &[&str] = &["params", "cursorUnit", "serverSchema", "file", "attached"];

/// Origin and query of an address.
fn parts(url: &str) -> (&str, &str) {
    (
        origin(url),
        url.split_once('?').map_or("", |(_, query)| query),
    )
}

/// A value without what makes no difference: the order of the members of a map.
fn ordered(value: &Json, takes: Takes) -> Json {
    let mut value = value.clone();
    if let (Takes::Map(_), Json::Object(members)) = (takes, &mut value) {
        members.sort_keys();
    }
    value
}
