//! The settings of a connection that decide which triggers and actions run, and how commits are made.
//!
//! A rule holds under all of them: [`everywhere`] runs a test under each. `SYNCSCOPE_SETTINGS`, SQL, sets those of every
//! connection that a test opens otherwise, so that a whole program of tests can be run under other settings.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rusqlite::Connection;

thread_local! {
    static SETTINGS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Foreign keys on and off, recursive triggers on and off, a write-ahead log and a rollback journal, in all ways.
pub fn all_settings() -> Vec<String> {
    let mut all = Vec::new();
    for keys in ["ON", "OFF"] {
        for recursive in ["ON", "OFF"] {
            for journal in ["WAL", "DELETE"] {
                all.push(format!(
                    "PRAGMA foreign_keys = {keys}; PRAGMA recursive_triggers = {recursive}; \
                     PRAGMA journal_mode = {journal};"
                ));
            }
        }
    }
    all
}

/// Runs a test under all settings: every connection that it opens has them. It is told which.
pub fn everywhere(test: impl Fn(&str)) {
    for settings in all_settings() {
        under(&settings, || test(&settings));
    }
}

/// The same where foreign keys matter: under those settings that enforce them.
pub fn enforced(test: impl Fn(&str)) {
    let all = all_settings().into_iter();
    for settings in all.filter(|settings| settings.contains("foreign_keys = ON")) {
        under(&settings, || test(&settings));
    }
}

fn under(settings: &str, test: impl FnOnce()) {
    SETTINGS.set(Some(settings.to_owned()));
    let outcome = catch_unwind(AssertUnwindSafe(test));
    SETTINGS.set(None);
    if let Err(panic) = outcome {
        eprintln!("under {settings}");
        resume_unwind(panic);
    }
}

/// Gives a connection the settings of the test that opens it.
pub fn apply(connection: &Connection) {
    let settings = SETTINGS.with_borrow(Clone::clone);
    let settings = settings.or_else(|| std::env::var("SYNCSCOPE_SETTINGS").ok());
    if let Some(settings) = settings {
        connection.execute_batch(&settings).expect(&settings);
    }
}
