//! From a payload to the row of a business table, as the handlers of the example server do it.

use base64::DecodeError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::json;
use super::state::ProjectedRow;
use super::tables::{Column, ColumnKind, Table};
use crate::oversync::uuid;

/// The row, or what is wrong with the payload.
pub fn project(table: &Table, pk: &str, payload: &str) -> Result<ProjectedRow, String> {
    let noun = table.noun();
    let members = json::members(payload)
        .ok_or_else(|| format!("failed to parse {noun} data: not an object"))?;
    let mut row = Map::new();
    row.insert("id".to_string(), Value::from(pk));
    for column in &table.columns {
        let value = cell(table, column, member(&members, &column.name))?;
        if value.is_null() && column.not_null {
            return Err(refused(
                noun,
                &format!(
                    "null value in column {:?} of relation {:?} violates not-null constraint (SQLSTATE 23502)",
                    column.name, table.name
                ),
            ));
        }
        if value.as_str().is_some_and(|text| text.contains('\0')) {
            let error = "invalid byte sequence for encoding \"UTF8\": 0x00 (SQLSTATE 22021)";
            return Err(refused(noun, error));
        }
        row.insert(column.name.clone(), value);
    }
    Ok(row)
}

/// What happens while the table is gone.
pub fn table_is_gone(schema: &str, table: &Table) -> String {
    let error = format!(
        "relation \"{schema}.{}\" does not exist (SQLSTATE 42P01)",
        table.name
    );
    refused(table.noun(), &error)
}

fn refused(noun: &str, error: &str) -> String {
    format!("failed to materialize {noun} to business table: ERROR: {error}")
}

/// The last member of that name, in whichever case.
fn member<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    let mut named = members
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.next_back().map(|(_, value)| value)
}

fn cell(table: &Table, column: &Column, value: Option<&Value>) -> Result<Value, String> {
    let value = match value {
        None | Some(Value::Null) => return Ok(Value::Null),
        Some(value) => value,
    };
    match (column.kind, value) {
        (ColumnKind::Text, Value::String(_)) | (ColumnKind::Real, Value::Number(_)) => {
            Ok(value.clone())
        }
        (ColumnKind::Integer | ColumnKind::Timestamp, Value::Number(number)) if number.is_i64() => {
            Ok(value.clone())
        }
        (ColumnKind::Boolean, Value::Bool(_)) => Ok(value.clone()),
        (ColumnKind::Boolean, Value::Number(number)) if matches!(number.as_i64(), Some(0 | 1)) => {
            Ok(Value::from(number.as_i64() == Some(1)))
        }
        (ColumnKind::Uuid, Value::String(text)) => {
            let error = || {
                let error =
                    format!("invalid input syntax for type uuid: {text:?} (SQLSTATE 22P02)");
                refused(table.noun(), &error)
            };
            uuid::parse(text).map(Value::from).ok_or_else(error)
        }
        (ColumnKind::Bytes, Value::String(text)) if column.references.is_some() => {
            key_of_bytes(column, text)
        }
        (ColumnKind::Bytes, Value::String(text)) => match BASE64_STANDARD.decode(text) {
            Ok(_) => Ok(value.clone()),
            Err(error) => Err(format!(
                "failed to parse {} data: illegal base64 data at input byte {}",
                table.noun(),
                place(text, &error)
            )),
        },
        _ => Err(wrong_type(table, column, value)),
    }
}

/// A parent's id in base64.
fn key_of_bytes(column: &Column, text: &str) -> Result<Value, String> {
    let bytes = BASE64_STANDARD.decode(text).ok();
    let key = bytes.and_then(|bytes| uuid::from_bytes(&bytes));
    key.map(Value::from).ok_or_else(|| {
        let name = column.name.replace("_id", " ID");
        format!("failed to parse {name}: field is not valid base64: {text}")
    })
}

/// Where a text ceases to be base64.
fn place(text: &str, error: &DecodeError) -> usize {
    match error {
        DecodeError::InvalidByte(at, _) => *at,
        _ => text.len() / 4 * 4,
    }
}

fn wrong_type(table: &Table, column: &Column, value: &Value) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = match column.kind {
        ColumnKind::Integer | ColumnKind::Timestamp => "int64",
        ColumnKind::Real => "float64",
        ColumnKind::Boolean => "bool",
        ColumnKind::Uuid | ColumnKind::Text | ColumnKind::Bytes => "string",
    };
    let noun = table.noun();
    let (first, rest) = noun.split_at(noun.chars().next().map_or(0, char::len_utf8));
    format!(
        "failed to parse {noun} data: json: cannot unmarshal {found} into Go struct field {}{rest}Data.{} of type {wanted}",
        first.to_uppercase(),
        column.name
    )
}
