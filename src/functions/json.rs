//! Reading arguments that are JSON, value by value, so that an error names the place.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::arguments::MAIN;
use crate::ground::key::{
    Key, Keys, Takes, Usual, find_key, key, key_names, require_keys, unknown_key,
};
use crate::ground::{complaint, read_members, read_value};
use crate::store::{Call, Error, Result, ValueRef, checked_name, read_name, read_names};

/// The members of an object, their values unread.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// The members of a JSON object.
///
/// # Errors
/// Malformed JSON; another type; a key that is given twice.
pub fn members(text: &str, label: &str) -> Result<Members> {
    let members = read_members(text, label).map_err(Error::Argument)?;
    Ok(members.into_iter().collect())
}

/// The text of an argument that is a JSON object; `{}` when it is NULL or absent.
///
/// # Errors
/// Another type.
pub fn argument<'a>(call: &'a Call<'_>, index: usize, label: &str) -> Result<&'a str> {
    match call.argument(index) {
        ValueRef::Null => Ok("{}"),
        ValueRef::Text(text) => Ok(text),
        other => Err(Error::argument(format!(
            "{label} must be a JSON object, not {}",
            other.type_name()
        ))),
    }
}

/// An object whose keys have been checked, each by itself. JSON null counts as absent.
pub struct Object {
    /// What an error puts in front of its keys.
    level: &'static str,
    members: Members,
}

/// The attached file that a call acts on.
#[rustfmt::skip]
pub const SCHEMA: &[Key] = &[
    key("schema", Takes::Text, Usual::Json("\"main\""), "the attached file", r#"{"schema":"main"}"#),
];

impl Object {
    /// Checks the members of an object; `of` is the function that it is for.
    ///
    /// # Errors
    /// A key that is not known (a misspelt one would otherwise silently do something else), or whose value is
    /// not as declared.
    pub fn read(mut members: Members, keys: Keys, level: &'static str, of: &str) -> Result<Self> {
        let mut ignored = Vec::new();
        for (name, raw) in &members {
            let Some(key) = find_key(keys, name) else {
                let problem = unknown_key(level, name, &key_names(keys), of);
                return Err(Error::Argument(problem));
            };
            let label = format!("{level}{name}");
            let value = read_value(raw, &label).map_err(Error::Argument)?;
            key.check(&value, &label).map_err(Error::Argument)?;
            if key.ignores(&value) {
                ignored.push(name.clone());
            }
        }
        for name in ignored {
            members.remove(&name);
        }
        Ok(Self { level, members })
    }

    /// # Errors
    /// A key that must be there is not.
    pub fn require(&self, keys: Keys) -> Result<()> {
        require_keys(keys, self.level, |name| self.members.contains_key(name))
            .map_err(Error::Argument)
    }

    /// Whether a key is given, and none beside it but the attached file.
    pub fn is_only(&self, key: &str) -> bool {
        let names = self.members.keys().filter(|name| *name != "schema");
        names.eq([key])
    }

    /// The argument `options` of the function that is called.
    ///
    /// # Errors
    /// As [`Object::read`]; another type.
    pub fn options(call: &Call<'_>, index: usize) -> Result<Self> {
        let members = members(argument(call, index, "options")?, "options")?;
        let function = call.function();
        Self::read(members, function.options, "options.", function.name)
    }

    fn label(&self, key: &str) -> String {
        format!("{}{key}", self.level)
    }

    /// The value of a key, unread.
    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        self.members.get(key).map(|value| &**value)
    }

    /// The value of a key, in a form that what it was declared to take can be read in.
    ///
    /// # Errors
    /// Another form.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(raw) = self.raw(key) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map(Some).map_err(|error| {
            let problem = complaint(&error);
            Error::argument(format!("{}: {problem}", self.label(key)))
        })
    }

    /// Whether a switch is on; absent: off.
    ///
    /// # Errors
    /// Neither true nor false.
    pub fn flag(&self, key: &str) -> Result<bool> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// As [`read_name`], when given.
    ///
    /// # Errors
    /// As there.
    pub fn name(&self, key: &str) -> Result<Option<String>> {
        let read = |raw| read_name(raw, &self.label(key));
        self.raw(key).map(read).transpose()
    }

    /// As [`Object::name`], where the key has been required.
    ///
    /// # Errors
    /// As there.
    pub fn required_name(&self, key: &str) -> Result<String> {
        Ok(self.name(key)?.unwrap_or_default())
    }

    /// The value of a key that has been required, unread.
    pub fn required(&self, key: &str) -> &str {
        self.raw(key).map(RawValue::get).unwrap_or_default()
    }

    /// As [`read_names`], when given.
    ///
    /// # Errors
    /// As there.
    pub fn names(&self, key: &str) -> Result<Option<Vec<String>>> {
        let read = |raw: &RawValue| read_names(raw.get(), &self.label(key));
        self.raw(key).map(read).transpose()
    }

    /// Values by name; absent: none.
    ///
    /// # Errors
    /// What no name may be.
    pub fn by_name<T: DeserializeOwned>(&self, key: &str) -> Result<BTreeMap<String, T>> {
        let values: BTreeMap<String, T> = self.get(key)?.unwrap_or_default();
        for name in values.keys() {
            checked_name(name, &format!("a name in {}", self.label(key)))?;
        }
        Ok(values)
    }

    /// The attached file that the call acts on.
    ///
    /// # Errors
    /// As [`read_name`].
    pub fn schema(&self) -> Result<String> {
        Ok(self.name("schema")?.unwrap_or_else(|| MAIN.into()))
    }

    /// What is given under some keys, as ordinary JSON.
    ///
    /// # Errors
    /// A number beyond what JSON values here can hold.
    pub fn settings(&self, keys: Keys) -> Result<Map<String, Json>> {
        let mut settings = Map::new();
        for (key, raw) in &self.members {
            if find_key(keys, key).is_some() {
                let value = read_value(raw, &self.label(key)).map_err(Error::Argument)?;
                settings.insert(key.clone(), value);
            }
        }
        Ok(settings)
    }
}
