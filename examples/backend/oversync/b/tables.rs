//! The tables that a server has: columns, keys, and which row refers to which.

use serde_json::Value;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Text,
    Bytes,
    BigInt,
    Double,
    Boolean,
    Timestamptz,
}

/// What a column holds where an INSERT does not say.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// The time of the server.
    Now,
    Value(Value),
}

/// Where a foreign key points to; it is checked when a bundle is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub table: String,
    /// Whether a row goes with the row that it refers to. If not, that row stays as long as it does.
    pub cascade: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub not_null: bool,
    pub default: Option<Default>,
    pub references: Option<Reference>,
}

impl Column {
    pub fn new(name: &str, kind: Kind) -> Column {
        Column {
            name: name.to_string(),
            kind,
            not_null: false,
            default: None,
            references: None,
        }
    }

    pub fn not_null(mut self) -> Column {
        self.not_null = true;
        self
    }

    pub fn default(mut self, default: Default) -> Column {
        self.default = Some(default);
        self
    }

    /// A foreign key to the key of `table`.
    pub fn references(mut self, table: &str, cascade: bool) -> Column {
        self.references = Some(Reference {
            table: table.to_string(),
            cascade,
        });
        self
    }
}

/// A table. Its key is its first column.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

impl Table {
    /// A table with only its key, which is of the kind `Uuid` or `Text`.
    pub fn new(name: &str, key: &str, kind: Kind) -> Table {
        Table {
            name: name.to_string(),
            columns: vec![Column::new(key, kind).not_null()],
        }
    }

    /// The same table with one more column.
    pub fn with(mut self, column: Column) -> Table {
        self.columns.push(column);
        self
    }

    /// Name of the key column.
    pub fn key(&self) -> &str {
        &self.columns[0].name
    }

    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }
}

/// The tables of the published example server.
pub fn business() -> Vec<Table> {
    let table = |name| Table::new(name, "id", Kind::Uuid);
    let text = |name| Column::new(name, Kind::Text);
    let time = |name| Column::new(name, Kind::Timestamptz).default(Default::Now);
    let refers = |name, table, cascade| Column::new(name, Kind::Uuid).references(table, cascade);
    vec![
        table("users")
            .with(text("name").not_null())
            .with(text("email").not_null())
            .with(time("created_at"))
            .with(time("updated_at")),
        table("posts")
            .with(text("title").not_null())
            .with(text("content").not_null())
            .with(refers("author_id", "users", false))
            .with(time("created_at"))
            .with(time("updated_at")),
        table("categories")
            .with(text("name").not_null())
            .with(refers("parent_id", "categories", true)),
        table("teams").with(text("name").not_null()).with(refers(
            "captain_member_id",
            "team_members",
            false,
        )),
        table("team_members")
            .with(text("name").not_null())
            .with(refers("team_id", "teams", true).not_null()),
        table("files")
            .with(text("name").not_null())
            .with(Column::new("data", Kind::Bytes).not_null()),
        table("file_reviews")
            .with(text("review").not_null())
            .with(refers("file_id", "files", true).not_null()),
        table("typed_rows")
            .with(text("name").not_null())
            .with(text("note"))
            .with(Column::new("count_value", Kind::BigInt))
            .with(Column::new("enabled_flag", Kind::BigInt).not_null())
            .with(Column::new("rating", Kind::Double))
            .with(Column::new("data", Kind::Bytes))
            .with(Column::new("created_at", Kind::Timestamptz)),
    ]
}
