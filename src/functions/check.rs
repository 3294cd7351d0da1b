//! `sync_check(provider [, options])`: is what is here what the server has?

use serde::Deserialize;

use crate::runs;
use crate::store::{Call, Error, Result, Value};

use super::arguments;
use super::entities::provider_kind;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    entities: Option<Vec<String>>,
    #[serde(default = "main")]
    schema: String,
}

fn main() -> String {
    "main".into()
}

/// `SELECT sync_check('airline-api');` gives `{"provider":"airline-api","state":"equal",…}`.
pub fn check(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let options: Options = arguments::options(call, 1, "options")?;
    let database = call.session().database(&options.schema)?;
    if provider_kind(&database, provider)? == "host" {
        return Err(Error::argument(format!(
            "provider '{provider}' is of kind host; there is no server to compare with"
        )));
    }
    let answer = runs::check(call.session(), &database, provider, options.entities)?;
    Ok(answer.to_string().into())
}
