//! An answer to a push: which rows it rejects is what a plain reading of the JSON says, no more and no less.
#![no_main]

mod common;

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use syncscope::providers::Protocol;

type Rejected = HashMap<String, Option<String>>;

const WAYS: &[(&str, &[&str], bool, Option<&[&str]>)] = &[
    ("", &["experimentalRejectedIds"], false, None),
    (
        r#","rejectedPath":"$.rejected","rejectedFormat":"list""#,
        &["rejected"],
        true,
        None,
    ),
    (r#","rejectedPath":"$""#, &[], false, None),
    (
        r#","successPath":"$.ok","rejectedPath":"$.a.b""#,
        &["a", "b"],
        false,
        Some(&["ok"]),
    ),
];

fn at<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter()
        .try_fold(json, |json, name| json.as_object()?.get(*name))
}

fn id(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((way, body)) = data.split_first() else {
        return;
    };
    let (keys, path, is_list, success) = WAYS[usize::from(*way) % WAYS.len()];
    let answer = common::protocol(keys).pushed(200, body);
    let json: Json = serde_json::from_slice(body).unwrap_or_default();
    if let Some(success) = success {
        assert_eq!(
            answer.is_ok(),
            at(&json, success) == Some(&Json::Bool(true))
        );
    }
    let Ok(answer) = answer else {
        assert!(success.is_some());
        return;
    };
    assert_eq!(answer.rejected.len(), 2);
    let nothing = Json::Null;
    let rejected = at(&json, path).unwrap_or(&nothing);
    for (name, found) in ["t", "i"].into_iter().zip(&answer.rejected) {
        let wanted: Rejected = if is_list {
            let list = rejected.as_array().into_iter().flatten();
            list.filter(|row| row.get("table").and_then(Json::as_str) == Some(name))
                .filter_map(|row| Some((id(row.get("id")?)?, None)))
                .collect()
        } else {
            let list = rejected.get(name).and_then(Json::as_array);
            list.into_iter()
                .flatten()
                .filter_map(|row| Some((id(row)?, None)))
                .collect()
        };
        let mut ids: Vec<&String> = found.keys().collect();
        let mut wanted: Vec<&String> = wanted.keys().collect();
        ids.sort();
        wanted.sort();
        assert_eq!(ids, wanted);
        for reason in found.values().flatten() {
            assert!(is_list && reason.chars().count() <= 500);
        }
    }
});
