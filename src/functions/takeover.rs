//! `sync_takeover(provider [, options])`: continues where a WatermelonDB client left off.

use crate::capture::tracked::COLUMN_TYPES;
use crate::coordination::write;
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::store::{Call, Result, Value};
use crate::takeover::Takeover;
use crate::takeover::take_over;

use super::arguments;
use super::entities::provider_kind;
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("tables", Takes::List(&Takes::Text), Usual::Words("all that have the primary key `id` and the columns `_status` and `_changed`"), "the tables", r#"{"tables":["airlines"]}"#),
    key("types", Takes::Map(&Takes::Map(&Takes::OneOf(COLUMN_TYPES))), Usual::Words("values travel as they are stored"), "table to an object: column to the type its values travel as", r#"{"types":{"airlines":{"name":"string"}}}"#),
], SCHEMA];

/// `SELECT sync_takeover('airline-api');` returns
/// `{"provider":"airline-api","cursor":"1700000000000","schemaVersion":3,"tables":[{"table":"planes",…}]}`.
pub fn takeover(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options = Object::options(call, 1)?;
    let request = Takeover {
        provider: provider.to_owned(),
        tables: options.names("tables")?,
        types: options.by_name("types")?,
    };
    let answer = write(call.session(), &options.schema()?, |ground| {
        provider_kind(ground.database, provider)?;
        take_over(ground.database, &request)
    })?;
    Ok(answer.to_string().into())
}
