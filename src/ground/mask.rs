//! Masking the values of rows, for logs that are shown to others.

use serde_json::Value as Json;

/// Masks every text in a row except those of `id`, `…_id`, `_status` and `_changed`: its first and last two
/// characters stay, with its length. Text too short for that shows its length only.
pub fn mask_row(row: &mut Json) {
    let Json::Object(members) = row else { return };
    for (name, value) in members {
        let plain =
            name == "id" || name.ends_with("_id") || name == "_status" || name == "_changed";
        if !plain {
            mask(value);
        }
    }
}

fn mask(value: &mut Json) {
    match value {
        Json::String(text) => *text = masked(text),
        Json::Array(list) => list.iter_mut().for_each(mask),
        Json::Object(members) => members.values_mut().for_each(mask),
        _ => {}
    }
}

/// A text of which only the ends and the length are shown.
pub fn masked(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() < 8 {
        return format!("…({})", letters.len());
    }
    let head: String = letters.iter().take(2).collect();
    let tail: String = letters.iter().skip(letters.len() - 2).collect();
    format!("{head}…{tail}({})", letters.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_ends_of_a_text_are_seen() {
        assert_eq!(
            masked("duplicate key (email)=(jane@example.com)"),
            "du…m)(40)"
        );
        assert_eq!(masked("short"), "…(5)");
    }

    #[test]
    fn texts_are_masked_and_names_of_rows_are_not() {
        let mut row = json!({"id": "long enough", "user_id": "long enough", "_status": "updated",
            "_changed": "secret", "name": "Grüße aus Köln", "pin": "1234", "n": 5, "list": ["abcdefgh"]});
        mask_row(&mut row);
        assert_eq!(
            row,
            json!({"id": "long enough", "user_id": "long enough", "_status": "updated",
                "_changed": "secret", "name": "Gr…ln(14)", "pin": "…(4)", "n": 5, "list": ["ab…gh(8)"]})
        );
    }
}
