//! Keys of every kind whose other side is a file: which one, and what may be done to it.

use super::kind::Settings;
use super::table_keys::busy_timeout;
use crate::ground::key::{Key, Takes, Usual, key};
use crate::hub::Place;

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("file", Takes::Text, Usual::Required, "path of the other SQLite file, from the folder of this one where it is relative; with `attached` its name", r#"{"file":"hub.db"}"#),
    key("attached", Takes::Switch, Usual::Json("false"), "whether `file` is the name under which this connection has attached the other file: one that is encrypted, in memory, or needs functions of the program", r#"{"file":"hub","attached":true}"#),
    key("create", Takes::Switch, Usual::Json("false"), "whether a file or a table that is not there is made, the table as it is here", r#"{"file":"hub.db","create":true}"#),
    key("readOnly", Takes::Switch, Usual::Json("false"), "nothing is written to the other file: its rows come here, and what is changed here is refused", r#"{"file":"hub.db","readOnly":true}"#),
    key("onFork", Takes::OneOf(&["refuse", "merge"]), Usual::Json("\"refuse\""), "what happens when the other file is a copy that does not know what this one has seen of it, such as an older copy from a USB stick: `refuse` ends the sync, `merge` brings both to what either has", r#"{"file":"hub.db","onFork":"merge"}"#),
];

/// Where the other file is.
pub fn place(settings: &Settings) -> Place {
    Place {
        file: settings.text("file").to_owned(),
        attached: settings.flag("attached"),
        create: settings.flag("create"),
        read_only: settings.flag("readOnly"),
        merges_forks: settings.text("onFork") == "merge",
        busy: busy_timeout(settings),
    }
}

/// Checks that a file is named.
///
/// # Errors
/// `<key> <problem>; <what to do>`.
pub fn check(settings: &Settings) -> Result<(), String> {
    match settings.text("file").is_empty() {
        true => Err("file is empty; give a path".into()),
        false => Ok(()),
    }
}
