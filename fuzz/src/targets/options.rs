//! The smaller readers: settings and records of a response, the object of sync_entities, canonical JSON, keys
//! of several columns, terms of an index.

use serde_json::Value as Json;
use syncscope::fuzzing::{
    canonical, index_terms, read_entities, read_key, read_records, read_settings,
};

/// Equal JSON, numbers as the nearest real.
fn alike(one: &Json, two: &Json) -> bool {
    match (one, two) {
        (Json::Number(one), Json::Number(two)) => one.as_f64() == two.as_f64(),
        (Json::Array(one), Json::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| alike(one, two))
        }
        (Json::Object(one), Json::Object(two)) => {
            let same = |(key, value): (&String, &Json)| {
                two.get(key).is_some_and(|other| alike(value, other))
            };
            one.len() == two.len() && one.iter().all(same)
        }
        (one, two) => one == two,
    }
}

pub fn run(text: &str) {
    let json: Option<Json> = serde_json::from_str(text).ok();
    if read_settings(text) || read_entities(text).is_some() {
        assert!(json.as_ref().is_some_and(Json::is_object), "{text}");
    }
    if let Some(form) = canonical(text) {
        assert_eq!(canonical(&form).as_deref(), Some(form.as_str()), "{text}");
        if let Some(json) = &json {
            let again: Json =
                serde_json::from_str(&form).unwrap_or_else(|error| panic!("{error}: {form}"));
            assert!(alike(json, &again), "{text} became {form}");
        }
    } else {
        assert!(json.is_none(), "refused: {text}");
    }
    for field in [None, Some("id"), Some("$.a.b")] {
        let Some(records) = read_records(text, field) else {
            continue;
        };
        // Each record is the text of the server.
        for record in &records {
            assert!(text.contains(record.as_str()));
        }
        if let Some(Json::Array(list)) = &json {
            assert_eq!(records.len(), list.len());
        }
    }
    for columns in 1..4 {
        assert!(read_key(text, columns).is_none_or(|count| count == columns));
    }
    let terms = index_terms(text);
    assert!(terms.iter().map(String::len).sum::<usize>() <= text.len() + terms.len());
}
