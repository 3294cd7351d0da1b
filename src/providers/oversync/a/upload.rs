//! Uploads: changes of rows there, what became of each back.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::doubt::{Doubt, Refused};
use crate::ground::{Class, SyncError, complaint, quoted};
use crate::providers::conversation::{ParcelRow, ParcelRows};
use crate::providers::oversync::row::read_row;
use crate::providers::oversync::tables::Tables;
use crate::providers::oversync::wire::{in_json, key, op};
use crate::providers::sink::{Image, Rejection, Sent, Sink, Verdict};
use crate::providers::wire::{ChangeKind, Slot, WireId};
use crate::store::ValueRef;

/// The status by which a request is too large.
const TOO_LARGE: u16 = 413;

/// Writes the body of an upload. `seen`: how far the log of the server was read.
///
/// # Errors
/// Reading the parcel, writing.
pub fn write_body(
    tables: &Tables,
    seen: i64,
    parcel: &dyn ParcelRows,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{{\"last_server_seq_seen\":{seen},\"changes\":[")?;
    let mut comma = "";
    parcel.in_order(&mut |entity, row| {
        out.write_all(std::mem::replace(&mut comma, ",").as_bytes())?;
        write_change(tables, entity, row, out)
    })?;
    write!(out, "]}}")
}

fn write_change(
    tables: &Tables,
    entity: usize,
    row: &ParcelRow<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{{\"source_change_id\":{}", row.change)?;
    write_numbered(tables, entity, row, out)
}

/// Writes a change behind its number.
fn write_numbered(
    tables: &Tables,
    entity: usize,
    row: &ParcelRow<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let op = op(row.kind);
    write!(
        out,
        r#","schema":{},"table":{},"op":"{op}","pk":{},"server_version":{}"#,
        in_json(tables.schema())?,
        in_json(tables.name(entity))?,
        key(tables.entity(entity), row)?,
        row.base.unwrap_or(0)
    )?;
    if row.kind != ChangeKind::Deleted {
        write!(out, ",\"payload\":{}", row.content)?;
    }
    write!(out, "}}")
}

/// A version that no row has.
const IMPOSSIBLE: i64 = -1;

/// The body of the request that reads a row by itself, in front of the number of its change and behind it.
///
/// # Errors
/// What JSON can't hold.
pub fn reading(tables: &Tables, seen: i64, doubt: &Doubt) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let before = format!("{{\"last_server_seq_seen\":{seen},\"changes\":[{{\"source_change_id\":");
    let (name, id) = (&tables.entity(doubt.entity).key, &doubt.id);
    let row = ParcelRow {
        change: 0,
        kind: ChangeKind::Updated,
        id: ValueRef::Text(id),
        base: Some(IMPOSSIBLE),
        content: &format!("{{{}:{}}}", in_json(&name.to_lowercase())?, in_json(id)?),
    };
    let mut after = Vec::new();
    write_numbered(tables, doubt.entity, &row, &mut after)?;
    after.extend_from_slice(b"]}");
    Ok((before.into_bytes(), after))
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    statuses: Option<Vec<Status<'a>>>,
}

/// What became of one change.
#[derive(Deserialize)]
struct Status<'a> {
    source_change_id: i64,
    #[serde(borrow)]
    status: Cow<'a, str>,
    new_server_version: Option<i64>,
    #[serde(borrow)]
    server_row: Option<ServerRow<'a>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    invalid: Option<Invalid<'a>>,
}

/// What the server has of a row.
#[derive(Deserialize)]
struct ServerRow<'a> {
    #[serde(borrow)]
    table_name: Cow<'a, str>,
    server_version: i64,
    #[serde(default)]
    deleted: bool,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Invalid<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

fn statuses(body: &[u8]) -> Result<Vec<Status<'_>>, SyncError> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        SyncError::protocol(format!(
            "the answer to the upload can't be read: {}; nothing was settled",
            complaint(&error)
        ))
    })?;
    answer.statuses.ok_or_else(|| {
        SyncError::protocol(
            "the answer to the upload says nothing of the changes; nothing was settled",
        )
    })
}

/// Reads the answer to the request that reads a row by itself. False when it does not say what the server has.
///
/// # Errors
/// An answer that breaks the protocol; those of the sink.
pub fn read_row_alone(
    tables: &Tables,
    doubt: &Doubt,
    body: &[u8],
    sink: &mut dyn Sink,
) -> Result<bool, SyncError> {
    let statuses = statuses(body)?;
    let [status] = statuses.as_slice() else {
        return Ok(false);
    };
    let id = WireId::Text(doubt.id.as_str().into());
    if status.status == "conflict" {
        let there = status.there(tables)?;
        let is_it = there.entity == doubt.entity;
        if is_it {
            sink.told(&id, &there.image())?;
        }
        return Ok(is_it);
    }
    let is_absent = status.is_internal_error() && !status.is_passing();
    if is_absent {
        let nothing = Image {
            entity: doubt.entity,
            slots: None,
            version: None,
        };
        sink.told(&id, &nothing)?;
    }
    Ok(is_absent)
}

