//! Numbers as a server wrote them.

use std::cmp::Ordering;

/// Compares two numbers written in JSON; none when one is no number. Whole numbers compare exactly, however large.
pub fn compare_numbers(one: &str, two: &str) -> Option<Ordering> {
    if let (Ok(one), Ok(two)) = (one.parse::<i128>(), two.parse::<i128>()) {
        return Some(one.cmp(&two));
    }
    one.parse::<f64>()
        .ok()?
        .partial_cmp(&two.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_mixed_numbers_compare_exactly() {
        use Ordering::{Equal, Greater, Less};
        for (one, two, order) in [
            ("9", "10", Some(Less)),
            ("9007199254740993", "9007199254740992", Some(Greater)),
            ("10", "9.5", Some(Greater)),
            ("1.0", "1", Some(Equal)),
            ("\"x\"", "1", None),
        ] {
            assert_eq!(compare_numbers(one, two), order, "{one} {two}");
        }
    }
}
