//! What a JSON parser complains of, in words a user can act on: where, what was expected, what was there.
//! Values are left out, since they may be anybody's.

use serde_json::error::Category;

use super::json::syntax_problem;

/// The complaint without the parser's own words.
pub fn complaint(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => return syntax_problem(error),
        Category::Io => return "it could not be read".into(),
        Category::Data => {}
    }
    let text = error.to_string();
    let text = match text.rfind(" at line ") {
        Some(end) => &text[..end],
        None => &text,
    };
    let mismatch = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "));
    if let Some((found, expected)) = mismatch.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("{} is expected, not {}", plain(expected), kind(found));
    }
    for (prefix, what) in [
        ("missing field ", "is missing"),
        ("duplicate field ", "is there twice"),
        ("unknown field ", "is not a known key"),
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let name = rest.split('`').nth(1).unwrap_or(rest);
            return format!("{name} {what}");
        }
    }
    if let Some(rest) = text.strip_prefix("unknown variant ") {
        let known: Vec<&str> = rest.split('`').skip(3).step_by(2).collect();
        return format!("it is not one of {}", known.join(", "));
    }
    text.to_owned()
}

/// What was expected, without the language's names of types.
fn plain(expected: &str) -> &str {
    match expected {
        "a string" | "string" | "a borrowed string" => "text",
        "a map" => "an object",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "i64" | "u64" | "u32" | "i32" | "usize" => "a whole number",
        "f64" => "a number",
        other => other,
    }
}

/// The kind of value that was there.
fn kind(found: &str) -> &'static str {
    match found.split([' ', '`']).next().unwrap_or_default() {
        "string" | "character" => "text",
        "integer" => "a number",
        "floating" => "a number with a fraction",
        "boolean" => "true or false",
        "map" => "an object",
        "sequence" => "a list",
        "null" | "unit" => "null",
        _ => "another kind of value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        n: u32,
    }

    #[test]
    fn complaints_name_no_type_of_the_language_and_no_value() {
        let sample =
            |text: &str| complaint(&serde_json::from_str::<Sample>(text).expect_err("a complaint"));
        for (text, said) in [
            ("{", "it ends too early (line 1, column 1)"),
            ("{x", "expected a key in double quotes (line 1, column 2)"),
            (r#"{"n":"secret"}"#, "a whole number is expected, not text"),
            (r#"{"n":-1}"#, "a whole number is expected, not a number"),
            (
                r#"{"n":1.5}"#,
                "a whole number is expected, not a number with a fraction",
            ),
            (r#"{"n":[1]}"#, "a whole number is expected, not a list"),
            (r#"{"n":null}"#, "a whole number is expected, not null"),
            ("{}", "n is missing"),
            (r#"{"n":1,"n":2}"#, "n is there twice"),
            (r#"{"m":1}"#, "m is not a known key"),
        ] {
            assert_eq!(sample(text), said, "{text}");
        }
        let map = serde_json::from_str::<HashMap<String, String>>(r#"{"a":{}}"#);
        assert_eq!(
            complaint(&map.expect_err("a complaint")),
            "text is expected, not an object"
        );
    }
}
