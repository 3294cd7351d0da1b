//! JSON that may stand in a page: both servers write it so, and one hashes it.

/// The same JSON with the characters escaped that mean something in HTML and JavaScript. They
/// occur in texts only, so this may be done to a whole document.
pub fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => out.push(letter),
        }
    }
    out
}
