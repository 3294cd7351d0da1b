//! A table whose key has another type since a rebuild: INTEGER became TEXT, or the other way round. SQLite has stored the same
//! keys as the other type then, and the triggers log them so. What was logged and kept before follows; else one row
//! would be two, and the old one could not be sent any more.

use crate::ground::Affinity;
use crate::store::{Database, Result};

use super::shape::Shape;

/// Where rows are named by the key that is logged.
const KEPT: &[&str] = &[
    "_syncChange",
    "_syncAside",
    "_syncVersion",
    "_syncOutbox",
    "_syncRejected",
    "_syncHeld",
];

/// What a column makes of a key, whatever type it comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stores {
    Text,
    /// Numbers, and texts that are none.
    Numbers,
    AsItComes,
}

impl Stores {
    fn of(affinity: Affinity) -> Self {
        match affinity {
            Affinity::Text => Self::Text,
            Affinity::Integer | Affinity::Numeric => Self::Numbers,
            // A column of reals keeps whole numbers as they are logged: as numbers that are equal.
            Affinity::Real | Affinity::None => Self::AsItComes,
        }
    }

    /// What a key is to become, and of which that is to be said.
    fn change(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Text => Some(("CAST(pk AS TEXT)", "typeof(pk) = 'integer'")),
            // `007` would be 7, which is another row to everybody else: it stays, and can't be sent.
            Self::Numbers => Some((
                "CAST(pk AS INTEGER)",
                "typeof(pk) = 'text' AND CAST(CAST(pk AS INTEGER) AS TEXT) = pk COLLATE BINARY",
            )),
            Self::AsItComes => None,
        }
    }
}

/// Brings the keys that are logged and kept of a table to the type that its key has now.
///
/// # Errors
/// SQLite's.
pub(super) fn follow(database: &Database, id: i64, shape: &Shape) -> Result<()> {
    // Keys of several columns are logged as texts that name each type; no protocol carries them.
    let [key] = shape.keys()[..] else {
        return Ok(());
    };
    let Some((changed, which)) = Stores::of(Affinity::of(&key.declared, shape.strict)).change()
    else {
        return Ok(());
    };
    for kept in KEPT {
        let sql =
            format!("UPDATE OR REPLACE main.{kept} SET pk = {changed} WHERE tbl = ?1 AND {which}");
        database.execute(&sql, &[id.into()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_columns_store() {
        use Stores::*;
        for (declared, strict, stores) in [
            ("INTEGER", false, Numbers),
            ("BIGINT", false, Numbers),
            ("CHARINT", false, Numbers),
            ("NUMERIC", false, Numbers),
            ("UUID", false, Numbers),
            ("ANY", false, Numbers),
            ("ANY", true, AsItComes),
            ("TEXT", true, Text),
            ("VARCHAR(36)", false, Text),
            ("", false, AsItComes),
            ("BLOB", false, AsItComes),
            ("REAL", false, AsItComes),
        ] {
            assert_eq!(
                Stores::of(Affinity::of(declared, strict)),
                stores,
                "{declared}"
            );
        }
    }
}
