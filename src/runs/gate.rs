//! What is checked before a run begins: refused calls change nothing and send nothing.

use crate::coordination::{EntitiesCall, Ground, live_owner_of};
use crate::ground::quoted;
use crate::providers::{Settings, kinds};
use crate::store::{Database, Error, Result, Value};

use crate::transfer::binding::Binding;

/// What belongs to an operation that the program carries out itself, or that a function of the provider describes.
pub fn refuse_unknown(call: &EntitiesCall, config: &Settings) -> Result<()> {
    if config.kind().functions.is_some() {
        return Ok(());
    }
    let special = call
        .operations
        .iter()
        .find(|operation| operation.function_id.is_some() || operation.parameters != "{}");
    match special {
        None => Ok(()),
        Some(operation) => Err(Error::argument(format!(
            "entity {} has a function or parameters, which a provider of kind {} does not take; leave them out",
            quoted(&operation.entity),
            config.kind().name
        ))),
    }
}

/// The configuration of a declared provider.
///
/// # Errors
/// [`Error::Corrupt`] when it is not readable.
pub fn stored_config(database: &Database, provider: &str) -> Result<Settings> {
    let stored = database.query_value(
        "SELECT config FROM main._syncProvider WHERE id = ?1",
        &[provider.into()],
    )?;
    kinds::parse_stored(stored.as_str().unwrap_or_default()).map_err(|problem| {
        Error::Corrupt(format!("the stored {problem}; call sync_provider again"))
    })
}

/// Refuses an instance that a live process is syncing.
pub fn refuse_overlap(ground: &Ground<'_>, call: &EntitiesCall) -> Result<()> {
    let Some(instance) = &call.instance_id else {
        return Ok(());
    };
    let others = ground.database.query_value(
        "SELECT 1 FROM main._syncOperation WHERE instanceId = ?1 AND state = 'syncing' \
         AND ownerId IS NOT ?2",
        &[instance.into(), ground.owner.into()],
    )?;
    // What this connection left open is a run that could not be closed: it is over.
    if others == Value::Null {
        return Ok(());
    }
    let Some(owner) = live_owner_of(ground.database, instance)? else {
        return Ok(());
    };
    Err(Error::Busy(format!(
        "instance '{instance}' is already syncing ({owner}); wait for it, or interrupt its scope with \
         sync_interrupt"
    )))
}

/// Two entities in one table would conflict with each other.
///
/// # Errors
/// Naming both.
pub fn refuse_twice(bindings: &[Binding], binding: &Binding) -> Result<()> {
    match bindings
        .iter()
        .find(|other| other.table.id == binding.table.id)
    {
        None => Ok(()),
        Some(other) => Err(Error::argument(format!(
            "entities {} and {} are kept in the same table; sync one of them",
            quoted(&other.entity),
            quoted(&binding.entity)
        ))),
    }
}

/// The version that the application gives its schema, at least 1.
///
/// # Errors
/// SQLite's.
pub fn schema_version(database: &Database) -> Result<i64> {
    let version = database.query_value(
        "SELECT user_version FROM pragma_user_version(?1)",
        &[database.schema().into()],
    );
    // Older hosts take no schema argument here.
    let version = match version {
        Ok(version) => version,
        Err(_) => database.query_value("PRAGMA main.user_version", &[])?,
    };
    Ok(version.as_i64().unwrap_or(0).max(1))
}
