//! Which rows are [meant](crate::providers::meant), as a WHERE clause with bound values.

use serde_json::Value as Json;

use crate::providers::meant::{KeepTempIds, Meant, Range};
use crate::store::{Value, quote_name};

/// The condition of all rows.
const ALL: &str = "1";

/// Where the fields of a row are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fields {
    /// In the JSON of the column `data`.
    Document,
    /// Each in a column of its own.
    Columns,
}

/// A condition with the values of its parameters, in order.
#[derive(Debug, Clone)]
pub struct Condition {
    pub sql: String,
    pub values: Vec<Value>,
    fields: Fields,
}

impl Condition {
    /// The rows that are meant. `key`: the column that names a row.
    pub fn of(meant: &Meant, fields: Fields, key: &str) -> Self {
        let mut condition = Self {
            sql: ALL.into(),
            values: Vec::new(),
            fields,
        };
        for (field, value) in meant.values.iter().flatten() {
            condition.equals(field, value);
        }
        for (field, range) in meant.ranges.iter().flatten() {
            condition.within(field, range);
        }
        let key = quote_name(key);
        match &meant.keep_temp_ids {
            KeepTempIds::Switch(true) => condition.sql.push_str(&format!(
                " AND lower(coalesce({key}, '')) NOT GLOB 'temp[-_]*'"
            )),
            KeepTempIds::Pattern(pattern) => {
                let place = condition.bind(Value::Text(pattern.clone()));
                condition
                    .sql
                    .push_str(&format!(" AND coalesce({key}, '') NOT GLOB {place}"));
            }
            KeepTempIds::Switch(false) | KeepTempIds::No => {}
        }
        condition
    }

    /// Whether it holds every row.
    pub fn is_all(&self) -> bool {
        self.sql == ALL
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    fn equals(&mut self, field: &str, value: &Json) {
        if self.fields == Fields::Columns {
            let value = self.bind(sql_value(value));
            let column = quote_name(field);
            self.sql.push_str(&format!(" AND {column} IS {value}"));
            return;
        }
        let field = self.bind(Value::Text(field.to_owned()));
        if value.is_null() {
            self.sql.push_str(&format!(
                " AND NOT EXISTS (SELECT 1 FROM {FIELDS} WHERE key = {field} AND type <> 'null')"
            ));
            return;
        }
        let types = types(value);
        let value = self.bind(sql_value(value));
        self.sql.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM {FIELDS} \
             WHERE key = {field} AND type IN ({types}) AND value = {value})"
        ));
    }

    fn within(&mut self, field: &str, range: &Range) {
        let ends = [(&range.from, ">="), (&range.to, "<=")];
        let ends = ends
            .into_iter()
            .filter_map(|(end, comparison)| Some((end.as_ref()?, comparison)));
        if self.fields == Fields::Columns {
            for (end, comparison) in ends {
                let place = self.bind(sql_value(end));
                let column = quote_name(field);
                self.sql
                    .push_str(&format!(" AND {column} {comparison} {place}"));
            }
            return;
        }
        let field = self.bind(Value::Text(field.to_owned()));
        let mut condition = format!("key = {field}");
        for (end, comparison) in ends {
            let types = types(end);
            let place = self.bind(sql_value(end));
            condition.push_str(&format!(
                " AND type IN ({types}) AND value {comparison} {place}"
            ));
        }
        self.sql.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM {FIELDS} WHERE {condition})"
        ));
    }
}

/// The top-level fields of a row; none when its data is not JSON.
const FIELDS: &str = "json_each(CASE WHEN json_valid(data) THEN data ELSE '{}' END)";

/// The JSON types, as json_each names them, that a value is compared with.
fn types(value: &Json) -> &'static str {
    match value {
        Json::Bool(true) => "'true'",
        Json::Bool(false) => "'false'",
        Json::Number(_) => "'integer', 'real'",
        _ => "'text'",
    }
}

/// A plain JSON value as a value of SQL.
pub fn sql_value(value: &Json) -> Value {
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
