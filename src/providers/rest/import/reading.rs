//! A function that reads.

use serde_json::{Map, Value as Json};

use super::answer::{Answer, key_of};
use super::operation::{Operation, Place};
use super::pages;
use super::request::Request;

/// A function that reads, and what is known of its rows.
pub struct Reading<'o> {
    pub definition: Map<String, Json>,
    pub answer: &'o Answer,
    /// The member that names a row.
    pub key: String,
    /// The parameters that it takes.
    pub parameters: Vec<String>,
    pub notes: Vec<String>,
}

pub fn reading<'o>(
    operation: &'o Operation,
    item: Option<&str>,
    prefix: &str,
) -> Result<Reading<'o>, String> {
    let answer = operation.answer.as_ref().map_err(Clone::clone)?;
    let mut notes = Vec::new();
    let key = match (&answer.keyed, &answer.row) {
        (Some(keyed), _) => keyed.clone(),
        (None, Some(row)) => key_of(row, item).ok_or(
            "no member of its rows names them, such as id; if one does, declare it with sync_function and key",
        )?,
        (None, None) => "id".to_owned(),
    };
    if answer.row.is_none() && answer.format.is_none() {
        notes.push(format!(
            "the document does not say what a row has; records {} and key {key} are guesses, see what sync_try_function shows",
            answer.records
        ));
    }
    let mut definition = Map::new();
    let mut request = Request::new(operation, prefix);
    let is_paged = answer.is_list || answer.row.is_none();
    let paged = match is_paged {
        true => pages::of(operation, answer, &key),
        false => pages::Paged::default(),
    };
    for parameter in &operation.parameters {
        if parameter.place == Place::Query && paged.taken.contains(&parameter.name) {
            continue;
        }
        request.add(parameter, &mut notes)?;
    }
    let parameters = request.parameters.keys().cloned().collect();
    request.write(&mut definition);
    if answer.records != "$" {
        definition.insert("records".into(), answer.records.as_str().into());
    }
    if let Some(keyed) = &answer.keyed {
        definition.insert("keyed".into(), keyed.as_str().into());
    }
    if let Some(format) = answer.format {
        definition.insert("format".into(), format.into());
    }
    definition.insert("key".into(), key.as_str().into());
    if let Some(paging) = paged.paging {
        definition.insert("paging".into(), Json::Object(paging));
    }
    Ok(Reading {
        definition,
        answer,
        key,
        parameters,
        notes,
    })
}
