//! The settings of a connection that decide which triggers and actions run, and how commits are made.
//!
//! A rule holds under all of them: [`everywhere`] runs a test under four of the eight, in which any two of the settings
//! meet in all ways; with `SYNCSCOPE_WHOLE=1` or `SYNCSCOPE_WHOLE=settings` under all eight. `SYNCSCOPE_SETTINGS`, SQL, sets
//! those of every connection that a test opens otherwise, so that a whole program of tests can be run under other settings.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rusqlite::Connection;

use crate::sample::is_whole;

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

/// All settings, or those of them in which any two meet in all ways.
fn chosen() -> impl Iterator<Item = String> {
    let whole = is_whole("settings");
    let all = all_settings().into_iter().enumerate();
    // Each bit of the place is one of the three: of an even number of them the second word.
    let chosen = all.filter(move |(place, _)| whole || place.count_ones() % 2 == 0);
    chosen.map(|(_, settings)| settings)
}

/// Runs a test under the settings: every connection that it opens has them. It is told which.
pub fn everywhere(test: impl Fn(&str)) {
    for settings in chosen() {
        under(&settings, || test(&settings));
    }
}

/// The same where foreign keys matter: under those settings that enforce them.
pub fn enforced(test: impl Fn(&str)) {
    for settings in chosen().filter(|settings| settings.contains("foreign_keys = ON")) {
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

#[test]
fn any_two_settings_meet_in_all_ways() {
    let chosen: Vec<String> = chosen().collect();
    let words = [
        ["keys = ON", "keys = OFF"],
        ["triggers = ON", "triggers = OFF"],
        ["= WAL", "= DELETE"],
    ];
    for (place, ones) in words.iter().enumerate() {
        for two in &words[place + 1..] {
            for (one, other) in ones
                .iter()
                .flat_map(|one| two.iter().map(move |other| (one, other)))
            {
                let met = chosen
                    .iter()
                    .any(|settings| settings.contains(one) && settings.contains(other));
                assert!(met, "{one} with {other}");
            }
        }
    }
}
