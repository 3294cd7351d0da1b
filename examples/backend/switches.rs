//! The ways to misbehave: what a fault switches on.
//!
//! | switch | meaning |
//! |---|---|
//! | `delayMs`, `delayBodyMs` | wait before the answer; in the middle of its body |
//! | `drop` | close the connection without an answer |
//! | `status` | answer with this status; with `retryAfter`: that header too; with `says`: these words; with `calls`: this name of the error |
//! | `garbage`, `html`, `empty` | a 200 that is not JSON; a 200 web page; a 204 (with `status`: that one) |
//! | `redirect` | 307 (or `status`) to this URL, or path on the same origin; the query is kept |
//! | `afterCommit` | a push is committed before any of the five lines above applies |
//! | `truncate` | break the connection after N bytes of the body |
//! | `cut` | end the body properly after N bytes of JSON |
//! | `duplicates` | rows twice in `created`, and once more in `updated` |
//! | `alsoDeleted` | rows of `created` and `updated` are listed in `deleted` too |
//! | `outOfOrder` | timestamp before changes, tables backwards, deleted before updated before created |
//! | `omitEmpty`, `nullEmpty` | leave empty arrays out; write them as `null` |
//! | `nullChanges` | `"changes":null` |
//! | `answerTables` | a list of tables to answer, whichever were asked for |
//! | `renameTables` | `{"task":"list"}`: rows of one table under the name of another, or of none |
//! | `only` | `{"table": "SQL condition"}`: send no other rows of the table |
//! | `strategy` | answer this `experimentalStrategy`, with complete sets for `"replacement"` |
//! | `meta` | rows carry `_status` and `_changed` |
//! | `missingIds` | rows without id |
//! | `numericIds` | ids that are whole numbers as JSON numbers |
//! | `zeroOne` | booleans as 0 and 1 |
//! | `allUpdated`, `allCreated` | every live row as `updated`; as `created`, also when both are set |
//! | `echoCreated` | rows that a client wrote last come as `created`, also to itself |
//! | `secondsClock` | timestamps and cursors in seconds (pull and push should both have it) |
//! | `timestampAfterMs` | take the timestamp N ms after the rows were read |
//! | `timestamp` | answer this timestamp, whatever JSON it is; `"omit"` leaves it out |
//! | `extra` | an object whose keys are added to the answer |
//! | `noU2` | push: creating an existing id is an error |
//! | `noU5` | push: overwrite whatever others did |
//! | `anyIds` | push: accept any text as id |
//! | `rejectIds` | push: these ids are left out and reported as rejected, see `rejections.rs` |

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::rejections::Rejections;
use super::strategy::Strategy;

/// The switches of one request, all off by default.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    pub delay: Option<Duration>,
    pub delay_body: Option<Duration>,
    pub drop: bool,
    pub status: Option<StatusCode>,
    pub retry_after: Option<String>,
    pub says: Option<String>,
    pub calls: Option<String>,
    pub garbage: bool,
    pub html: bool,
    pub empty: bool,
    pub redirect: Option<String>,
    pub after_commit: bool,
    pub truncate: Option<usize>,
    pub cut: Option<usize>,
    pub duplicates: bool,
    pub also_deleted: bool,
    pub out_of_order: bool,
    pub omit_empty: bool,
    pub null_empty: bool,
    pub null_changes: bool,
    pub answer_tables: Option<Vec<String>>,
    pub rename_tables: BTreeMap<String, String>,
    pub only: BTreeMap<String, String>,
    pub strategy: Option<Strategy>,
    pub meta: bool,
    pub missing_ids: bool,
    pub numeric_ids: bool,
    pub zero_one: bool,
    pub all_updated: bool,
    pub all_created: bool,
    pub echo_created: bool,
    pub seconds_clock: bool,
    pub timestamp_after: Option<Duration>,
    pub timestamp: Option<Value>,
    pub extra: Option<Map<String, Value>>,
    pub no_u2: bool,
    pub no_u5: bool,
    pub any_ids: bool,
    pub reject_ids: Option<Rejections>,
}

