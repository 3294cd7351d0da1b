//! Which rows a response replaces, as a WHERE clause with bound values.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::store::Value;

use super::settings::{KeepTempIds, Range, Scalar};

/// The condition of all rows.
const ALL: &str = "1";

/// A condition over the columns `id` and `data`.
pub struct Scope {
    pub condition: String,
    pub values: Vec<Value>,
    /// Ids that the response goes on to bring, as a JSON list: their rows are written over, not taken away.
    pub brought: String,
}

impl Scope {
    /// The rows that meet all conditions and have no temporary id.
    pub fn new(
        values: Option<&BTreeMap<String, Scalar>>,
        ranges: Option<&BTreeMap<String, Range>>,
        keep: &KeepTempIds,
        brought: String,
    ) -> Self {
        let mut scope = Self {
            condition: ALL.into(),
            values: Vec::new(),
            brought,
        };
        for (field, value) in values.into_iter().flatten() {
            scope.equals(field, value);
        }
        for (field, range) in ranges.into_iter().flatten() {
            scope.within(field, range);
        }
        match keep {
            KeepTempIds::Switch(true) => scope
                .condition
                .push_str(" AND lower(coalesce(id, '')) NOT GLOB 'temp[-_]*'"),
            KeepTempIds::Pattern(pattern) => {
                let place = scope.bind(Value::Text(pattern.clone()));
                scope
                    .condition
                    .push_str(&format!(" AND coalesce(id, '') NOT GLOB {place}"));
            }
            KeepTempIds::Switch(false) | KeepTempIds::No => {}
        }
        scope
    }

    /// Whether it holds every row.
    pub fn is_all(&self) -> bool {
        self.condition == ALL
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    /// A field that is missing counts as null.
    fn equals(&mut self, field: &str, value: &Scalar) {
        let field = self.bind(Value::Text(field.to_owned()));
        if value.is_null() {
            self.condition.push_str(&format!(
                " AND NOT EXISTS (SELECT 1 FROM {FIELDS} WHERE key = {field} AND type <> 'null')"
            ));
            return;
        }
        let types = types(value);
        let value = self.bind(bound(value));
        self.condition.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM {FIELDS} \
             WHERE key = {field} AND type IN ({types}) AND value = {value})"
        ));
    }

    fn within(&mut self, field: &str, range: &Range) {
        let field = self.bind(Value::Text(field.to_owned()));
        let mut condition = format!("key = {field}");
        for (end, comparison) in [(&range.from, ">="), (&range.to, "<=")] {
            let Some(end) = end else { continue };
            let types = types(end);
            let place = self.bind(bound(end));
            condition.push_str(&format!(
                " AND type IN ({types}) AND value {comparison} {place}"
            ));
        }
        self.condition.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM {FIELDS} WHERE {condition})"
        ));
    }
}

/// The top-level fields of a row; none when its data is not JSON.
const FIELDS: &str = "json_each(CASE WHEN json_valid(data) THEN data ELSE '{}' END)";

/// The JSON types, as json_each names them, that a value is compared with.
fn types(value: &Scalar) -> &'static str {
    match value {
        Json::Bool(true) => "'true'",
        Json::Bool(false) => "'false'",
        Json::Number(_) => "'integer', 'real'",
        _ => "'text'",
    }
}

fn bound(value: &Scalar) -> Value {
    match value {
        Json::Bool(truth) => Value::Integer(i64::from(*truth)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Real(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::Text(text.clone()),
        _ => Value::Null,
    }
}

/// A plain JSON value as a value of SQL.
pub fn sql_value(value: &Json) -> Value {
    bound(value)
}
