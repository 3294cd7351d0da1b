//! The shape of an application's table as SQLite describes it.

use crate::store::{Database, Error, Result, quote_name};

/// One column, in the table's own order.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    /// The declared type, upper-case; empty when none was declared.
    pub declared: String,
    pub not_null: bool,
    /// The DEFAULT expression as written.
    pub default: Option<String>,
    /// Place in the primary key, 1-based; 0 outside of it.
    pub key_place: i64,
    /// Computed from other columns: neither logged nor sent nor written.
    pub generated: bool,
}

impl Column {
    /// The DEFAULT as an expression that is valid anywhere. SQLite takes a bare or double-quoted word
    /// in a DEFAULT clause for text, which elsewhere would be a column.
    pub fn default_expression(&self) -> Option<String> {
        let default = self.default.as_deref()?;
        let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
        if let Some(inner) = default
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            return Some(text(&inner.replace("\"\"", "\"")));
        }
        const VALUES: &[&str] = &[
            "null",
            "true",
            "false",
            "current_time",
            "current_date",
            "current_timestamp",
        ];
        let is_word = default.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
            && default
                .chars()
                .all(|letter| letter.is_alphanumeric() || "_$".contains(letter));
        if is_word && !VALUES.contains(&default.to_ascii_lowercase().as_str()) {
            return Some(text(default));
        }
        Some(default.to_owned())
    }

    /// The DEFAULT when it is a plain value, which is all that ADD COLUMN takes.
    ///
    /// The text is the file's. As a part of the schema SQLite keeps it from functions that a stranger's
    /// file must not call; in a statement of ours it would have the rights of our caller. So only what
    /// can't call anything may become part of one.
    pub fn default_value(&self) -> Option<String> {
        self.default_expression().filter(|text| is_plain(text))
    }
}

/// Whether a text is one literal, or a word: nothing with a bracket or a quote in the middle.
fn is_plain(text: &str) -> bool {
    let unquoted = text.strip_prefix(['x', 'X']).unwrap_or(text);
    let inside = unquoted
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    match inside {
        Some(inside) => !inside.replace("''", "").contains('\''),
        None => text
            .chars()
            .all(|letter| letter.is_alphanumeric() || "_$.+-".contains(letter)),
    }
}

/// A table's columns and how its rows are addressed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub name: String,
    pub columns: Vec<Column>,
    /// A spelling of `rowid` that no column hides; none for WITHOUT ROWID tables.
    pub rowid: Option<&'static str>,
    /// The one key column is an alias of the rowid (`INTEGER PRIMARY KEY`).
    pub rowid_is_key: bool,
    /// The CREATE TABLE text.
    pub definition: String,
    /// Its columns take values of their own types only.
    pub strict: bool,
}

impl Shape {
    /// Reads the shape of table `name`.
    ///
    /// # Errors
    /// No such table; a view, a virtual table, a table of SQLite's or of ours; no primary key.
    pub fn read(database: &Database, name: &str) -> Result<Self> {
        let found = database.query_row(
            "SELECT name, type, sql FROM main.sqlite_master \
             WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
            &[name.into()],
            |row| Ok((row.text(0), row.text(1), row.text(2))),
        )?;
        let Some((name, kind, definition)) = found else {
            return Err(Error::argument(format!(
                "no table {}; create it first",
                quote_name(name)
            )));
        };
        let refuse = |what: &str| {
            Err(Error::argument(format!(
                "{} is {what}, which can't be tracked",
                quote_name(&name)
            )))
        };
        if kind == "view" {
            return refuse("a view");
        }
        let folded = name.to_ascii_lowercase();
        if folded.starts_with("sqlite_") {
            return refuse("one of SQLite's own tables");
        }
        if folded.starts_with("_sync") {
            return refuse(
                "named like syncscope's own tables (names that begin with _sync are reserved for them)",
            );
        }
        if is_virtual(&definition) {
            return refuse("a virtual table");
        }
        if is_shadow(database, &name)? {
            return refuse("a shadow table, which a virtual table keeps its data in");
        }
        let columns = read_columns(database, &name)?;
        if columns.iter().all(|column| column.key_place == 0) {
            return Err(Error::argument(format!(
                "{} has no primary key; give it one, which identifies its rows",
                quote_name(&name)
            )));
        }
        let rowid = rowid_name(database, &name, &columns)?;
        let keys: Vec<&Column> = columns
            .iter()
            .filter(|column| column.key_place > 0)
            .collect();
        let rowid_is_key =
            keys.len() == 1 && keys[0].declared == "INTEGER" && !has_key_index(database, &name)?;
        Ok(Self {
            strict: is_strict(database, &name, &definition)?,
            name,
            columns,
            rowid,
            rowid_is_key,
            definition,
        })
    }

