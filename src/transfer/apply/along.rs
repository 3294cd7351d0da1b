//! Rows that go with deleted ones by a foreign key of the application (CASCADE), although the server says nothing of
//! them. Nobody here has deleted them, so that is not sent; and the server may have them still. What it has of them
//! shows when their table is pulled from the beginning.

use std::collections::HashMap;

use crate::capture::{Key, KeyMap};
use crate::ground::Warning;
use crate::store::Result;

/// Whether nobody but a foreign key has spoken of a row.
const UNNAMED: i64 = 1;
const NAMED: i64 = 0;

/// Such rows of one answer, by the number of their table.
#[derive(Default)]
pub struct Along(HashMap<i64, KeyMap<i64>>);

impl Along {
    /// A row went with another.
    ///
    /// # Errors
    /// SQLite's: no room for temporary files, which very many rows take.
    pub fn went(&mut self, table: i64, key: Key) -> Result<()> {
        self.0.entry(table).or_default().insert(key, UNNAMED)
    }

    /// The answer itself deletes a row.
    ///
    /// # Errors
    /// As [`Along::went`].
    pub fn named(&mut self, table: i64, key: &Key) -> Result<()> {
        let Some(rows) = self.0.get_mut(&table) else {
            return Ok(());
        };
        match rows.get(key)? {
            Some(UNNAMED) => rows.insert(key.clone(), NAMED),
            _ => Ok(()),
        }
    }

    /// How many rows the server may have still, for each table that has lost any. `is_lost`: a row is neither here nor
    /// held.
    ///
    /// # Errors
    /// Those of `is_lost`.
    pub fn lost(
        &mut self,
        mut is_lost: impl FnMut(i64, &Key) -> Result<bool>,
    ) -> Result<Vec<(i64, i64)>> {
        let mut tables = Vec::new();
        for (table, mut rows) in self.0.drain() {
            let (mut rows, mut count) = (rows.walk(None)?, 0);
            while let Some((key, state)) = rows.next()? {
                if state == UNNAMED && is_lost(table, &key)? {
                    count += 1;
                }
            }
            if count > 0 {
                tables.push((table, count));
            }
        }
        tables.sort_unstable();
        Ok(tables)
    }
}

/// That rows of an entity are gone.
pub fn warning(entity: &str, count: i64) -> Warning {
    let message = format!(
        "{entity}: rows went with rows that the backend deleted, by a foreign key with ON DELETE CASCADE, and the \
         backend did not say that these are deleted; the next sync of {entity} pulls it from the beginning, and what \
         the backend still has of them comes back or is held"
    );
    Warning::new("goneAlong", message).of(entity).times(count)
}
