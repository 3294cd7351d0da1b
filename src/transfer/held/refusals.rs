//! Which rows an answer can't have, as it turns out while the answer is applied.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::capture::Key;
use crate::store::{Connection, Result, Value};

use super::reason::Reason;
use super::trial::{Suspect, Trial};

/// A row by the number of its table, and its key.
pub type Row = (i64, Key);

/// A row made here that makes room for a row of the server with the same UNIQUE values.
#[derive(Debug, Clone, PartialEq)]
pub struct Yielding {
    pub table: i64,
    pub old: Value,
    /// The key of the server's row.
    pub new: Value,
    /// Another row made here has that key, and takes a number of its own.
    pub displaces: bool,
    /// Its values go too.
    pub server_wins: bool,
}

/// What is known of one answer. It is applied until nothing is added.
#[derive(Default)]
pub struct Refusals(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    rows: HashMap<Row, Reason>,
    deletes: HashMap<Row, Reason>,
    yielding: Vec<Yielding>,
    /// Rows whose numbers others have given up, this time.
    displacing: HashSet<Row>,
    /// Rows made here that triggers write into before they get other keys.
    disturbed: HashSet<Row>,
    /// Parts of rows that made room, under the keys that they have now, this time.
    parts: HashSet<Row>,
    /// Those of them of which the server has a row.
    met: HashSet<Row>,
    /// Columns that a resolver has made up of rows of which what came is held, this time.
    decided: HashMap<Row, Vec<String>>,
    /// What a policy has decided about refused rows and their tables can't have either: those columns; none: all of it.
    spared: HashSet<(Row, Option<String>)>,
    /// The answer is on trial, this time.
    trial: Option<Rc<Trial>>,
    /// It will be, next time.
    due_trial: Option<Rc<Trial>>,
    /// The deletes of the answer that were carried out, this time.
    deleted: HashSet<Row>,
    /// Rows to whose numbers others were made here, each with the last entry of the log that is about the row before.
    used_again: HashMap<Row, i64>,
    /// Something was added, this time.
    news: bool,
}

impl Refusals {
    /// The answer is about to be applied, perhaps again.
    pub fn begin(&self) {
        let mut inner = self.0.borrow_mut();
        inner.news = false;
        inner.trial = inner.due_trial.take();
        inner.deleted.clear();
        inner.parts.clear();
        inner.decided.clear();
        inner.displacing.clear();
    }

    /// Applies an answer in a transaction of its own, again and again until no further row of it turns out to be
    /// refused. `apply` fails, and undoes what it did, whenever one has.
    ///
    /// # Errors
    /// Those of `apply`; a trigger of the application has ended the caller's own transaction.
    pub fn settle<T>(
        &self,
        connection: Connection,
        mut apply: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let before = connection.standing().autocommit;
        loop {
            self.begin();
            let outcome = apply();
            let is_undone = connection.standing().autocommit == before;
            match outcome {
                Err(_) if self.has_news() && is_undone => {}
                outcome => return outcome,
            }
        }
    }

    /// Whether the answer must be applied once more.
    pub fn has_news(&self) -> bool {
        self.0.borrow().news
    }

    /// Why the answer can't have a row; none when it can.
    pub fn row(&self, table: i64, key: &Key) -> Option<Reason> {
        let inner = self.0.borrow();
        if inner.rows.is_empty() {
            return None;
        }
        inner.rows.get(&(table, key.clone())).cloned()
    }

    /// The same for a delete.
    pub fn delete(&self, table: i64, key: &Key) -> Option<Reason> {
        let inner = self.0.borrow();
        if inner.deletes.is_empty() {
            return None;
        }
        inner.deletes.get(&(table, key.clone())).cloned()
    }

    /// The answer can't have that row; false when that was known. That a row is not even to be tried once more is news,
    /// too.
    pub fn refuse_row(&self, table: i64, key: &Key, reason: Reason) -> bool {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let is_final = !reason.once_more;
        let known = inner.rows.insert((table, key.clone()), reason);
        let is_news = known.is_none_or(|known| known.once_more && is_final);
        inner.news |= is_news;
        is_news
    }

    /// The same for a delete.
    pub fn refuse_delete(&self, table: i64, key: &Key, reason: Reason) -> bool {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        let known = inner.deletes.insert((table, key.clone()), reason);
        inner.news |= known.is_none();
        known.is_none()
    }

    /// What was deleted here and made again turns out to be two rows: it is one that was created here, when the answer is
    /// applied again. False when that was known.
    pub fn use_again(&self, row: Row, insert: i64) -> bool {
        let mut inner = self.0.borrow_mut();
        let known = inner.used_again.insert(row, insert.saturating_sub(1));
        inner.news |= known.is_none();
        known.is_none()
    }

    /// The rows of which that is known, each with the last entry of the log that is about the one before.
    pub fn used_again(&self) -> HashMap<Row, i64> {
        self.0.borrow().used_again.clone()
    }

    /// The answer can't have a row or a delete, nor, if it was refused before, what was decided about it; false when that was
    /// known.
    pub fn refuse(&self, row: &Suspect, reason: Reason) -> bool {
        match row.is_delete {
            true => self.refuse_delete(row.table, &row.key, reason),
            false => {
                self.refuse_row(row.table, &row.key, reason)
                    || self.spare(row.table, &row.key, None)
            }
        }
    }

