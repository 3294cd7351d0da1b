//! What was frozen: a push, or a part of one.

use std::ops::RangeInclusive;

/// Numbers of log entries.
pub type Entries = Vec<RangeInclusive<i64>>;

/// A frozen batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    pub push: i64,
    /// The log was frozen up to here.
    pub upto: i64,
    pub rows: u64,
    /// Rows that can't be sent, per binding.
    pub unsendable: Vec<i64>,
    /// Bindings with a conflict that was decided, once for each.
    pub conflicts: Vec<usize>,
    /// The log entries that it settles, when it is one of several parts.
    pub entries: Option<Entries>,
    /// It was sent before, without an answer.
    pub resent: bool,
    /// Its rows refer to each other in a circle: they can't be parted.
    pub circle: bool,
}
