//! References that a foreign key's action has emptied here, and that are kept aside as the server has them: when what they
//! refer to is here again, they are what they were.

use std::collections::HashSet;

use crate::capture::Key;
use crate::capture::tracked::registration;
use crate::ground::{SyncError, uuid};
use crate::providers::base64;
use crate::providers::fit::sanitise;
use crate::providers::wire::Slot;
use crate::store::{ValueRef, quote_name};
use crate::transfer::counts::Counts;
use crate::transfer::held::Reason;
use crate::transfer::held::foreign::{self, Link, links};

use super::applier::Applier;

/// The blobs that a text may stand for.
fn blobs_of(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let usual = uuid::canonical(text);
    let of_uuid = usual.as_deref().and_then(uuid::bytes).map(Vec::from);
    of_uuid.into_iter().chain(base64::decode(text))
}

impl Applier<'_> {
    /// Fills them. Gives the tables that this answer is not about and have such references: to be pulled from the
    /// beginning. Keys of several columns are left.
    pub(super) fn refill(&mut self) -> Result<HashSet<i64>, SyncError> {
        let mut others = HashSet::new();
        let is_new = |counts: &Counts| counts.inserted + counts.updated > 0;
        if !self.tables.iter().any(|table| is_new(table.counts())) || !self.any_aside()? {
            return Ok(others);
        }
        for link in links(self.database)? {
            let empties = matches!(link.on_delete.as_str(), "SET NULL" | "SET DEFAULT");
            let parent = self.place_named(&link.parent);
            let comes = parent.is_some_and(|place| is_new(self.tables[place].counts()));
            if !empties || !comes || link.from.len() != 1 {
                continue;
            }
            match self.place_named(&link.child) {
                Some(place) => self.refill_by(&link, place)?,
                None => {
                    let child = registration(self.database, &link.child)?;
                    let child = child.map(|child| child.id);
                    if let Some(child) = child
                        && !self.fillable(&link, child)?.is_empty()
                    {
                        others.insert(child);
                    }
                }
            }
        }
        Ok(others)
    }

    fn any_aside(&self) -> Result<bool, SyncError> {
        let any = self
            .database
            .query_value("SELECT 1 FROM main._syncAside LIMIT 1", &[])?;
        Ok(any.as_i64().is_some())
    }

    fn place_named(&self, table: &str) -> Option<usize> {
        let mut bindings = self.bindings.iter();
        bindings.position(|binding| binding.table.shape.name.eq_ignore_ascii_case(table))
    }

    /// The rows of a table with what is kept of a reference to a row that is here. What is kept is as it travels: a key
    /// that is a blob as its UUID or as base64.
    fn fillable(&self, link: &Link, child: i64) -> Result<Vec<(Key, String)>, SyncError> {
        let sql = format!(
            "SELECT a.pk, a.value FROM main._syncAside AS a WHERE a.tbl = ?1 AND a.col = ?2 COLLATE NOCASE \
             AND json_valid(a.value) AND EXISTS (SELECT 1 FROM {} AS p WHERE p.{} = a.value ->> '$')",
            self.database.qualified(&link.parent),
            quote_name(&link.to[0])
        );
        let of_column = [child.into(), link.from[0].as_str().into()];
        let mut found = self.database.query_all(&sql, &of_column, |row| {
            Ok((Key(row.column(0).to_owned()), row.text(1)))
        })?;
        let texts = self.database.query_all(
            "SELECT pk, value, value ->> '$' FROM main._syncAside WHERE tbl = ?1 AND col = ?2 COLLATE NOCASE \
             AND json_valid(value) AND json_type(value) = 'text'",
            &of_column,
            |row| Ok((Key(row.column(0).to_owned()), row.text(1), row.text(2))),
        )?;
        let (database, parent) = (self.database, &link.parent);
        let mut exists = foreign::find(
            database.connection(),
            &database.qualified(parent),
            &link.to,
            "1",
        )?;
        for (key, json, text) in texts {
            for blob in blobs_of(&text) {
                exists.bind(1, ValueRef::Blob(&blob))?;
                if exists.step()? {
                    found.push((key.clone(), json.clone()));
                }
                exists.reset();
            }
        }
        Ok(found)
    }

    fn refill_by(&mut self, link: &Link, place: usize) -> Result<(), SyncError> {
        let binding = &self.bindings[place];
        let mut columns = binding.wire.columns.iter();
        let Some(column) = columns.position(|own| own.name.eq_ignore_ascii_case(&link.from[0]))
        else {
            return Ok(());
        };
        for (key, json) in self.fillable(link, binding.table.id)? {
            let slot = sanitise(&binding.wire.columns[column], &json);
            if slot.kept().is_some() || self.refused_row(place, &key).is_some() {
                continue;
            }
            let mut row = vec![Slot::Missing; binding.columns.len()];
            row[column] = slot;
            match self.tables[place].refill(&key, column, &row) {
                Ok(true) => self.wrote(place, &key, false)?,
                Ok(false) => {}
                // It stays aside.
                Err(error) if error.is_constraint() && self.is_open() => {}
                Err(error) => {
                    let reason = Reason::of(&error);
                    let error = self.tables[place].named(error, &key);
                    return match reason {
                        Some(reason) => self.refuse_row(place, &key, &row, reason, error),
                        None => Err(error),
                    };
                }
            }
        }
        Ok(())
    }
}
