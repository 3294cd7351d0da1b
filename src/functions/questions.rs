//! `sync_has_pending([provider])` and `sync_is_stale(provider, max_age_ms)`: whether to sync now.

use crate::coordination::installed;
use crate::runs;
use crate::store::{Call, Error, Result, Value};

use super::arguments;

/// `SELECT sync_has_pending();` returns 1 when a local change waits to be sent, else 0.
pub fn has_pending(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::optional_text(call, 0, "provider")?;
    let database = call.session().database("main")?;
    if !installed(&database)? {
        return Ok(false.into());
    }
    Ok(runs::has_pending(&database, provider)?.into())
}

/// `SELECT sync_is_stale('airline-api', 300000);` returns 1 when the provider was last synced more than
/// five minutes ago, or never.
pub fn is_stale(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let age = arguments::integer(call, 1, "max_age_ms")?;
    let max_age = u64::try_from(age)
        .map_err(|_| Error::argument(format!("max_age_ms is {age}; give 0 or more")))?;
    let database = call.session().database("main")?;
    if !installed(&database)? {
        return Ok(true.into());
    }
    Ok(runs::is_stale(&database, provider, max_age)?.into())
}
