//! Names and values as messages show them.

/// A text between double quotes, as it was written. Control characters are escaped as in JSON, so that it stays in
/// one line and no terminal obeys it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_as_it_was_written_in_one_line() {
        assert_eq!(quoted(r#"a"b\c é"#), r#""a"b\c é""#);
        assert_eq!(
            quoted("e\u{301}\n\t\u{1b}[0m"),
            "\"e\u{301}\\n\\t\\u001b[0m\""
        );
    }
}
