//! One thing at a time, for all tables of a provider: `sync_upload_once`, `sync_download_once`,
//! `sync_download_all`, `sync_hydrate`, `sync_once`.

use serde_json::Value as Json;

use crate::coordination::EntitiesCall;
use crate::coordination::operation::Form;
use crate::ground::key::{Key, Keys, Takes, Usual, key};
use crate::providers::Transport;
use crate::providers::conversation::Goal;
use crate::runs;
use crate::store::{Call, Error, Result, Value};

use super::arguments;
use super::entities::{DRIVING, carry_out, provider_kind};
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
const ENTITIES: &[Key] = &[
    key("entities", Takes::List(&Takes::Text), Usual::Words("all tracked tables of the provider"), "the entities that it is about", r#"{"entities":["planes"]}"#),
];

pub const KEYS: Keys = &[ENTITIES, DRIVING, SCHEMA];

/// `SELECT sync_upload_once('airline-api');` returns `{"total":3,"applied":3,"conflict":0,…}`.
pub fn upload_once(call: &Call<'_>) -> Result<Value> {
    operation(call, Goal::Upload)
}

/// `SELECT sync_download_once('airline-api');` returns `{"applied":2,"nextSeq":41,"hasMore":false,…}`.
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

fn operation(call: &Call<'_>, goal: Goal) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options = Object::options(call, 1)?;
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
        ..EntitiesCall::of(&schema, provider, entities, options.settings(&[DRIVING])?)
    };
    let answer: Json = carry_out(call, request, goal)?;
    Ok(answer.to_string().into())
}
