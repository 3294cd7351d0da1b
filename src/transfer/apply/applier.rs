//! Applies what an answer says to the application's tables, row by row, in the caller's transaction. Rows are
//! inserted or updated, never replaced.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capture::{Key, PendingRows, log};
use crate::ground::{SyncError, Warning, quoted};
use crate::providers::sink::{Announced, RemoteRow, Scope, Sink};
use crate::providers::wire::{Slot, WireId};
use crate::store::{Database, Result, Value, ValueRef};
use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::send::unacknowledged::Unacknowledged;

use super::decide::Remote;
use super::deferred::{Deferred, Waiting, Word, unique_columns};
use super::displaced::{Comer, Displaced};
use super::effects;
use super::meeting::Chosen;
use super::own_writes::{Applied, OwnWrites};
use super::scope::is_named;
use super::setting::Setting;
use super::swept::Swept;
use super::table::{TableApplier, Trouble};
use super::writer::UNIQUE;

/// Applies the changes of one answer.
pub struct Applier<'a> {
    database: &'a Database,
    tables: Vec<TableApplier<'a>>,
    own: OwnWrites<'a>,
    deferred: Deferred,
    swept: Swept,
    displaced: Displaced,
    /// Rows that went with deleted ones.
    taken: HashSet<(i64, Key)>,
    /// The log's end before we wrote anything.
    start: i64,
    cancel: &'a AtomicBool,
}

