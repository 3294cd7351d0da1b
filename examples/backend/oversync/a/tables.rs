//! The tables that a server is told about.

use std::collections::BTreeSet;

/// What a column holds. It decides what the projection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// The text of a UUID.
    Uuid,
    Text,
    /// Base64. With a reference: that of the 16 bytes of the parent's id.
    Bytes,
    Integer,
    Real,
    /// `true` and `false`, 1 and 0.
    Boolean,
    /// Seconds since 1970, as a number.
    Timestamp,
}

/// A column beside the key.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
    pub not_null: bool,
    /// The table whose id stands in it.
    pub references: Option<String>,
}

impl Column {
    pub fn new(name: &str, kind: ColumnKind) -> Column {
        Column {
            name: name.to_string(),
            kind,
            not_null: false,
            references: None,
        }
    }

    pub fn not_null(self) -> Column {
        Column {
            not_null: true,
            ..self
        }
    }

    pub fn references(self, table: &str) -> Column {
        Column {
            references: Some(table.to_string()),
            ..self
        }
    }
}

/// A table; its key is the column `id`, a UUID.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

impl Table {
    pub fn new(name: &str, columns: impl IntoIterator<Item = Column>) -> Table {
        Table {
            name: name.to_string(),
            columns: columns.into_iter().collect(),
        }
    }

    /// The columns that refer to other tables, and those tables.
    pub fn parents(&self) -> impl Iterator<Item = (&Column, &str)> {
        let with_parent = |column| Some((column, Column::parent(column)?));
        self.columns.iter().filter_map(with_parent)
    }

    /// What one row of it is called in messages: `post` for `posts`.
    pub fn noun(&self) -> &str {
        self.name.strip_suffix('s').unwrap_or(&self.name)
    }
}

impl Column {
    fn parent(&self) -> Option<&str> {
        self.references.as_deref()
    }
}

/// The tables of the example server, in its schema `business`.
pub fn example() -> Vec<Table> {
    use ColumnKind::{Bytes, Text, Timestamp, Uuid};
    vec![
        Table::new(
            "users",
            [
                Column::new("name", Text),
                Column::new("email", Text),
                Column::new("created_at", Timestamp),
                Column::new("updated_at", Timestamp),
            ],
        ),
        Table::new(
            "posts",
            [
                Column::new("title", Text),
                Column::new("content", Text),
                Column::new("author_id", Uuid).references("users"),
            ],
        ),
        Table::new(
            "files",
            [
                Column::new("name", Text),
                Column::new("data", Bytes).not_null(),
            ],
        ),
        Table::new(
            "file_reviews",
            [
                Column::new("review", Text),
                Column::new("file_id", Bytes).references("files"),
            ],
        ),
    ]
}

/// The places of the tables in the order in which they are written: parents first, else by name.
pub fn parents_first(tables: &[Table]) -> Vec<usize> {
    let mut left: BTreeSet<(&str, usize)> = tables
        .iter()
        .enumerate()
        .map(|(place, table)| (table.name.as_str(), place))
        .collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let waits = |place: usize| {
            let mut parents = tables[place].parents().map(|(_, parent)| parent);
            parents.any(|parent| {
                parent != tables[place].name && left.iter().any(|(name, _)| *name == parent)
            })
        };
        // In a circle of references nobody can be first: then it goes by name.
        let next = left.iter().find(|(_, place)| !waits(*place));
        let Some(next) = next.or_else(|| left.first()).copied() else {
            break;
        };
        left.remove(&next);
        order.push(next.1);
    }
    order
}
