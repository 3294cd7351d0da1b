//! `sync_takeover(provider [, options])`: goes on where a WatermelonDB client left off.

use crate::capture::tracked::COLUMN_TYPES;
use crate::coordination::write;
use crate::store::{Call, Result, Value};
use crate::takeover::Takeover;
use crate::takeover::take_over;

use super::arguments;
use super::entities::provider_kind;
use super::json::Object;

/// `SELECT sync_takeover('airline-api');` gives
/// `{"provider":"airline-api","cursor":"1700000000000","schemaVersion":3,"tables":[{"table":"planes",…}]}`.
pub fn takeover(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options = Object::options(call, 1, &["tables", "types", "schema"])?;
    let request = Takeover {
        provider: provider.to_owned(),
        tables: options.names("tables")?,
        types: options.by_name(
            "types",
            &format!("an object: table to an object: column to {COLUMN_TYPES}"),
        )?,
    };
    let answer = write(call.session(), &options.schema()?, |ground| {
        provider_kind(ground.database, provider)?;
        take_over(ground.database, &request)
    })?;
    Ok(answer.to_string().into())
}
