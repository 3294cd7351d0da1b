//! The latest state of every row, gathered from all pages of the log: what the server has, for a comparison.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::ground::SyncError;
use crate::providers::sink::{Announced, RemoteRow, Scope, Sink};
use crate::providers::wire::{Slot, WireId};

/// A row by its entity and its id.
type Row = (usize, String);

/// A version, and the row; none: it is deleted.
type State = (i64, Option<Vec<Slot<'static>>>);

/// Rows of all pages so far. A page may be read twice.
#[derive(Default)]
pub struct Latest(Mutex<HashMap<Row, State>>);

impl Latest {
    /// Where a page goes.
    pub fn gather(&self) -> Gather<'_> {
        Gather(self)
    }

    /// Says what there is when all pages are in.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn tell(&self, sink: &mut dyn Sink) -> Result<(), SyncError> {
        let rows = self.0.lock();
        for ((entity, id), (version, slots)) in rows.iter() {
            let Some(slots) = slots else { continue };
            sink.row(&RemoteRow {
                entity: *entity,
                announced: Announced::Updated,
                id: &WireId::Text(id.as_str().into()),
                slots,
                version: Some(*version),
            })?;
        }
        Ok(())
    }

    /// Of two states with one version the first counts.
    fn note(&self, row: Row, state: State) {
        let mut rows = self.0.lock();
        let is_newer = rows.get(&row).is_none_or(|known| known.0 < state.0);
        if is_newer {
            rows.insert(row, state);
        }
    }
}

/// See [`Latest::gather`].
pub struct Gather<'a>(&'a Latest);

impl Sink for Gather<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let slots = row.slots.iter();
        let slots = slots.map(|slot| slot.clone().into_owned()).collect();
        let state = (row.version.unwrap_or(0), Some(slots));
        self.0.note((row.entity, row.id.to_string()), state);
        Ok(())
    }

    fn gone(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError> {
        self.0
            .note((entity, id.to_string()), (version.unwrap_or(0), None));
        Ok(())
    }

    fn scope(&mut self, _: usize, _: &Scope<'_>) -> Result<(), SyncError> {
        Ok(())
    }
}
