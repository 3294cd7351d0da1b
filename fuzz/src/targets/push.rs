//! An answer to a push: which rows it rejects is what a plain reading of the JSON says, no more and no less.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use syncscope::providers::cutter;

use crate::common;

const WAYS: &[(&str, &[&str], Option<&[&str]>)] = &[
    ("", &["experimentalRejectedIds"], None),
    (
        r#","rejectedPath":"$.rejected","rejectedFormat":"list""#,
        &["rejected"],
        None,
    ),
    (r#","rejectedPath":"$""#, &[], None),
    (
        r#","successPath":"$.ok","rejectedPath":"$.a.b""#,
        &["a", "b"],
        Some(&["ok"]),
    ),
];

/// The entities of `common::push`, in their order.
const TABLES: [&str; 2] = ["t", "i"];

fn at<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter()
        .try_fold(json, |json, name| json.as_object()?.get(*name))
}

/// The rejected rows, with their tables, by a plain reading; none when they are in an unknown form.
fn rejected(rejected: &Json) -> Option<BTreeSet<(String, String)>> {
    let mut all = BTreeSet::new();
    match rejected {
        Json::Null => {}
        Json::Object(tables) => {
            for (table, ids) in tables.iter().filter(|(_, ids)| !ids.is_null()) {
                for one in ids.as_array()? {
                    all.insert((table.clone(), id(one)?));
                }
            }
        }
        Json::Array(rows) => {
            for row in rows {
                all.insert((row.get("table")?.as_str()?.to_owned(), id(row.get("id")?)?));
            }
        }
        _ => return None,
    }
    Some(all)
}

/// Whether the answer says that the push failed, where no place is named that says so.
fn says_no(answer: &Json) -> bool {
    let has = |name: &str, value: bool| answer.get(name) == Some(&Json::Bool(value));
    let error = match answer.get("error") {
        Some(Json::Number(number)) => number.as_f64() != Some(0.0),
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Object(members)) => !members.is_empty(),
        _ => has("error", true),
    };
    has("ok", false) || has("success", false) || error
}

fn id(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            None => Some(number.to_string()),
            Some(float) if float.fract() != 0.0 || float.abs() >= (1u64 << 53) as f64 => None,
            Some(float) => Some(format!("{:.0}", float + 0.0)),
        },
        _ => None,
    }
}

pub fn run(data: &[u8]) {
    let Some((way, body)) = data.split_first() else {
        return;
    };
    let (keys, path, success) = WAYS[usize::from(*way) % WAYS.len()];
    let (answer, said) = common::push(keys, body);
    let body = body.strip_prefix(cutter::BYTE_ORDER_MARK).unwrap_or(body);
    let parsed: Result<Json, _> = cutter::parse_owned(body);
    let may_reject = match body.trim_ascii_start().first() {
        Some(b'{') => true,
        Some(b'[') => path.is_empty(),
        _ => false,
    };
    if parsed.is_err() && may_reject {
        assert!(answer.is_err(), "broken JSON may name rejected rows");
        return;
    }
    let json = parsed.unwrap_or_default();
    if let Some(success) = success
        && at(&json, success) != Some(&Json::Bool(true))
    {
        assert!(answer.is_err());
        return;
    }
    let place = at(&json, path).unwrap_or(&Json::Null);
    // A row of a table that was not sent may be one of those that were: who was taken is not known.
    let wanted = rejected(place).filter(|all| {
        all.iter()
            .all(|(table, _)| TABLES.contains(&table.as_str()))
    });
    let Some(wanted) = wanted.filter(|_| success.is_some() || !says_no(&json)) else {
        assert!(answer.is_err(), "nobody knows what became of the rows");
        return;
    };
    assert!(answer.is_ok() && said.taken, "the others were taken");
    let named = said.refused.iter();
    let named: Vec<_> = named
        .map(|(place, id, _)| (TABLES[*place].to_owned(), id.clone()))
        .collect();
    assert_eq!(named.len(), wanted.len(), "each is named once");
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), wanted);
    for reason in said.refused.iter().flat_map(|(.., reason)| reason) {
        assert!(place.is_array() && reason.chars().count() <= 500);
    }
}
