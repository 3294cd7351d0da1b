//! `sync_function` and `sync_try_function`: how a backend is asked, where its provider's protocol does not say so.

use serde_json::{Map, Value as Json};

use crate::coordination::write;
use crate::ground::key::{Keys, Takes, Usual, check_keys, key};
use crate::ground::read_object;
use crate::providers::{Functions, kinds};
use crate::runs;
use crate::store::{Call, Database, Error, Result, Value};
use crate::transfer::{declared, functions};

use super::arguments;
use super::entities::provider_kind;
use super::json::{self, Object, SCHEMA};

#[rustfmt::skip]
pub const TRY: Keys = &[&[
    key("entity", Takes::Text, Usual::Words("a table of documents"), "the table whose columns the rows are shown for", r#"{"entity":"planes"}"#),
], SCHEMA];

/// The keys of a function's definition.
pub const KEYS: Keys = kinds::FUNCTION_KEYS;

/// How functions of a provider are described.
pub fn described(database: &Database, provider: &str) -> Result<&'static Functions> {
    let kind = provider_kind(database, provider)?;
    kind.functions.as_ref().ok_or_else(|| {
        Error::argument(format!(
            "provider '{provider}' is of kind {}, which has no functions: its protocol says how it is asked",
            kind.name
        ))
    })
}

/// `SELECT sync_function('shop', 'list-books', '{"path":"/books","records":"$.items"}');` returns the function's id; with a
/// definition that is NULL 1 when there was such a function, else 0.
pub fn function(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let id = arguments::text(call, 1, "id")?;
    let schema = arguments::schema(call, 3)?;
    let session = call.session();
    let database = session.database(schema)?;
    let described = described(&database, provider)?;
    if call.argument(2).is_null() {
        let removed = write(session, schema, |ground| {
            functions::remove(ground.database, provider, id)
        })?;
        return Ok(removed.into());
    }
    let text = json::argument(call, 2, "definition")?;
    let mut given = read_object(text, "definition").map_err(Error::Argument)?;
    let checked = check_keys(&mut given, described.keys, "", "sync_function")
        .and_then(|()| (described.check)(&given));
    checked.map_err(|problem| Error::argument(format!("definition: {problem}")))?;
    for expression in (described.sql)(&given) {
        let (key, sql) = (&expression.key, &expression.sql);
        let from = match &expression.table {
            None => Some(String::new()),
            Some(table) if database.has_table(table)? => {
                Some(format!(" FROM {}", database.qualified(table)))
            }
            // It may be made later.
            Some(_) => None,
        };
        if let Some(from) = from {
            let compiled = session
                .connection()
                .prepare(&format!("SELECT ({sql}){from}"));
            compiled.map_err(|error| {
                error.prefixed(&format!("definition: {key}: the expression {sql}"))
            })?;
        }
        declared::declare(session, sql);
    }
    let stored = Json::Object(given).to_string();
    write(session, schema, |ground| {
        functions::store(ground.database, provider, id, &stored)
    })?;
    Ok(id.into())
}

/// `SELECT sync_try_function('shop', 'list-books', '{"year":2024}');` returns `{"request":…,"status":200,"rows":[…],…}`.
pub fn try_function(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let id = arguments::text(call, 1, "id")?;
    let parameters = match call.argument(2).is_null() {
        true => Map::new(),
        false => {
            let text = json::argument(call, 2, "parameters")?;
            read_object(text, "parameters").map_err(Error::Argument)?
        }
    };
    let options = Object::options(call, 3)?;
    let schema = options.schema()?;
    described(&call.session().database(&schema)?, provider)?;
    let entity = options.name("entity")?;
    let trial = runs::Trial {
        schema: &schema,
        provider,
        function: id,
        parameters,
        entity: entity.as_deref(),
    };
    let answer = runs::try_function(call.session(), &trial)?;
    Ok(answer.to_string().into())
}
