//! What in the configuration of a provider names tables and columns: one list, by which a renamed table or column takes
//! along what is said of it, and by which a name that names nothing is found.

use crate::store::{Database, Result, Value, quote_name};

/// What a key of a configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// An object: entity to its table.
    TableByEntity,
    /// An object: table to a list of its columns.
    ColumnsByTable,
    /// An object: table to an object of what holds for its columns.
    OfColumnsByTable,
    /// An object: entity to what holds for it.
    ByEntity,
    /// A list of columns, of whatever table has them.
    Columns,
}

/// The keys that name anything here. Those that name what the backend has (`migrations`) are not of this kind.
pub const CONFIGURED: &[(&str, Named)] = &[
    ("tableMap", Named::TableByEntity),
    ("excludeColumns", Named::ColumnsByTable),
    ("uuidColumns", Named::OfColumnsByTable),
    ("replacementWhere", Named::ByEntity),
    ("onClash", Named::ByEntity),
    ("echoIgnore", Named::Columns),
];

/// An old name and the new one.
pub type Renamed = (String, String);

/// What a name has become; none when it is as it was.
pub fn new_name<'r>(renamed: &'r [Renamed], name: &str) -> Option<&'r str> {
    let mut renamed = renamed.iter();
    let found = renamed.find(|(old, _)| old.eq_ignore_ascii_case(name));
    found.map(|(_, new)| new.as_str())
}

/// Names in a sentence.
pub(super) fn quoted_list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quote_name(name)).collect();
    names.join(", ")
}

/// Whether any table of the application has a column of this name, one table left out.
///
/// # Errors
/// SQLite's.
pub fn is_column(database: &Database, column: &str, except: Option<&str>) -> Result<bool> {
    let found = database.query_value(
        "SELECT 1 FROM main.sqlite_master AS m, pragma_table_xinfo(m.name, ?3) AS c \
         WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL %' \
         AND m.name NOT LIKE '\\_sync%' ESCAPE '\\' AND m.name IS NOT ?2 COLLATE NOCASE \
         AND c.name = ?1 COLLATE NOCASE LIMIT 1",
        &[column.into(), except.into(), database.schema().into()],
    )?;
    Ok(found != Value::Null)
}
