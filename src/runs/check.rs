//! `sync_check`: the tables compared with everything the server has, for doubts and bug reports. It changes nothing
//! in them.

use serde_json::Value as Json;

use crate::providers::conversation::Goal;
use crate::store::{Database, Error, Result, Session, require_idle};

use super::begin::call_of;
use super::drive::complete;
use super::run::Run;

/// Compares the entities of a provider that were pulled (or the given ones) with a full pull.
///
/// # Errors
/// The provider is not declared or has no protocol, an entity is not tracked; called inside a transaction.
pub fn check(
    session: &Session,
    schema: &str,
    provider: &str,
    entities: Option<Vec<String>>,
) -> Result<Json> {
    require_idle(session.connection())?;
    let entities = match entities {
        Some(entities) => entities,
        None => pulled_entities(&session.database(schema)?, provider)?,
    };
    if entities.is_empty() {
        return Err(Error::argument(format!(
            "nothing of provider '{provider}' was pulled yet; sync first, or name entities"
        )));
    }
    let database = session.database(schema)?;
    let call = call_of(&database, schema, provider, entities, Default::default())?;
    complete(session, Run::begin(session, &call, Goal::Check, false)?)
}

fn pulled_entities(database: &Database, provider: &str) -> Result<Vec<String>> {
    database.query_all(
        "SELECT entity FROM main._syncCursor WHERE provider = ?1 ORDER BY entity",
        &[provider.into()],
        |row| Ok(row.text(0)),
    )
}
