//! Names that name nothing are refused before anything is sent: a column that was to stay here would travel, a
//! replacement would remove rows that it was to leave alone.

use crate::capture::names::{CONFIGURED, Named, is_column};
use crate::capture::sql_pieces;
use crate::capture::tracked::registration;
use crate::ground::quoted;
use crate::providers::Settings;
use crate::store::{Database, Error, Result, quote_name};

use super::binding::Binding;
use super::conflict::policy::Policy;

/// Makes sure that what a configuration names is there. Tables that are not part of a sync are not looked into.
///
/// # Errors
/// A key names an entity, a table or a column that is not there; SQLite's.
pub fn require_configured(database: &Database, settings: &Settings) -> Result<()> {
    let set = CONFIGURED.iter().filter(|(key, _)| settings.is_set(key));
    for (key, named) in set {
        match named {
            Named::TableByEntity => {
                for (entity, table) in settings.texts(key) {
                    if database.has_table(table)? {
                        continue;
                    }
                    if let Some(tracked) = registration(database, table)? {
                        return Err(tracked.refusal(database)?);
                    }
                    let problem = format!("which is not there, for the entity {}", quoted(entity));
                    return Err(stray(key, "the table", table, &problem));
                }
            }
            Named::ColumnsByTable | Named::OfColumnsByTable => {
                for (table, _) in settings.map(key) {
                    if !database.has_table(table)? {
                        return Err(stray(key, "the table", table, "which is not there"));
                    }
                }
            }
            Named::ByEntity => {
                for (entity, _) in settings.map(key) {
                    if !is_entity(settings, entity) && !database.has_table(entity)? {
                        let problem = "which is neither declared in tableMap nor a table";
                        return Err(stray(key, "the entity", entity, problem));
                    }
                }
            }
            Named::Columns => {
                for column in settings.list(key) {
                    if !is_column(database, column, None)? {
                        return Err(stray(key, "the column", column, "which no table has"));
                    }
                }
            }
        }
    }
    Ok(())
}

fn is_entity(settings: &Settings, entity: &str) -> bool {
    let keys = CONFIGURED.iter();
    let mut mapped = keys
        .filter(|(_, named)| *named == Named::TableByEntity)
        .flat_map(|(key, _)| settings.map(key));
    mapped.any(|(known, _)| known.eq_ignore_ascii_case(entity))
}

fn stray(key: &str, what: &str, name: &str, problem: &str) -> Error {
    Error::argument(format!(
        "{key} names {what} {}, {problem}; correct it with sync_provider",
        quoted(name)
    ))
}

/// Makes sure that the column that an entity's own resolver compares is there. One for all entities (`*`) may name a
/// column that only some have.
///
/// # Errors
/// It is not; SQLite's.
pub fn require_compared(database: &Database, binding: &Binding) -> Result<()> {
    let Policy::LastWriteWins(column) = Policy::own(database, &binding.entity)? else {
        return Ok(());
    };
    if binding.table.shape.position(&column).is_some() {
        return Ok(());
    }
    Err(Error::argument(format!(
        "the resolver of {} compares the column {}, which {} does not have; correct it with sync_resolver",
        quoted(&binding.entity),
        quoted(&column),
        quote_name(&binding.table.shape.name)
    )))
}

/// Makes sure that what a condition on the rows of an entity has in double quotes is a name: SQLite takes a name that
/// is not there for a text, and the condition for one that holds always, or never.
///
/// # Errors
/// It is none; SQLite's.
pub fn require_in_condition(database: &Database, key: &str, condition: &str) -> Result<()> {
    for name in doubtful_names(condition) {
        let is_rowid = ["rowid", "oid", "_rowid_"].contains(&name.to_ascii_lowercase().as_str());
        if is_rowid || is_column(database, &name, None)? || database.has_table(&name)? {
            continue;
        }
        return Err(Error::argument(format!(
            "{key} names {}, which no table has; correct it with sync_provider, with texts in single quotes",
            quoted(&name)
        )));
    }
    Ok(())
}

/// Names in double quotes that SQLite would take for texts: not those beside a dot or before a bracket, nor after AS or
/// COLLATE.
fn doubtful_names(sql: &str) -> Vec<String> {
    let pieces: Vec<&str> = sql_pieces(sql);
    let mut names = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let Some(name) = piece
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        else {
            continue;
        };
        let before = pieces[..place].concat().trim_end().to_ascii_lowercase();
        let after = pieces[place + 1..]
            .iter()
            .find(|piece| !piece.trim().is_empty());
        let word = before.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let is_told = before.ends_with('.')
            || matches!(after, Some(&"." | &"("))
            || matches!(word.into_iter().next(), Some("as" | "collate"));
        // A doubled quote cuts a name in two, and is in none.
        if !is_told
            && !before.ends_with('"')
            && !matches!(after, Some(piece) if piece.starts_with('"'))
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::key::key_names;
    use crate::providers::kinds;

    #[test]
    fn m6_what_could_be_a_text_is_looked_at() {
        let sql = r#"name = 'a "b"' AND "c" > 1 OR EXISTS (SELECT 1 FROM "p" AS "q" WHERE "q".x = t."y")
            AND "lower"(z) = "none" COLLATE "NOCASE" -- "comment""#;
        assert_eq!(doubtful_names(sql), ["c", "p", "none"]);
    }

    #[test]
    fn m6_every_key_that_names_something_is_one() {
        let known: Vec<&str> = kinds::all()
            .iter()
            .flat_map(|kind| key_names(kind.keys))
            .collect();
        for (key, _) in CONFIGURED {
            assert!(known.contains(key), "{key}");
        }
    }
}
