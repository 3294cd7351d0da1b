//! Rows whose id can't be a key of their table, such as text where keys are whole numbers: they are held.

use crate::capture::Key;
use crate::providers::wire::WireId;
use crate::store::Value;
use crate::transfer::binding::Binding;
use crate::transfer::held::Reason;

/// What such a row is held under.
pub fn stray_key(id: &WireId<'_>) -> Key {
    Key(Value::Text(id.to_string()))
}

/// Whether a row is held under an id that can't be a key here. SQLite would take some of them for other keys.
pub fn is_stray(binding: &Binding, key: &Key) -> bool {
    binding.wire.integer_key && !matches!(key.0, Value::Integer(_))
}

/// Why it is held.
pub fn not_a_key(binding: &Binding, key: &Key) -> Reason {
    Reason::not_a_key(&binding.table.shape.name, &key.0)
}
