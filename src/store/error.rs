//! What can go wrong in a call, with the SQLite code the host sees.

use std::fmt;

/// Result of everything in this library that a caller of SQL can see fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call. The text the host shows is `FUNCTION: what is wrong; what to do`; the function's
/// name is put in front by the function room.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The caller's arguments are wrong (SQLITE_ERROR, 1). Caller's fault; calling again the same
    /// way fails the same way.
    Argument(String),
    /// Called at the wrong time or place: inside a writing statement, without a table that must be
    /// there, from the wrong SQLite (SQLITE_MISUSE, 21). Caller's fault.
    Misuse(String),
    /// Somebody else is at it: the database, or the work asked for, is taken (SQLITE_BUSY, 5).
    /// Nobody's fault; try again.
    Busy(String),
    /// What our own tables hold makes no sense (SQLITE_CORRUPT, 11): edited by hand, or written by
    /// a newer version.
    Corrupt(String),
    /// SQLite's own error, code and text untouched, so that BUSY stays BUSY and a constraint stays
    /// a constraint. `code` is the extended result code.
    Sqlite { code: i32, text: String },
    /// A bug here: a panic was caught before it could reach the host (SQLITE_ERROR, 1).
    Panic(String),
}

impl Error {
    /// An [`Error::Argument`] from anything text-like.
    pub fn argument(text: impl Into<String>) -> Self {
        Self::Argument(text.into())
    }

    /// An [`Error::Misuse`] from anything text-like.
    pub fn misuse(text: impl Into<String>) -> Self {
        Self::Misuse(text.into())
    }

    /// The result code handed to the host: never 0, 100 or 101, which would turn the error into a
    /// value or end the statement without one.
    pub fn code(&self) -> i32 {
        match self {
            Self::Argument(_) | Self::Panic(_) => 1,
            Self::Misuse(_) => 21,
            Self::Busy(_) => 5,
            Self::Corrupt(_) => 11,
            Self::Sqlite {
                code: 0 | 100 | 101,
                ..
            } => 1,
            Self::Sqlite { code, .. } => *code,
        }
    }

    /// Whether trying again later can help: BUSY and LOCKED in all their extended forms.
    pub fn is_busy(&self) -> bool {
        matches!(self.code() & 0xff, 5 | 6)
    }

    /// Whether the host interrupted its connection.
    pub fn is_interrupt(&self) -> bool {
        self.code() & 0xff == 9
    }

    /// Whether a constraint of a table refused a row.
    pub fn is_constraint(&self) -> bool {
        self.code() & 0xff == 19
    }

    /// The same error with `prefix: ` in front of its text.
    pub fn prefixed(self, prefix: &str) -> Self {
        let put = |text: String| format!("{prefix}: {text}");
        match self {
            Self::Argument(text) => Self::Argument(put(text)),
            Self::Misuse(text) => Self::Misuse(put(text)),
            Self::Busy(text) => Self::Busy(put(text)),
            Self::Corrupt(text) => Self::Corrupt(put(text)),
            Self::Sqlite { code, text } => Self::Sqlite {
                code,
                text: put(text),
            },
            Self::Panic(text) => Self::Panic(put(text)),
        }
    }
}

/// The text of an error for the host. One of our tables that is missing is a riddle for whoever only reads.
pub(super) fn told(error: &Error) -> String {
    let text = error.to_string();
    let missing = text.rsplit_once("no such table: ").map(|(_, name)| name);
    let is_ours = |name: &str| {
        let bare = name.rsplit_once('.').map_or(name, |(_, bare)| bare);
        bare.starts_with("_sync")
            && bare
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    // What an upgrade says has its own advice.
    let is_whole = !text.contains("could not be upgraded");
    shortened(match missing.is_some_and(is_ours) && is_whole {
        true => format!("{text}; call sync_init() to make it anew"),
        false => text,
    })
}

/// Longest error text handed to the host, in bytes.
const LONGEST_TEXT: usize = 1000;

/// An error text of bearable length: arguments are repeated in it, and may be of any size. The end is
/// kept, since it says what to do.
fn shortened(text: String) -> String {
    if text.len() <= LONGEST_TEXT {
        return text;
    }
    let head = char_border(&text, LONGEST_TEXT * 3 / 5);
    let tail = char_border(&text, text.len() - LONGEST_TEXT / 3);
    format!("{} … {}", &text[..head], &text[tail..])
}

/// The last place at or before `at` where a character begins.
fn char_border(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|place| text.is_char_boundary(*place))
        .unwrap_or(0)
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(text) | Self::Misuse(text) | Self::Busy(text) | Self::Corrupt(text) => {
                out.write_str(text)
            }
            Self::Sqlite { text, .. } => out.write_str(text),
            Self::Panic(text) => write!(
                out,
                "panic: {text}; this is a bug in syncscope, please report it"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// The message inside a caught panic.
pub(super) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".into())
}

/// Runs `body` so that a panic becomes an [`Error::Panic`] instead of crossing into C.
pub(super) fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(outcome) => outcome,
        Err(payload) => Err(Error::Panic(panic_text(&*payload))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_that_the_host_would_take_for_success() {
        for code in [0, 100, 101] {
            assert_eq!(
                Error::Sqlite {
                    code,
                    text: String::new()
                }
                .code(),
                1
            );
        }
        assert_eq!(
            Error::Sqlite {
                code: 517,
                text: String::new()
            }
            .code(),
            517
        );
    }

    #[test]
    fn extended_busy_is_busy() {
        assert!(
            Error::Sqlite {
                code: 517,
                text: String::new()
            }
            .is_busy()
        );
        assert!(
            !Error::Sqlite {
                code: 2067,
                text: String::new()
            }
            .is_busy()
        );
    }

    #[test]
    fn long_texts_keep_their_beginning_and_end() {
        let text = format!("begin {} do this", "ä".repeat(5000));
        let short = shortened(text);
        assert!(short.len() < 1000 && short.starts_with("begin") && short.ends_with("do this"));
    }

    #[test]
    fn a_panic_is_an_error() {
        let outcome: Result<()> = guarded(|| panic!("boom {}", 1));
        assert_eq!(outcome, Err(Error::Panic("boom 1".into())));
    }
}
