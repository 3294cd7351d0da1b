//! The word that somebody meant.

/// The known word that is nearest to a misspelt one, when one is near: not more than a third of its
/// letters wrong, missing, too many or swapped. Upper and lower case are alike, and `_` and `-` don't count.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    let most = (word.len() / 3).max(1);
    known
        .into_iter()
        .map(|known| (distance(&word, &letters(known)), known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Longer words are cut off: they come from users, and the time grows with the square of the length.
const LONGEST: usize = 64;

fn letters(word: &str) -> Vec<char> {
    word.chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .flat_map(char::to_lowercase)
        .take(LONGEST)
        .collect()
}

/// Letters to change, add or take away, or neighbours to swap, to make one word of the other.
fn distance(one: &[char], two: &[char]) -> usize {
    let mut before_last = vec![0; two.len() + 1];
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, other) in two.iter().enumerate() {
            let changed = last[column] + usize::from(letter != other);
            let mut least = changed.min(last[column + 1] + 1).min(this[column] + 1);
            let swapped =
                row > 0 && column > 0 && *letter == two[column - 1] && one[row - 1] == *other;
            if swapped {
                least = least.min(before_last[column - 1] + 1);
            }
            this.push(least);
        }
        before_last = last;
        last = this;
    }
    last[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_and_what_is_not() {
        let known = [
            "url",
            "token",
            "pullUrl",
            "pullBody",
            "timeoutMs",
            "tableMap",
        ];
        for (word, meant) in [
            ("ulr", Some("url")),
            ("pull_url", Some("pullUrl")),
            ("pullURL", Some("pullUrl")),
            ("PullBodi", Some("pullBody")),
            ("timeout", Some("timeoutMs")),
            ("tablesMap", Some("tableMap")),
            ("tokne", Some("token")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest("url", []), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
