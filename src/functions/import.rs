//! `sync_import_openapi` and `sync_import_postman`: functions from a document that describes an API.

use serde_json::{Map, Value as Json, json};

use crate::coordination::write;
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::ground::{quoted, read_object};
use crate::providers::imported::{Description, Imported, Made, Omitted};
use crate::runs::gate::stored_config;
use crate::store::{Call, Database, Error, Result, Value, ValueRef};
use crate::transfer::functions;

use super::arguments;
use super::function::described;
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("replace", Takes::Switch, Usual::Json("false"), "whether functions that have another definition already get the one of the document", r#"{"replace":true}"#),
], SCHEMA];

/// Longest document, in bytes.
const LONGEST: usize = 32 << 20;

/// Most entries of one list of the answer; the counts are of all.
const MOST: usize = 1_000;

/// `SELECT sync_import_openapi('shop', readfile('openapi.json'));` returns `{"made":7,"leftOut":1,…}`.
pub fn openapi(call: &Call<'_>) -> Result<Value> {
    import(call, Description::OpenApi)
}

/// `SELECT sync_import_postman('shop', readfile('shop.postman_collection.json'));` returns `{"made":7,"leftOut":1,…}`.
pub fn postman(call: &Call<'_>) -> Result<Value> {
    import(call, Description::Postman)
}

fn import(call: &Call<'_>, description: Description) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options = Object::options(call, 2)?;
    let (schema, replaces) = (options.schema()?, options.flag("replace")?);
    let session = call.session();
    let database = session.database(&schema)?;
    let described = described(&database, provider)?;
    let document = document(call, description)?;
    let settings = stored_config(&database, provider)?;
    let imported = (described.import)(&settings, description, &document)
        .map_err(|problem| Error::argument(format!("document: {problem}")))?;
    let answer = write(session, &schema, |ground| {
        store(ground.database, provider, &imported, replaces)
    })?;
    Ok(answer.to_string().into())
}

/// The document: text, or the bytes of a file.
fn document(call: &Call<'_>, description: Description) -> Result<Map<String, Json>> {
    let text = match call.argument(1) {
        ValueRef::Text(text) => text,
        ValueRef::Blob(bytes) => std::str::from_utf8(bytes)
            .map_err(|_| Error::argument("document is a blob that is no text in UTF-8"))?,
        other => {
            return Err(Error::argument(format!(
                "document must be a JSON object, not {}",
                other.type_name()
            )));
        }
    };
    if text.len() > LONGEST {
        return Err(Error::argument(format!(
            "document has {} bytes, and may have {LONGEST}; import a part of it at a time",
            text.len()
        )));
    }
    read_object(text, "document").map_err(|problem| {
        let first = text.trim_start().chars().next();
        Error::Argument(match (description, first) {
            (Description::OpenApi, Some(first)) if first != '{' && first != '[' => {
                format!("{problem}; if it is YAML, convert it to JSON")
            }
            _ => problem,
        })
    })
}

/// What is kept under an id.
enum Kept {
    New,
    Same,
    Other,
}

/// Keeps what was made, and says so.
fn store(database: &Database, provider: &str, imported: &Imported, replaces: bool) -> Result<Json> {
    let mut left_out = imported.left_out.clone();
    let (mut made, mut replaced, mut unchanged) = (Vec::new(), 0, 0);
    for function in &imported.functions {
        let text = Json::Object(function.definition.clone()).to_string();
        let kept = match functions::definition(database, provider, &function.id)? {
            None => Kept::New,
            Some(kept) if kept == text => Kept::Same,
            Some(_) => Kept::Other,
        };
        match kept {
            Kept::Other if !replaces => {
                left_out.push(Omitted {
                    what: format!("function {}", quoted(&function.id)),
                    why: "there is one with another definition; remove it with sync_function(provider, id, NULL), or give \
                          {\"replace\":true}"
                        .into(),
                });
                continue;
            }
            Kept::Same => unchanged += 1,
            Kept::New | Kept::Other => {
                replaced += i64::from(matches!(kept, Kept::Other));
                functions::store(database, provider, &function.id, &text)?;
            }
        }
        made.push(shown(function));
    }
    let omitted = |list: &[Omitted]| -> Vec<Json> {
        let list = list.iter().take(MOST);
        list.map(|one| json!({"what": one.what, "why": one.why}))
            .collect()
    };
    Ok(json!({
        "made": made.len(),
        "replaced": replaced,
        "unchanged": unchanged,
        "leftOut": left_out.len(),
        "functions": made.iter().take(MOST).collect::<Vec<_>>(),
        "notMade": omitted(&left_out),
        "notes": omitted(&imported.notes),
        "auth": imported.auth,
    }))
}

/// A function as the answer shows it.
fn shown(function: &Made) -> Json {
    let mut shown = Map::new();
    shown.insert("id".into(), function.id.as_str().into());
    let usual = Map::from_iter([("method".to_owned(), Json::from("GET"))]);
    for key in ["method", "path", "records", "key", "paging", "writes"] {
        let value = function.definition.get(key).or_else(|| usual.get(key));
        if let Some(value) = value {
            shown.insert(key.into(), value.clone());
        }
    }
    let parameters = function
        .definition
        .get("parameters")
        .and_then(Json::as_object);
    if let Some(parameters) = parameters {
        let names: Vec<&String> = parameters.keys().collect();
        shown.insert("parameters".into(), json!(names));
    }
    Json::Object(shown)
}
