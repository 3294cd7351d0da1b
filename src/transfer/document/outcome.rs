//! A page of a response, what it does, and why it is not applied.

use crate::ground::{Class, SyncError, Warning};
use crate::store::{Database, Error, Session};

use super::attempt::Attempt;

/// One page of a response.
pub struct Page<'a> {
    pub response: &'a str,
    /// From 1; only the first removes rows.
    pub number: i64,
}

/// The operation that a page is applied for.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub session: &'a Session,
    pub database: &'a Database,
    pub provider: &'a str,
    pub entity: &'a str,
    pub attempt: &'a Attempt<'a>,
}

/// What a page does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    pub deleted: i64,
    pub inserted: i64,
    pub updated: i64,
    /// Rows that were changed here too.
    pub conflicts: i64,
    /// Rows of the response's tables that can't be stored now.
    pub held: i64,
    pub warnings: Vec<Warning>,
}

impl Outcome {
    pub fn add(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.conflicts += other.conflicts;
        self.held += other.held;
        self.warnings.extend(other.warnings);
    }
}

/// Why a page was not applied.
pub enum Failure {
    /// The response or the tables are at fault: the operation fails.
    Sync(SyncError),
    /// The database is: nothing happens, and the call can be repeated.
    Call(Error),
}

impl Failure {
    /// A response that says something other than was expected.
    pub fn response(message: impl Into<String>) -> Self {
        let code = "SYNC_ERROR_PROTOCOL";
        Self::Sync(SyncError::new(Class::Protocol, code, message, false))
    }

    /// The same failure with `prefix: ` in front of its text.
    pub fn prefixed(self, prefix: &str) -> Self {
        match self {
            Self::Sync(error) => Self::Sync(SyncError {
                message: format!("{prefix}: {}", error.message),
                ..error
            }),
            Self::Call(error) => Self::Call(error.prefixed(prefix)),
        }
    }
}

/// Whether a failure of the database comes from what was to be written.
fn is_by_content(code: i32) -> bool {
    const PLAIN: i32 = 1;
    const TOO_BIG: i32 = 18;
    const CONSTRAINT: i32 = 19;
    const MISMATCH: i32 = 20;
    matches!(code & 0xff, PLAIN | TOO_BIG | CONSTRAINT | MISMATCH)
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error.database.filter(|code| !is_by_content(*code)) {
            None => Self::Sync(error),
            Some(code) => Self::Call(Error::Sqlite {
                code,
                text: error.message,
            }),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match is_by_content(error.code()) && !matches!(error, Error::Panic(_)) {
            true => Self::Sync(error.into()),
            false => Self::Call(error),
        }
    }
}
