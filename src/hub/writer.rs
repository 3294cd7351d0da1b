//! Writing the rows of a device into a hub.

use super::asker::Asker;
use super::change::{Change, Columns};
use super::feed::{self, Fed, SITE_BITS};
use super::stamp::Stamp;
use super::statements::{Statements, Verb};
use super::table::Table;
use super::wire::Mark;
use crate::store::{Connection, Database, Error, Result, Value, same};

/// Carries out changes, in the caller's transaction.
pub struct Writer<'a> {
    asker: &'a Asker<'a>,
    /// The feeds of the file that sends, where it is a hub itself.
    feeds: Option<Vec<Option<i64>>>,
    database: &'a Database,
    connection: Connection,
    tables: &'a [(Table, Fed)],
    statements: Statements<'a>,
    /// Each row is tried by itself.
    careful: bool,
    /// Rows that the device must read again: table and key.
    touched: Vec<(i64, Value)>,
    /// The highest stamp that came.
    highest: i64,
}

/// A change that is being carried out.
struct Row<'c> {
    place: usize,
    /// The number of its table's feed.
    feed: i64,
    key: &'c Value,
    /// When the file that sends has got what it sends; none where it does not know.
    sent: Option<Stamp>,
}

impl<'a> Writer<'a> {
    /// `careful`: a row that breaks a reference is found and refused, which takes longer.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(
        asker: &'a Asker<'a>,
        database: &'a Database,
        tables: &'a [(Table, Fed)],
        careful: bool,
    ) -> Result<Self> {
        Ok(Self {
            asker,
            feeds: asker.feeds()?,
            database,
            connection: database.connection(),
            tables,
            statements: Statements::new(database, tables),
            careful,
            touched: Vec::new(),
            highest: 0,
        })
    }

    /// Carries out one change; why it is refused.
    ///
    /// # Errors
    /// SQLite's.
    pub fn carry_out(&mut self, change: &Change) -> Result<Option<String>> {
        if !self.careful {
            return self.attempt(change);
        }
        self.connection.execute_script("SAVEPOINT _syncFeedRow")?;
        let mut reason = self.attempt(change)?;
        if reason.is_none() && self.connection.has_broken_references() {
            reason = Some("FOREIGN KEY constraint failed".to_owned());
            self.connection.execute_script("ROLLBACK TO _syncFeedRow")?;
        }
        self.connection.execute_script("RELEASE _syncFeedRow")?;
        Ok(reason)
    }

    /// What is changed in the hub from now on is later than all that came. Call once, behind the last change.
    ///
    /// # Errors
    /// SQLite's.
    pub fn outgrow(&self) -> Result<()> {
        match self.highest {
            0 => Ok(()),
            highest => feed::outgrow(self.database, highest),
        }
    }

    /// The device reads those rows again that are not as it has sent them.
    ///
    /// # Errors
    /// SQLite's.
    pub fn give_back(&self) -> Result<()> {
        for (table, key) in &self.touched {
            self.database.execute(
                "UPDATE main._syncFeed SET origin = 0 WHERE tbl = ?1 AND pk = ?2",
                &[(*table).into(), key.borrow()],
            )?;
        }
        Ok(())
    }

    fn attempt(&mut self, change: &Change) -> Result<Option<String>> {
        let Some((table, fed)) = self.tables.get(change.place) else {
            return Ok(Some("its table is not one of this sync".to_owned()));
        };
        let columns = match change.columns(table) {
            Ok(columns) => columns,
            Err(reason) => return Ok(Some(reason)),
        };
        let row = Row {
            place: change.place,
            feed: fed.id,
            key: &change.key,
            sent: self.sent_stamp(change)?,
        };
        let made = match change.kind {
            Mark::Deleted => self.delete(&row),
            Mark::Created => self.create(&row, columns),
            _ => self.update(&row, columns),
        };
        match made {
            Ok(()) => Ok(None),
            // The row is to blame: a constraint, a trigger's RAISE, a value that does not fit.
            Err(error) if matches!(error.code() & 0xff, 1 | 18 | 19 | 20) => {
                match self.connection.standing().autocommit {
                    false => Ok(Some(error.to_string())),
                    true => Err(Error::misuse(
                        "a trigger there has undone everything with RAISE(ROLLBACK); use RAISE(ABORT)",
                    )),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn sent_stamp(&mut self, change: &Change) -> Result<Option<Stamp>> {
        let feed = self.feeds.as_ref();
        let Some(feed) = feed.and_then(|feeds| feeds.get(change.place).copied().flatten()) else {
            return Ok(None);
        };
        // What its feed knows nothing of is older than all that it knows.
        let stamp = self.asker.stamp(feed, change.key.borrow())?;
        let stamp = stamp.unwrap_or_default();
        self.highest = self.highest.max(stamp.latest());
        Ok(Some(stamp))
    }

    /// The stamps that the hub has of a row.
    fn stamp_there(&self, row: &Row<'_>) -> Result<Option<Stamp>> {
        let there = feed::stamp_of(self.database, row.feed, row.key.borrow())?;
        Ok(there.map(|(_, stamp)| stamp))
    }

    /// What a row holds in some columns; none where it is not there.
    fn holds(
        &mut self,
        place: usize,
        key: &Value,
        columns: &[usize],
    ) -> Result<Option<Vec<Value>>> {
        let statement = self.statements.get(Verb::Read, place, columns)?;
        statement.bind(1, key.borrow())?;
        let found = statement.step()?.then(|| statement.row().split_off(1));
        statement.reset();
        Ok(found)
    }

    fn is_there(&mut self, row: &Row<'_>) -> Result<bool> {
        Ok(self.holds(row.place, row.key, &[])?.is_some())
    }

    fn create(&mut self, row: &Row<'_>, columns: Columns) -> Result<()> {
        if let Some(sent) = &row.sent {
            if self.is_there(row)? {
                return self.update(row, columns);
            }
            let there = self.stamp_there(row)?;
            if there.is_some_and(|there| there.at > sent.at) {
                return self.touch(row);
            }
        }
        match self.insert(row, &columns) {
            Ok(()) => {}
            // One that is there already, or one that clashes with another.
            Err(error) if error.is_constraint() => {
                return match self.is_there(row)? {
                    true => self.update(row, columns),
                    false => Err(error),
                };
            }
            Err(error) => return Err(error),
        }
        match &row.sent {
            Some(sent) => self.keep_stamp(row, sent),
            None => Ok(()),
        }
    }

    fn insert(&mut self, row: &Row<'_>, columns: &Columns) -> Result<()> {
        let statement = self
            .statements
            .get(Verb::Insert, row.place, &columns.places)?;
        statement.run(&columns.behind(row.key))?;
        Ok(())
    }

    /// Writes the columns that differ.
    fn update(&mut self, row: &Row<'_>, columns: Columns) -> Result<()> {
        let Some(holds) = self.holds(row.place, row.key, &columns.places)? else {
            let is_whole = columns.len() == self.tables[row.place].0.columns.len();
            return match is_whole && self.stamp_there(row)?.is_none() {
                // This file never had it: another copy of it did.
                true => self.insert(row, &columns),
                // It was deleted: the device reads that with the next pull.
                false => self.touch(row),
            };
        };
        let Some(sent) = &row.sent else {
            let mut differ = Columns::default();
            let pairs = columns.places.into_iter().zip(columns.values);
            for ((place, value), held) in pairs.zip(&holds) {
                if !same(value.borrow(), held.borrow()) {
                    differ.push(place, value);
                }
            }
            return self.write(row, &differ);
        };
        let there = self.stamp_there(row)?.unwrap_or_default();
        let table = &self.tables[row.place].0;
        let (mut differ, mut stays) = (Columns::default(), false);
        let mut settled: Vec<(&str, i64)> = Vec::new();
        let pairs = columns.places.into_iter().zip(columns.values);
        for ((place, value), held) in pairs.zip(&holds) {
            let name = table.columns[place].as_str();
            let is_same = same(value.borrow(), held.borrow());
            if there.of(name) > sent.of(name) {
                // What is there was written later.
                stays |= !is_same;
                continue;
            }
            settled.push((name, sent.of(name)));
            if !is_same {
                differ.push(place, value);
            }
        }
        self.write(row, &differ)?;
        if !settled.is_empty() {
            // With what triggers there have written besides.
            let mut stamp = self.stamp_there(row)?.unwrap_or_default();
            for (name, at) in settled {
                stamp.set(name, at);
            }
            self.keep_stamp(row, &stamp)?;
        }
        match stays {
            true => self.touch(row),
            false => Ok(()),
        }
    }

    fn write(&mut self, row: &Row<'_>, columns: &Columns) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let statement = self
            .statements
            .get(Verb::Update, row.place, &columns.places)?;
        statement.run(&columns.behind(row.key))?;
        Ok(())
    }

    fn delete(&mut self, row: &Row<'_>) -> Result<()> {
        if let Some(sent) = &row.sent {
            let there = self.stamp_there(row)?;
            // It was made anew since.
            if there.is_some_and(|there| there.at > sent.at) && self.is_there(row)? {
                return self.touch(row);
            }
        }
        let statement = self.statements.get(Verb::Delete, row.place, &[])?;
        let gone = statement.run(&[row.key.borrow()])?;
        match &row.sent {
            Some(sent) if gone > 0 => self.keep_stamp(row, sent),
            _ => Ok(()),
        }
    }

    /// The stamps that a row has from now on, in place of those that were made as it was written.
    fn keep_stamp(&mut self, row: &Row<'_>, stamp: &Stamp) -> Result<()> {
        self.database.execute(
            "UPDATE main._syncFeed SET at = ?3, cols = ?4 WHERE tbl = ?1 AND pk = ?2",
            &[
                row.feed.into(),
                row.key.borrow(),
                stamp.at.into(),
                stamp.columns_json().as_deref().into(),
            ],
        )?;
        Ok(())
    }

    /// The device reads the row again.
    fn touch(&mut self, row: &Row<'_>) -> Result<()> {
        self.database.execute(
            "INSERT INTO main._syncFeed (tbl, pk, at) VALUES (?1, ?2, 0) ON CONFLICT (tbl, pk) DO UPDATE \
             SET seq = (SELECT max(seq) + 1 FROM main._syncFeed), origin = 0",
            &[row.feed.into(), row.key.borrow()],
        )?;
        self.touched.push((row.feed, row.key.clone()));
        Ok(())
    }

    /// Whether a row is what the device has made of it. `start`: the end of the feed before the first change.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_as_sent(&mut self, change: &Change, start: i64) -> Result<bool> {
        let Some((table, fed)) = self.tables.get(change.place) else {
            return Ok(false);
        };
        let Ok(columns) = change.columns(table) else {
            return Ok(false);
        };
        if change.kind == Mark::Updated {
            // A trigger has written other columns.
            let there = feed::stamp_of(self.database, fed.id, change.key.borrow())?;
            let there = there.map(|(_, stamp)| stamp).unwrap_or_default();
            let is_sent = |name: &str| {
                let mut places = columns.places.iter();
                places.any(|place| table.columns[*place] == name)
            };
            let mut written = there.columns.iter();
            if written.any(|(name, stamp)| stamp >> SITE_BITS > start && !is_sent(name)) {
                return Ok(false);
            }
        }
        let holds = self.holds(change.place, &change.key, &columns.places)?;
        Ok(match (change.kind, holds) {
            (Mark::Deleted, holds) => holds.is_none(),
            (_, None) => false,
            (_, Some(holds)) => {
                let mut pairs = columns.values.iter().zip(&holds);
                pairs.all(|(sent, held)| same(sent.borrow(), held.borrow()))
            }
        })
    }
}
