//! Reading the answer to a push: whether it was a success, and which rows the backend rejected.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::options::Options;
use crate::ground::{Class, SyncError, quoted};
use crate::providers::cutter::{BYTE_ORDER_MARK, parse_owned};
use crate::providers::wire::Entity;

/// What the backend said of a push.
#[derive(Debug, Default, PartialEq)]
pub struct PushAnswer {
    /// For each entity, ids (as text) that the backend did not take, and why if it said so.
    pub rejected: Vec<HashMap<String, Option<String>>>,
}

/// Most characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// Reads the answer to a push. Any 2xx is success, and a body that is not JSON says nothing, unless a
/// place is named that must hold true. `page`: the headers say that it is one for people.
///
/// # Errors
/// That place does not; without such a place, a page for people, or JSON that says no; rejected rows in an unknown
/// form, or of an unknown table; JSON that is broken, as it may have held some.
pub fn read_answer(
    options: &Options,
    entities: &[Entity],
    status: u16,
    page: bool,
    body: &[u8],
) -> Result<PushAnswer, SyncError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if options.success.is_none() && status != 204 && page {
        // A login page, say, or one of a proxy: the backend may never have seen the push.
        return Err(SyncError::protocol(
            "the push was answered with a page (text/html), so nobody knows whether it arrived; the next pull \
             shows it",
        )
        .saying(&beginning(body)));
    }
    let may_reject = match body.trim_ascii_start().first() {
        Some(b'{') => true,
        Some(b'[') => options.rejected.is_root(),
        _ => false,
    };
    let answer: Json = match parse_owned(body) {
        Ok(answer) => answer,
        Err(_) if may_reject => {
            return Err(SyncError::protocol(
                "the answer to the push is broken JSON, which may name rejected rows; all rows stay pending",
            ));
        }
        Err(_) => Json::Null,
    };
    if let Some(success) = &options.success
        && success.find(&answer) != Some(&Json::Bool(true))
    {
        let mut error = SyncError::new(
            Class::Server,
            "SYNC_ERROR_HTTP",
            format!("HTTP {status}, but {success} is not true in the backend's answer"),
            false,
        )
        .saying(&beginning(body));
        error.status = Some(status);
        return Err(error);
    }
    if options.success.is_none()
        && let Some(word) = says_no(&answer, options.rejected.is_root())
    {
        let message = format!(
            "the push was answered with {status}, but with {word} in it, so nobody knows whether it arrived; the \
             next pull shows it; successPath names another place to look at"
        );
        return Err(SyncError::protocol(message).saying(&beginning(body)));
    }
    let rejected = options.rejected.find(&answer).unwrap_or(&Json::Null);
    let answer = match options.reading.strict && !has_form(rejected, options.rejected_as_list) {
        true => None,
        false => read_rejected(rejected, entities)?,
    };
    answer.ok_or_else(|| {
        SyncError::protocol(format!(
            "the answer to the push names rejected rows at {} in a form that is neither {{table: [ids]}} nor a \
             list of {{table, id, reason}}; all rows stay pending",
            options.rejected
        ))
    })
}

/// The first words of a body.
fn beginning(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .take(LONGEST_REASON)
        .collect();
    text.trim().to_owned()
}

/// What in an answer says that the push failed, in the ways that many backends have in common. `names_tables`: its
/// members are tables, and one may be called `error`.
fn says_no(answer: &Json, names_tables: bool) -> Option<&'static str> {
    let no = &Json::Bool(false);
    let is_error = |error: &Json| match error {
        Json::Null | Json::Bool(false) => false,
        Json::Bool(true) => true,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(list) => !list.is_empty() && !names_tables,
        // An Error of JavaScript, written as JSON, has no members.
        Json::Object(_) => true,
    };
    let answer = answer.as_object()?;
    if answer.get("ok") == Some(no) {
        return Some("\"ok\": false");
    }
    if answer.get("success") == Some(no) {
        return Some("\"success\": false");
    }
    answer
        .get("error")
        .is_some_and(is_error)
        .then_some("an \"error\"")
}

/// Whether rejected rows are named in the form of the configuration. None named: either.
fn has_form(rejected: &Json, as_list: bool) -> bool {
    match rejected {
        Json::Object(tables) => tables.is_empty() || !as_list,
        Json::Array(list) => list.is_empty() || as_list,
        _ => true,
    }
}

