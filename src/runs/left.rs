//! What is not settled of tables that are about to be forgotten, and its words.

use std::collections::{HashMap, HashSet};

use serde_json::{Value as Json, json};

use crate::capture::tracked::Registration;
use crate::capture::{Tracked, log};
use crate::store::{Database, Result, quote_name};

use super::waiting::count_each;

/// Most tables that an error names.
const NAMED: usize = 8;

/// What is left of one table: rows that would be sent, that were refused, that are held, and that were sent without anybody
/// knowing whether they arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    pub pending: i64,
    rejected: i64,
    held: i64,
    pub unknown: i64,
}

impl Left {
    /// Of each table, in their order; without a provider, of all of them together.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of(
        database: &Database,
        provider: Option<&str>,
        tables: &[Registration],
    ) -> Result<Vec<Self>> {
        let ids: HashSet<i64> = tables.iter().map(|table| table.id).collect();
        let mut logged = Tracked::logged(database)?;
        logged.retain(|table| ids.contains(&table.id));
        let pending = count_each(database, logged, log::high_water(database)?)?;
        let pending: HashMap<i64, i64> = pending
            .into_iter()
            .map(|(table, count)| (table.id, count))
            .collect();
        let counted = |from: &str| -> Result<HashMap<i64, i64>> {
            let sql = format!("SELECT tbl, count(*) FROM {from} GROUP BY tbl");
            let counts = database.query_all(&sql, &[provider.into()], |row| {
                Ok((row.integer(0), row.integer(1)))
            })?;
            Ok(counts.into_iter().collect())
        };
        let rejected = counted("main._syncRejected WHERE provider = coalesce(?1, provider)")?;
        let held = counted("main._syncHeld WHERE provider = coalesce(?1, provider)")?;
        // Of a row that a pull has settled since, nothing is logged any more.
        let unknown = counted(
            "main._syncOutbox WHERE pushId IN (SELECT id FROM main._syncPush WHERE provider = coalesce(?1, provider) \
             AND state IN ('open', 'unknown')) AND (tbl, pk) IN (SELECT tbl, pk FROM main._syncChange)",
        )?;
        let of = |counts: &HashMap<i64, i64>, table: &Registration| {
            counts.get(&table.id).copied().unwrap_or_default()
        };
        let left = tables.iter().map(|table| Self {
            pending: of(&pending, table),
            rejected: of(&rejected, table),
            held: of(&held, table),
            unknown: of(&unknown, table),
        });
        Ok(left.collect())
    }

    pub fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, one| Self {
            pending: sum.pending + one.pending,
            rejected: sum.rejected + one.rejected,
            held: sum.held + one.held,
            unknown: sum.unknown + one.unknown,
        })
    }

    fn words(&self) -> String {
        let counts = [
            (self.pending, "pending"),
            (self.rejected, "rejected"),
            (self.held, "held"),
            (self.unknown, "of unknown outcome"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = counts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }

    pub fn json(&self) -> Json {
        json!({
            "pending": self.pending,
            "rejected": self.rejected,
            "held": self.held,
            "unknown": self.unknown,
        })
    }
}

/// The tables of which something is left, with the numbers.
pub fn unsettled<'a>(tables: impl Iterator<Item = (&'a Registration, &'a Left)>) -> String {
    let all: Vec<String> = tables
        .filter(|(_, left)| **left != Left::default())
        .map(|(table, left)| format!("{} ({})", quote_name(&table.name), left.words()))
        .collect();
    let mut named = all[..all.len().min(NAMED)].join(", ");
    if all.len() > NAMED {
        named.push_str(&format!(" and {} more tables", all.len() - NAMED));
    }
    named
}
