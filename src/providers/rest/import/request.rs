//! What a function asks, as it is put together.

use serde_json::{Map, Value as Json};

use super::operation::{Operation, Parameter, Place};
use super::text::shown;
use crate::ground::key::check_keys;
use crate::http::header_name;
use crate::providers::credential::is_credential;
use crate::providers::imported::Made;
use crate::providers::rest::function::Function;
use crate::providers::rest::keys::FUNCTION;

/// A definition that `sync_function` would take.
pub fn checked(id: &str, mut definition: Map<String, Json>) -> Result<Made, String> {
    check_keys(&mut definition, FUNCTION, "", "sync_function")?;
    Function::read(id, &definition)?;
    Ok(Made {
        id: id.to_owned(),
        definition,
    })
}

/// The request of a function, as it is put together.
pub struct Request {
    path: String,
    query: Map<String, Json>,
    headers: Map<String, Json>,
    pub parameters: Map<String, Json>,
}

/// Headers that are no business of a function: OpenAPI says so of the first three.
const NOT_OURS: &[&str] = &["accept", "content-type", "authorization", "content-length"];

impl Request {
    pub fn new(operation: &Operation, prefix: &str) -> Self {
        Self {
            path: format!("{prefix}{}", operation.path),
            query: Map::new(),
            headers: Map::new(),
            parameters: Map::new(),
        }
    }

    /// Puts a text into the place of a parameter of the path.
    pub fn fill(&mut self, name: &str, place: &str) {
        self.path = self.path.replace(&format!("{{{name}}}"), place);
    }

    /// Takes a parameter.
    ///
    /// # Errors
    /// One without which the backend does not answer, and that no function can have.
    pub fn add(&mut self, parameter: &Parameter, notes: &mut Vec<String>) -> Result<(), String> {
        let name = parameter.name.as_str();
        let refused = |why: &str, notes: &mut Vec<String>| {
            let why = format!("the parameter {} {why}", shown(name));
            match parameter.is_required {
                true => Err(why),
                false => {
                    notes.push(format!("{why}; it is not sent"));
                    Ok(())
                }
            }
        };
        if name.len() > 200 || name.contains(['{', '}']) || name.chars().any(char::is_control) {
            return refused("has a name that no parameter of a function can have", notes);
        }
        let place = format!("{{param:{name}}}");
        let secret = "is a credential: put it into secretHeaders or secretQuery of the provider, with the name given to sync_secret";
        match parameter.place {
            Place::Cookie => return refused("is a cookie, which functions don't send", notes),
            Place::Header if NOT_OURS.contains(&name.to_ascii_lowercase().as_str()) => {
                return Ok(());
            }
            Place::Header if header_name(name).is_err() => {
                return refused("is a header that can't be sent", notes);
            }
            Place::Header if is_credential(name) => {
                notes.push(format!("the header {} {secret}", shown(name)));
                return Ok(());
            }
            Place::Query if is_credential(name) && parameter.value.is_some() => {
                return refused(secret, notes);
            }
            Place::Path => self.fill(name, &place),
            Place::Query => {
                let value = parameter.value.as_deref().unwrap_or(&place);
                self.query.insert(name.into(), value.into());
            }
            Place::Header => {
                let value = parameter.value.as_deref().unwrap_or(&place);
                self.headers.insert(name.into(), value.into());
            }
        }
        if parameter.value.is_some() {
            return Ok(());
        }
        let mut given = Map::new();
        let usual = parameter
            .default
            .as_ref()
            .filter(|usual| !parameter.is_list && !usual.is_null());
        if parameter.is_required {
            match usual {
                Some(usual) => given.insert("default".into(), usual.clone()),
                None => given.insert("required".into(), true.into()),
            };
        }
        if let Some(kind) = parameter.kind {
            given.insert("type".into(), kind.into());
        }
        if parameter.is_list {
            notes.push(format!(
                "the parameter {} is a list in the document, and takes one value here",
                shown(name)
            ));
        }
        self.parameters.insert(name.into(), Json::Object(given));
        Ok(())
    }

    /// Writes it into a definition.
    pub fn write(self, definition: &mut Map<String, Json>) {
        definition.insert("path".into(), self.path.into());
        for (key, members) in [
            ("query", self.query),
            ("headers", self.headers),
            ("parameters", self.parameters),
        ] {
            if !members.is_empty() {
                definition.insert(key.into(), Json::Object(members));
            }
        }
    }
}