/// Reads the answer to an upload; the changes that were refused in a way that makes their rows doubtful.
///
/// # Errors
/// An answer that breaks the protocol, or refuses the request for its size; those of the sink.
pub fn read_answer(
    tables: &Tables,
    body: &[u8],
    sink: &mut dyn Sink,
) -> Result<Vec<Refused>, SyncError> {
    let statuses = statuses(body)?;
    if statuses.iter().any(Status::is_too_large) {
        let mut error = SyncError::new(
            Class::Server,
            "SYNC_ERROR_HTTP",
            "the upload has more changes than the backend accepts; lower uploadLimit",
            true,
        );
        error.status = Some(TOO_LARGE);
        return Err(error.saying("batch_too_large"));
    }
    let mut refused = Vec::new();
    for status in &statuses {
        status.tell(tables, sink)?;
        let blind = status.is_internal_error();
        if blind || status.status == "conflict" {
            refused.push(Refused {
                change: status.source_change_id,
                blind,
            });
        }
    }
    Ok(refused)
}

/// What the server has of a row.
struct There {
    entity: usize,
    slots: Option<Vec<Slot<'static>>>,
    version: i64,
}

impl There {
    fn image(&self) -> Image<'_> {
        Image {
            entity: self.entity,
            slots: self.slots.as_deref(),
            version: Some(self.version),
        }
    }
}

impl Status<'_> {
    fn is_invalid(&self, reason: &str) -> bool {
        let given = self.invalid.as_ref().map(|invalid| &*invalid.reason);
        self.status == "invalid" && given == Some(reason)
    }

    fn is_too_large(&self) -> bool {
        self.is_invalid("batch_too_large")
    }

    fn is_internal_error(&self) -> bool {
        self.is_invalid("internal_error")
    }

    /// It is about another change of the row that was under way, not about what the server has.
    fn is_passing(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        message.contains("40001") || message.contains("retry")
    }

    fn tell(&self, tables: &Tables, sink: &mut dyn Sink) -> Result<(), SyncError> {
        let sent = Sent::Change(self.source_change_id);
        match &*self.status {
            "applied" => sink.verdict(
                sent,
                Verdict::Taken {
                    version: self.new_server_version,
                    new_id: None,
                    image: None,
                },
            ),
            "conflict" => {
                let there = self.there(tables)?;
                sink.verdict(sent, Verdict::Conflict(Some(there.image())))
            }
            "invalid" => sink.verdict(sent, Verdict::Refused(self.rejection()?)),
            "materialize_error" => sink.verdict(
                sent,
                Verdict::Refused(Rejection {
                    reason: Some("materialize_error"),
                    message: self.message.as_deref(),
                    unprojected: true,
                    for_good: false,
                }),
            ),
            stranger => Err(unknown("status", stranger)),
        }
    }

    fn rejection(&self) -> Result<Rejection<'_>, SyncError> {
        let reason = self.invalid.as_ref().map(|invalid| &*invalid.reason);
        let for_good = match reason {
            Some("bad_payload" | "unregistered_table") => true,
            Some("fk_missing" | "precheck_error" | "internal_error") => false,
            stranger => return Err(unknown("reason", stranger.unwrap_or_default())),
        };
        Ok(Rejection {
            reason,
            message: self.message.as_deref(),
            for_good,
            unprojected: false,
        })
    }

    /// The row that a conflict shows.
    fn there(&self, tables: &Tables) -> Result<There, SyncError> {
        let Some(row) = &self.server_row else {
            return Err(SyncError::protocol(format!(
                "the answer has a conflict about change {} without the backend's row; nothing was settled",
                self.source_change_id
            )));
        };
        let Some(entity) = tables.place(&row.table_name) else {
            return Err(SyncError::protocol(format!(
                "the answer has a conflict about table {}, of which nothing was sent; nothing was settled",
                quoted(&row.table_name)
            )));
        };
        let slots: Option<Vec<Slot<'static>>> = match (row.deleted, row.payload) {
            (true, _) => None,
            (false, Some(payload)) => Some(read_row(tables.entity(entity), payload)?),
            (false, None) => {
                return Err(SyncError::protocol(format!(
                    "the answer has a row of {} without its content; nothing was settled",
                    quoted(&row.table_name)
                )));
            }
        };
        Ok(There {
            entity,
            slots,
            version: row.server_version,
        })
    }
}

fn unknown(what: &str, word: &str) -> SyncError {
    SyncError::protocol(format!(
        "the answer to the upload has a {what} that this version does not know; nothing was settled"
    ))
    .saying(word)
}
