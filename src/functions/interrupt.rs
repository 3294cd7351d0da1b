//! `sync_interrupt([scope_id [, reason]])`: for an app that goes to the background or is closed.

use crate::coordination::{Ground, scope, write};
use crate::ground::key::{Key, Takes, Usual, key};
use crate::runs::host::end_interrupted;
use crate::store::{Call, Result, Shape, Value};

use super::action::{ACTION, ActionObject, OPTIONS, action_type};
use super::arguments::{MAIN, optional_text};

#[rustfmt::skip]
const TYPE: Key = action_type(
    &["action.interrupt-sync", "action-interrupt-sync"],
    r#"{"when":false,"type":"action.interrupt-sync"}"#,
);
#[rustfmt::skip]
pub static SHAPE: Shape = Shape {
    top: &[&[TYPE, OPTIONS], ACTION],
    options: &[&[
        TYPE,
        key("id", Takes::Text, Usual::Words("all work of this process"), "in `options` of one object: the scope", r#"{"options":{"id":"startup"}}"#),
        key("reason", Takes::Text, Usual::Json("\"unspecified\""), "in `options` of one object: why", r#"{"options":{"id":"startup","reason":"background"}}"#),
    ], ACTION],
};

/// Used when the caller gives no reason.
const UNSPECIFIED: &str = "unspecified";

/// `SELECT sync_interrupt('startup', 'background');` returns the number of scopes interrupted. Without
/// a scope: all work of this process, of dead processes and without an owner.
pub fn interrupt(call: &Call<'_>) -> Result<Value> {
    let (schema, id, reason) = match ActionObject::of(call)? {
        Some(action) if !action.when => return Ok(Value::Null),
        Some(action) => {
            let (id, reason) = (action.within.name("id")?, action.within.name("reason")?);
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
    // Their programs may never come back for them.
    end_interrupted(call.session(), &schema, None);
    Ok(interrupted.into())
}

fn run(ground: &Ground<'_>, id: Option<&str>, reason: &str) -> Result<i64> {
    match id {
        Some(id) => scope::interrupt(ground.database, id, reason),
        None => scope::interrupt_own(ground, reason),
    }
}
