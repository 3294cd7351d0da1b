//! What is said of a row that gets another key.

use crate::capture::shape::Shape;
use crate::capture::{Key, Tracked};
use crate::store::Value;

/// A row that has another key from now on.
#[derive(Clone)]
pub struct Renamed<'a> {
    pub shape: &'a Shape,
    /// The number of its table, if that is tracked.
    pub table: Option<i64>,
    pub old: Value,
    pub new: Value,
}

impl<'a> Renamed<'a> {
    /// A row of a tracked table.
    pub fn of(table: &'a Tracked, old: Value, new: Value) -> Self {
        Self {
            shape: &table.shape,
            table: Some(table.id),
            old,
            new,
        }
    }

    /// The table and the key under which it is logged, and the key that it gets.
    pub fn logged(&self) -> Option<((i64, Key), &Value)> {
        let table = self.table?;
        Some(((table, Key(self.old.clone())), &self.new))
    }
}
