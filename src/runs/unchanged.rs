//! What a run began with: each transaction in which it reads or writes rows makes sure that it still holds.

use crate::coordination::lease;
use crate::ground::SyncError;
use crate::store::Database;

use super::gate::stored_config;
use super::run::Run;

/// Keys of a configuration that say what travels.
const TRAVEL: &[&str] = &["tableMap", "excludeColumns"];

impl Run {
    /// Makes sure that the run still has its turn, and that neither its tables nor what is synced of them is another by
    /// now: a column that was excluded a moment ago must not be sent.
    ///
    /// # Errors
    /// One of these has changed; SQLite's.
    pub(super) fn require_unchanged(&self, database: &Database) -> Result<(), SyncError> {
        let provider = self.call.provider.as_str();
        lease::require(database, provider, self.id)?;
        for binding in &self.bindings {
            binding.require_unchanged(database)?;
        }
        let config = stored_config(database, provider)?;
        let changed = |key: &&str| self.config.get(key) != config.get(key);
        match TRAVEL.iter().copied().find(changed) {
            None => Ok(()),
            Some(key) => Err(SyncError::concurrent(format!(
                "{key} of provider '{provider}' was changed while the sync was running; sync again"
            ))),
        }
    }
}
