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
    /// Set when the run must end.
    pub cancel: &'a AtomicBool,
    /// For each binding, what comes again that was pulled before.
    pub again: Vec<Option<Again>>,
    /// What is known of rows that the file refuses, which are held.
    pub refusals: &'a Refusals,
}
