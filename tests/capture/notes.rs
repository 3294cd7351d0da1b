//! A table, what is done to it, and what waits then.

/// Of three rows.
pub const NOTES: &str = "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER);
    INSERT INTO notes VALUES ('k1', 'one', 'b1', 1), ('k2', 'two', 'b2', 2), ('k3', 'three', NULL, 3);";

/// One edit, one delete, one new row.
pub const EDITS: &str =
    "UPDATE notes SET title = 'x' WHERE id = 'k1'; DELETE FROM notes WHERE id = 'k2';
    INSERT INTO notes VALUES ('n', 'new', NULL, 9)";

/// What they leave waiting.
pub const WAITING: &str = "created n []\ndeleted k2\nupdated k1 [\"title\"]";

/// The codes of an answer's warnings.
pub fn codes(answer: &str) -> Vec<String> {
    let answer: serde_json::Value = serde_json::from_str(answer).expect("JSON");
    let warnings = answer["warnings"].as_array().expect("warnings");
    let codes = warnings.iter().map(|warning| warning["code"].as_str());
    codes.map(|code| code.expect("a code").to_owned()).collect()
}
