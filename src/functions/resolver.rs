//! `sync_resolver(entity, policy [, argument])`: who wins when a row was changed on both sides.

use crate::coordination::write;
use crate::store::{Call, Result, Value};
use crate::transfer::conflict::resolver::set_resolver;

use super::arguments;

/// `SELECT sync_resolver('tasks', 'lastWriteWins', 'modified_at');` returns 1. The entity `*` means all
/// that have no policy of their own; policy NULL takes an entity's own away.
pub fn resolver(call: &Call<'_>) -> Result<Value> {
    let entity = arguments::text(call, 0, "entity")?;
    let policy = arguments::optional_text(call, 1, "policy")?;
    let argument = arguments::optional_text(call, 2, "argument")?;
    write(call.session(), "main", |ground| {
        set_resolver(call.session(), ground.database, entity, policy, argument)
    })?;
    Ok(1.into())
}
