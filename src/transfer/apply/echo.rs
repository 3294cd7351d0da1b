//! Recognising our own rows when the server sends them back.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json};

use crate::capture::Key;
use crate::providers::wire::{Slot, WireType};
use crate::store::{Database, Result, Statement, ValueRef};

use crate::store::same;
use crate::transfer::binding::Binding;
use crate::transfer::send::unacknowledged::Sent;

/// What was pushed lately, by key.
pub struct Pushed {
    /// The content of rows, as sent last.
    content: HashMap<Key, String>,
    /// Deletes that nothing was sent after, with the last log entry that each covers.
    deleted: HashMap<Key, i64>,
}

impl Pushed {
    /// Reads the journal for one table. Memory grows with the rows pushed since the last two pulls, so
    /// it is read only when the server sends a row that was changed or deleted here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database, provider: &str, table: i64) -> Result<Self> {
        let rows = database.query_all(
            "SELECT outbox.pk, outbox.content, outbox.kind = 'deleted', outbox.uptoSeq \
             FROM main._syncOutbox AS outbox \
             JOIN main._syncPush AS push ON push.id = outbox.pushId \
             WHERE push.provider = ?1 AND outbox.tbl = ?2 AND push.state <> 'refused' \
             ORDER BY outbox.id",
            &[provider.into(), table.into()],
            |row| {
                let deleted = (row.integer(2) != 0).then(|| row.integer(3));
                Ok((Key(row.column(0).to_owned()), row.text(1), deleted))
            },
        )?;
        let mut pushed = Self {
            content: HashMap::new(),
            deleted: HashMap::new(),
        };
        for (key, content, deleted) in rows {
            match deleted {
                Some(upto) => {
                    pushed.deleted.insert(key, upto);
                }
                None => {
                    pushed.deleted.remove(&key);
                    pushed.content.insert(key, content);
                }
            }
        }
        Ok(pushed)
    }

    /// Whether an incoming row is what was pushed last under its key.
    pub fn is_echo(&self, binding: &Binding, key: &Key, row: &[Slot<'_>]) -> bool {
        self.content
            .get(key)
            .is_some_and(|content| is_same_row(content, binding, row, true))
    }

    /// The last log entry that a pushed delete covers, if nothing was pushed under its key since.
    pub fn deleted_up_to(&self, key: &Key) -> Option<i64> {
        self.deleted.get(key).copied()
    }
}

/// Whether an incoming row holds what `content` says. `lenient`: as far as it says anything.
fn is_same_row(content: &str, binding: &Binding, row: &[Slot<'_>], lenient: bool) -> bool {
    let Ok(pushed) = serde_json::from_str::<Map<String, Json>>(content) else {
        return false;
    };
    let ignored = &binding.rules.echo_ignore;
    binding.wire.columns.iter().zip(row).all(|(column, slot)| {
        if ignored.contains(&column.name) {
            return true;
        }
        if slot.is_missing() {
            return lenient;
        }
        pushed
            .get(&column.name)
            .is_some_and(|value| equal(column.kind, value, slot.value()))
    })
}

/// Looks up what an unanswered push carried of a row, when that row comes in.
pub struct Carried {
    content: Statement,
}

impl Carried {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database) -> Result<Self> {
        // The number alone may belong to another row by now: a pull of this very run can have removed the entry.
        let content = database.prepare(
            "SELECT content FROM main._syncOutbox \
             WHERE id = ?1 AND tbl = ?2 AND pk IS ?3 AND uptoSeq = ?4",
        )?;
        Ok(Self { content })
    }

    /// Whether an incoming row proves that what was sent has arrived. One that leaves columns out proves
    /// nothing: the edit may be in just those.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_echoed_by(
        &mut self,
        sent: &Sent,
        binding: &Binding,
        key: &Key,
        row: &[Slot<'_>],
    ) -> Result<bool> {
        self.content.bind_all(&[
            sent.entry.into(),
            binding.table.id.into(),
            key.0.borrow(),
            sent.upto.into(),
        ])?;
        let echoed = self.content.step()?
            && self
                .content
                .column(0)
                .as_str()
                .is_some_and(|content| is_same_row(content, binding, row, false));
        self.content.reset();
        Ok(echoed)
    }
}

/// Compares a value as it was sent with one as it came in.
fn equal(kind: WireType, sent: &Json, came: ValueRef<'_>) -> bool {
    match sent {
        Json::Null => came.is_null(),
        Json::Bool(truth) => same(ValueRef::Integer((*truth).into()), came),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => same(ValueRef::Integer(whole), came),
            (None, Some(real)) => same(ValueRef::Real(real), came),
            _ => false,
        },
        Json::String(text) if kind == WireType::Base64 => BASE64
            .decode(text)
            .is_ok_and(|bytes| came == ValueRef::Blob(&bytes)),
        Json::String(text) => came == ValueRef::Text(text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_across_their_forms() {
        assert!(equal(
            WireType::Boolean,
            &Json::Bool(true),
            ValueRef::Integer(1)
        ));
        assert!(equal(
            WireType::Number,
            &serde_json::json!(1.0),
            ValueRef::Integer(1)
        ));
        assert!(equal(
            WireType::Base64,
            &"aGk=".into(),
            ValueRef::Blob(b"hi")
        ));
        assert!(!equal(WireType::String, &"a".into(), ValueRef::Text("b")));
        assert!(!equal(WireType::String, &Json::Null, ValueRef::Text("")));
    }
}
