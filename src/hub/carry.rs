//! This file is a hub too: what comes from another one keeps the stamps that it has there.

use std::collections::HashMap;

use super::feed::{self, SITE_BITS};
use super::stamp::Stamp;
use crate::store::{Database, Result, Value};

/// The stamps of the rows of one answer.
pub struct Carry {
    /// The end of the feed before anything was applied.
    start: i64,
    /// The tables of a run that have a feed, by place.
    tables: Vec<Option<Kept>>,
    stamps: HashMap<(i64, Vec<u8>), (Value, Stamp)>,
    /// Rows that were deleted here later than they were made there, and what the feed says of them.
    dead: Vec<(usize, Value, Stamp)>,
}

/// A table of this file.
pub struct Named {
    pub name: String,
    /// With the name of the file, quoted.
    pub qualified: String,
    /// The key's column, quoted.
    pub key: String,
}

struct Kept {
    feed: i64,
    qualified: String,
    key: String,
}

impl Carry {
    /// Begins to take note, before the first row is applied; none where this file is no hub. `tables`: those of a run.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(database: &Database, tables: impl Iterator<Item = Named>) -> Result<Option<Self>> {
        if !database.has_table("_syncFeedTable")? {
            return Ok(None);
        }
        let tables = tables.map(|table| {
            let feed = feed::id_of(database, &table.name)?;
            Ok(feed.map(|feed| Kept {
                feed,
                qualified: table.qualified,
                key: table.key,
            }))
        });
        Ok(Some(Self {
            start: feed::last(database)?,
            tables: tables.collect::<Result<_>>()?,
            stamps: HashMap::new(),
            dead: Vec::new(),
        }))
    }

    /// Takes note of the stamps of a row. The columns that were written here later.
    ///
    /// # Errors
    /// SQLite's.
    pub fn note(
        &mut self,
        database: &Database,
        place: usize,
        key: Value,
        stamp: &Stamp,
    ) -> Result<Vec<String>> {
        let Some(table) = self.tables.get(place).and_then(Option::as_ref) else {
            return Ok(Vec::new());
        };
        let mut newer = Vec::new();
        if let Some((_, here)) = feed::stamp_of(database, table.feed, key.borrow())? {
            let columns = here.columns.iter();
            let later = columns.filter(|(name, at)| *at > stamp.of(name));
            newer.extend(later.map(|(name, _)| name.clone()));
            if here.at > stamp.at {
                let sql = format!("SELECT 1 FROM {} WHERE {} = ?1", table.qualified, table.key);
                let mut find = database.connection().prepare(&sql)?;
                find.bind(1, key.borrow())?;
                if !find.step()? {
                    newer.clear();
                    self.dead.push((place, key.clone(), here));
                }
            }
        }
        let mut name = Vec::new();
        if super::wire::write_value(&mut name, key.borrow()).is_ok() {
            self.stamps.insert((table.feed, name), (key, stamp.clone()));
        }
        Ok(newer)
    }

    /// What was written since [`Carry::begin`] gets the stamps that it came with.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(self, database: &Database) -> Result<()> {
        let fresh = self.start << SITE_BITS | ((1 << SITE_BITS) - 1);
        let mut highest = 0;
        for ((id, _), (key, came)) in &self.stamps {
            highest = highest.max(came.latest());
            let Some((seq, here)) = feed::stamp_of(database, *id, key.borrow())? else {
                continue;
            };
            if seq <= self.start {
                continue;
            }
            let kept = match here.at > fresh && here.columns.is_empty() {
                // It was made, or deleted.
                true => came.clone(),
                false => {
                    let mut kept = here.clone();
                    for (column, stamp) in &here.columns {
                        if *stamp > fresh {
                            kept.set(column, came.of(column));
                        }
                    }
                    kept
                }
            };
            if kept.latest() == 0 {
                continue;
            }
            database.execute(
                "UPDATE main._syncFeed SET at = ?2, cols = ?3 WHERE seq = ?1",
                &[
                    seq.into(),
                    kept.at.into(),
                    kept.columns_json().as_deref().into(),
                ],
            )?;
        }
        if highest > 0 {
            feed::outgrow(database, highest)?;
        }
        self.bury(database)
    }

    /// What was deleted here stays so, and the other file hears of it: it may have the row from somewhere else.
    fn bury(&self, database: &Database) -> Result<()> {
        for (place, key, stamp) in &self.dead {
            let Some(table) = self.tables.get(*place).and_then(Option::as_ref) else {
                continue;
            };
            let sql = format!("DELETE FROM {} WHERE {} = ?1", table.qualified, table.key);
            match database.connection().prepare(&sql)?.run(&[key.borrow()]) {
                Ok(0) => {}
                Ok(_) => {
                    database.execute(
                        "UPDATE main._syncFeed SET at = ?3 WHERE tbl = ?1 AND pk = ?2",
                        &[table.feed.into(), key.borrow(), stamp.at.into()],
                    )?;
                }
                // Others refer to it by now.
                Err(error) if error.is_constraint() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
