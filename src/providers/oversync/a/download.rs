//! Downloads: pages of the server's log of changes.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::doubt::{Doubts, Entry};
use crate::ground::{Class, SyncError, complaint, percent_encode, quoted, uuid};
use crate::providers::conversation::Page;
use crate::providers::names::Names;
use crate::providers::oversync::row::read_row;
use crate::providers::oversync::tables::Tables;
use crate::providers::sink::{Announced, RemoteRow, Sink};
use crate::providers::wire::WireId;

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Behind this number of the log.
    pub after: i64,
    /// Most changes.
    pub limit: u64,
    /// Changes of this device too.
    pub include_self: bool,
    /// Up to this number of the log; 0: to its end.
    pub until: i64,
}

impl Wanted {
    /// The query of the request.
    pub fn query(&self, schema: &str) -> String {
        let mut query = format!(
            "after={}&limit={}&include_self={}&until={}&schema=",
            self.after, self.limit, self.include_self, self.until
        );
        percent_encode(schema, &mut query);
        query
    }
}

/// A page.
#[derive(Deserialize)]
pub struct Entries<'a> {
    #[serde(borrow)]
    changes: Option<Vec<Change<'a>>>,
    #[serde(default)]
    has_more: bool,
    next_after: i64,
    window_until: Option<i64>,
}

/// An entry of the log.
#[derive(Deserialize)]
struct Change<'a> {
    server_id: i64,
    #[serde(borrow)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow)]
    table: Cow<'a, str>,
    #[serde(borrow)]
    pk: Cow<'a, str>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    server_version: i64,
    #[serde(default)]
    deleted: bool,
    #[serde(borrow)]
    source_id: Option<Cow<'a, str>>,
}

/// Who reads a page.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub tables: &'a Tables,
    /// The name of this device, whose changes are passed over unless they are wanted.
    pub source: Option<&'a str>,
    pub wanted: Wanted,
}

impl Reader<'_> {
    /// The entity of a change; none when it is passed over.
    fn place(&self, change: &Change<'_>) -> Option<usize> {
        let is_own = self
            .source
            .is_some_and(|own| change.source_id.as_deref() == Some(own));
        let place = self.known_place(change);
        place.filter(|_| self.wanted.include_self || !is_own)
    }

    /// The entity of a change; none of a table that is not synced.
    fn known_place(&self, change: &Change<'_>) -> Option<usize> {
        let schema = change.schema.as_deref();
        match schema.is_some_and(|schema| schema != self.tables.schema()) {
            true => None,
            false => self.tables.place(&change.table),
        }
    }
}

impl<'a> Entries<'a> {
    /// Reads a page.
    ///
    /// # Errors
    /// An answer that breaks the protocol, or of a server in trouble.
    pub fn read(body: &'a [u8], wanted: Wanted) -> Result<Self, SyncError> {
        let answer: Self = serde_json::from_slice(body).map_err(|error| {
            SyncError::protocol(format!(
                "the answer to the download can't be read: {}; nothing was applied",
                complaint(&error)
            ))
        })?;
        answer.check(wanted)?;
        Ok(answer)
    }

    /// The number of the last entry, or where the page begins.
    pub fn last(&self) -> i64 {
        self.next_after
    }

    /// What the entries say of versions, but for those that are passed over.
    pub fn entries<'e>(&'e self, reader: Reader<'e>) -> impl Iterator<Item = Entry> + 'e {
        let changes = self.changes.iter().flatten();
        changes.filter_map(move |change| {
            Some(Entry {
                row: (reader.place(change)?, uuid::canonical(&change.pk)?),
                number: change.server_id,
                version: change.server_version,
                deleted: change.deleted,
            })
        })
    }

    /// Says what the page says, but for entries that `doubts` says enough of.
    ///
    /// # Errors
    /// A row that breaks the protocol; those of the sink.
    pub fn tell(
        &self,
        reader: Reader<'_>,
        doubts: &Doubts,
        strangers: &mut Names,
        sink: &mut dyn Sink,
    ) -> Result<Page, SyncError> {
        let mut skipped = 0;
        for change in self.changes.iter().flatten() {
            let told = match reader.place(change) {
                Some(entity) => change.tell(reader.tables, entity, doubts, sink)?,
                None => false,
            };
            skipped += i64::from(!told);
            if reader.known_place(change).is_none() {
                strangers.add_new(&change.table);
            }
        }
        Ok(Page {
            next: self.next_after,
            has_more: self.has_more,
            window: self.window_until,
            skipped,
        })
    }

    /// Numbers that contradict each other.
    fn check(&self, wanted: Wanted) -> Result<(), SyncError> {
        let went_back = self.next_after < wanted.after;
        let stands_still = self.has_more && self.next_after == wanted.after;
        if went_back || stands_still {
            let mut message =
                String::from("the answer to the download says that the next page begins ");
            let _ = match went_back {
                true => write!(message, "before this one"),
                false => write!(message, "where this one did"),
            };
            return Err(SyncError::protocol(format!(
                "{message}; nothing was applied"
            )));
        }
        let is_short = self
            .window_until
            .is_some_and(|window| window < wanted.after);
        if wanted.until == 0 && is_short {
            return Err(SyncError::new(
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend's log of changes ends before what was read of it: its database is in trouble, or was set \
                 back; try again later, and if it was set back, call sync_provider with \"reset\":true",
                true,
            ));
        }
        let last = self
            .changes
            .iter()
            .flatten()
            .map(|change| change.server_id)
            .max();
        if last.is_some_and(|last| last > self.next_after) {
            return Err(SyncError::protocol(
                "the answer to the download has changes behind the beginning of the next page; nothing was applied",
            ));
        }
        Ok(())
    }
}

impl Change<'_> {
    /// False when it is not needed.
    fn tell(
        &self,
        tables: &Tables,
        entity: usize,
        doubts: &Doubts,
        sink: &mut dyn Sink,
    ) -> Result<bool, SyncError> {
        let known = tables.entity(entity);
        let Some(id) = uuid::canonical(&self.pk) else {
            return Err(SyncError::protocol(format!(
                "the answer has a row of {} whose key is no UUID; nothing was applied",
                quoted(&known.name)
            ))
            .saying(&self.pk));
        };
        let row = (entity, id);
        if doubts.covers(&row, self.server_id) {
            return Ok(false);
        }
        let id = WireId::Text(row.1.into());
        // Neither the operation nor the id in the payload can be trusted.
        if self.deleted {
            sink.gone(entity, &id, Some(self.server_version))?;
            return Ok(true);
        }
        let Some(payload) = self.payload else {
            return Err(SyncError::protocol(format!(
                "the answer has a row of {} without its content; nothing was applied",
                quoted(&known.name)
            )));
        };
        let slots = read_row(known, payload)?;
        sink.row(&RemoteRow {
            entity,
            announced: Announced::Updated,
            id: &id,
            slots: &slots,
            version: Some(self.server_version),
        })?;
        Ok(true)
    }
}
