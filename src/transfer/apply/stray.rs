//! Rows whose id can't be a key of their table, such as text where keys are whole numbers: they are held.

use crate::capture::Key;
use crate::ground::quoted;
use crate::providers::mended;
use crate::providers::wire::{KeyType, WireId};
use crate::store::{Value, shown};
use crate::transfer::binding::Binding;
use crate::transfer::held::Reason;

/// What such a row is held under.
pub fn stray_key(id: &WireId<'_>) -> Key {
    Key(Value::Text(id.to_string()))
}

/// Whether a row is held under an id that can't be a key here. SQLite would take some of them for other keys.
pub fn is_stray(binding: &Binding, key: &Key) -> bool {
    let is_other_type = match binding.wire.key_type {
        KeyType::Text => false,
        KeyType::Integer => !matches!(key.0, Value::Integer(_)),
        KeyType::Uuid => !matches!(key.0, Value::Blob(_)),
    };
    is_other_type || is_broken(key)
}

/// Whether this is the JSON of an id with half of a surrogate pair.
fn is_broken(key: &Key) -> bool {
    let json = key.0.as_str().filter(|key| key.starts_with('"'));
    json.is_some_and(|json| mended(json.as_bytes()).is_some())
}

/// Why it is held.
pub fn not_a_key(binding: &Binding, key: &Key) -> Reason {
    let (table, id) = (quoted(&binding.table.shape.name), quoted(&shown(&key.0)));
    Reason::not_a_key(match (is_broken(key), binding.wire.key_type) {
        (true, _) => {
            format!("the id {id} has half of a surrogate pair, which no key of {table} can hold")
        }
        (false, KeyType::Uuid) => format!(
            "the keys of {table} are blobs of 16 bytes, and the id {id} is no UUID in the usual spelling"
        ),
        (false, _) => format!("the keys of {table} are whole numbers, and the id {id} is none"),
    })
}
