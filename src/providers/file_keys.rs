//! Keys of every kind whose other side is a file: which one, and what may be done to it.

use super::kind::Settings;
use super::table_keys::busy_timeout;
use crate::ground::key::{Key, Takes, Usual, key};
use crate::hub::Place;

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("file", Takes::Text, Usual::Words("required, unless `attached` is given"), "path of the other SQLite file, from the folder of this one where it is relative", r#"{"file":"hub.db"}"#),
    key("attached", Takes::Text, Usual::Nothing, "in place of `file`: the name under which this connection has attached the other file (encrypted, in memory, with functions of its own)", r#"{"attached":"hub"}"#),
    key("create", Takes::Switch, Usual::Json("false"), "whether a file or a table that is not there is made, the table as it is here", r#"{"file":"hub.db","create":true}"#),
    key("readOnly", Takes::Switch, Usual::Json("false"), "nothing is written to the other file: its rows come here, and what is changed here is refused", r#"{"file":"hub.db","readOnly":true}"#),
    key("onFork", Takes::OneOf(&["refuse", "merge"]), Usual::Json("\"refuse\""), "what happens when the other file is a copy that does not know what this one has seen of it, such as an older copy from a USB stick: `refuse` ends the sync, `merge` brings both to what either has", r#"{"file":"hub.db","onFork":"merge"}"#),
];

/// Where the other file is.
pub fn place(settings: &Settings) -> Place {
    Place {
        file: settings.optional_text("file").map(str::to_owned),
        attached: settings.optional_text("attached").map(str::to_owned),
        create: settings.flag("create"),
        read_only: settings.flag("readOnly"),
        merges_forks: settings.text("onFork") == "merge",
        busy: busy_timeout(settings),
    }
}

/// Checks that exactly one file is named.
///
/// # Errors
/// `<key> <problem>; <what to do>`.
pub fn check(settings: &Settings) -> Result<(), String> {
    match (settings.is_set("file"), settings.is_set("attached")) {
        (true, true) => Err("file and attached name two files; leave one of them out".into()),
        (false, false) => Err(r#"file is missing; give it, as in {"file":"hub.db"}"#.into()),
        (true, _) if settings.text("file").is_empty() => Err("file is empty; give a path".into()),
        _ => Ok(()),
    }
}
