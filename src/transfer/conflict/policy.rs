//! How conflicts of an entity are decided.

use crate::ground::quoted;
use crate::providers::conversation::ApplyRules;
use crate::store::{Database, Error, Result};

/// What is done when a row was changed both here and by the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Policy {
    /// Columns changed here stay, the others are the server's.
    #[default]
    Columns,
    ServerWins,
    ClientWins,
    /// The row whose column is greater wins; the server's when equal, NULL or missing.
    LastWriteWins(String),
    /// An SQL expression over `:local` and `:remote`, asked for conflicts.
    Sql2(String),
    /// An SQL expression over `:table`, `:local`, `:remote` and `:resolved`, asked for every existing row
    /// that would be written.
    Sql4(String),
}

const KNOWN: &str = "columns, serverWins, clientWins, lastWriteWins, sql2, sql4";

impl Policy {
    /// # Errors
    /// An unknown name; an argument that is missing or makes no sense.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self> {
        let expression = || {
            argument.map(str::to_owned).ok_or_else(|| {
                Error::argument(format!("{name} needs an SQL expression as argument"))
            })
        };
        let policy = match name {
            "lastWriteWins" => {
                return Ok(Self::LastWriteWins(
                    argument.unwrap_or("updated_at").to_owned(),
                ));
            }
            "sql2" => return Ok(Self::Sql2(expression()?)),
            "sql4" => return Ok(Self::Sql4(expression()?)),
            "columns" => Self::Columns,
            "serverWins" => Self::ServerWins,
            "clientWins" => Self::ClientWins,
            _ => {
                return Err(Error::argument(format!(
                    "policy is {}; known are {KNOWN}",
                    quoted(name)
                )));
            }
        };
        match argument {
            None => Ok(policy),
            Some(_) => Err(Error::argument(format!("{name} takes no argument"))),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::ServerWins => "serverWins",
            Self::ClientWins => "clientWins",
            Self::LastWriteWins(_) => "lastWriteWins",
            Self::Sql2(_) => "sql2",
            Self::Sql4(_) => "sql4",
        }
    }

    pub fn argument(&self) -> Option<&str> {
        match self {
            Self::LastWriteWins(text) | Self::Sql2(text) | Self::Sql4(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is asked about rows that nobody changed here.
    pub fn sees_clean_rows(&self) -> bool {
        matches!(self, Self::Sql4(_))
    }

    /// The policy in force for an entity: its own, that of all, or the usual one of its provider.
    ///
    /// # Errors
    /// SQLite's; a row of `_syncResolver` that somebody has broken.
    pub fn of(database: &Database, entity: &str, rules: &ApplyRules) -> Result<Self> {
        let usual = match rules.server_wins {
            true => Self::ServerWins,
            false => Self::Columns,
        };
        let set = Self::read(
            database,
            "SELECT policy, argument FROM main._syncResolver \
             WHERE entity COLLATE NOCASE IN (?1, '*') \
             ORDER BY entity = ?1 DESC, entity = '*' LIMIT 1",
            entity,
        )?;
        Ok(set.unwrap_or(usual))
    }

    /// The policy that is an entity's own; the usual one when it has none.
    ///
    /// # Errors
    /// As [`Policy::of`].
    pub fn own(database: &Database, entity: &str) -> Result<Self> {
        let own = Self::read(
            database,
            "SELECT policy, argument FROM main._syncResolver \
             WHERE entity = ?1 COLLATE NOCASE ORDER BY entity = ?1 DESC LIMIT 1",
            entity,
        )?;
        Ok(own.unwrap_or_default())
    }

    fn read(database: &Database, sql: &str, entity: &str) -> Result<Option<Self>> {
        let found = database.query_row(sql, &[entity.into()], |row| {
            Ok((row.text(0), row.optional_text(1)))
        })?;
        let policy = found.map(|(name, argument)| Self::parse(&name, argument.as_deref()));
        policy.transpose()
    }

    /// Makes it the policy of an entity, or of all without one of their own (`*`).
    ///
    /// # Errors
    /// SQLite's.
    pub fn store(&self, database: &Database, entity: &str) -> Result<()> {
        Self::forget(database, entity)?;
        database.execute(
            "INSERT INTO main._syncResolver (entity, policy, argument) VALUES (?1, ?2, ?3)",
            &[entity.into(), self.name().into(), self.argument().into()],
        )?;
        Ok(())
    }

    /// Takes an entity's own policy away, in whatever spelling it was set.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget(database: &Database, entity: &str) -> Result<()> {
        database.execute(
            "DELETE FROM main._syncResolver WHERE entity = ?1 COLLATE NOCASE",
            &[entity.into()],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arguments() {
        for (name, argument, good) in [
            ("columns", None, true),
            ("columns", Some("x"), false),
            ("serverWins", None, true),
            ("serverwins", None, false),
            ("sql2", None, false),
            ("sql2", Some(":remote"), true),
            ("sql4", Some(":resolved"), true),
        ] {
            let parsed = Policy::parse(name, argument);
            assert_eq!(parsed.is_ok(), good, "{name}");
            if let Ok(policy) = parsed {
                assert_eq!((policy.name(), policy.argument()), (name, argument));
            }
        }
        let policy = Policy::parse("lastWriteWins", None);
        assert_eq!(
            policy.ok(),
            Some(Policy::LastWriteWins("updated_at".into()))
        );
    }
}
