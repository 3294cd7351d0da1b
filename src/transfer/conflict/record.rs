//! Keeping what became of rows that were changed on both sides.

use crate::capture::sends::{changed, sends_of_there};
use crate::capture::{Pending, Status};
use crate::coordination::now;
use crate::providers::values::show;
use crate::providers::wire::{Entity, Face, Slot, WireType};
use crate::store::{Database, Result, Statement, Value, ValueRef};

/// Conflicts kept unless `_syncMeta` says otherwise.
const LIMIT: i64 = 10_000;

/// What happened on the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Edited,
    DeletedRemotely,
    DeletedHere,
    /// Two rows had the same counted number; the one here has another now.
    Rekeyed,
    UniqueClash,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::DeletedRemotely => "deletedRemotely",
            Self::DeletedHere => "deletedHere",
            Self::Rekeyed => "rekeyed",
            Self::UniqueClash => "uniqueClash",
        }
    }
}

/// The three rows of a conflict as JSON; none where there is no row.
#[derive(Debug, Default)]
pub struct Sides {
    pub local: Option<String>,
    pub remote: Option<String>,
    pub resolved: Option<String>,
}

/// Writes `_syncConflict` during one pull.
pub struct Recorder<'a> {
    database: &'a Database,
    provider: &'a str,
    run: i64,
    insert: Option<Statement>,
}

impl<'a> Recorder<'a> {
    pub fn new(database: &'a Database, provider: &'a str, run: i64) -> Self {
        Self {
            database,
            provider,
            run,
            insert: None,
        }
    }

    /// # Errors
    /// SQLite's.
    pub fn record(
        &mut self,
        entity: &str,
        key: ValueRef<'_>,
        kind: Kind,
        policy: Option<&str>,
        sides: &Sides,
    ) -> Result<()> {
        let values = [
            self.provider.into(),
            self.run.into(),
            entity.into(),
            key,
            kind.as_str().into(),
            policy.into(),
            sides.local.as_deref().into(),
            sides.remote.as_deref().into(),
            sides.resolved.as_deref().into(),
            now().into(),
        ];
        let insert = match &mut self.insert {
            Some(insert) => insert,
            none => none.insert(self.database.prepare(
                "INSERT INTO main._syncConflict \
                 (provider, runId, entity, pk, kind, policy, local, remote, resolved, at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?),
        };
        insert.run(&values)?;
        Ok(())
    }

    /// Whether the same conflict is kept already: what comes again as it was says nothing new.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_known(
        &self,
        entity: &str,
        key: ValueRef<'_>,
        kind: Kind,
        sides: &Sides,
    ) -> Result<bool> {
        let known = self.database.query_value(
            "SELECT 1 FROM main._syncConflict WHERE entity = ?1 AND pk IS ?2 AND provider = ?3 AND kind = ?4 \
             AND local IS ?5 AND remote IS ?6 AND resolved IS ?7 LIMIT 1",
            &[
                entity.into(),
                key,
                self.provider.into(),
                kind.as_str().into(),
                sides.local.as_deref().into(),
                sides.remote.as_deref().into(),
                sides.resolved.as_deref().into(),
            ],
        )?;
        Ok(known != Value::Null)
    }

    /// Lets the oldest go when there are too many.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(self) -> Result<()> {
        if self.insert.is_none() {
            return Ok(());
        }
        self.database.execute(
            "DELETE FROM main._syncConflict WHERE id <= (SELECT max(id) FROM main._syncConflict) \
             - coalesce((SELECT CAST(value AS INTEGER) FROM main._syncMeta WHERE key = 'conflictLimit'), ?1)",
            &[LIMIT.into()],
        )?;
        Ok(())
    }
}

/// A row as JSON: its id, what is pending about it, and those of its columns that `value` returns. What JSON
/// can't hold is shown as null.
pub fn row_json<'v>(
    entity: &Entity,
    key: ValueRef<'_>,
    pending: Option<(&str, &str)>,
    face: impl Fn(usize) -> Option<Face<'v>>,
) -> String {
    let mut out = b"{\"id\":".to_vec();
    match (key, entity.id_of(key)) {
        (ValueRef::Blob(_), Some(id)) => put_text(&mut out, &id),
        _ => show(&mut out, WireType::Any, Face::Value(key)),
    }
    if let Some((status, changed)) = pending {
        for (name, text) in [("_status", status), ("_changed", changed)] {
            out.push(b',');
            put_text(&mut out, name);
            out.push(b':');
            put_text(&mut out, text);
        }
    }
    for (place, column) in entity.columns.iter().enumerate() {
        let Some(face) = face(place) else { continue };
        out.push(b',');
        put_text(&mut out, &column.name);
        out.push(b':');
        show(&mut out, column.kind, face);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// An incoming row as JSON.
pub fn remote_json(entity: &Entity, key: ValueRef<'_>, row: &[Slot<'_>]) -> String {
    row_json(entity, key, None, |place| {
        let slot = &row[place];
        (!slot.is_missing()).then(|| slot.face())
    })
}

/// Status and changed columns as the protocol writes them.
pub fn pending_words(
    entity: &Entity,
    positions: &[usize],
    pending: Option<&Pending>,
) -> (&'static str, String) {
    let Some(pending) = pending else {
        return ("synced", String::new());
    };
    let changed: Vec<&str> = changed(pending, positions)
        .map(|place| entity.columns[place].name.as_str())
        .collect();
    match sends_of_there(pending, positions) {
        Status::Created => ("created", changed.join(",")),
        Status::Updated => ("updated", changed.join(",")),
        Status::Deleted | Status::Nothing => ("synced", String::new()),
    }
}
