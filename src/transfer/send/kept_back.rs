//! Rows made here whose counted key is that of a row that is held, and what was made here to refer to them: under that
//! number the backend would take them for the other row. They wait until they have another.

use std::collections::HashMap;

use crate::capture::sends::sends_of_there;
use crate::capture::{Key, Pending, PendingRows, Status};
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;
use crate::transfer::held::keep;

use super::reference::Reference;

/// Why a row waits.
#[derive(Debug, Clone, Copy)]
enum Why {
    Itself,
    /// By a column that is given by its position; none when it is computed from others.
    Refers(Option<usize>),
}

#[derive(Default)]
pub struct KeptBack(HashMap<(i64, Key), Vec<Why>>);

impl KeptBack {
    /// Call where rows are held. `pending`: what waits of each binding.
    ///
    /// # Errors
    /// SQLite's.
    pub fn find(
        database: &Database,
        bindings: &[Binding],
        pending: &[PendingRows],
    ) -> Result<Self> {
        let mut all = Self::default();
        for (binding, pending) in bindings.iter().zip(pending) {
            if !binding.is_counted() {
                continue;
            }
            for (key, held) in keep::keys(database, binding.table.id)? {
                let row = pending.get(&key)?.filter(|_| !held.is_delete);
                if row.is_some_and(|row| sends_of_there(&row, &binding.columns) == Status::Created)
                {
                    all.add(database, bindings, binding, key)?;
                }
            }
        }
        Ok(all)
    }

    fn add(
        &mut self,
        database: &Database,
        bindings: &[Binding],
        binding: &Binding,
        key: Key,
    ) -> Result<()> {
        for reference in Reference::all(database, &binding.table.shape)? {
            let mut children = bindings.iter();
            let child = children.find(|child| {
                let name = &child.table.shape.name;
                name.eq_ignore_ascii_case(&reference.child)
            });
            let Some(child) = child else { continue };
            let position = child.table.shape.position(&reference.column);
            let why = Why::Refers(position.filter(|_| !reference.generated));
            let sql = format!(
                "SELECT {} FROM {} WHERE {}",
                child.key_name(),
                child.qualified,
                reference.means(&key.0, 1)
            );
            let mut scan = database.connection().prepare(&sql)?;
            scan.bind(1, key.0.borrow())?;
            while scan.step()? {
                let row = (child.table.id, Key(scan.column(0).to_owned()));
                self.0.entry(row).or_default().push(why);
            }
        }
        let row = (binding.table.id, key);
        self.0.entry(row).or_default().push(Why::Itself);
        Ok(())
    }

    /// Why a row can't be sent, in words; none when it can.
    pub fn why(&self, table: i64, row: &Pending, created: bool) -> Option<&'static str> {
        if self.0.is_empty() {
            return None;
        }
        let whys = self.0.get(&(table, row.key.clone()))?;
        whys.iter().find_map(|why| match why {
            Why::Itself => created
                .then_some("another row of the backend has its number, and is held; see sync_held"),
            Why::Refers(position) => {
                let is_ours = created || position.is_none_or(|position| row.changed(position));
                is_ours.then_some(
                    "it refers to a row that waits for another number; see sync_held for the row in its place",
                )
            }
        })
    }
}
