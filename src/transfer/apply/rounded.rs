//! Integers that a server has rounded on their way, as JavaScript does: one that is here and rounds to the same is the one
//! that comes.

use crate::providers::wire::Slot;

/// Below it every integer travels exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether a value that came may be a rounded integer.
pub fn may_be_rounded(slot: &Slot<'_>) -> bool {
    number(slot).is_some_and(|number| number.abs() >= EXACT)
}

/// Whether a value that came is what is here, rounded.
pub fn is_rounded(here: i64, slot: &Slot<'_>) -> bool {
    may_be_rounded(slot) && number(slot) == Some(here as f64)
}

/// The number that came; it may be beyond 64 bits.
fn number(slot: &Slot<'_>) -> Option<f64> {
    match slot {
        Slot::Integer(number) => Some(*number as f64),
        Slot::Real(number) => Some(*number),
        Slot::Kept(kept) => kept.json.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::wire::Kept;

    #[test]
    fn r12_an_integer_that_rounds_to_what_came_is_what_came() {
        let beyond = |json: &str| {
            Slot::Kept(Box::new(Kept {
                local: Slot::Null,
                json: json.into(),
                close: false,
            }))
        };
        assert!(is_rounded((1 << 53) + 1, &Slot::Integer(1 << 53)));
        assert!(is_rounded(i64::MAX, &beyond("9223372036854775808")));
        assert!(is_rounded(i64::MAX, &beyond("9.223372036854776e18")));
        assert!(!is_rounded((1 << 53) + 2, &Slot::Integer(1 << 53)));
        assert!(!is_rounded(7, &Slot::Integer(7)), "nothing was rounded");
        assert!(!is_rounded(7, &beyond("\"9\"")));
    }
}
