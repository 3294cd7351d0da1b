//! Access to private readers, for the targets in `fuzz/`. No other build has them.

use serde_json::value::RawValue;

pub use crate::capture::index_terms;
pub use crate::http::follow;
pub use crate::providers::mended;
pub use crate::transfer::document::read_records;
pub use crate::transfer::document::read_settings;

/// The canonical form of a JSON text; none when it is not taken.
pub fn canonical(text: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    crate::coordination::canonical::canonical(raw).ok()
}

/// Reads the object of `sync_entities`; how many operations it names.
pub fn read_entities(text: &str) -> Option<usize> {
    crate::functions::entities::count_operations(text)
}

/// Reads a logged key of several columns; how many values it has.
pub fn read_key(text: &str, columns: usize) -> Option<usize> {
    let key = crate::store::Value::Text(text.to_owned());
    let encoding = crate::capture::key::Encoding::Utf8;
    crate::capture::key::values(&key, columns, encoding)
        .ok()
        .map(|values| values.len())
}