impl<'a> Applier<'a> {
    /// Prepares to apply: looks at what is pending now. `unacknowledged`: rows that the server may have
    /// from a push without an answer.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(
        setting: &Setting<'a>,
        bindings: &'a [Binding],
        unacknowledged: &'a Unacknowledged,
    ) -> Result<Self> {
        let database = setting.database;
        // Applied rows may arrive in any order; references are checked at the end.
        database
            .connection()
            .execute_script("PRAGMA defer_foreign_keys = ON")?;
        let start = log::high_water(database)?;
        let tracked: Vec<_> = bindings.iter().map(|binding| &binding.table).collect();
        let pending = PendingRows::read(database, &tracked, start)?;
        let tables = bindings
            .iter()
            .zip(pending)
            .enumerate()
            .map(|(place, (binding, pending))| {
                let again = setting.again.get(place).copied().flatten();
                TableApplier::new(setting, binding, again, pending, unacknowledged, start)
            })
            .collect::<Result<Vec<_>>>()?;
        let asks = tables.iter().any(TableApplier::asks_the_application);
        let own = OwnWrites::begin(database, bindings, start, asks)?;
        let mut tables = tables;
        if own.are_watched() {
            tables.iter_mut().for_each(TableApplier::watch);
        }
        Ok(Self {
            database,
            tables,
            own,
            deferred: Deferred::default(),
            swept: Swept::default(),
            displaced: Displaced::default(),
            taken: HashSet::new(),
            start,
            cancel: setting.cancel,
        })
    }

    /// Applies what had to wait, and brings the log up to date. Call once, before the commit. Returns the counts
    /// of each binding, and warnings.
    ///
    /// # Errors
    /// SQLite's; a row that fits nowhere.
    pub fn finish(mut self) -> Result<(Vec<Counts>, Vec<Warning>), SyncError> {
        let comers = self
            .displaced
            .make_room(self.database, &mut self.tables, self.start)?;
        for comer in comers {
            self.upsert(comer.place, comer.remote, &comer.key, &comer.row, false)?;
        }
        self.apply_deferred()?;
        let swept = self.swept.record(&mut self.tables)?;
        let mut taken: HashSet<(i64, Key)> = std::mem::take(&mut self.taken);
        if self.own.alone_with_cascades() {
            let id = |place: usize| self.tables[place].binding.table.id;
            taken.extend(swept.into_iter().map(|(place, key)| (id(place), key)));
        }
        let tables = &mut self.tables;
        taken.extend(
            self.own
                .finish(&mut |table, key, row| restore(tables, table, key, row))?,
        );
        // They are gone, but nothing of that is to be sent.
        let taken = taken.into_iter().map(|row| (row, self.start));
        log::forget(self.database, &taken.collect())?;
        let tables = self.tables.iter_mut();
        let effects: HashMap<_, _> = tables
            .map(|table| (table.binding.table.id, std::mem::take(&mut table.effects)))
            .collect();
        effects::write(self.database, self.start, &effects)?;
        let mut all = Vec::new();
        let mut warnings = Vec::new();
        for table in self.tables {
            let (counts, warned) = table.finish()?;
            all.push(counts);
            warnings.extend(warned);
        }
        Ok((all, warnings))
    }

    /// Tries the rows that wait again and again, as long as that gets any of them in.
    fn apply_deferred(&mut self) -> Result<(), SyncError> {
        let mut waiting = self.deferred.take();
        let mut let_go = false;
        while !waiting.is_empty() {
            let before = waiting.len();
            for row in waiting {
                self.try_again(row)?;
            }
            waiting = self.deferred.take();
            if waiting.len() == before && let_go {
                return Err(waiting.swap_remove(0).error);
            }
            // A circle, such as two rows that swap their values, or a long chain: all let go of them first.
            if waiting.len() * 2 > before && !let_go {
                let_go = true;
                self.let_go(&mut waiting)?;
            }
        }
        Ok(())
    }

    /// Frees the values that rows hold which wait for others: where no trigger of the application fires, the rows
    /// are taken out for a while, elsewhere they hold other values in the meantime.
    fn let_go(&mut self, waiting: &mut [Waiting]) -> Result<()> {
        let bindings = self.tables.iter().map(|table| table.binding);
        let unique = bindings
            .map(|binding| unique_columns(self.database, binding))
            .collect::<Result<Vec<_>>>()?;
        for row in waiting {
            let table = &mut self.tables[row.place];
            if self.own.are_alone() {
                row.lifted = table.lift(&row.key);
            }
            if row.lifted.is_some() {
                continue;
            }
            let wanted = row.word.slots().iter().zip(&unique[row.place]).enumerate();
            for (place, (slot, is_unique)) in wanted {
                if slot.is_missing() || !is_unique {
                    continue;
                }
                match self.tables[row.place].park(&row.key, place) {
                    // A CHECK that refuses it, say: the other columns may do.
                    Err(error) if error.is_constraint() && self.is_open() => {}
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }

    fn upsert(
        &mut self,
        place: usize,
        remote: Remote,
        key: &Key,
        row: &[Slot<'_>],
        old: bool,
    ) -> Result<(), SyncError> {
        if self.tables[place].may_delete() {
            self.look_before_a_delete()?;
        }
        let trouble = match self.tables[place].row(remote, key, row, old) {
            Ok(gone) => return self.wrote(place, key, gone),
            Err(Trouble::Taken) => {
                self.displaced.put(Comer {
                    place,
                    key: key.clone(),
                    remote,
                    row: row.iter().map(|slot| slot.clone().into_owned()).collect(),
                });
                return Ok(());
            }
            Err(trouble) => trouble,
        };
        let (error, chosen) = self.clash(place, key, trouble)?;
        let owned = || row.iter().map(|slot| slot.clone().into_owned()).collect();
        self.deferred.put_off(Waiting {
            place,
            key: key.clone(),
            word: chosen.map_or_else(|| Word::Row(remote, owned()), Word::Chosen),
            lifted: None,
            error,
        })
    }

    fn try_again(&mut self, row: Waiting) -> Result<(), SyncError> {
        let table = &mut self.tables[row.place];
        let trouble = match table.again(&row.key, &row.word, row.lifted.as_ref()) {
            Ok(gone) => return self.wrote(row.place, &row.key, gone),
            Err(trouble) => trouble,
        };
        let (error, chosen) = self.clash(row.place, &row.key, trouble)?;
        let word = chosen.map_or(row.word, Word::Chosen);
        self.deferred.put_off(Waiting { word, error, ..row })
    }

    /// A row that clashes with another is put off: that may be about to change or go. Gives the error to end with
    /// if it never fits, and what was decided about the row.
    fn clash(
        &self,
        place: usize,
        key: &Key,
        trouble: Trouble,
    ) -> Result<(SyncError, Option<Chosen<'static>>), SyncError> {
        let table = &self.tables[place];
        match trouble {
            Trouble::Clash(error, chosen) => Ok((table.named(error, key), Some(chosen))),
            Trouble::Store(error) if error.code() == UNIQUE && self.is_open() => {
                Ok((table.named(error, key), None))
            }
            trouble => Err(table.named(trouble, key)),
        }
    }

    /// A trigger may have ended the transaction (`RAISE(ROLLBACK)`): nothing must be written after that.
    fn is_open(&self) -> bool {
        !self.database.connection().standing().autocommit
    }

    /// A delete may also delete rows that nobody named.
    fn look_before_a_delete(&mut self) -> Result<()> {
        match self.own.may_touch_others() {
            true => self.swept.look(&mut self.tables),
            false => Ok(()),
        }
    }

    /// Deletes a row.
    fn take_away(
        &mut self,
        place: usize,
        remote: Remote,
        key: &Key,
        old: bool,
    ) -> Result<(), SyncError> {
        if !old {
            self.deferred.forget(place, key);
            self.displaced.forget(place, key);
        }
        self.look_before_a_delete()?;
        let table = &mut self.tables[place];
        let gone = table
            .gone(remote, key, old)
            .map_err(|error| table.named(error, key))?;
        match gone {
            true => self.wrote(place, key, gone),
            // What others have changed of it as a side effect is an edit.
            false => Ok(()),
        }
    }

    fn wrote(&mut self, place: usize, key: &Key, gone: bool) -> Result<(), SyncError> {
        let applied = self.tables[place].take_applied();
        let applied = match gone {
            true => Some(Applied::Gone),
            false => applied,
        };
        if gone {
            self.swept.named(place, key);
        }
        // A row that was left alone: what others change of it as a side effect is an edit.
        let Some(applied) = applied else {
            return Ok(());
        };
        let table = self.tables[place].binding.table.id;
        if self.own.wrote(table, key, applied) {
            let tables = &mut self.tables;
            let taken = self
                .own
                .take_back(&mut |table, key, row| restore(tables, table, key, row))?;
            self.taken.extend(taken);
        }
        Ok(())
    }

    fn key(&self, place: usize, id: &WireId<'_>) -> Result<Key, SyncError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(SyncError::cancelled(
                "interrupted because the connection closes",
            ));
        }
        let binding = self.tables[place].binding;
        binding.wire_key(id).map(Key).ok_or_else(|| {
            SyncError::protocol(format!(
                "{} has an integer key, but the backend sent the id {}; nothing was applied",
                quoted(&binding.entity),
                quoted(&id.to_string())
            ))
        })
    }

    /// All rows there are were named: others go, and so do deletes that wait. Whether a condition was true of a row
    /// that is deleted is not known any more, so with one its delete stays.
    fn retain(&mut self, place: usize, named: &dyn Fn(&str) -> bool) -> Result<(), SyncError> {
        let others = |key: ValueRef<'_>| !is_named(key, named);
        let table = &mut self.tables[place];
        let condition = table.binding.replacement_where.as_deref();
        let mut doomed = table.keys(condition.unwrap_or("1"), &[], others)?;
        if condition.is_none() {
            doomed.extend(table.absent(others)?);
        }
        for key in doomed {
            self.take_away(place, Remote::Unnamed, &key, false)?;
        }
        Ok(())
    }

    fn clear(&mut self, place: usize, condition: &str, values: &[Value]) -> Result<(), SyncError> {
        let values: Vec<ValueRef<'_>> = values.iter().map(Value::borrow).collect();
        let doomed = self.tables[place].keys(condition, &values, |_| true)?;
        for key in doomed {
            self.take_away(place, Remote::Cleared, &key, false)?;
        }
        Ok(())
    }
}

