//! Whether a row of the server is one that was sent.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::providers::fit::sanitise;
use crate::providers::values::{holds, same_json};
use crate::providers::wire::{Slot, WireColumn};
use crate::store::same;

use super::binding::Binding;

/// Whether a row of the server holds what was sent as `content`, but for the columns to be `ignored`. `lenient`: as far as
/// it says anything.
pub fn is_same_row(
    content: &str,
    binding: &Binding,
    row: &[Slot<'_>],
    ignored: &[String],
    lenient: bool,
) -> bool {
    let Ok(pushed) = serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(content) else {
        return false;
    };
    binding.wire.columns.iter().zip(row).all(|(column, slot)| {
        if ignored
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&column.name))
        {
            return true;
        }
        let sent = pushed.get(column.name.as_str());
        // Some protocols have all names in lower case.
        let sent = sent.or_else(|| pushed.get(column.name.to_lowercase().as_str()));
        match sent {
            _ if slot.is_missing() => lenient || sent.is_none(),
            Some(sent) => is_as_sent(column, sent.get(), slot),
            // What was left out is nothing.
            None => *slot == Slot::Null,
        }
    })
}

/// Compares a value as it was sent with one as it came in: by what the column gets of both, and by what it can't
/// hold of them. What comes back in another form (true as 1) is what was sent.
fn is_as_sent(column: &WireColumn, sent: &str, came: &Slot<'_>) -> bool {
    let sent = sanitise(column, sent);
    match (sent.kept(), came.kept()) {
        (Some(sent), Some(came)) => same_json(&sent.json, &came.json),
        // A server may keep nothing where the column here must hold something.
        (Some(kept), None) | (None, Some(kept)) => {
            (kept.close || kept.json == "null") && same(sent.value(), came.value())
        }
        (None, None) => holds(column, sent.value(), came),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::fit::{Leniency, fit};
    use crate::providers::wire::WireType;

    #[test]
    fn values_are_compared_across_their_forms() {
        let same = |kind, declared: &str, sent: &str, came: &str| {
            let column = WireColumn::of("c", kind, declared);
            is_as_sent(&column, sent, &fit(&column, Leniency::default(), came))
        };
        assert!(same(WireType::Boolean, "BOOLEAN", "true", "true"));
        assert!(same(WireType::Boolean, "BOOLEAN", "true", "1"));
        assert!(!same(WireType::Boolean, "BOOLEAN", "true", "0"));
        assert!(same(WireType::Number, "INTEGER", "1", "1.0"));
        assert!(same(WireType::Base64, "BLOB", r#""aGk=""#, r#""aGk""#));
        assert!(same(WireType::Any, "DECIMAL", "5", r#""5.00""#));
        assert!(!same(WireType::String, "TEXT", r#""a""#, r#""b""#));
        assert!(!same(WireType::String, "TEXT", "null", r#""""#));
        assert!(!same(WireType::String, "TEXT", "null", r#"{"a":1}"#));
        assert!(same(
            WireType::String,
            "TEXT",
            r#"{"a":1}"#,
            r#"{"a": 1.0}"#
        ));
        assert!(!same(WireType::String, "TEXT", r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(same(
            WireType::Json,
            "JSON",
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"a":1}"#
        ));
    }
}
