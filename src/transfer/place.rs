//! How far the operations of a provider have read, where calls name functions.

use serde_json::Value as Json;

use crate::coordination::now;
use crate::coordination::operation::OperationSpec;
use crate::providers::conversation::Place;
use crate::store::{Database, Error, Result, Value};

/// How far an operation has read; none of one that never has.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] for a memory that is not JSON.
pub fn read(
    database: &Database,
    provider: &str,
    operation: &OperationSpec,
) -> Result<Option<Place>> {
    let [provider, entity, function, parameters] = key(provider, operation);
    let found = database.query_row(
        "SELECT cursor, memory FROM main._syncPlace \
         WHERE provider = ?1 AND entity = ?2 AND functionId = ?3 AND parameters = ?4",
        &[
            provider.into(),
            entity.into(),
            function.into(),
            parameters.into(),
        ],
        |row| Ok((row.optional_text(0), row.optional_text(1))),
    )?;
    let Some((cursor, memory)) = found else {
        return Ok(None);
    };
    let memory = memory.map_or(Ok(Json::Null), |memory| serde_json::from_str(&memory));
    let memory = memory.map_err(|_| {
        Error::Corrupt(format!(
            "_syncPlace.memory of entity '{entity}' is not JSON; delete that row to read it from the beginning"
        ))
    })?;
    Ok(Some(Place { cursor, memory }))
}

/// The number of an operation, which names its part of a table.
///
/// # Errors
/// SQLite's.
pub fn number(database: &Database, provider: &str, operation: &OperationSpec) -> Result<i64> {
    let [provider, entity, function, parameters] = key(provider, operation);
    let values = [
        provider.into(),
        entity.into(),
        function.into(),
        parameters.into(),
    ];
    database.execute(
        "INSERT INTO main._syncPlace (provider, entity, functionId, parameters, updatedAt) \
         VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT (provider, entity, functionId, parameters) DO NOTHING",
        &values,
    )?;
    let id = database.query_value(
        "SELECT id FROM main._syncPlace \
         WHERE provider = ?1 AND entity = ?2 AND functionId = ?3 AND parameters = ?4",
        &values,
    )?;
    id.as_i64()
        .ok_or_else(|| Error::Corrupt("_syncPlace does not keep what is written to it".into()))
}

/// Records how far an operation has read.
///
/// # Errors
/// SQLite's.
pub fn store(
    database: &Database,
    provider: &str,
    operation: &OperationSpec,
    place: &Place,
) -> Result<()> {
    let [provider, entity, function, parameters] = key(provider, operation);
    let memory = match &place.memory {
        Json::Null => Value::Null,
        memory => Value::from(memory.to_string().as_str()),
    };
    database.execute(
        "INSERT INTO main._syncPlace (provider, entity, functionId, parameters, cursor, memory, updatedAt) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (provider, entity, functionId, parameters) DO UPDATE \
         SET cursor = excluded.cursor, memory = excluded.memory, updatedAt = excluded.updatedAt",
        &[
            provider.into(),
            entity.into(),
            function.into(),
            parameters.into(),
            place.cursor.as_deref().into(),
            memory.borrow(),
            now().into(),
        ],
    )?;
    Ok(())
}

/// The operations that a provider has read, the oldest first; not those that others are carried out by.
///
/// # Errors
/// SQLite's.
pub fn operations(database: &Database, provider: &str) -> Result<Vec<OperationSpec>> {
    database.query_all(
        "SELECT entity, nullif(functionId, ''), parameters FROM main._syncPlace \
         WHERE provider = ?1 AND coalesce(memory ->> 'branch', 0) = 0 ORDER BY id",
        &[provider.into()],
        |row| {
            Ok(OperationSpec {
                entity: row.text(0),
                function_id: row.optional_text(1),
                parameters: row.text(2),
            })
        },
    )
}

fn key<'k>(provider: &'k str, operation: &'k OperationSpec) -> [&'k str; 4] {
    let function = operation.function_id.as_deref().unwrap_or_default();
    [provider, &operation.entity, function, &operation.parameters]
}