/// Makes sure that a row holds what was applied.
fn restore(
    tables: &mut [TableApplier<'_>],
    table: i64,
    key: &Key,
    applied: &Applied,
) -> Result<bool> {
    let mut bound = tables.iter_mut();
    match bound.find(|bound| bound.binding.table.id == table) {
        Some(bound) => bound.restore(key, applied),
        None => Ok(false),
    }
}

impl Sink for Applier<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let key = self.key(row.entity, row.id)?;
        let old = self.tables[row.entity].is_old(&key, row.version, false)?;
        if !old {
            self.deferred.forget(row.entity, &key);
        }
        let remote = match row.announced {
            Announced::Created => Remote::Created,
            Announced::Updated => Remote::Updated,
        };
        self.upsert(row.entity, remote, &key, row.slots, old)
    }

    fn gone(
        &mut self,
        place: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError> {
        let key = self.key(place, id)?;
        let old = self.tables[place].is_old(&key, version, true)?;
        self.take_away(place, Remote::Deleted, &key, old)
    }

    fn scope(&mut self, place: usize, scope: &Scope<'_>) -> Result<(), SyncError> {
        match scope {
            Scope::Retain(named) => self.retain(place, named),
            Scope::Wipe => self.clear(place, "1", &[]),
            Scope::Where(condition, values) => self.clear(place, condition, values),
        }
    }
}
