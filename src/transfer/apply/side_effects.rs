//! Whether writing to the bound tables can change rows that nobody named: through an application's
//! trigger or a foreign key action.

use crate::store::{Database, REFERRING, Result, enforces_references};
use crate::transfer::app_triggers::has_triggers;
use crate::transfer::binding::Binding;

/// What can change other rows while rows are applied. Without any of it, everything new in the log is ours.
#[derive(Debug, Clone, Copy)]
pub struct SideEffects {
    /// Triggers of the application.
    pub triggers: bool,
    /// A foreign key's ON DELETE.
    pub deletes: bool,
    /// A foreign key's ON UPDATE.
    pub updates: bool,
}

impl SideEffects {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, bindings: &[Binding]) -> Result<Self> {
        let (deletes, updates) = foreign_key_actions(database)?;
        let mut triggers = false;
        // An action may reach any table.
        if deletes || updates {
            triggers = has_triggers(database, None)?;
        } else {
            for binding in bindings {
                triggers = triggers || has_triggers(database, Some(&binding.table.shape.name))?;
            }
        }
        Ok(Self {
            triggers,
            deletes,
            updates,
        })
    }
}

/// Whether there are actions on deletes, and on updates.
fn foreign_key_actions(database: &Database) -> Result<(bool, bool)> {
    if !enforces_references(database.connection()) {
        return Ok((false, false));
    }
    let found = database.query_row(
        &format!(
            "SELECT total(k.on_delete NOT IN ('NO ACTION', 'RESTRICT')) > 0, \
             total(k.on_update NOT IN ('NO ACTION', 'RESTRICT')) > 0 \
             FROM {REFERRING} AS t, pragma_foreign_key_list(t.name, ?1) AS k"
        ),
        &[database.schema().into()],
        |row| Ok((row.integer(0) != 0, row.integer(1) != 0)),
    )?;
    Ok(found.unwrap_or_default())
}
