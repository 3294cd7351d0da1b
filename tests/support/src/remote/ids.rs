//! The ids of the tests, which are short, where a server takes only UUIDs: they are spelled out on their way into SQL and
//! to the server, and shortened in what comes back.

use serde_json::Value;

/// What UUIDs of ours end with.
const END: &str = "-4000-8000-5c0e5c0e5c0e";

/// Letters and a hyphen that stand before it: those of six bytes.
const START: usize = 13;

/// Ids of the tests that are words.
const WORDS: &[&str] = &["bad", "brief", "late", "mine", "ok", "same"];

/// The UUID of an id. In the order of UUIDs ids have their own.
pub fn long(id: &str) -> String {
    assert!(id.len() <= START / 2, "{id}: an id of at most six letters");
    let digits: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    let digits = format!("{digits:0<12}");
    format!("{}-{}{END}", &digits[..8], &digits[8..])
}

/// Whether a text is an id: a letter and perhaps a number, or one of a few words.
fn is_id(text: &str) -> bool {
    let mut letters = text.chars();
    let first = letters.next();
    let is_short = first.is_some_and(|first| first.is_ascii_lowercase())
        && text.len() <= START / 2
        && letters.all(|letter| letter.is_ascii_digit());
    is_short || WORDS.contains(&text)
}

/// SQL with the UUIDs of its ids. What functions of ours are told is no id, but where it is about a row.
pub fn spelled(sql: &str) -> String {
    let calls = sql.split("sync_").skip(1).filter(|call| {
        let name =
            call.trim_start_matches(|letter: char| letter.is_ascii_lowercase() || letter == '_');
        name.starts_with('(') && !call.starts_with("discard(") && !call.starts_with("retry(")
    });
    if calls.count() > 0 {
        return sql.to_owned();
    }
    let pieces = sql.split('\'').enumerate();
    let pieces = pieces.map(|(place, piece)| match place % 2 == 1 && is_id(piece) {
        true => long(piece),
        false => piece.to_owned(),
    });
    pieces.collect::<Vec<_>>().join("'")
}

/// A row with the UUIDs of its ids.
pub fn spelled_row(row: &Value) -> Value {
    match row {
        Value::String(text) if is_id(text) => Value::from(long(text)),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), spelled_row(value)))
                .collect()
        }
        other => other.clone(),
    }
}

/// A text with its UUIDs as the ids that they are.
pub fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(end) = rest.find(END) {
        let id = end.checked_sub(START).and_then(|start| {
            let digits = rest.get(start..end)?.replace('-', "");
            let bytes = (0..digits.len()).step_by(2);
            let bytes = bytes.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
            let bytes: Option<Vec<u8>> = bytes.collect();
            let id = String::from_utf8(bytes?).ok()?;
            Some((start, id.trim_end_matches('\0').to_owned()))
        });
        let after = end + END.len();
        match id {
            Some((start, id)) => {
                short += &rest[..start];
                short += &id;
            }
            None => short += &rest[..after],
        }
        rest = &rest[after..];
    }
    short + rest
}

/// The same of JSON.
pub fn shortened_json(json: &Value) -> Value {
    serde_json::from_str(&shortened(&json.to_string())).expect("JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_and_keep_their_order() {
        let ids = ["a", "b", "brief", "n", "n1", "n10", "n2", "r00123", "t"];
        let longs = ids.map(long);
        assert!(longs.is_sorted());
        assert_eq!(longs[0], "61000000-0000-4000-8000-5c0e5c0e5c0e");
        let line = longs.join("|");
        assert_eq!(shortened(&line), ids.join("|"));
        assert_eq!(shortened("no id here"), "no id here");
    }

    #[test]
    fn only_ids_are_spelled_out() {
        let sql = "INSERT INTO task (id, title) VALUES ('t1', 'It''s a'), ('ok', 'Two')";
        let spelled_out = spelled(sql);
        assert!(spelled_out.contains(&long("t1")) && spelled_out.contains("'It''s a'"));
        assert_eq!(shortened(&spelled_out), sql);
        let call = "SELECT sync_resolver('task', 'lastWriteWins', 'n')";
        assert_eq!(spelled(call), call);
        assert_ne!(spelled("SELECT sync_discard('task', 'n')"), "");
        assert!(spelled("SELECT key FROM sync_pending WHERE key = 'n'").contains(&long("n")));
    }
}
