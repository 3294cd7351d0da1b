//! The tables, keys and columns that were declared, read back from SQLite itself.

use rusqlite::Connection;

/// Prefix of the backend's own tables and triggers; a schema must not use it.
pub const OWN_PREFIX: &str = "_backend_";

/// What JSON type a column has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Number,
    Text,
}

/// What a table's ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Text,
    Integer,
}

/// A column other than the key.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub required: bool,
    /// The declared default, as SQL.
    pub default: Option<String>,
}

/// A table that is synced. Its key is called `id` on the wire, whatever its name is here.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub key: String,
    pub key_kind: KeyKind,
    pub columns: Vec<Column>,
}

impl Table {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Column {
    /// The value a column has if nobody says anything: what migrations compare with.
    pub fn default_sql(&self) -> &str {
        match (&self.default, self.required, self.kind) {
            (Some(default), _, _) => default,
            (None, false, _) => "NULL",
            (None, true, Kind::Text) => "''",
            (None, true, _) => "0",
        }
    }
}

/// All synced tables, in order of name.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub tables: Vec<Table>,
}

impl Schema {
    /// Describes the tables of a database, or says why one of them cannot be synced.
    pub fn read(connection: &Connection) -> Result<Schema, String> {
        let names = table_names(connection).map_err(|error| error.to_string())?;
        let tables = names
            .iter()
            .map(|name| read_table(connection, name))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Schema { tables })
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

/// Quotes an SQL name.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes an SQL text.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn table_names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list \
         WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND substr(name, 1, length(?1)) <> ?1 ORDER BY name",
    )?;
    statement
        .query_map([OWN_PREFIX], |row| row.get(0))?
        .collect()
}

struct DeclaredColumn {
    name: String,
    declared: String,
    required: bool,
    default: Option<String>,
    in_key: bool,
    hidden: bool,
}

fn declared_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<DeclaredColumn>> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)",
    )?;
    statement
        .query_map([table], |row| {
            Ok(DeclaredColumn {
                name: row.get(0)?,
                declared: row.get::<_, String>(1)?.to_ascii_uppercase(),
                required: row.get(2)?,
                default: row.get(3)?,
                in_key: row.get::<_, i64>(4)? > 0,
                hidden: row.get::<_, i64>(5)? > 0,
            })
        })?
        .collect()
}

fn read_table(connection: &Connection, name: &str) -> Result<Table, String> {
    let declared = declared_columns(connection, name).map_err(|error| error.to_string())?;
    let mut keys = declared.iter().filter(|column| column.in_key);
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(format!("table {name}: needs a primary key of one column"));
    };
    let key_kind = key_kind(&key.declared)
        .ok_or_else(|| format!("table {name}: declare the key {} TEXT or INTEGER", key.name))?;
    if key.name != "id" && declared.iter().any(|column| column.name == "id") {
        return Err(format!(
            "table {name}: \"id\" is the key's name on the wire, so only the key may be called so"
        ));
    }
    // Generated columns are nobody's input, and BLOBs are outside the protocol.
    let columns = declared
        .iter()
        .filter(|column| !column.in_key && !column.hidden && !column.declared.contains("BLOB"))
        .map(|column| Column {
            name: column.name.clone(),
            kind: kind(&column.declared),
            required: column.required,
            default: column.default.clone(),
        })
        .collect();
    Ok(Table {
        name: name.to_string(),
        key: key.name.clone(),
        key_kind,
        columns,
    })
}

/// Other affinities would store the id `"1"` as the number 1.
fn key_kind(declared: &str) -> Option<KeyKind> {
    if declared.contains("INT") {
        return Some(KeyKind::Integer);
    }
    ["CHAR", "CLOB", "TEXT"]
        .iter()
        .any(|word| declared.contains(word))
        .then_some(KeyKind::Text)
}

fn kind(declared: &str) -> Kind {
    if declared.starts_with("BOOL") {
        return Kind::Boolean;
    }
    let is_number = ["INT", "REAL", "FLOA", "DOUB", "NUMERIC", "DECIMAL"]
        .iter()
        .any(|word| declared.contains(word));
    if is_number { Kind::Number } else { Kind::Text }
}
