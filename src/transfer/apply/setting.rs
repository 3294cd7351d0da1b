//! What applying an answer is about.

use std::sync::atomic::AtomicBool;

use crate::providers::conversation::Again;
use crate::store::{Database, Session};
use crate::transfer::held::Refusals;

/// What one answer is about.
pub struct Setting<'a> {
    pub session: &'a Session,
    pub database: &'a Database,
    pub provider: &'a str,
    /// The row of `_syncRun`; 0 outside of a run.
    pub run: i64,
    /// How long the answer is; 0 where that is not known.
    pub bytes: u64,
    /// Set when the run must end.
    pub cancel: &'a AtomicBool,
    /// For each binding, what comes again that was pulled before.
    pub again: Vec<Option<Again>>,
    /// The part of a table that what comes is about, by its number in `_syncPlace` and that of the reading; none: all of it.
    pub part: Option<(i64, i64)>,
    /// What is known of rows that the file refuses, which are held.
    pub refusals: &'a Refusals,
}
