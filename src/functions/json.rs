//! Reading arguments that are JSON, value by value, so that an error names the place.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::arguments::MAIN;
use crate::store::{Call, Error, Result, ValueRef, checked_name};

/// The members of an object, their values unread.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// The members of a JSON object.
///
/// # Errors
/// Malformed JSON; another type.
pub fn members(text: &str, label: &str) -> Result<Members> {
    if !text.trim_start().starts_with('{') {
        return Err(Error::argument(format!("{label} must be a JSON object")));
    }
    parse(text, label)
}

/// The members of an argument that is a JSON object; NULL or absent reads as `{}`.
///
/// # Errors
/// Malformed JSON; another type.
pub fn argument(call: &Call<'_>, index: usize, label: &str) -> Result<Members> {
    match call.argument(index) {
        ValueRef::Null => Ok(Members::new()),
        ValueRef::Text(text) => members(text, label),
        other => Err(Error::argument(format!(
            "{label} must be a JSON object, not {}",
            other.type_name()
        ))),
    }
}

/// The elements of a JSON array, unread.
///
/// # Errors
/// Malformed JSON; another type.
pub fn elements(text: &str, label: &str) -> Result<Vec<Box<RawValue>>> {
    if !text.trim_start().starts_with('[') {
        return Err(Error::argument(format!("{label} must be a JSON array")));
    }
    parse(text, label)
}

fn parse<T: DeserializeOwned>(text: &str, label: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::argument(format!("{label} is not valid JSON: {error}")))
}

/// A JSON value of a certain type; `must` says which.
///
/// # Errors
/// Another type.
pub fn typed<T: DeserializeOwned>(raw: &RawValue, label: &str, must: &str) -> Result<T> {
    serde_json::from_str(raw.get()).map_err(|_| {
        Error::argument(format!(
            "{label} must be {must}, not {}",
            excerpt(raw.get())
        ))
    })
}

/// A name.
///
/// # Errors
/// Another type, what no name may be.
pub fn name(raw: &RawValue, label: &str) -> Result<String> {
    let name: String = typed(raw, label, "text")?;
    checked_name(&name, label)?;
    Ok(name)
}

/// The names of a JSON array.
///
/// # Errors
/// Anything but an array of names.
pub fn names(text: &str, label: &str) -> Result<Vec<String>> {
    let all = elements(text, label)?;
    let all = all.iter().enumerate();
    all.map(|(position, element)| name(element, &format!("{label}[{position}]")))
        .collect()
}

/// Enough of a value to recognise it in a message.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// An object whose keys are known. JSON null counts as absent.
pub struct Object {
    /// What the object is called in front of its keys; empty: nothing.
    label: &'static str,
    members: Members,
}

impl Object {
    pub fn new(label: &'static str, members: Members) -> Self {
        Self { label, members }
    }

    /// The argument `options` of a function.
    ///
    /// # Errors
    /// As [`argument`]; a key that is not `known`: a misspelt one would otherwise silently do something else.
    pub fn options(call: &Call<'_>, index: usize, known: &[&str]) -> Result<Self> {
        const LABEL: &str = "options";
        let members = argument(call, index, LABEL)?;
        match members.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self::new(LABEL, members)),
            Some(key) => Err(Error::argument(format!(
                "unknown key \"{LABEL}.{key}\"; known are {}",
                known.join(", ")
            ))),
        }
    }

    fn label(&self, key: &str) -> String {
        match self.label {
            "" => key.into(),
            label => format!("{label}.{key}"),
        }
    }

    /// The value of a key.
    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        self.members
            .get(key)
            .map(|value| &**value)
            .filter(|value| value.get() != "null")
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// It is missing.
    pub fn required(&self, key: &str) -> Result<&RawValue> {
        self.raw(key)
            .ok_or_else(|| Error::argument(format!("{} is missing", self.label(key))))
    }

    /// As [`typed`], when given.
    ///
    /// # Errors
    /// Another type.
    pub fn typed<T: DeserializeOwned>(&self, key: &str, must: &str) -> Result<Option<T>> {
        let read = |raw| typed(raw, &self.label(key), must);
        self.raw(key).map(read).transpose()
    }

    /// Whether a switch is on; absent: off.
    ///
    /// # Errors
    /// Neither true nor false.
    pub fn flag(&self, key: &str) -> Result<bool> {
        Ok(self.typed(key, "true or false")?.unwrap_or_default())
    }

    /// As [`name`], when given.
    ///
    /// # Errors
    /// As there.
    pub fn name(&self, key: &str) -> Result<Option<String>> {
        let read = |raw| name(raw, &self.label(key));
        self.raw(key).map(read).transpose()
    }

    /// As [`names`], when given.
    ///
    /// # Errors
    /// As there.
    pub fn names(&self, key: &str) -> Result<Option<Vec<String>>> {
        let read = |raw: &RawValue| names(raw.get(), &self.label(key));
        self.raw(key).map(read).transpose()
    }

    /// Values by name; absent: none.
    ///
    /// # Errors
    /// Another type, what no name may be.
    pub fn by_name<T: DeserializeOwned>(
        &self,
        key: &str,
        must: &str,
    ) -> Result<BTreeMap<String, T>> {
        let values: BTreeMap<String, T> = self.typed(key, must)?.unwrap_or_default();
        for name in values.keys() {
            checked_name(name, &format!("a name in {}", self.label(key)))?;
        }
        Ok(values)
    }

    /// The attached file that the call is about.
    ///
    /// # Errors
    /// As [`name`].
    pub fn schema(&self) -> Result<String> {
        Ok(self.name("schema")?.unwrap_or_else(|| MAIN.into()))
    }

    /// What is given under some keys, as ordinary JSON.
    ///
    /// # Errors
    /// A number beyond what JSON values here can hold.
    pub fn settings(&self, keys: &[&str]) -> Result<Map<String, Json>> {
        let mut settings = Map::new();
        for (key, value) in &self.members {
            if keys.contains(&key.as_str()) {
                settings.insert(key.clone(), typed(value, &self.label(key), "valid")?);
            }
        }
        Ok(settings)
    }
}
