//! Declaring a provider anew: what another address means for what is known of the old one.

use crate::ground::quoted;
use crate::providers::Settings;
use crate::store::{Database, Error, Result, Value};
use crate::transfer::forget;

use super::gate::stored_config;
use super::questions::has_pending;

/// What becomes of the cursors of a provider whose data may be other data from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has said: a change that matters is refused.
    Unsaid,
    /// It is the same data.
    Kept,
    /// The next pull starts from the beginning.
    Reset,
}

/// Does what was said, before `new` takes the place of a provider's configuration. Call inside a transaction.
///
/// # Errors
/// A change of where the data is, while something of the old place is still known or waits; SQLite's.
pub fn prepare(
    database: &Database,
    provider: &str,
    new: &Settings,
    standing: Standing,
) -> Result<()> {
    match standing {
        Standing::Kept => return Ok(()),
        Standing::Reset => return forget::provider(database, provider),
        Standing::Unsaid => {}
    }
    let known = database.query_value(
        "SELECT 1 FROM main._syncProvider WHERE id = ?1",
        &[provider.into()],
    )?;
    if known == Value::Null {
        return Ok(());
    }
    let old = match stored_config(database, provider) {
        Ok(old) => old,
        // What can't be read was never used.
        Err(Error::Corrupt(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let Some(change) = old.moved_by(new) else {
        return Ok(());
    };
    let cursor = database.query_value(
        "SELECT entity FROM main._syncCursor WHERE provider = ?1 ORDER BY entity LIMIT 1",
        &[provider.into()],
    )?;
    let what = match cursor.as_str() {
        Some(entity) => format!("{} was pulled from there", quoted(entity)),
        None if has_pending(database, Some(provider))? => "changes wait to be sent there".into(),
        None => return Ok(()),
    };
    Err(Error::argument(format!(
        "config: {change} would change, but {what}; pass {{\"keepCursor\":true}} as third argument if the data is \
         the same, or {{\"reset\":true}} to pull everything from the beginning (what waits stays)"
    )))
}
