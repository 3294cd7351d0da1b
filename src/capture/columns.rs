//! Columns of a table that the triggers know, besides those that it has now.

use std::ops::Range;

/// How a table's columns have moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Where each column that the triggers know is now; none for one that was dropped.
    pub places: Vec<Option<usize>>,
    /// Columns that the triggers do not know: SQLite puts them at the end.
    pub added: Range<usize>,
}

impl Drift {
    /// Compares two lists of columns; none when nothing moved. A name that is gone from a place where a
    /// new name is was renamed, unless columns became fewer.
    pub fn between(before: &[String], now: &[String]) -> Option<Self> {
        if before == now {
            return None;
        }
        let find = |name: &String| {
            now.iter()
                .position(|column| column.eq_ignore_ascii_case(name))
        };
        let is_new = |place: usize| {
            now.get(place)
                .is_some_and(|name| !before.iter().any(|old| old.eq_ignore_ascii_case(name)))
        };
        let fewer = before.len() > now.len();
        // ALTER can't reorder: when every name is still there, two columns have swapped theirs.
        let all_there = !fewer && before.iter().all(|name| find(name).is_some());
        let places: Vec<Option<usize>> = before
            .iter()
            .enumerate()
            .map(|(place, name)| {
                if all_there {
                    return Some(place);
                }
                find(name).or_else(|| (!fewer && is_new(place)).then_some(place))
            })
            .collect();
        let kept = places.iter().flatten().count();
        Some(Self {
            places,
            added: kept..now.len().max(kept),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split(' ').map(String::from).collect()
    }

    #[test]
    fn columns_are_followed() {
        for (before, now, expected, new) in [
            ("a b c", "a b c d", vec![Some(0), Some(1), Some(2)], 3..4),
            ("a b c", "a x c", vec![Some(0), Some(1), Some(2)], 3..3),
            ("a b c", "a c", vec![Some(0), None, Some(1)], 2..2),
            ("a b c", "b a c d", vec![Some(0), Some(1), Some(2)], 3..4),
            ("a b c", "a x c d", vec![Some(0), Some(1), Some(2)], 3..4),
        ] {
            let drift = Drift::between(&names(before), &names(now));
            assert_eq!(
                drift,
                Some(Drift {
                    places: expected,
                    added: new
                }),
                "{before} -> {now}"
            );
        }
        assert_eq!(Drift::between(&names("a b"), &names("a b")), None);
    }
}
