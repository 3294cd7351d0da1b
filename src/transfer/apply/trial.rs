//! Writing a row while it is on trial.

use crate::capture::Key;
use crate::ground::SyncError;
use crate::transfer::held::trial::Suspect;

use super::applier::Applier;

impl Applier<'_> {
    /// Writes a row, or carries out a delete. On trial, one that breaks a reference is refused.
    pub(super) fn watched(
        &mut self,
        (place, key, is_delete): (usize, &Key, bool),
        write: impl FnOnce(&mut Self) -> Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        let Some(trial) = self.holder.refusals.trial() else {
            return write(self);
        };
        trial.begin_row(self.database)?;
        write(self)?;
        if !self.is_open() {
            return Ok(());
        }
        let row = Suspect {
            table: self.bindings[place].table.id,
            key: key.clone(),
            is_delete,
        };
        if let Some(reason) = trial.end_row(self.database, row.clone())? {
            self.holder.refusals.refuse(&row, reason);
        }
        Ok(())
    }
}
