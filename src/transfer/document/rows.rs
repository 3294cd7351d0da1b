//! What every table of an entity can do, tracked or not.

use crate::store::Value;

use super::outcome::Failure;
use super::scope::Scope;

/// What the server said last of a row.
pub enum Word {
    /// It is as it is in the table, if it is there.
    Here,
    /// The row is gone, but its delete is held.
    Gone,
    /// Data that is held.
    Held(String),
}

/// How the rows of a table are written.
pub trait Rows {
    /// What the server said last of a row.
    ///
    /// # Errors
    /// The database's.
    fn word(&mut self, _id: &Value) -> Result<Word, Failure> {
        Ok(Word::Here)
    }

    /// Takes rows away, before those of a response come, but for those that it brings.
    ///
    /// # Errors
    /// The database's.
    fn clear(&mut self, scope: &Scope) -> Result<(), Failure>;

    /// Puts a document in the place of the row with its id, or adds it. Without a timestamp: now.
    ///
    /// # Errors
    /// The table refuses it; the database's.
    fn put(&mut self, id: &Value, data: &str, timestamp: Option<&Value>) -> Result<(), Failure>;
}
