//! The settings of a call that say what its response does to the tables.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::ground::{complaint, quoted};
use crate::providers::meant::{KeepTempIds, Meant, Range};
use crate::store::{Error, Result};

/// A switch, or an SQL expression.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "must be true, false or an SQL expression")]
pub enum When {
    Switch(bool),
    Sql(String),
}

/// Field of a record that is its id, or several of them, joined by `-`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "must be the name of a field or a list of names")]
pub enum PrimaryKey {
    Field(String),
    Fields(Vec<String>),
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableOperation {
    pub table: Option<String>,
    pub when: Option<When>,
    /// A path into the response (`$.items`), a query, or the records themselves. Default: the response.
    pub records: Option<Json>,
    pub primary_key: Option<PrimaryKey>,
    /// Field of a record that is its timestamp. Default: now.
    pub time_stamp: Option<String>,
    for_rows_with_values: Option<BTreeMap<String, Json>>,
    for_rows_in_range: Option<BTreeMap<String, Range>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindReplace {
    #[serde(default)]
    pub when: Option<When>,
    #[serde(default)]
    pub table: Option<String>,
    #[serde(default)]
    pub tables: Vec<String>,
    /// Text, or a path into the response.
    pub find: String,
    pub replace: Json,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "must be SQL text or {\"statement\": SQL text}")]
pub enum SqlText {
    Text(String),
    Object { statement: String },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteSql {
    #[serde(default)]
    pub when: Option<When>,
    pub statements: Vec<SqlText>,
    /// Values of the statements' named parameters.
    #[serde(default)]
    pub parameters: Map<String, Json>,
}

impl ExecuteSql {
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|text| match text {
            SqlText::Text(text) | SqlText::Object { statement: text } => text.as_str(),
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    DeleteInsert(TableOperation),
    UpsertReplace(TableOperation),
    UpsertMerge(TableOperation),
    FindReplace(FindReplace),
    ExecuteSql(ExecuteSql),
}

const TYPES: &str = "delete-insert, upsert-replace, upsert-merge, find-replace, execute-sql";

/// The settings of one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub for_rows_with_matching_ids: bool,
    /// The rows that those of a response replace.
    pub meant: Meant,
    /// An empty list: nothing is done.
    pub operations: Option<Vec<Operation>>,
}

impl Settings {
    /// Settings as they are kept with an operation; none are the default.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let settings = serde_json::from_str(text).map_err(|error| {
            Error::argument(format!(
                "the stored settings are broken: {}",
                complaint(&error)
            ))
        })?;
        Self::read(&settings)
    }

    /// # Errors
    /// A wrong type, an unknown key, two settings that exclude each other.
    pub fn read(settings: &Map<String, Json>) -> Result<Self> {
        let mut read = Self::default();
        for (key, value) in settings {
            let label = format!("options.{key}");
            match key.as_str() {
                "forRowsWithMatchingIds" => read.for_rows_with_matching_ids = typed(value, &label)?,
                "forRowsWithValues" => read.meant.values = typed(value, &label)?,
                "forRowsInRange" => read.meant.ranges = typed(value, &label)?,
                "keepTempIds" => read.meant.keep_temp_ids = typed(value, &label)?,
                "operations" => read.operations = Some(operations(value)?),
                _ => {}
            }
        }
        read.meant.check("options").map_err(Error::Argument)?;
        let conditions = read.meant.values.is_some() || read.meant.ranges.is_some();
        if read.for_rows_with_matching_ids && conditions {
            return Err(Error::argument(
                "options.forRowsWithMatchingIds excludes forRowsWithValues and forRowsInRange; \
                 leave one of them out",
            ));
        }
        Ok(read)
    }

    /// Every SQL text in the settings.
    pub fn sql(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for operation in self.operations.iter().flatten() {
            let when = match operation {
                Operation::DeleteInsert(table)
                | Operation::UpsertReplace(table)
                | Operation::UpsertMerge(table) => {
                    texts.extend(table.records_query());
                    &table.when
                }
                Operation::FindReplace(find) => &find.when,
                Operation::ExecuteSql(execute) => {
                    texts.extend(execute.texts());
                    &execute.when
                }
            };
            if let Some(When::Sql(text)) = when {
                texts.push(text);
            }
        }
        texts
    }
}

impl TableOperation {
    /// The rows that those of a response replace.
    pub fn meant(&self, keep_temp_ids: &KeepTempIds) -> Meant {
        Meant {
            values: self.for_rows_with_values.clone(),
            ranges: self.for_rows_in_range.clone(),
            keep_temp_ids: keep_temp_ids.clone(),
        }
    }

    /// The query that makes the records, when it is one.
    pub fn records_query(&self) -> Option<&str> {
        let text = self.records.as_ref()?.as_str()?;
        (!text.starts_with('$')).then_some(text)
    }
}

fn operations(value: &Json) -> Result<Vec<Operation>> {
    let Json::Array(list) = value else {
        return Err(Error::argument("options.operations must be an array"));
    };
    list.iter()
        .enumerate()
        .map(|(position, value)| operation(value, &format!("options.operations[{position}]")))
        .collect()
}

fn operation(value: &Json, label: &str) -> Result<Operation> {
    let mut members: Map<String, Json> = typed(value, label)?;
    let given = match members.remove("type") {
        Some(Json::String(given)) => given,
        _ => {
            return Err(Error::argument(format!(
                "{label}.type is missing; known are {TYPES}"
            )));
        }
    };
    let kind = given.strip_prefix("operation.").unwrap_or(&given);
    let members = Json::Object(members);
    let operation = match kind.replace('_', "-").as_str() {
        "delete-insert" => Operation::DeleteInsert(table_operation(&members, label)?),
        "upsert-replace" => Operation::UpsertReplace(upsert(&members, label)?),
        "upsert-merge" => Operation::UpsertMerge(upsert(&members, label)?),
        "find-replace" => Operation::FindReplace(typed(&members, label)?),
        "execute-sql" => Operation::ExecuteSql(execute_sql(&members, label)?),
        _ => {
            return Err(Error::argument(format!(
                "{label}.type is {}; known are {TYPES}",
                quoted(&given)
            )));
        }
    };
    Ok(operation)
}

