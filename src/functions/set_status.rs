//! `sync_set_status(status_id, state [, error])`: a host program reports a result.

use crate::coordination::{result, write};
use crate::store::{Call, Error, Result, Value};

use super::arguments;
use super::delete::status_id;

/// `SELECT sync_set_status(7, 'failed', 'HTTP 500');` returns 1, or 0 when nothing changed.
pub fn set_status(call: &Call<'_>) -> Result<Value> {
    let id = status_id(call, 0)?;
    let state = result::checked_state(arguments::text(call, 1, "state")?)?;
    let error = arguments::optional_text(call, 2, "error")?;
    if error.is_some() && state != "failed" {
        return Err(Error::argument(format!(
            "error goes with the state 'failed', not '{state}'"
        )));
    }
    let changed = write(call.session(), "main", |ground| {
        result::report(ground.database, ground.owner, id, state, error)
    })?;
    Ok(i64::from(changed).into())
}
