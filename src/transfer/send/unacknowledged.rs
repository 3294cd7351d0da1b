//! The rows of pushes whose outcome nobody knows: the server may have them.

use std::collections::HashMap;

use crate::capture::key_map::Kept;
use crate::capture::{Key, KeyMap};
use crate::store::{Database, Result, Value};

/// A row as such a push carried it; of several, the last.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// The push was to create the row.
    pub created: bool,
    /// The last log entry of the row that the push covers.
    pub upto: i64,
    /// `_syncOutbox.id`.
    pub entry: i64,
}

/// All such rows that were not sent to be deleted. Many are in a temporary file.
#[derive(Default)]
pub struct Unacknowledged {
    tables: HashMap<i64, KeyMap<Sent>>,
}

impl Unacknowledged {
    /// Reads the journal as the next sync will find it, for a provider or for all: a push that is open now, or
    /// was when its process died, counts too.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database, provider: Option<&str>) -> Result<Self> {
        // By key, for a file takes them quickly so; of several of one row the last counts.
        let mut rows = database.prepare(
            "SELECT outbox.tbl, outbox.pk, outbox.kind = 'created', outbox.uptoSeq, outbox.id \
             FROM main._syncPush AS push JOIN main._syncOutbox AS outbox ON outbox.pushId = push.id \
             WHERE push.state IN ('open', 'unknown') AND outbox.kind <> 'deleted' \
             AND (?1 IS NULL OR push.provider = ?1) ORDER BY outbox.tbl, outbox.pk, outbox.id",
        )?;
        rows.bind(1, provider.into())?;
        let mut tables: HashMap<i64, KeyMap<Sent>> = HashMap::new();
        while rows.step()? {
            let sent = Sent {
                created: rows.integer(2) != 0,
                upto: rows.integer(3),
                entry: rows.integer(4),
            };
            let table = tables.entry(rows.integer(0)).or_default();
            table.insert(Key(rows.column(1).to_owned()), sent)?;
        }
        Ok(Self { tables })
    }

    /// The row with this key in the table with this number.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&self, table: i64, key: &Key) -> Result<Option<Sent>> {
        match self.tables.get(&table) {
            Some(rows) => rows.get(key),
            None => Ok(None),
        }
    }

    /// Whether such a push may have created the row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn may_have_created(&self, table: i64, key: &Key) -> Result<bool> {
        Ok(self.get(table, key)?.is_some_and(|sent| sent.created))
    }
}

impl Kept for Sent {
    const VALUES: usize = 3;

    fn write(&self) -> Vec<Value> {
        vec![
            Value::Integer(self.created.into()),
            Value::Integer(self.upto),
            Value::Integer(self.entry),
        ]
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        let [created, upto, entry] = &values[..] else {
            return None;
        };
        Some(Self {
            created: created.as_i64()? != 0,
            upto: upto.as_i64()?,
            entry: entry.as_i64()?,
        })
    }
}