/// The rejected rows: `{table: [ids]}` or a list of `{table, id, reason}`. None when one of them can't be
/// named: to take it for one that was accepted would lose it.
///
/// # Errors
/// A row of a table that was not sent: it may be one of those that were, under another name.
fn read_rejected(rejected: &Json, entities: &[Entity]) -> Result<Option<PushAnswer>, SyncError> {
    let mut answer = PushAnswer {
        rejected: vec![HashMap::new(); entities.len()],
    };
    let mut strange = None;
    let named = name_rejected(rejected, &mut |table, id, reason| {
        let id = read_id(id)?;
        match entities.iter().position(|entity| entity.name == table) {
            Some(place) => drop(answer.rejected[place].insert(id, reason)),
            None => strange = Some(table.to_owned()),
        }
        Some(())
    });
    match strange {
        Some(table) => Err(SyncError::protocol(format!(
            "the answer to the push rejects rows of {}, which was not sent, so nobody knows what became of the rows \
             that were; the next pull shows it",
            quoted(&table)
        ))),
        None => Ok(named.map(|()| answer)),
    }
}

/// Takes table, id and reason of a rejected row.
type Add<'f> = &'f mut dyn FnMut(&str, &Json, Option<String>) -> Option<()>;

/// Hands each rejected row to `add`. None when one can't be named.
fn name_rejected(rejected: &Json, add: Add<'_>) -> Option<()> {
    match rejected {
        Json::Null => {}
        Json::Object(tables) => {
            for (table, list) in tables.iter().filter(|(_, list)| !list.is_null()) {
                for id in list.as_array()? {
                    add(table, id, None)?;
                }
            }
        }
        Json::Array(list) => {
            for element in list {
                add(
                    element["table"].as_str()?,
                    &element["id"],
                    read_reason(&element["reason"]),
                )?;
            }
        }
        _ => return None,
    }
    Some(())
}

