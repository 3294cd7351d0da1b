//! Why a row was refused.

use crate::store::{Error, Value, ValueRef};

/// How [`Class::Resolver`] is kept.
pub const RESOLVER: &str = "resolver";

/// The kind of constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    ForeignKey,
    Unique,
    Check,
    NotNull,
    /// A value of another type than the column takes.
    Strict,
    /// A trigger of the application.
    Trigger,
    /// More than SQLite holds in one row.
    Size,
    /// Its id can't be a key of the table.
    Key,
    /// The entity's resolver failed: it is not decided what stays of the row here.
    Resolver,
}

impl Class {
    /// The class of an error that is about one row; none when it is about more than that.
    pub fn of(error: &Error) -> Option<Self> {
        Some(match error.code() {
            787 => Self::ForeignKey,
            1555 | 2067 | 2579 => Self::Unique,
            1299 => Self::NotNull,
            20 | 3091 => Self::Strict,
            1811 => Self::Trigger,
            18 => Self::Size,
            code if code & 0xff == 19 => Self::Check,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForeignKey => "foreignKey",
            Self::Unique => "unique",
            Self::Check => "check",
            Self::NotNull => "notNull",
            Self::Strict => "strict",
            Self::Trigger => "trigger",
            Self::Size => "size",
            Self::Key => "key",
            Self::Resolver => RESOLVER,
        }
    }

    /// Whether the same row can be stored later in the same answer, when others have come or gone.
    pub fn depends_on_others(self) -> bool {
        matches!(self, Self::Unique | Self::Trigger)
    }
}

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    pub class: Class,
    /// What SQLite said, or the reference that is missing.
    pub constraint: String,
    /// The key of the row here that it clashes with.
    pub clashes_with: Option<Value>,
    /// It may be tried again at the end of the same answer.
    pub once_more: bool,
}

impl Reason {
    /// From what SQLite said; none when that is not about one row.
    pub fn of(error: &Error) -> Option<Self> {
        let class = Class::of(error)?;
        Some(Self {
            class,
            constraint: error.to_string(),
            clashes_with: None,
            once_more: class.depends_on_others(),
        })
    }

    /// The key of the row here that it clashes with; NULL: none is known.
    pub fn clash(&self) -> ValueRef<'_> {
        let key = self.clashes_with.as_ref();
        key.map_or(ValueRef::Null, Value::borrow)
    }

    /// An id that can't be a key of the table, or the row that has its key here can't have another one.
    pub fn not_a_key(what: String) -> Self {
        Self {
            class: Class::Key,
            constraint: what,
            clashes_with: None,
            once_more: false,
        }
    }

    /// The resolver did not say what stays of the row here.
    pub fn undecided(problem: String) -> Self {
        Self {
            class: Class::Resolver,
            constraint: problem,
            clashes_with: None,
            once_more: false,
        }
    }

    /// A reference to a row that is not there.
    pub fn missing(reference: String) -> Self {
        Self {
            class: Class::ForeignKey,
            constraint: reference,
            clashes_with: None,
            once_more: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_a_row_have_a_class() {
        let class = |code| {
            Class::of(&Error::Sqlite {
                code,
                text: String::new(),
            })
        };
        for (code, expected) in [
            (787, Some(Class::ForeignKey)),
            (2067, Some(Class::Unique)),
            (275, Some(Class::Check)),
            (1299, Some(Class::NotNull)),
            (3091, Some(Class::Strict)),
            (1811, Some(Class::Trigger)),
            (18, Some(Class::Size)),
            (5, None),
            (13, None),
            (1, None),
        ] {
            assert_eq!(class(code), expected, "{code}");
        }
    }
}
