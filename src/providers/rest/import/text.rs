//! Texts of a document, as messages show them.

/// A text of a document, short enough to be shown.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let short: String = text.chars().take(LONGEST).collect();
    match short.len() < text.len() {
        true => crate::ground::quoted(&(short + "…")),
        false => crate::ground::quoted(text),
    }
}