impl Switches {
    pub fn parse(object: &Map<String, Value>) -> Result<Switches, String> {
        let mut switches = Switches::default();
        for (name, value) in object {
            switches.set(name, value)?;
        }
        Ok(switches)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "delayMs" => self.delay = Some(milliseconds(name, value)?),
            "delayBodyMs" => self.delay_body = Some(milliseconds(name, value)?),
            "drop" => self.drop = flag(name, value)?,
            "status" => self.status = Some(status(value)?),
            "retryAfter" => self.retry_after = Some(header(name, value)?),
            "says" => self.says = Some(header(name, value)?),
            "calls" => self.calls = Some(header(name, value)?),
            "garbage" => self.garbage = flag(name, value)?,
            "html" => self.html = flag(name, value)?,
            "empty" => self.empty = flag(name, value)?,
            "redirect" => self.redirect = Some(header(name, value)?),
            "afterCommit" => self.after_commit = flag(name, value)?,
            "truncate" => self.truncate = Some(size(name, value)?),
            "cut" => self.cut = Some(size(name, value)?),
            "duplicates" => self.duplicates = flag(name, value)?,
            "alsoDeleted" => self.also_deleted = flag(name, value)?,
            "outOfOrder" => self.out_of_order = flag(name, value)?,
            "omitEmpty" => self.omit_empty = flag(name, value)?,
            "nullEmpty" => self.null_empty = flag(name, value)?,
            "nullChanges" => self.null_changes = flag(name, value)?,
            "answerTables" => self.answer_tables = Some(texts(name, value)?),
            "renameTables" => self.rename_tables = texts_by_table(name, value)?,
            "only" => self.only = texts_by_table(name, value)?,
            "strategy" => self.strategy = Some(Strategy::parse(value)?),
            "meta" => self.meta = flag(name, value)?,
            "missingIds" => self.missing_ids = flag(name, value)?,
            "numericIds" => self.numeric_ids = flag(name, value)?,
            "zeroOne" => self.zero_one = flag(name, value)?,
            "allUpdated" => self.all_updated = flag(name, value)?,
            "allCreated" => self.all_created = flag(name, value)?,
            "echoCreated" => self.echo_created = flag(name, value)?,
            "secondsClock" => self.seconds_clock = flag(name, value)?,
            "timestampAfterMs" => self.timestamp_after = Some(milliseconds(name, value)?),
            "timestamp" => self.timestamp = Some(value.clone()),
            "extra" => self.extra = Some(object(name, value)?),
            "noU2" => self.no_u2 = flag(name, value)?,
            "noU5" => self.no_u5 = flag(name, value)?,
            "anyIds" => self.any_ids = flag(name, value)?,
            "rejectIds" => self.reject_ids = Some(Rejections::parse(value)?),
            _ => return Err(format!("unknown switch {name}")),
        }
        Ok(())
    }

    /// Whether this request gets something else in place of its answer.
    pub fn replaces_answer(&self) -> bool {
        self.drop
            || self.status.is_some()
            || self.garbage
            || self.html
            || self.empty
            || self.redirect.is_some()
    }

    /// Why a pushed id is to be left out; `None` if it is not.
    pub fn rejection(&self, table: &str, id: &str) -> Option<&str> {
        self.reject_ids.as_ref()?.reason(table, id)
    }

    /// A stamp as the client knows it.
    pub fn in_client_units(&self, stamp: i64) -> i64 {
        if self.seconds_clock {
            stamp / 1000
        } else {
            stamp
        }
    }
}

fn flag(name: &str, value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("{name}: true or false"))
}

/// A whole number, 0 or more.
pub fn whole(name: &str, value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{name}: a whole number"))
}

fn size(name: &str, value: &Value) -> Result<usize, String> {
    usize::try_from(whole(name, value)?).map_err(|_| format!("{name}: too large"))
}

fn milliseconds(name: &str, value: &Value) -> Result<Duration, String> {
    whole(name, value).map(Duration::from_millis)
}

fn status(value: &Value) -> Result<StatusCode, String> {
    value
        .as_u64()
        .filter(|code| (200..600).contains(code))
        .and_then(|code| u16::try_from(code).ok())
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| "status: a number from 200 to 599".to_string())
}

/// A text (or a number) that can stand in a header.
fn header(name: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(format!("{name}: a text")),
    };
    if text.bytes().all(|byte| (32..127).contains(&byte)) {
        Ok(text)
    } else {
        Err(format!("{name}: printable ASCII only"))
    }
}

fn object(name: &str, value: &Value) -> Result<Map<String, Value>, String> {
    value
        .as_object()
        .cloned()
        .ok_or_else(|| format!("{name}: an object"))
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let wrong = || format!("{name}: a list of texts");
    let items = value.as_array().ok_or_else(wrong)?;
    let text = |item: &Value| item.as_str().map(str::to_string).ok_or_else(wrong);
    items.iter().map(text).collect()
}

fn texts_by_table(name: &str, value: &Value) -> Result<BTreeMap<String, String>, String> {
    let text = |(table, text): (&String, &Value)| {
        let text = text
            .as_str()
            .ok_or_else(|| format!("{name}: {table}: a text"))?;
        Ok((table.clone(), text.to_string()))
    };
    object(name, value)?.iter().map(text).collect()
}
