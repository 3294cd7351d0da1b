//! Downloads: pages of the server's log of changes.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

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

#[derive(Deserialize)]
struct Answer<'a> {
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

/// Reads a page. `source`: the name of this device, whose changes are passed over unless they are wanted.
///
/// # Errors
/// An answer that breaks the protocol, or of a server in trouble; those of the sink.
pub fn read_page(
    tables: &Tables,
    source: Option<&str>,
    wanted: Wanted,
    body: &[u8],
    strangers: &mut Names,
    sink: &mut dyn Sink,
) -> Result<Page, SyncError> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        SyncError::protocol(format!(
            "the answer to the download can't be read: {}; nothing was applied",
            complaint(&error)
        ))
    })?;
    answer.check(wanted)?;
    let mut skipped = 0;
    for change in answer.changes.iter().flatten() {
        let is_own = source.is_some_and(|own| change.source_id.as_deref() == Some(own));
        let is_elsewhere = change
            .schema
            .as_deref()
            .is_some_and(|schema| schema != tables.schema());
        match tables.place(&change.table) {
            Some(entity) if !is_elsewhere && (wanted.include_self || !is_own) => {
                change.tell(tables, entity, sink)?;
            }
            place => {
                skipped += 1;
                if place.is_none() || is_elsewhere {
                    strangers.add_new(&change.table);
                }
            }
        }
    }
    Ok(Page {
        next: answer.next_after,
        has_more: answer.has_more,
        window: answer.window_until,
        skipped,
    })
}

impl Answer<'_> {
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
    fn tell(&self, tables: &Tables, entity: usize, sink: &mut dyn Sink) -> Result<(), SyncError> {
        let known = tables.entity(entity);
        let Some(id) = uuid::canonical(&self.pk) else {
            return Err(SyncError::protocol(format!(
                "the answer has a row of {} whose key is no UUID; nothing was applied",
                quoted(&known.name)
            ))
            .saying(&self.pk));
        };
        let id = WireId::Text(id.into());
        // Neither the operation nor the id in the payload can be trusted.
        if self.deleted {
            return sink.gone(entity, &id, Some(self.server_version));
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
        })
    }
}
