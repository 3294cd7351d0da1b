//! Cursors: which entities are pulled together, from where, and what a push is compared with.
//!
//! A cursor is kept as the JSON that the server wrote. Opaque ones are never calculated with.

use std::cmp::Ordering;

use crate::ground::compare_numbers as compare;

/// Entities that one pull is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub entities: Vec<usize>,
    pub cursor: Option<String>,
}

/// What was never pulled, then the rest from its lowest cursor: a pull from there misses nothing of any
/// of them. Cursors that can't be compared are pulled one by one, equal ones together.
///
/// `before`: how far an entity was pulled that is pulled from the beginning again. It is in two groups: the one from there
/// brings what an answer from the beginning can't name, the deletes.
pub fn groups(cursors: &[Option<String>], before: &[Option<String>], opaque: bool) -> Vec<Group> {
    let mut new = Vec::new();
    let mut known: Vec<(usize, &String)> = Vec::new();
    for (place, (cursor, before)) in cursors.iter().zip(before).enumerate() {
        if cursor.is_none() {
            new.push(place);
        }
        known.extend(
            cursor
                .as_ref()
                .or(before.as_ref())
                .map(|from| (place, from)),
        );
    }
    let mut groups = Vec::new();
    if !new.is_empty() {
        groups.push(Group {
            entities: new,
            cursor: None,
        });
    }
    let stored = known.iter().map(|(_, cursor)| *cursor);
    if let Some(lowest) = lowest(stored, opaque) {
        groups.push(Group {
            entities: known.iter().map(|(place, _)| *place).collect(),
            cursor: Some(lowest.clone()),
        });
        return groups;
    }
    for (place, cursor) in known {
        let same = groups
            .iter_mut()
            .find(|group| group.cursor.as_ref() == Some(cursor));
        match same {
            Some(group) => group.entities.push(place),
            None => groups.push(Group {
                entities: vec![place],
                cursor: Some(cursor.clone()),
            }),
        }
    }
    groups
}

/// The lowest of several cursors. None when there are none, or they differ and can't be compared.
pub fn lowest<'a>(
    mut cursors: impl Iterator<Item = &'a String>,
    opaque: bool,
) -> Option<&'a String> {
    let mut lowest = cursors.next()?;
    for cursor in cursors {
        if cursor == lowest {
            continue;
        }
        if opaque {
            return None;
        }
        if compare(cursor, lowest)? == Ordering::Less {
            lowest = cursor;
        }
    }
    Some(lowest)
}

/// Whether a cursor is before the stored one.
pub fn is_lower(cursor: &str, stored: Option<&str>) -> bool {
    stored.is_some_and(|stored| compare(cursor, stored) == Some(Ordering::Less))
}

/// A cursor less the overlap, and always above 0, which would mean the beginning.
pub fn step_back(cursor: &str, overlap: u64) -> String {
    if overlap == 0 {
        return cursor.to_owned();
    }
    if let Ok(whole) = cursor.parse::<i128>() {
        let earlier = whole - i128::from(overlap);
        return earlier.max(whole.min(1)).to_string();
    }
    match cursor.parse::<f64>().map(|real| real - overlap as f64) {
        Ok(earlier) if earlier > 0.0 => earlier.to_string(),
        _ => cursor.to_owned(),
    }
}

/// Where the pulls of a group start. With an overlap there are two: backends whose clock is coarse hold back what
/// came at the cursor itself, so one question starts before it; but a backend that names a delete only to those who can
/// have seen the row (made at or before the cursor, deleted after it) answers the other one only in full.
pub fn starts(cursor: Option<&str>, overlap: u64) -> Vec<Option<String>> {
    let Some(cursor) = cursor else {
        return vec![None];
    };
    let earlier = step_back(cursor, overlap);
    match earlier == cursor {
        true => vec![Some(earlier)],
        false => vec![Some(earlier), Some(cursor.to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(cursors: &[&str]) -> Vec<Option<String>> {
        let cursor = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
        cursors.iter().map(cursor).collect()
    }

    fn seen(cursors: &[&str], opaque: bool) -> Vec<(Option<String>, Vec<usize>)> {
        groups(&some(cursors), &vec![None; cursors.len()], opaque)
            .into_iter()
            .map(|group| (group.cursor, group.entities))
            .collect()
    }

    #[test]
    fn what_was_never_pulled_is_pulled_on_its_own() {
        assert_eq!(
            seen(&["10", "", "9"], false),
            [(None, vec![1]), (Some("9".into()), vec![0, 2])]
        );
        assert_eq!(seen(&["", ""], false), [(None, vec![0, 1])]);
        assert_eq!(seen(&["7"], false), [(Some("7".into()), vec![0])]);
    }

    #[test]
    fn z1_what_is_pulled_again_is_pulled_from_the_beginning_and_from_where_it_was() {
        let found = groups(&some(&["10", "", ""]), &some(&["", "9", ""]), false);
        let found = found
            .into_iter()
            .map(|group| (group.cursor, group.entities));
        let both = [(None, vec![1, 2]), (Some("9".into()), vec![0, 1])];
        assert_eq!(found.collect::<Vec<_>>(), both);
    }

    #[test]
    fn opaque_cursors_are_only_compared_for_equality() {
        assert_eq!(
            seen(&["10", "9", "10", ""], true),
            [
                (None, vec![3]),
                (Some("10".into()), vec![0, 2]),
                (Some("9".into()), vec![1])
            ]
        );
        assert_eq!(
            seen(&["\"a\"", "\"a\""], true),
            [(Some("\"a\"".into()), vec![0, 1])]
        );
    }

    #[test]
    fn the_lowest() {
        let lowest = |cursors: &[&str]| {
            let all: Vec<String> = cursors.iter().map(|text| (*text).to_owned()).collect();
            super::lowest(all.iter(), false).cloned()
        };
        assert_eq!(lowest(&["10", "9", "11"]).as_deref(), Some("9"));
        assert_eq!(lowest(&["10", "9.5"]).as_deref(), Some("9.5"));
        assert_eq!(lowest(&["10", "\"x\""]), None);
        assert_eq!(lowest(&[]), None);
    }

    #[test]
    fn a2_an_overlap_asks_twice() {
        let starts = |cursor: Option<&str>, overlap| -> Vec<String> {
            let starts = super::starts(cursor, overlap).into_iter();
            starts.map(|start| start.unwrap_or_default()).collect()
        };
        assert_eq!(starts(None, 1), [""]);
        assert_eq!(starts(Some("7"), 0), ["7"]);
        assert_eq!(starts(Some("7"), 1), ["6", "7"]);
        assert_eq!(starts(Some("1"), 1), ["1"]);
    }

    #[test]
    fn the_overlap_is_subtracted_exactly_and_never_reaches_zero() {
        for (cursor, overlap, earlier) in [
            ("1700000000", 1, "1699999999"),
            ("9007199254740993", 1, "9007199254740992"),
            ("1700000000.25", 1, "1699999999.25"),
            ("5", 0, "5"),
            ("1.50", 0, "1.50"),
            ("5", 9, "1"),
            ("1", 1, "1"),
            ("0.5", 1, "0.5"),
        ] {
            assert_eq!(step_back(cursor, overlap), earlier, "{cursor} - {overlap}");
        }
    }
}
