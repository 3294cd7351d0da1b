//! Whether writing to the bound tables can change rows that nobody named: through an application's
//! trigger or a foreign key action.

use crate::store::{Database, Result, Value};

use crate::transfer::binding::Binding;

/// True when entries of other rows may appear in the log while rows are applied. They must be kept apart
/// then; otherwise everything new in the log is ours.
///
/// # Errors
/// SQLite's.
pub fn possible(database: &Database, bindings: &[Binding]) -> Result<bool> {
    if foreign_key_actions(database)? {
        return Ok(true);
    }
    for binding in bindings {
        let name = binding.table.shape.name.as_str();
        for catalog in ["main.sqlite_master", "temp.sqlite_master"] {
            let found = database.query_value(
                &format!(
                    "SELECT 1 FROM {catalog} WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
                     AND substr(name, 1, 13) <> '_syncCapture_'"
                ),
                &[name.into()],
            )?;
            if found != Value::Null {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn foreign_key_actions(database: &Database) -> Result<bool> {
    let enforced = database.query_value("SELECT foreign_keys FROM pragma_foreign_keys", &[])?;
    if enforced.as_i64() != Some(1) {
        return Ok(false);
    }
    let found = database.query_value(
        "SELECT 1 FROM main.sqlite_master AS t, pragma_foreign_key_list(t.name, ?1) AS k \
         WHERE t.type = 'table' AND (k.on_delete NOT IN ('NO ACTION', 'RESTRICT') \
         OR k.on_update NOT IN ('NO ACTION', 'RESTRICT')) LIMIT 1",
        &[database.schema().into()],
    )?;
    Ok(found != Value::Null)
}