/// To JavaScript 8.0 is 8. None for what is no id: a fraction, or a number of which digits may be missing.
fn read_id(value: &Json) -> Option<String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) if number.is_f64() => {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && number.abs() < EXACT).then(|| (number as i64).to_string())
        }
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn read_reason(value: &Json) -> Option<String> {
    let text = match value {
        Json::Null => return None,
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text.chars().take(LONGEST_REASON).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::kinds;
    use crate::providers::wire::KeyType;

    fn options(keys: &str) -> Options {
        let text = format!(r#"{{"kind":"watermelon","url":"http://h"{keys}}}"#);
        Options::resolve(&kinds::parse(&text).unwrap()).unwrap()
    }

    fn entity(name: &str) -> Entity {
        Entity {
            name: name.into(),
            columns: Vec::new(),
            key: "id".into(),
            references: Vec::new(),
            key_type: KeyType::Text,
        }
    }

    fn rejected(keys: &str, body: &str) -> Vec<(String, Option<String>)> {
        let answer = read_answer(&options(keys), &[entity("t")], 200, false, body.as_bytes());
        let mut all: Vec<_> = answer.unwrap().rejected.remove(0).into_iter().collect();
        all.sort();
        all
    }

    #[test]
    fn rejected_rows() {
        let plain = |ids: &[&str]| -> Vec<(String, Option<String>)> {
            ids.iter().map(|id| ((*id).to_owned(), None)).collect()
        };
        let ids = r#"{"experimentalRejectedIds":{"t":["x",7],"z":[],"u":null}}"#;
        assert_eq!(rejected("", ids), plain(&["7", "x"]));
        for nothing in [
            "",
            "<html>",
            "null",
            "[]",
            r#"{"experimentalRejectedIds":null}"#,
            r#"{"experimentalRejectedIds":{}}"#,
            r#"{"experimentalRejectedIds":[]}"#,
        ] {
            assert_eq!(rejected("", nothing), [], "{nothing}");
        }
        let nested = r#"{"data":{"no":{"t":["x"]}}}"#;
        assert_eq!(
            rejected(r#","rejectedPath":"$.data.no""#, nested),
            plain(&["x"])
        );
        assert_eq!(
            rejected(r#","rejectedPath":"$""#, r#"{"t":["x"]}"#),
            plain(&["x"])
        );
        let list = r#"{"rejected":[{"table":"t","id":"x","reason":"too long"},
            {"table":"t","id":5,"reason":{"code":1}},{"table":"t","id":"n"}]}"#;
        let keys = r#","rejectedPath":"$.rejected","rejectedFormat":"list""#;
        assert_eq!(
            rejected(keys, list),
            [
                ("5".into(), Some(r#"{"code":1}"#.into())),
                ("n".into(), None),
                ("x".into(), Some("too long".into()))
            ]
        );
    }

    #[test]
    fn rejected_rows_that_can_not_be_told_are_no_success() {
        for unclear in [
            r#""t""#,
            "1",
            "true",
            r#"["x"]"#,
            r#"{"t":"x"}"#,
            r#"{"t":["x",null]}"#,
            r#"{"t":[["x"]]}"#,
            r#"[{"table":"t"}]"#,
            r#"[{"id":"x"}]"#,
            r#"[{"table":"t","id":"x"},3]"#,
            r#"{"t":[8.5]}"#,
            r#"{"t":[1e300]}"#,
            r#"{"t":[18446744073709551616]}"#,
        ] {
            let body = format!(r#"{{"experimentalRejectedIds":{unclear}}}"#);
            let answer = read_answer(&options(""), &[entity("t")], 200, false, body.as_bytes());
            assert_eq!(answer.unwrap_err().class, Class::Protocol, "{unclear}");
        }
        let root = r#","rejectedPath":"$""#;
        for (keys, broken) in [
            ("", r#"{"experimentalRejectedIds":{"t":["x"#),
            ("", r#" {"experimentalRejectedIds":{"t":[x]}}"#),
            ("", "\u{feff}{1"),
            (root, r#"[{"table":"t","id":"x"}"#),
        ] {
            let answer = read_answer(&options(keys), &[], 200, false, broken.as_bytes());
            assert_eq!(answer.unwrap_err().class, Class::Protocol, "{broken}");
        }
        for (keys, silent) in [("", "[object Object]"), (root, "OK"), (root, "")] {
            let answer = read_answer(&options(keys), &[], 200, false, silent.as_bytes());
            assert!(answer.is_ok(), "{silent}");
        }
        let numbers = r#"{"experimentalRejectedIds":{"t":[8.0,70e-1,-0.0,9007199254740993]}}"#;
        let ids: Vec<String> = rejected("", numbers)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids, ["0", "7", "8", "9007199254740993"]);
        let marked = "\u{feff}{\"experimentalRejectedIds\":{\"t\":[\"x\"]}}";
        assert_eq!(rejected("", marked), [("x".to_owned(), None)]);
        let half_a_pair = r#"{"experimentalRejectedIds":{"t":["x"]},"by":"\ud83d"}"#;
        assert_eq!(rejected("", half_a_pair), [("x".to_owned(), None)]);
        let strict = options(r#","lenient":false"#);
        let body = br#"{"experimentalRejectedIds":[{"table":"t","id":"x"}]}"#;
        assert!(read_answer(&strict, &[entity("t")], 200, false, body).is_err());
        let body = br#"{"experimentalRejectedIds":{"T":["x"]}}"#;
        let error = read_answer(&options(""), &[entity("t")], 200, false, body).unwrap_err();
        assert!(error.message.contains(r#"rows of "T""#));
    }

    #[test]
    fn a3_a_page_or_a_no_is_no_success() {
        let read = |keys: &str, page: bool, body: &str| {
            let answer = read_answer(&options(keys), &[], 200, page, body.as_bytes());
            answer.map(drop).map_err(|error| (error.class, error.said))
        };
        for (page, body) in [
            (true, "Please log in"),
            (true, "{}"),
            (false, r#"{"ok":false}"#),
            (false, r#"{"success":false,"message":"over quota"}"#),
            (false, r#"{"error":"over quota"}"#),
            (false, r#"{"error":{"code":7}}"#),
            (false, r#"{"error":{}}"#),
            (false, r#"{"error":["over quota"]}"#),
            (false, r#"{"error":true,"ok":true}"#),
        ] {
            let error = read("", page, body).unwrap_err();
            assert_eq!(
                error,
                (Class::Protocol, Some(body.trim().to_owned())),
                "{body}"
            );
        }
        for silent in [
            r#"{"ok":true,"error":null}"#,
            r#"{"ok":0,"success":null,"error":false}"#,
            r#"{"error":""}"#,
            r#"{"error":0}"#,
            r#"{"error":[]}"#,
            r#"[{"ok":false}]"#,
        ] {
            assert_eq!(read("", false, silent), Ok(()), "{silent}");
        }
        let root = options(r#","rejectedPath":"$""#);
        let named = read_answer(&root, &[entity("error")], 200, false, br#"{"error":["x"]}"#);
        assert_eq!(named.unwrap().rejected[0].len(), 1);
        let keys = r#","successPath":"$.done""#;
        let done = r#"{"done":true,"error":"3 rows were there already"}"#;
        assert_eq!(read(keys, true, done), Ok(()));
    }

    #[test]
    fn success_may_have_to_be_said() {
        let read = |keys: &str, body: &str| {
            read_answer(&options(keys), &[], 200, false, body.as_bytes()).map(drop)
        };
        let keys = r#","successPath":"$.result.ok""#;
        assert!(read(keys, r#"{"result":{"ok":true}}"#).is_ok());
        for body in [
            "",
            "{}",
            r#"{"result":{"ok":1}}"#,
            r#"{"result":{"ok":false},"ok":true}"#,
        ] {
            let error = read(keys, body).unwrap_err();
            assert_eq!(
                (error.class, error.status),
                (Class::Server, Some(200)),
                "{body}"
            );
        }
        assert!(read(r#","successPath":"$""#, "true").is_ok());
    }
}
