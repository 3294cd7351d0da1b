//! The tables of a run as the server names them.

use std::collections::HashMap;

use crate::ground::quoted;
use crate::providers::conversation::KnownEntity;
use crate::providers::wire::{Entity, KeyType};

/// The entities of a run, and their names on the wire.
pub struct Tables {
    schema: String,
    entities: Vec<Entity>,
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Tables {
    pub fn new(schema: &str, entities: Vec<Entity>) -> Self {
        let names: Vec<String> = entities.iter().map(|one| one.name.to_lowercase()).collect();
        let places = names.iter().enumerate();
        Self {
            schema: schema.to_owned(),
            places: places.map(|(place, name)| (name.clone(), place)).collect(),
            names,
            entities,
        }
    }

    /// The entities of a run, and how far each was read; none when it never was.
    pub fn known(schema: &str, entities: Vec<KnownEntity>) -> (Self, Vec<Option<i64>>) {
        let known = entities.into_iter().map(|one| {
            let cursor = one.cursor.and_then(|cursor| cursor.parse().ok());
            (one.entity, cursor)
        });
        let (entities, cursors) = known.unzip();
        (Self::new(schema, entities), cursors)
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// The name of an entity on the wire.
    pub fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    pub fn entity(&self, place: usize) -> &Entity {
        &self.entities[place]
    }

    /// The entity of a table of the server, in whatever case it writes it.
    pub fn place(&self, name: &str) -> Option<usize> {
        let exact = self.places.get(name);
        let place = exact.or_else(|| self.places.get(name.trim().to_lowercase().as_str()));
        place.copied()
    }
}

/// Whether the server takes a name: lower case letters, digits and underscores, once it is in lower case.
pub fn is_name(name: &str) -> bool {
    let is_fine = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_';
    !name.is_empty() && name.bytes().all(is_fine)
}

/// Whether a table can be carried. `keys`: what the protocol has as keys.
///
/// # Errors
/// What is in the way, and what to do.
pub fn admit(entity: &Entity, keys: &str) -> Result<(), String> {
    if entity.key_type == KeyType::Integer {
        return Err(format!(
            "column {} of {} is a key of whole numbers, and this protocol has {keys} as keys; declare it TEXT, or BLOB \
             for UUIDs of 16 bytes",
            quoted(&entity.key),
            quoted(&entity.name)
        ));
    }
    match is_name(&entity.name) {
        true => Ok(()),
        false => Err(format!(
            "the backend has names of letters, digits and underscores only, and {} is none; name the entity otherwise \
             with tableMap",
            quoted(&entity.name)
        )),
    }
}
