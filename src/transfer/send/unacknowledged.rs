//! The rows of pushes whose outcome nobody knows: the server may have them.

use std::collections::HashMap;

use crate::capture::Key;
use crate::store::{Database, Result};

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

/// All such rows that were not sent to be deleted. Memory grows with their number, not with what is in them.
#[derive(Debug, Default)]
pub struct Unacknowledged {
    tables: HashMap<i64, HashMap<Key, Sent>>,
}

impl Unacknowledged {
    /// Reads the journal as the next sync will find it, for a provider or for all: a push that is open now, or
    /// was when its process died, counts too.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database, provider: Option<&str>) -> Result<Self> {
        let mut rows = database.prepare(
            "SELECT outbox.tbl, outbox.pk, outbox.kind = 'created', outbox.uptoSeq, outbox.id \
             FROM main._syncPush AS push JOIN main._syncOutbox AS outbox ON outbox.pushId = push.id \
             WHERE push.state IN ('open', 'unknown') AND outbox.kind <> 'deleted' \
             AND (?1 IS NULL OR push.provider = ?1)",
        )?;
        rows.bind(1, provider.into())?;
        let mut tables: HashMap<i64, HashMap<Key, Sent>> = HashMap::new();
        while rows.step()? {
            let sent = Sent {
                created: rows.integer(2) != 0,
                upto: rows.integer(3),
                entry: rows.integer(4),
            };
            let table = tables.entry(rows.integer(0)).or_default();
            let last = table.entry(Key(rows.column(1).to_owned())).or_insert(sent);
            if last.entry < sent.entry {
                *last = sent;
            }
        }
        Ok(Self { tables })
    }

    /// The row with this key in the table with this number.
    pub fn get(&self, table: i64, key: &Key) -> Option<&Sent> {
        self.tables.get(&table)?.get(key)
    }

    /// Whether such a push may have created the row.
    pub fn may_have_created(&self, table: i64, key: &Key) -> bool {
        self.get(table, key).is_some_and(|sent| sent.created)
    }

    /// The last log entry that was sent of each row of a table.
    pub fn covered(&self, table: i64) -> HashMap<Key, i64> {
        let rows = self.tables.get(&table).into_iter().flatten();
        rows.map(|(key, sent)| (key.clone(), sent.upto)).collect()
    }
}
