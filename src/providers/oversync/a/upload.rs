//! Uploads: changes of rows there, what became of each back.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ground::{Class, SyncError, complaint, quoted};
use crate::providers::conversation::{ParcelRow, ParcelRows};
use crate::providers::oversync::row::read_row;
use crate::providers::oversync::tables::Tables;
use crate::providers::oversync::wire::{in_json, key, op};
use crate::providers::sink::{Image, Rejection, Sent, Sink, Verdict};
use crate::providers::wire::{ChangeKind, Slot};

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
    let op = op(row.kind);
    write!(
        out,
        r#"{{"source_change_id":{},"schema":{},"table":{},"op":"{op}","pk":{},"server_version":{}"#,
        row.change,
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

/// Reads the answer to an upload.
///
/// # Errors
/// An answer that breaks the protocol, or refuses the request for its size; those of the sink.
pub fn read_answer(tables: &Tables, body: &[u8], sink: &mut dyn Sink) -> Result<(), SyncError> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        SyncError::protocol(format!(
            "the answer to the upload can't be read: {}; nothing was settled",
            complaint(&error)
        ))
    })?;
    let Some(statuses) = answer.statuses else {
        return Err(SyncError::protocol(
            "the answer to the upload says nothing of the changes; nothing was settled",
        ));
    };
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
    statuses
        .iter()
        .try_for_each(|status| status.tell(tables, sink))
}

impl Status<'_> {
    fn is_too_large(&self) -> bool {
        let reason = self.invalid.as_ref().map(|invalid| &*invalid.reason);
        self.status == "invalid" && reason == Some("batch_too_large")
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
            "conflict" => self.conflict(sent, tables, sink),
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

    fn conflict(
        &self,
        sent: Sent<'_>,
        tables: &Tables,
        sink: &mut dyn Sink,
    ) -> Result<(), SyncError> {
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
        let image = Image {
            entity,
            slots: slots.as_deref(),
            version: Some(row.server_version),
        };
        sink.verdict(sent, Verdict::Conflict(Some(image)))
    }
}

fn unknown(what: &str, word: &str) -> SyncError {
    SyncError::protocol(format!(
        "the answer to the upload has a {what} that this version does not know; nothing was settled"
    ))
    .saying(word)
}
