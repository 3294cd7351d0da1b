//! What SQLite makes of a value by the affinity of its column, or the type of a STRICT one.

use std::borrow::Cow;

use crate::ground::Affinity;

use super::wire::{Holds, Slot, StrictType};

/// Beyond it SQLite keeps no real as an integer.
const WHOLE: f64 = 9_223_372_036_854_774_784.0;

/// What SQLite stores of a value; none when a STRICT table refuses it.
pub fn stored(holds: Holds, slot: Slot<'_>) -> Option<Slot<'_>> {
    let slot = match (holds.affinity, slot) {
        (Affinity::Text, Slot::Integer(whole)) => Slot::Text(Cow::Owned(whole.to_string())),
        (Affinity::Text, Slot::Real(real)) => {
            Slot::Text(Cow::Owned(serde_json::to_string(&real).ok()?))
        }
        (Affinity::Numeric | Affinity::Integer | Affinity::Real, Slot::Text(text)) => {
            match numeric(&text) {
                Some(number) => number,
                None => Slot::Text(text),
            }
        }
        (_, slot) => slot,
    };
    let slot = match (holds.affinity, slot) {
        (Affinity::Real, Slot::Integer(whole)) => Slot::Real(whole as f64),
        (Affinity::Numeric | Affinity::Integer, Slot::Real(real))
            if real.trunc() == real && real.abs() <= WHOLE =>
        {
            Slot::Integer(real as i64)
        }
        (_, slot) => slot,
    };
    match (holds.strict, slot) {
        (None, slot) => Some(slot),
        (Some(StrictType::Integer), slot @ Slot::Integer(_))
        | (Some(StrictType::Real), slot @ Slot::Real(_))
        | (Some(StrictType::Text), slot @ Slot::Text(_))
        | (Some(StrictType::Blob), slot @ Slot::Blob(_)) => Some(slot),
        _ => None,
    }
}

/// The number that SQLite takes a text for where a column prefers numbers.
fn numeric(text: &str) -> Option<Slot<'static>> {
    let bare = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let unsigned = bare.strip_prefix(['+', '-']).unwrap_or(bare);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = is_digits(whole)
        && is_digits(fraction)
        && whole.len() + fraction.len() > 0
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && is_digits(digits)
        });
    if !is_number {
        return None;
    }
    let integer = || bare.parse().ok().map(Slot::Integer);
    integer().or_else(|| bare.parse().ok().map(Slot::Real))
}
