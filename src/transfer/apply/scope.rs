//! What an answer says of all rows of an entity: some go although nobody named them.

use crate::ground::quoted;
use crate::providers::wire::Entity;
use crate::store::{Database, Result, Session, ValueRef};
use crate::transfer::binding::Binding;
use crate::transfer::{declared, names};

/// Makes sure, before anything is sent, that the condition of a replacement may be run.
///
/// # Errors
/// It comes from the file alone; it does not compile.
pub fn require_declared(session: &Session, database: &Database, binding: &Binding) -> Result<()> {
    let Some(condition) = &binding.replacement_where else {
        return Ok(());
    };
    let how = "call sync_provider with the same replacementWhere after opening the file";
    declared::require(session, condition, how)?;
    let key = format!("replacementWhere of {}", quoted(&binding.entity));
    names::require_in_condition(database, &key, condition)?;
    let sql = format!("SELECT 1 FROM {} WHERE ({condition})", binding.qualified);
    session
        .connection()
        .prepare(&sql)
        .map(drop)
        .map_err(|error| error.prefixed(&format!("{key}, to be corrected with sync_provider")))
}

/// Whether an answer that names all rows of an entity names this one.
pub fn is_named(entity: &Entity, key: ValueRef<'_>, named: &dyn Fn(&str) -> bool) -> bool {
    entity.id_of(key).is_some_and(|id| named(&id))
}
