//! What was pushed lately of the rows that wait, to recognise our own rows when the server sends them back.

use crate::capture::key_map::Kept;
use crate::capture::{Key, KeyMap, PendingRows};
use crate::providers::wire::Slot;
use crate::store::{Database, Result, Statement, Value};
use crate::transfer::binding::Binding;
use crate::transfer::same_row::is_same_row;
use crate::transfer::send::unacknowledged::Sent;

/// What was pushed of one row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pushed {
    /// Where its content is kept, as sent last.
    content: Option<i64>,
    /// The last log entry that a delete covers, if nothing was pushed since.
    pub deleted_up_to: Option<i64>,
}

/// The journal of one table, as far as its rows are pending. Many are in a temporary file; the content stays where it is.
pub struct Journal {
    table: i64,
    rows: KeyMap<Pushed>,
    content: Statement,
}

impl Journal {
    /// Reads what is said of the pending rows.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(
        database: &Database,
        provider: &str,
        table: i64,
        pending: &PendingRows,
    ) -> Result<Self> {
        let mut rows: KeyMap<Pushed> = KeyMap::default();
        let mut scan = database.prepare(
            "SELECT outbox.id, outbox.pk, outbox.kind = 'deleted', outbox.uptoSeq \
             FROM main._syncOutbox AS outbox \
             JOIN main._syncPush AS push ON push.id = outbox.pushId \
             WHERE push.provider = ?1 AND outbox.tbl = ?2 AND push.state <> 'refused' \
             ORDER BY outbox.pk, outbox.id",
        )?;
        scan.bind_all(&[provider.into(), table.into()])?;
        let mut last: Option<(Key, Pushed)> = None;
        while scan.step()? {
            let key = Key(scan.column(1).to_owned());
            let mut pushed = match last.take() {
                Some((before, pushed)) if before == key => pushed,
                before => {
                    keep(&mut rows, pending, before)?;
                    Pushed::default()
                }
            };
            let deleted = scan.integer(2) != 0;
            pushed.deleted_up_to = deleted.then(|| scan.integer(3));
            if !deleted {
                pushed.content = Some(scan.integer(0));
            }
            last = Some((key, pushed));
        }
        keep(&mut rows, pending, last)?;
        drop(scan);
        // The number alone may belong to another row by now: a pull of this very run can have removed the entry.
        let content = database.prepare(
            "SELECT content FROM main._syncOutbox WHERE id = ?1 AND tbl = ?2 AND pk IS ?3",
        )?;
        Ok(Self {
            table,
            rows,
            content,
        })
    }

    /// What was pushed of a row; nothing when it was not.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&self, key: &Key) -> Result<Pushed> {
        Ok(self.rows.get(key)?.unwrap_or_default())
    }

    /// Whether an incoming row is what was pushed last, as far as it says anything.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_echo(&mut self, key: &Key, binding: &Binding, row: &[Slot<'_>]) -> Result<bool> {
        match self.get(key)?.content {
            Some(entry) => self.is_as_sent(entry, key, binding, row, true),
            None => Ok(false),
        }
    }

    /// Whether an incoming row proves that a push of unknown outcome has arrived. One that leaves columns out
    /// proves nothing: the edit may be in just those.
    ///
    /// # Errors
    /// SQLite's.
    pub fn has_arrived(
        &mut self,
        sent: &Sent,
        key: &Key,
        binding: &Binding,
        row: &[Slot<'_>],
    ) -> Result<bool> {
        self.is_as_sent(sent.entry, key, binding, row, false)
    }

    fn is_as_sent(
        &mut self,
        entry: i64,
        key: &Key,
        binding: &Binding,
        row: &[Slot<'_>],
        lenient: bool,
    ) -> Result<bool> {
        let entry = [entry.into(), self.table.into(), key.0.borrow()];
        self.content.bind_all(&entry)?;
        let same = self.content.step()? && {
            let content = self.content.column(0).as_str();
            content.is_some_and(|content| {
                is_same_row(content, binding, row, &binding.rules.echo_ignore, lenient)
            })
        };
        self.content.reset();
        Ok(same)
    }
}

/// Keeps what was pushed of a row if it is pending.
fn keep(
    rows: &mut KeyMap<Pushed>,
    pending: &PendingRows,
    row: Option<(Key, Pushed)>,
) -> Result<()> {
    match row {
        Some((key, pushed)) if pending.get(&key)?.is_some() => rows.insert(key, pushed),
        _ => Ok(()),
    }
}

impl Kept for Pushed {
    const VALUES: usize = 2;

    fn write(&self) -> Vec<Value> {
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
        vec![number(self.content), number(self.deleted_up_to)]
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        let [content, deleted] = &values[..] else {
            return None;
        };
        Some(Self {
            content: content.as_i64(),
            deleted_up_to: deleted.as_i64(),
        })
    }
}
