//! This file is a hub too: what comes from another one keeps the stamps that it has there.

use std::collections::HashMap;

use super::feed::{self, SITE_BITS};
use super::stamp::Stamp;
use crate::store::{Database, Result, Value};

/// The stamps of the rows of one answer.
pub struct Carry {
    /// The end of the feed before anything was applied.
    start: i64,
    /// The feeds of the tables of a run, by place.
    feeds: Vec<Option<i64>>,
    stamps: HashMap<(i64, Vec<u8>), (Value, Stamp)>,
}

impl Carry {
    /// Begins to take note, before the first row is applied; none where this file is no hub. `tables`: those of a run.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin<'t>(
        database: &Database,
        tables: impl Iterator<Item = &'t str>,
    ) -> Result<Option<Self>> {
        if !database.has_table("_syncFeedTable")? {
            return Ok(None);
        }
        let feeds = tables.map(|table| feed::id_of(database, table));
        Ok(Some(Self {
            start: feed::last(database)?,
            feeds: feeds.collect::<Result<_>>()?,
            stamps: HashMap::new(),
        }))
    }

    /// Takes note of the stamps of a row.
    pub fn note(&mut self, place: usize, key: Value, stamp: &Stamp) {
        if let Some(id) = self.feeds.get(place).copied().flatten() {
            let mut name = Vec::new();
            if super::wire::write_value(&mut name, key.borrow()).is_ok() {
                self.stamps.insert((id, name), (key, stamp.clone()));
            }
        }
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
        Ok(())
    }
}