fn table_operation(members: &Json, label: &str) -> Result<TableOperation> {
    let operation: TableOperation = typed(members, label)?;
    let meant = operation.meant(&KeepTempIds::No);
    meant.check(label).map_err(Error::Argument)?;
    match &operation.records {
        None | Some(Json::Array(_) | Json::Object(_) | Json::Null) => {}
        Some(Json::String(text)) if text.starts_with('$') => {}
        Some(Json::String(text)) if begins_with(text, &["SELECT", "WITH", "VALUES"]) => {}
        Some(other) => {
            return Err(Error::argument(format!(
                "{label}.records is {other}; give a path such as \"$.items\", a SELECT, or records"
            )));
        }
    }
    Ok(operation)
}

/// Only `delete-insert` removes rows, so only it takes the conditions.
fn upsert(members: &Json, label: &str) -> Result<TableOperation> {
    let operation = table_operation(members, label)?;
    if operation.for_rows_with_values.is_some() || operation.for_rows_in_range.is_some() {
        return Err(Error::argument(format!(
            "{label}: forRowsWithValues and forRowsInRange only work with delete-insert"
        )));
    }
    Ok(operation)
}

fn execute_sql(members: &Json, label: &str) -> Result<ExecuteSql> {
    const WRITES: &[&str] = &["INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "SELECT"];
    let operation: ExecuteSql = typed(members, label)?;
    for text in operation.texts() {
        if !begins_with(text, WRITES) {
            return Err(Error::argument(format!(
                "{label}.statements: only {} statements can be run, not {}",
                WRITES.join(", "),
                quoted(text)
            )));
        }
    }
    for (name, value) in &operation.parameters {
        if value.is_array() || value.is_object() {
            return Err(Error::argument(format!(
                "{label}.parameters.{name} must be text, a number, true, false or null"
            )));
        }
    }
    Ok(operation)
}

fn begins_with(sql: &str, words: &[&str]) -> bool {
    let word: String = sql
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn typed<T: DeserializeOwned>(value: &Json, label: &str) -> Result<T> {
    serde_json::from_value(value.clone())
        .map_err(|error| Error::argument(format!("{label}: {}", complaint(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        Settings::parse(Some(text))
    }

    fn refused(text: &str) -> String {
        read(text)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn types_are_read_in_every_spelling() {
        for kind in [
            "upsert-merge",
            "operation.upsert-merge",
            "operation.upsert_merge",
        ] {
            let text = format!(r#"{{"operations":[{{"type":"{kind}"}}]}}"#);
            let settings = read(&text).expect(kind);
            let operations = settings.operations.unwrap_or_default();
            assert!(matches!(operations[0], Operation::UpsertMerge(_)));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            (
                r#"{"forRowsWithMatchingIds":1}"#,
                "options.forRowsWithMatchingIds",
            ),
            (
                r#"{"forRowsWithMatchingIds":true,"forRowsWithValues":{"a":1}}"#,
                "excludes",
            ),
            (
                r#"{"forRowsWithMatchingIds":true,"forRowsInRange":{"a":{"from":1}}}"#,
                "excludes",
            ),
            (r#"{"forRowsWithValues":{"a":[1]}}"#, "forRowsWithValues.a"),
            (r#"{"forRowsInRange":{"a":{}}}"#, "forRowsInRange.a needs"),
            (
                r#"{"forRowsInRange":{"a":{"from":true}}}"#,
                "forRowsInRange.a needs",
            ),
            (r#"{"forRowsInRange":{"a":{"form":1}}}"#, "form"),
            (r#"{"operations":{}}"#, "must be an array"),
            (r#"{"operations":[{}]}"#, "operations[0].type is missing"),
            (
                r#"{"operations":[{"type":"upsert"}]}"#,
                "known are delete-insert",
            ),
            (
                r#"{"operations":[{"type":"upsert-merge","tabel":"x"}]}"#,
                "tabel",
            ),
            (
                r#"{"operations":[{"type":"upsert-merge","forRowsWithValues":{"a":1}}]}"#,
                "only",
            ),
            (
                r#"{"operations":[{"type":"delete-insert","records":"DROP TABLE x"}]}"#,
                "records",
            ),
            (
                r#"{"operations":[{"type":"execute-sql","statements":["ATTACH 'x' AS y"]}]}"#,
                "ATTACH",
            ),
            (
                r#"{"operations":[{"type":"execute-sql","statements":["COMMIT"]}]}"#,
                "COMMIT",
            ),
            (
                r#"{"operations":[{"type":"find-replace","find":"a"}]}"#,
                "replace",
            ),
        ] {
            assert!(refused(text).contains(said), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn every_sql_text_is_found() {
        let settings = read(
            r#"{"operations":[
                {"type":"delete-insert","records":"SELECT 1","when":"2"},
                {"type":"upsert-merge","records":"$.items"},
                {"type":"find-replace","find":"a","replace":"b","when":"3"},
                {"type":"execute-sql","statements":["DELETE FROM x",{"statement":"UPDATE y SET z = 1"}]}]}"#,
        )
        .expect("valid");
        let texts = settings.sql();
        assert_eq!(
            texts,
            ["SELECT 1", "2", "3", "DELETE FROM x", "UPDATE y SET z = 1"]
        );
    }
}
