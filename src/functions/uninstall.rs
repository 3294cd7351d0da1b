//! `sync_uninstall([options])`: for a file that is not to be synced any more.

use crate::coordination::{installed, write};
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::runs;
use crate::store::{Call, Error, Result, Value};
use crate::worker::keeper::{is_running, is_served};

use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("force", Takes::Switch, Usual::Json("false"), "whether to give up what has not been uploaded, was refused or is held", r#"{"force":true}"#),
], SCHEMA];

/// `SELECT sync_uninstall();` returns `{"tables":["planes"],"discarded":{"pending":0,…}}`: the tables that were tracked. Null
/// where nothing is installed.
pub fn uninstall(call: &Call<'_>) -> Result<Value> {
    let options = Object::options(call, 0)?;
    let (session, schema) = (call.session(), options.schema()?);
    let force = options.flag("force")?;
    let database = session.database(&schema)?;
    if !installed(&database)? {
        let left = runs::leave_feed(&database)?;
        return Ok(left.map_or(Value::Null, |left| left.to_string().into()));
    }
    let answer = write(session, &schema, |ground| {
        if is_running(session, &schema) || is_served(ground.database)? {
            return Err(Error::Busy(
                "a thread works for this file; end it with sync_worker_stop() where it was started"
                    .into(),
            ));
        }
        runs::uninstall(session, ground, force)
    })?;
    Ok(answer.to_string().into())
}
