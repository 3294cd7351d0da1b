//! Reading the answer to a push: whether it was a success, and which rows the backend rejected.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::options::Options;
use crate::ground::{Class, SyncError, Warning, add_warning, quoted};
use crate::providers::cutter::{BYTE_ORDER_MARK, parse_owned};
use crate::providers::wire::Entity;

/// What the backend said of a push.
#[derive(Debug, Default, PartialEq)]
pub struct PushAnswer {
    /// For each entity, ids (as text) that the backend did not take, and why if it said so.
    pub rejected: Vec<HashMap<String, Option<String>>>,
    pub warnings: Vec<Warning>,
}

/// Most characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// Reads the answer to a push. Any 2xx is success, and a body that is not JSON says nothing, unless a
/// place is named that must hold true.
///
/// # Errors
/// That place does not; rejected rows in an unknown form; JSON that is broken, as it may have held some.
pub fn read_answer(
    options: &Options,
    entities: &[Entity],
    status: u16,
    body: &[u8],
) -> Result<PushAnswer, SyncError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
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
        let shown: String = String::from_utf8_lossy(body)
            .chars()
            .take(LONGEST_REASON)
            .collect();
        let mut error = SyncError::new(
            Class::Server,
            "SYNC_ERROR_HTTP",
            format!("HTTP {status}, but {success} is not true in the backend's answer"),
            false,
        )
        .saying(shown.trim());
        error.status = Some(status);
        return Err(error);
    }
    let rejected = options.rejected.find(&answer).unwrap_or(&Json::Null);
    let answer = match options.reading.strict && !has_form(rejected, options.rejected_as_list) {
        true => None,
        false => read_rejected(rejected, entities),
    };
    answer.ok_or_else(|| {
        SyncError::protocol(format!(
            "the answer to the push names rejected rows at {} in a form that is neither {{table: [ids]}} nor a \
             list of {{table, id, reason}}; all rows stay pending",
            options.rejected
        ))
    })
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
fn read_rejected(rejected: &Json, entities: &[Entity]) -> Option<PushAnswer> {
    let mut answer = PushAnswer {
        rejected: vec![HashMap::new(); entities.len()],
        warnings: Vec::new(),
    };
    let mut add = |table: &str, id: &Json, reason: Option<String>| {
        let id = read_id(id)?;
        match entities.iter().position(|entity| entity.name == table) {
            Some(place) => drop(answer.rejected[place].insert(id, reason)),
            None => add_warning(
                &mut answer.warnings,
                Warning::new(
                    "rejectedUnknownEntity",
                    format!(
                        "the backend rejected rows of {}, which is not an entity of this sync",
                        quoted(table)
                    ),
                ),
            ),
        }
        Some(())
    };
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
    Some(answer)
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

    fn options(keys: &str) -> Options {
        let text = format!(r#"{{"kind":"watermelon","url":"http://h"{keys}}}"#);
        Options::resolve(&kinds::parse(&text).unwrap()).unwrap()
    }

    fn entity(name: &str) -> Entity {
        Entity {
            name: name.into(),
            columns: Vec::new(),
            integer_key: false,
        }
    }

    fn rejected(keys: &str, body: &str) -> Vec<(String, Option<String>)> {
        let answer = read_answer(&options(keys), &[entity("t")], 200, body.as_bytes());
        let mut all: Vec<_> = answer.unwrap().rejected.remove(0).into_iter().collect();
        all.sort();
        all
    }

    #[test]
    fn rejected_rows() {
        let plain = |ids: &[&str]| -> Vec<(String, Option<String>)> {
            ids.iter().map(|id| ((*id).to_owned(), None)).collect()
        };
        let ids = r#"{"experimentalRejectedIds":{"t":["x",7],"z":["y"],"u":null}}"#;
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
        let list = r#"{"rejected":[{"table":"t","id":"x","reason":"too long"},{"table":"z","id":"y"},
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
            let answer = read_answer(&options(""), &[entity("t")], 200, body.as_bytes());
            assert_eq!(answer.unwrap_err().class, Class::Protocol, "{unclear}");
        }
        let root = r#","rejectedPath":"$""#;
        for (keys, broken) in [
            ("", r#"{"experimentalRejectedIds":{"t":["x"#),
            ("", r#" {"experimentalRejectedIds":{"t":[x]}}"#),
            ("", "\u{feff}{1"),
            (root, r#"[{"table":"t","id":"x"}"#),
        ] {
            let answer = read_answer(&options(keys), &[], 200, broken.as_bytes());
            assert_eq!(answer.unwrap_err().class, Class::Protocol, "{broken}");
        }
        for (keys, silent) in [("", "[object Object]"), (root, "OK"), (root, "")] {
            let answer = read_answer(&options(keys), &[], 200, silent.as_bytes());
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
        assert!(read_answer(&strict, &[entity("t")], 200, body).is_err());
        let body = br#"{"experimentalRejectedIds":{"T":["x"]}}"#;
        let answer = read_answer(&options(""), &[entity("t")], 200, body).unwrap();
        assert!(answer.warnings[0].message.contains(r#"rows of "T""#));
    }

    #[test]
    fn success_may_have_to_be_said() {
        let read = |keys: &str, body: &str| {
            read_answer(&options(keys), &[], 200, body.as_bytes()).map(drop)
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
