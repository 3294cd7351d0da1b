//! What a schema says of a value, as far as functions need it.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::document::Document;

/// Most levels of `allOf`, `anyOf` and `oneOf` within each other.
const DEEPEST: usize = 24;

/// Most members of an object that are looked at.
const MOST: usize = 1_000;

/// What kind of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Flag,
    List,
    Object,
}

/// What a schema says.
#[derive(Debug, Default)]
pub struct Shape<'d> {
    /// None: anything.
    pub kind: Option<Kind>,
    /// Of a list: what its elements are.
    pub items: Option<&'d Json>,
    /// Of an object: its members.
    pub members: Vec<(&'d str, &'d Json)>,
    pub required: BTreeSet<&'d str>,
    /// Of an object: what members of other names are.
    pub others: Option<&'d Json>,
    /// An object that may have no other members.
    pub is_closed: bool,
    pub is_read_only: bool,
    pub format: Option<&'d str>,
    pub default: Option<&'d Json>,
    pub minimum: Option<u64>,
    pub maximum: Option<u64>,
}

impl<'d> Shape<'d> {
    /// # Errors
    /// A reference that leads nowhere, or schemas within each other without end.
    pub fn of(document: &Document<'d>, schema: &'d Json) -> Result<Self, String> {
        let mut shape = Self::default();
        shape.add(document, schema, 0)?;
        if shape.kind.is_none() && (!shape.members.is_empty() || shape.others.is_some()) {
            shape.kind = Some(Kind::Object);
        }
        if shape.kind.is_none() && shape.items.is_some() {
            shape.kind = Some(Kind::List);
        }
        Ok(shape)
    }

    fn add(
        &mut self,
        document: &Document<'d>,
        schema: &'d Json,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(
                "its schemas are within each other without end; correct the document".into(),
            );
        }
        let schema = document.resolve(schema)?;
        let text = |key: &str| schema.get(key).and_then(Json::as_str);
        let list = |key: &str| {
            schema
                .get(key)
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
        };
        self.kind = self.kind.or(kind_of(schema));
        self.format = self.format.or(text("format"));
        self.default = self.default.or(schema.get("default"));
        self.minimum = self.minimum.or(whole(schema.get("minimum")));
        self.maximum = self.maximum.or(whole(schema.get("maximum")));
        self.items = self.items.or(schema.get("items"));
        self.is_read_only |= schema.get("readOnly") == Some(&Json::Bool(true));
        match schema.get("additionalProperties") {
            Some(Json::Bool(false)) => self.is_closed = true,
            Some(others @ Json::Object(_)) => self.others = self.others.or(Some(others)),
            _ => {}
        }
        let members = schema.get("properties").and_then(Json::as_object);
        for (name, member) in members.into_iter().flatten() {
            let known = self.members.iter().any(|(known, _)| known == name);
            if !known && self.members.len() < MOST {
                self.members.push((name, member));
            }
        }
        let required = list("required").filter_map(Json::as_str);
        self.required.extend(required.take(MOST));
        for part in list("allOf") {
            self.add(document, part, depth + 1)?;
        }
        for key in ["anyOf", "oneOf"] {
            let before = self.required.clone();
            let mut choices = 0;
            for part in list(key) {
                if document.resolve(part)?.get("type").and_then(Json::as_str) == Some("null") {
                    continue;
                }
                choices += 1;
                self.add(document, part, depth + 1)?;
            }
            // What only some of several choices require is not required.
            if choices > 1 {
                self.required = before;
            }
        }
        Ok(())
    }
}

/// A bound, where it is a whole number; `1.0` is one.
fn whole(bound: Option<&Json>) -> Option<u64> {
    let bound = bound?;
    let real = || {
        let real = bound.as_f64()?;
        ((0.0..=1e15).contains(&real) && real.fract() == 0.0).then_some(real as u64)
    };
    bound.as_u64().or_else(real)
}

fn kind_of(schema: &Json) -> Option<Kind> {
    let word = match schema.get("type")? {
        Json::String(word) => word.as_str(),
        Json::Array(words) => words
            .iter()
            .filter_map(Json::as_str)
            .find(|word| *word != "null")?,
        _ => return None,
    };
    match word {
        "string" => Some(Kind::Text),
        "integer" | "number" => Some(Kind::Number),
        "boolean" => Some(Kind::Flag),
        "array" => Some(Kind::List),
        "object" => Some(Kind::Object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_put_together_is_seen_as_one() {
        let root = json!({"Base": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
            "Loop": {"allOf": [{"$ref": "#/Loop"}]},
            "Wide": {"allOf": [{"$ref": "#/Wide"}, {"$ref": "#/Wide"}, {"$ref": "#/Wide"}]}});
        let document = Document::new(root.as_object().expect("an object"));
        let whole = json!({"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#/Base"}, {"properties": {"name": {}}}]}]});
        let shape = Shape::of(&document, &whole).expect("a shape");
        let names: Vec<&str> = shape.members.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            (shape.kind, names),
            (Some(Kind::Object), vec!["id", "name"])
        );
        assert!(shape.required.contains("id"));
        for endless in ["#/Loop", "#/Wide"] {
            let schema = json!({"$ref": endless});
            assert!(Shape::of(&document, &schema).is_err(), "{endless}");
        }
    }
}
