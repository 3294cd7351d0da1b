//! An answer to a push: which rows it rejects is what a plain reading of the JSON says, no more and no less.
#![no_main]

mod common;

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use syncscope::providers::cutter;

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

fn at<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter()
        .try_fold(json, |json, name| json.as_object()?.get(*name))
}

/// The rejected rows of an entity, by a plain reading; none when they can't be told.
fn rejected(rejected: &Json, name: &str) -> Option<Vec<String>> {
    match rejected {
        Json::Null => Some(Vec::new()),
        Json::Object(tables) => {
            let mut all = Vec::new();
            for (table, ids) in tables.iter().filter(|(_, ids)| !ids.is_null()) {
                for one in ids.as_array()? {
                    all.push((table.as_str(), id(one)?));
                }
            }
            Some(of(all, name))
        }
        Json::Array(rows) => {
            let mut all = Vec::new();
            for row in rows {
                all.push((row.get("table")?.as_str()?, id(row.get("id")?)?));
            }
            Some(of(all, name))
        }
        _ => None,
    }
}

fn of(all: Vec<(&str, String)>, name: &str) -> Vec<String> {
    let own = all.into_iter().filter(|(table, _)| *table == name);
    let own: BTreeSet<String> = own.map(|(_, id)| id).collect();
    own.into_iter().collect()
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

fuzz_target!(|data: &[u8]| {
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
    let wanted = ["t", "i"].map(|name| rejected(place, name));
    if answer.is_err() {
        assert_eq!(wanted, [None, None]);
        return;
    }
    assert!(said.taken, "the others were taken");
    for (entity, wanted) in wanted.into_iter().enumerate() {
        let own = said.refused.iter().filter(|(place, ..)| *place == entity);
        let mut ids: Vec<String> = own.map(|(_, id, _)| id.clone()).collect();
        ids.sort();
        assert_eq!(Some(ids), wanted);
    }
    for reason in said.refused.iter().flat_map(|(.., reason)| reason) {
        assert!(place.is_array() && reason.chars().count() <= 500);
    }
});
