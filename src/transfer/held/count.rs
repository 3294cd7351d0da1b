//! How many rows are held, and what is said of it.

use super::reason::RESOLVER;
use crate::ground::Warning;
use crate::store::{Database, Result};

/// How many rows of a table are held.
#[derive(Debug, Default)]
pub struct Count {
    pub all: i64,
    /// Those of them of which it is not decided what stays of the row here.
    undecided: i64,
    /// What the resolver said of one of these.
    problem: Option<String>,
}

impl Count {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, provider: &str, table: i64) -> Result<Self> {
        let count = database.query_row(
            "SELECT count(*), count(*) FILTER (WHERE reason = ?3), \
             min(\"constraint\") FILTER (WHERE reason = ?3) \
             FROM main._syncHeld WHERE provider = ?1 AND tbl = ?2",
            &[provider.into(), table.into(), RESOLVER.into()],
            |row| {
                Ok(Self {
                    all: row.integer(0),
                    undecided: row.integer(1),
                    problem: row.optional_text(2),
                })
            },
        )?;
        Ok(count.unwrap_or_default())
    }

    /// That rows of an entity are held: one warning for each cause.
    pub fn warnings(self, entity: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let refused = self.all - self.undecided;
        if refused > 0 {
            let message =
                format!("{entity}: rows of the backend that can't be stored now; see sync_held");
            warnings.push(Warning::new("rowsHeld", message).of(entity).times(refused));
        }
        if self.undecided > 0 {
            let message = format!(
                "{entity}: its resolver failed for rows, which stay as they are here and are not sent; see sync_held, \
                 mend the resolver and sync again"
            );
            let warning = Warning::new("resolverFailed", message).of(entity);
            warnings.push(warning.times(self.undecided).saying(self.problem));
        }
        warnings
    }
}