    /// What was decided about a row that is held is not to be written into a column, or into any; false when that was known.
    pub fn spare(&self, table: i64, key: &Key, column: Option<&str>) -> bool {
        let mut inner = self.0.borrow_mut();
        let spared = ((table, key.clone()), column.map(str::to_ascii_lowercase));
        let is_news = inner.spared.insert(spared);
        inner.news |= is_news;
        is_news
    }

    /// Whether it is not to be written into a column; none: into any.
    pub fn is_spared(&self, table: i64, key: &Key, column: Option<&str>) -> bool {
        let inner = self.0.borrow();
        let is_spared = |column: Option<&str>| {
            let spared = ((table, key.clone()), column.map(str::to_ascii_lowercase));
            inner.spared.contains(&spared)
        };
        !inner.spared.is_empty() && (is_spared(None) || (column.is_some() && is_spared(column)))
    }

    /// The answer is to be applied on trial.
    pub fn put_on_trial(&self, trial: Trial) {
        let mut inner = self.0.borrow_mut();
        inner.due_trial = Some(Rc::new(trial));
        inner.news = true;
    }

    /// The trial that the answer is on.
    pub fn trial(&self) -> Option<Rc<Trial>> {
        self.0.borrow().trial.clone()
    }

    /// A row made here is to make room; false when that was known.
    pub fn make_room(&self, yielding: Yielding) -> bool {
        let mut inner = self.0.borrow_mut();
        let is_known = |other: &Yielding| {
            other.table == yielding.table
                && (other.old == yielding.old || other.new == yielding.new)
        };
        if inner.yielding.iter().any(is_known) {
            return false;
        }
        inner.yielding.push(yielding);
        inner.news = true;
        true
    }

    /// The rows that make room before the answer is applied.
    pub fn yielding(&self) -> Vec<Yielding> {
        self.0.borrow().yielding.clone()
    }

    /// Whether a row that was made here has become the server's row of this key.
    pub fn adopts(&self, table: i64, key: &Key) -> bool {
        let inner = self.0.borrow();
        let mut rows = inner.yielding.iter();
        rows.any(|row| row.table == table && row.new == key.0 && !row.server_wins)
    }

    /// A row that was made here has given its number to one that came.
    pub fn displaces(&self, table: i64, key: &Key) {
        let mut inner = self.0.borrow_mut();
        inner.displacing.insert((table, key.clone()));
    }

    /// The rows that numbers were given to.
    pub fn displacing(&self) -> Vec<Row> {
        self.0.borrow().displacing.iter().cloned().collect()
    }

    /// Triggers have written into a row before it got another key, for what came and means the row in its place.
    pub fn disturbs(&self, table: i64, key: Key) {
        let mut inner = self.0.borrow_mut();
        let is_news = inner.disturbed.insert((table, key));
        inner.news |= is_news;
    }

    /// The rows that triggers will write into so.
    pub fn disturbed(&self) -> Vec<Row> {
        self.0.borrow().disturbed.iter().cloned().collect()
    }

    /// A row is a part of one that has made room, and has its key.
    pub fn follows(&self, table: i64, key: Key) {
        self.0.borrow_mut().parts.insert((table, key));
    }

    /// A row came. Whether it is that of a part which has followed: that is to make room too, when the answer is applied
    /// again.
    pub fn meets_part(&self, table: i64, key: &Key) -> bool {
        let mut inner = self.0.borrow_mut();
        if inner.parts.is_empty() {
            return false;
        }
        let row = (table, key.clone());
        let is_news = inner.parts.contains(&row) && inner.met.insert(row);
        inner.news |= is_news;
        is_news
    }

    /// Whether the server has a row of a part that follows under this key.
    pub fn has_part(&self, table: i64, key: &Key) -> bool {
        self.0.borrow().met.contains(&(table, key.clone()))
    }

    /// A resolver has made up columns of a row of which what came is held.
    pub fn decides(&self, table: i64, key: &Key, columns: Vec<String>) {
        let mut inner = self.0.borrow_mut();
        inner.decided.insert((table, key.clone()), columns);
    }

    /// What it made up of one of some columns can't stay; false when it made up none of them.
    pub fn undecide(&self, table: i64, key: &Key, columns: &[String], problem: String) -> bool {
        let mut inner = self.0.borrow_mut();
        let row = (table, key.clone());
        let is_made_up =
            |column: &String| columns.iter().any(|one| one.eq_ignore_ascii_case(column));
        let made_up = inner.decided.get(&row);
        if !made_up.is_some_and(|made_up| made_up.iter().any(is_made_up)) {
            return false;
        }
        inner.rows.insert(row, Reason::undecided(problem));
        inner.news = true;
        true
    }

    /// A delete of the answer was carried out.
    pub fn note_deleted(&self, table: i64, key: &Key) {
        self.0.borrow_mut().deleted.insert((table, key.clone()));
    }

    pub fn was_deleted(&self, table: i64, key: &Key) -> bool {
        self.0.borrow().deleted.contains(&(table, key.clone()))
    }
}
