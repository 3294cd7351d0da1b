//! One thing at a time, for all tables of a provider: `sync_upload_once`, `sync_download_once`,
//! `sync_download_all`, `sync_hydrate`, `sync_once`.

use serde_json::Value as Json;

use crate::coordination::EntitiesCall;
use crate::coordination::operation::Form;
use crate::ground::key::{FOREVER, Key, Keys, Takes, Usual, key};
use crate::providers::Transport;
use crate::providers::conversation::Goal;
use crate::runs;
use crate::store::{Call, Error, Result, Value, ValueRef};

use super::arguments;
use super::entities::{DRIVING, carry_out, provider_kind};
use super::json::{Object, SCHEMA, members};

#[rustfmt::skip]
const ENTITIES: &[Key] = &[
    key("entities", Takes::List(&Takes::Text), Usual::Words("all tracked tables of the provider"), "the entities that it is about", r#"{"entities":["planes"]}"#),
];

/// How pages are asked for, of a backend that has them.
#[rustfmt::skip]
const PAGES: &[Key] = &[
    key("limit", Takes::Number(1, 1_000_000), Usual::Words("as configured"), "where the backend gives out pages: most changes of one", r#"{"limit":500}"#),
    key("includeSelf", Takes::Switch, Usual::Words("true from the beginning, else false"), "where the backend gives out pages: whether changes of this device come too", r#"{"includeSelf":true}"#),
];

#[rustfmt::skip]
const PLACES: &[Key] = &[
    key("until", Takes::Number(0, FOREVER), Usual::Words("the end of the backend's log"), "where the backend gives out pages: the last change that is asked for; 0: up to the end", r#"{"until":0}"#),
    key("from", Takes::Number(0, FOREVER), Usual::Words("the cursor"), "where the backend gives out pages: the change behind which to begin; the cursor never goes back", r#"{"from":0}"#),
];

#[rustfmt::skip]
const WINDOW: &[Key] = &[
    key("windowed", Takes::Switch, Usual::Json("true"), "where the backend gives out pages: whether to end where the first of them says that the log ends, whatever comes meanwhile", r#"{"windowed":false}"#),
];

pub const UPLOAD: Keys = &[ENTITIES, DRIVING, SCHEMA];
pub const PAGE: Keys = &[ENTITIES, PAGES, PLACES, DRIVING, SCHEMA];
pub const ALL_PAGES: Keys = &[ENTITIES, PAGES, PLACES, WINDOW, DRIVING, SCHEMA];
pub const BOTH: Keys = &[ENTITIES, PAGES, DRIVING, SCHEMA];

/// What goes on to the run.
const SETTINGS: Keys = &[PAGES, PLACES, WINDOW, DRIVING];

/// `SELECT sync_upload_once('airline-api');` returns `{"total":3,"applied":3,"conflict":0,…}`.
pub fn upload_once(call: &Call<'_>) -> Result<Value> {
    operation(call, Goal::Upload)
}

/// `SELECT sync_download_once('airline-api', 500);` returns `{"applied":2,"nextSeq":41,"hasMore":false,…}`.
pub fn download_once(call: &Call<'_>) -> Result<Value> {
    operation(call, Goal::Download)
}

/// `SELECT sync_download_all('airline-api');` returns `{"applied":2,"nextSeq":41,…}`.
pub fn download_all(call: &Call<'_>) -> Result<Value> {
    operation(call, Goal::Hydrate)
}

/// `SELECT sync_once('airline-api');` returns `{"upload":{…},"downloaded":2,…}`.
pub fn once(call: &Call<'_>) -> Result<Value> {
    operation(call, Goal::Sync)
}

/// The options; a number in their place is the limit.
fn with_limit(call: &Call<'_>) -> Result<Object> {
    let ValueRef::Integer(limit) = call.argument(1) else {
        return Object::options(call, 1);
    };
    let given = members(&format!(r#"{{"limit":{limit}}}"#), "options")?;
    let function = call.function();
    Object::read(given, function.options, "options.", function.name)
}

fn operation(call: &Call<'_>, goal: Goal) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options = match goal {
        Goal::Download => with_limit(call)?,
        _ => Object::options(call, 1)?,
    };
    let schema = options.schema()?;
    let database = call.session().database(&schema)?;
    let kind = provider_kind(&database, provider)?;
    if kind.transport == Transport::Nobody {
        return Err(Error::argument(format!(
            "provider '{provider}' is of kind {}, whose data your program moves; call sync_entities",
            kind.name
        )));
    }
    let entities = match options.names("entities")? {
        Some(entities) => entities,
        None => {
            // A table that was never synced is the only provider's; with more than one, who can say?
            let is_only = runs::is_only(&database, provider)?;
            runs::entities_of(&database, provider, is_only)?
        }
    };
    if entities.is_empty() {
        return Err(Error::argument(format!(
            "no table is synced with provider '{provider}' yet; call sync_track, or name the entities in options"
        )));
    }
    let request = EntitiesCall {
        form: Form::Operation,
        ..runs::call_of(
            &database,
            &schema,
            provider,
            entities,
            options.settings(SETTINGS)?,
        )?
    };
    let answer: Json = carry_out(call, request, goal)?;
    Ok(answer.to_string().into())
}
