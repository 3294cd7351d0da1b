//! `sync_check(provider [, options])`: does the server have the same rows?

use crate::ground::key::{Keys, Takes, Usual, key};
use crate::providers::Transport;
use crate::runs;
use crate::store::{Call, Error, Result, Value};

use super::arguments;
use super::entities::provider_kind;
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("entities", Takes::List(&Takes::Text), Usual::Words("all that were pulled"), "the entities to compare", r#"{"entities":["planes"]}"#),
], SCHEMA];

/// `SELECT sync_check('airline-api');` returns `{"provider":"airline-api","state":"equal",…}`.
pub fn check(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options = Object::options(call, 1)?;
    let entities = options.names("entities")?;
    let schema = options.schema()?;
    let database = call.session().database(&schema)?;
    let kind = provider_kind(&database, provider)?;
    if kind.transport == Transport::Nobody {
        return Err(Error::argument(format!(
            "provider '{provider}' is of kind {}; there is no server to compare with",
            kind.name
        )));
    }
    let answer = runs::check(call.session(), &schema, provider, entities)?;
    Ok(answer.to_string().into())
}
