//! What an example of a value shows of all of them, as a schema.

use serde_json::{Map, Value as Json, json};

/// The schema of a value. It has no more levels than the value, which a parser has limited.
pub fn schema_of(sample: &Json) -> Json {
    match sample {
        Json::Null => json!({}),
        Json::Bool(_) => json!({"type": "boolean"}),
        Json::Number(_) => json!({"type": "number"}),
        Json::String(_) => json!({"type": "string"}),
        Json::Array(list) => match list.first() {
            Some(first) => json!({"type": "array", "items": schema_of(first)}),
            None => json!({"type": "array"}),
        },
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name.clone(), schema_of(member)));
            let members: Map<String, Json> = members.collect();
            json!({"type": "object", "properties": members})
        }
    }
}
