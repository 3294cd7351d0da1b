//! `sync_interrupt([scope_id [, reason]])`: the app goes to the background, or is closed.

use crate::coordination::{Ground, scope, write};
use crate::store::{Call, Result, Value};

use super::action::{ActionObject, Shape, object_text};
use super::arguments::{MAIN, optional_text};

const SHAPE: Shape = Shape {
    action: "interrupt-sync",
    top: &[],
    options: &["id", "reason"],
};

/// Used when the caller gives no reason.
const UNSPECIFIED: &str = "unspecified";

/// `SELECT sync_interrupt('startup', 'background');` gives the number of scopes interrupted. Without
/// a scope: all work of this process, of dead processes and of nobody.
pub fn interrupt(call: &Call<'_>) -> Result<Value> {
    let (schema, id, reason) = match object_text(call) {
        Some(text) => {
            let action = ActionObject::parse(text, &SHAPE)?;
            if !action.when {
                return Ok(Value::Null);
            }
            let (id, reason) = (action.object.name("id")?, action.object.name("reason")?);
            (action.schema, id, reason)
        }
        None => {
            let id = optional_text(call, 0, "scope_id")?;
            let reason = optional_text(call, 1, "reason")?;
            (
                MAIN.to_owned(),
                id.map(str::to_owned),
                reason.map(str::to_owned),
            )
        }
    };
    let reason = reason.as_deref().unwrap_or(UNSPECIFIED);
    let interrupted = write(call.session(), &schema, |ground| {
        run(ground, id.as_deref(), reason)
    })?;
    Ok(interrupted.into())
}

fn run(ground: &Ground<'_>, id: Option<&str>, reason: &str) -> Result<i64> {
    match id {
        Some(id) => scope::interrupt(ground.database, id, reason),
        None => scope::interrupt_own(ground, reason),
    }
}
