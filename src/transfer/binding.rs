//! Which table keeps an entity, and which of its columns travel.

use crate::capture::Tracked;
use crate::capture::tracked::ColumnType;
use crate::providers::Config;
use crate::providers::wire::{Entity, WireColumn, WireType};
use crate::store::{Connection, Database, Error, Result, Value, quote_name};

/// An entity of a run and its table.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Name on the wire and in `_syncStatus`.
    pub entity: String,
    pub table: Tracked,
    /// Positions in the table of the columns that travel, the key left out; the order of
    /// [`Entity::columns`].
    pub columns: Vec<usize>,
    pub wire: Entity,
    /// `"schema"."table"`, quoted.
    pub qualified: String,
    pub connection: Connection,
}

impl Binding {
    /// Finds the table of an entity.
    ///
    /// # Errors
    /// Not tracked, dropped, or with a key the protocol can't carry.
    pub fn resolve(database: &Database, config: &Config, entity: &str) -> Result<Self> {
        let name = config.table_map.get(entity).map_or(entity, String::as_str);
        let table = Tracked::open(database, name)?;
        let keys = table.shape.keys();
        let [key] = keys.as_slice() else {
            return Err(Error::argument(format!(
                "{} has a key of {} columns, which this protocol can't carry; give it a single text \
                 or integer key",
                quote_name(name),
                keys.len()
            )));
        };
        let key_type = table.column_type(table.shape.position(&key.name).unwrap_or_default());
        if key_type == ColumnType::Base64 {
            return Err(Error::argument(format!(
                "{} has a blob key, which this protocol can't carry; use text or integers",
                quote_name(name)
            )));
        }
        let integer_key = key_type == ColumnType::Number;
        let excluded = config
            .exclude_columns
            .iter()
            .filter(|(table, _)| table.eq_ignore_ascii_case(name))
            .flat_map(|(_, columns)| columns)
            .collect::<Vec<_>>();
        let columns: Vec<usize> = table
            .synced_columns()
            .into_iter()
            .filter(|position| {
                let column = &table.shape.columns[*position];
                column.key_place == 0
                    && !excluded
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(&column.name))
            })
            .collect();
        let wire_columns = columns
            .iter()
            .map(|position| wire_column(&table, *position))
            .collect();
        let wire = Entity {
            name: entity.to_owned(),
            columns: wire_columns,
            integer_key,
        };
        refuse_reserved(&wire)?;
        let qualified = database.qualified(&table.shape.name);
        let connection = database.connection();
        Ok(Self {
            entity: entity.to_owned(),
            table,
            columns,
            wire,
            qualified,
            connection,
        })
    }

    /// An id of the wire as the key it stands for; none when it can't be one.
    pub fn key(&self, id: &str) -> Option<Value> {
        if !self.wire.integer_key {
            return Some(Value::from(id));
        }
        let number: i64 = id.parse().ok()?;
        (number.to_string() == id).then_some(Value::Integer(number))
    }
}

fn wire_column(table: &Tracked, position: usize) -> WireColumn {
    let column = &table.shape.columns[position];
    let kind = match table.column_type(position) {
        ColumnType::String => WireType::String,
        ColumnType::Number => WireType::Number,
        ColumnType::Boolean => WireType::Boolean,
        ColumnType::Base64 => WireType::Base64,
        ColumnType::Any => WireType::Any,
    };
    WireColumn {
        name: column.name.clone(),
        kind,
        required: column.not_null,
    }
}

/// Names with a meaning of their own in rows on the wire.
fn refuse_reserved(entity: &Entity) -> Result<()> {
    let reserved = entity
        .columns
        .iter()
        .find(|column| matches!(column.name.as_str(), "id" | "_status" | "_changed"));
    match reserved {
        None => Ok(()),
        Some(column) => Err(Error::argument(format!(
            "column {} of {} has a name that the protocol uses for itself; leave it out with \
             excludeColumns",
            quote_name(&column.name),
            quote_name(&entity.name)
        ))),
    }
}
