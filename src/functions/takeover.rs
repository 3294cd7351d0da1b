//! `sync_takeover(provider [, options])`: goes on where a WatermelonDB client left off.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::capture::tracked::ColumnType;
use crate::coordination::write;
use crate::store::{Call, Error, Result, Value};
use crate::takeover::Takeover;
use crate::takeover::take_over;

use super::arguments;
use super::entities::provider_kind;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Options {
    tables: Option<Vec<String>>,
    types: BTreeMap<String, BTreeMap<String, ColumnType>>,
    schema: Option<String>,
}

/// `SELECT sync_takeover('airline-api');` gives
/// `{"provider":"airline-api","cursor":"1700000000000","schemaVersion":3,"tables":[{"table":"planes",…}]}`.
pub fn takeover(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options: Options = arguments::options(call, 1, "options")?;
    let schema = options.schema.as_deref().unwrap_or("main");
    let request = Takeover {
        provider: provider.to_owned(),
        tables: options.tables,
        types: options.types,
    };
    let answer = write(call.session(), schema, |ground| {
        let kind = provider_kind(ground.database, provider)?;
        if kind != "watermelon" {
            return Err(Error::argument(format!(
                "provider '{provider}' is of kind {kind}; a file of WatermelonDB goes on with one of \
                 kind watermelon"
            )));
        }
        take_over(ground.database, &request)
    })?;
    Ok(answer.to_string().into())
}
