//! What waits of the tables that an answer is about.
//!
//! Of rows that the same answer has settled, all that still waits was logged after they were frozen: as long as nobody asks
//! for another row, only that is read. So an upload in many parcels does not read all that is left for each of them.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::capture::{Key, Pending, PendingRows};
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;
use crate::transfer::send::settle::Acknowledged;

/// What waits of all tables.
struct Log<'a> {
    database: &'a Database,
    bindings: &'a [Binding],
    settled: Acknowledged,
    /// Since they were settled.
    newer: Vec<PendingRows>,
    whole: OnceCell<Vec<PendingRows>>,
    /// The log's end.
    end: i64,
}

/// What waits of one table.
pub struct Unsent<'a> {
    log: Rc<Log<'a>>,
    place: usize,
}

impl<'a> Unsent<'a> {
    /// What waits of each table, up to the entry `end` of the log.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(
        database: &'a Database,
        bindings: &'a [Binding],
        settled: Acknowledged,
        end: i64,
    ) -> Result<Vec<Self>> {
        let mut log = Log {
            database,
            bindings,
            settled,
            newer: Vec::new(),
            whole: OnceCell::new(),
            end,
        };
        // What the log alone does not say is read in the tables, and has to be before anything is written to them.
        let is_plain =
            |binding: &Binding| binding.table.is_captured && binding.table.columns.added.is_empty();
        match log.settled.rows.is_empty() || !bindings.iter().all(is_plain) {
            true => {
                log.settled = Acknowledged::default();
                log.whole()?;
            }
            false => log.newer = log.after(log.settled.upto)?,
        }
        let log = Rc::new(log);
        let places = 0..bindings.len();
        Ok(places
            .map(|place| Self {
                log: Rc::clone(&log),
                place,
            })
            .collect())
    }

    /// What waits of a row, if anything does.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&self, key: &Key) -> Result<Option<Pending>> {
        let table = self.log.bindings[self.place].table.id;
        if self.log.whole.get().is_none() && self.log.settled.rows.contains(&(table, key.clone())) {
            return self.log.newer[self.place].get(key);
        }
        self.all()?.get(key)
    }

    /// All rows of the table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(&self) -> Result<&PendingRows> {
        Ok(&self.log.whole()?[self.place])
    }

    /// Whether it is known that nothing waits in the whole table.
    pub fn is_empty(&self) -> bool {
        let whole = self.log.whole.get();
        whole.is_some_and(|tables| tables[self.place].is_empty())
    }
}

impl Log<'_> {
    fn after(&self, after: i64) -> Result<Vec<PendingRows>> {
        let tables: Vec<_> = self.bindings.iter().map(|binding| &binding.table).collect();
        PendingRows::read_after(self.database, &tables, after, self.end)
    }

    fn whole(&self) -> Result<&Vec<PendingRows>> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole);
        }
        let whole = self.after(0)?;
        Ok(self.whole.get_or_init(|| whole))
    }
}
