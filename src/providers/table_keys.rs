//! Keys of every kind that keeps tables in step: which rows and columns, and how they are applied.

use std::time::Duration;

use super::conversation::ApplyRules;
use super::kind::Settings;
use crate::ground::key::{Key, Takes, Usual, key};
use crate::ground::{WARNING_CODES, nearest, quoted};

const ON_CLASH: &[&str] = &["hold", "adopt", "serverWins"];

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("tableMap", Takes::Map(&Takes::Text), Usual::Words("the entity's own name"), "entity to the table that holds it, where their names differ", r#"{"tableMap":{"aircraft":"planes"}}"#),
    key("excludeColumns", Takes::Map(&Takes::List(&Takes::Text)), Usual::Nothing, "table to a list of its columns that are not synced", r#"{"excludeColumns":{"planes":["speed"]}}"#),
    key("onClash", Takes::Map(&Takes::OneOf(ON_CLASH)), Usual::Words("`hold` for all"), "entity to what happens when a row of the backend has the UNIQUE value of a row made here: `hold`: the backend's row waits in `sync_held`; `adopt`: the row made here becomes the backend's, with all that refers to it, and what it was given a value in (neither NULL nor the column's default) meets the backend's by the entity's policy; `serverWins`: the same, but what was made here is only kept in `sync_conflict`. A row of the backend that was here before, and got the value there since, is always held: the row made here can't become one that is here already", r#"{"onClash":{"planes":"adopt"}}"#),
    key("sendCascades", Takes::Switch, Usual::Json("false"), "whether what a row deleted by the backend takes along here by a foreign key (CASCADE, SET NULL, SET DEFAULT) is sent as a change of this device", r#"{"sendCascades":true}"#),
    key("splitRefused", Takes::Switch, Usual::Json("true"), "whether a push that is refused as a whole (400, 403, 409, 413, 422) is cut in halves until the rows that the backend won't have are alone; false: the sync fails", r#"{"splitRefused":false}"#),
    key("quiet", Takes::List(&Takes::Text), Usual::Nothing, "codes of warnings that are not given: neither in an answer nor in the log", r#"{"quiet":["valuesKeptAside"]}"#),
    key("busyTimeoutMs", Takes::Number(0, 3_600_000), Usual::Json("10000"), "how long to keep trying when the database is locked during a sync", r#"{"busyTimeoutMs":30000}"#),
];

/// Keys of kinds whose server neither counts versions of rows nor numbers of changes: what comes back is told apart by its
/// content.
#[rustfmt::skip]
pub const BY_CONTENT: &[Key] = &[
    key("replacementWhere", Takes::Map(&Takes::Text), Usual::Words("all rows"), "entity to an SQL condition on its rows, which limits what a replacement removes; only run on connections that were given it", r#"{"replacementWhere":{"planes":"seats > 50"}}"#),
    key("keepCreated", Takes::Switch, Usual::Json("false"), "whether a row that was created here stays when the backend deletes it", r#"{"keepCreated":true}"#),
    key("echoIgnore", Takes::List(&Takes::Text), Usual::Json(r#"["created_at","updated_at"]"#), "columns to ignore when comparing a row that comes back with the one pushed, since servers set them", r#"{"echoIgnore":["updated_at"]}"#),
    key("pushBatch", Takes::Number(0, 1_000_000), Usual::Json("0"), "most rows of one push; more are pushed in parts, parents first, each settled on its own; 0: all in one", r#"{"pushBatch":500}"#),
];

/// How remote rows are applied.
pub fn apply_rules(settings: &Settings) -> ApplyRules {
    let ignored = settings.list("echoIgnore").into_iter();
    ApplyRules {
        keep_created: settings.flag("keepCreated"),
        send_cascades: settings.flag("sendCascades"),
        echo_ignore: ignored.map(str::to_owned).collect(),
        ..ApplyRules::default()
    }
}

/// Statuses by which a backend refuses a push for some of its rows.
pub fn refusals(settings: &Settings) -> &'static [u16] {
    match settings.flag("splitRefused") {
        true => &[400, 403, 409, 413, 422],
        false => &[],
    }
}

/// Checks that every code to be silent about is one.
///
/// # Errors
/// `quiet names …`.
pub fn check(settings: &Settings) -> Result<(), String> {
    let codes = settings.list("quiet").into_iter();
    let mut unknown = codes.filter(|code| !WARNING_CODES.contains(code));
    let Some(code) = unknown.next() else {
        return Ok(());
    };
    let help = match nearest(code, WARNING_CODES.iter().copied()) {
        Some(meant) => format!("did you mean {}?", quoted(meant)),
        None => format!("known are {}", WARNING_CODES.join(", ")),
    };
    Err(format!(
        "quiet names {}, which is no code of a warning; {help}",
        quoted(code)
    ))
}

/// How long to go on trying when the database is locked.
pub fn busy_timeout(settings: &Settings) -> Duration {
    const USUAL: u64 = 10_000;
    Duration::from_millis(settings.optional_number("busyTimeoutMs").unwrap_or(USUAL))
}
