//! What the server says of a row that it was asked for by itself. That counts, whatever was known of it: the log that it
//! tells changes from may be wrong.

use crate::ground::SyncError;
use crate::providers::sink::{Announced, Image, KnownVersion};
use crate::providers::wire::WireId;
use crate::transfer::version::Version;

use super::applier::Applier;

impl Applier<'_> {
    /// The version of a row that the server is known to hold.
    pub(super) fn known_version(
        &mut self,
        place: usize,
        id: &WireId<'_>,
    ) -> Result<Option<KnownVersion>, SyncError> {
        let Some(key) = self.key(place, id)? else {
            return Ok(None);
        };
        let known = self.tables[place].version(&key)?;
        Ok(known.map(|known| KnownVersion {
            number: known.number,
            told: known.told,
        }))
    }

    /// Takes what it says. Without a version it has no such row, and remembers none.
    pub(super) fn take_word(
        &mut self,
        id: &WireId<'_>,
        image: &Image<'_>,
    ) -> Result<(), SyncError> {
        let place = image.entity;
        let Some(key) = self.key(place, id)? else {
            return Ok(());
        };
        let table = &mut self.tables[place];
        let known = table.version(&key)?;
        let Some(number) = image.version else {
            table.forget_version(&key)?;
            // Of what it was not known to have nothing is gone.
            if known.is_some_and(|known| !known.deleted) {
                self.newer_delete(place, key);
            }
            return Ok(());
        };
        let deleted = image.slots.is_none();
        let is_known =
            known.is_some_and(|known| (known.number, known.deleted) == (number, deleted));
        let version = Version {
            number,
            deleted,
            met: known.is_some_and(|known| known.met),
            told: true,
        };
        table.set_version(&key, version)?;
        // What waits was decided against it.
        if is_known && table.is_pending(&key)? {
            return Ok(());
        }
        match image.slots {
            Some(slots) => self.newer_row(place, &key, Announced::Updated, slots),
            None => {
                self.newer_delete(place, key);
                Ok(())
            }
        }
    }
}
