//! SQL texts that this connection itself has declared.
//!
//! Some settings hold SQL: conflict resolvers, replacement predicates, operations on a response. They are
//! kept in the database file, so that it can be read what is in force. But a file may come from a stranger,
//! and SQL out of it would run with all the rights of the program that opened it. So a text from the file
//! runs only when the same text was given to this connection, as a program does when it sets itself up.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::store::{Error, Result, Session};

/// The texts, a part of the session. A worker's connection shares that of its host.
#[derive(Default)]
pub struct Declared(Mutex<HashSet<String>>);

/// Notes a text that was given to this connection.
pub fn declare(session: &Session, sql: &str) {
    session.part::<Declared>().0.lock().insert(sql.to_owned());
}

/// # Errors
/// The text comes from the file alone. `how` says what to call to declare it.
pub fn require(session: &Session, sql: &str, how: &str) -> Result<()> {
    if session.part::<Declared>().0.lock().contains(sql) {
        return Ok(());
    }
    let shown: String = sql.chars().take(80).collect();
    Err(Error::misuse(format!(
        "SQL from the database file is not run unless this connection declared it; {how} ({shown})"
    )))
}