    /// The key's columns in key order.
    pub fn keys(&self) -> Vec<&Column> {
        let mut keys: Vec<&Column> = self
            .columns
            .iter()
            .filter(|column| column.key_place > 0)
            .collect();
        keys.sort_by_key(|column| column.key_place);
        keys
    }

    /// Position of a column by name, in SQLite's case-blind way.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The names in order: the bits of the masks.
    pub fn names(&self) -> Vec<String> {
        self.columns
            .iter()
            .map(|column| column.name.clone())
            .collect()
    }
}

/// Hosts before 3.37 don't say.
fn is_shadow(database: &Database, name: &str) -> Result<bool> {
    let listed = database.query_value(
        "SELECT type FROM pragma_table_list(?1) WHERE schema = ?2 COLLATE NOCASE",
        &[name.into(), database.schema().into()],
    );
    match listed {
        Ok(listed) => Ok(listed.as_str() == Some("shadow")),
        Err(error) if error.code() == 1 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a table is STRICT. Only one whose text ends so is asked about.
fn is_strict(database: &Database, name: &str, definition: &str) -> Result<bool> {
    let end = definition.rsplit(')').next().unwrap_or_default();
    if !end.to_ascii_uppercase().contains("STRICT") {
        return Ok(false);
    }
    let strict = database.query_value(
        "SELECT strict FROM pragma_table_list WHERE schema = ?1 AND name = ?2 COLLATE NOCASE",
        &[database.schema().into(), name.into()],
    )?;
    Ok(strict.as_i64() == Some(1))
}

fn is_virtual(definition: &str) -> bool {
    let mut words = definition.split_ascii_whitespace();
    words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("create"))
        && words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("virtual"))
}

fn read_columns(database: &Database, name: &str) -> Result<Vec<Column>> {
    database.query_all(
        "SELECT name, upper(type), \"notnull\", dflt_value, pk, hidden \
         FROM pragma_table_xinfo(?1, ?2) ORDER BY cid",
        &[name.into(), database.schema().into()],
        |row| {
            Ok(Column {
                name: row.text(0),
                declared: row.text(1),
                not_null: row.integer(2) != 0,
                default: row.optional_text(3),
                key_place: row.integer(4),
                generated: row.integer(5) >= 2,
            })
        },
    )
}

/// WITHOUT ROWID tables show in that asking for a rowid fails.
fn rowid_name(database: &Database, name: &str, columns: &[Column]) -> Result<Option<&'static str>> {
    let free = ["rowid", "_rowid_", "oid"].into_iter().find(|spelling| {
        columns
            .iter()
            .all(|column| !column.name.eq_ignore_ascii_case(spelling))
    });
    let Some(free) = free else { return Ok(None) };
    let probe = format!("SELECT {free} FROM {} LIMIT 0", database.qualified(name));
    match database.connection().prepare(&probe) {
        Ok(_) => Ok(Some(free)),
        Err(error) if error.code() == 1 => Ok(None),
        Err(error) => Err(error),
    }
}

/// `INTEGER PRIMARY KEY` needs no index; `INTEGER PRIMARY KEY DESC` and others have one.
fn has_key_index(database: &Database, name: &str) -> Result<bool> {
    let found = database.query_value(
        "SELECT 1 FROM pragma_index_list(?1, ?2) WHERE origin = 'pk'",
        &[name.into(), database.schema().into()],
    )?;
    Ok(found.as_i64().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values() {
        for plain in [
            "null",
            "1",
            "-1.5e3",
            "0x1F",
            "'a'",
            "'it''s (here)'",
            "''",
            "x'00ff'",
            "TRUE",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "f()",
            "(1)",
            "'a' || f('b')",
            "f",
            "'a' 'b'",
            "1 + 1",
            "\"f\"()",
            "x'00' || 'a'",
            "'",
        ] {
            assert_eq!(is_plain(other), other == "f", "{other}");
        }
    }

    #[test]
    fn virtual_tables_are_told_by_their_definition() {
        assert!(is_virtual("CREATE VIRTUAL TABLE x USING fts5(a)"));
        assert!(!is_virtual("CREATE TABLE virtual (a PRIMARY KEY)"));
    }
}
