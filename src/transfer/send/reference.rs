//! The columns that refer to a table's key, and which of their values mean a key.
//!
//! SQLite compares a foreign key by the affinity of the parent's key: the text `1` refers to the number 1. A column of
//! another type would compare by its own.

use crate::capture::shape::Shape;
use crate::ground::Affinity;
use crate::providers::affinity::stored;
use crate::providers::wire::{Holds, Slot};
use crate::store::{Database, REFERRING, Result, Value, quote_name};

/// A column that refers to the key of a table.
pub struct Reference {
    pub child: String,
    pub column: String,
    /// Computed from other columns: it can't be written.
    pub generated: bool,
    affinity: Affinity,
    parent: Affinity,
}

impl Reference {
    /// The columns of any table that refer to this one's key.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(database: &Database, shape: &Shape) -> Result<Vec<Self>> {
        let key = shape.keys()[0];
        let parent = Holds::of(&key.declared, shape.strict).affinity;
        database.query_all(
            &format!(
                "SELECT child.name, fk.\"from\", c.type, c.hidden FROM {REFERRING} AS child, \
                   pragma_foreign_key_list(child.name, ?1) AS fk, pragma_table_xinfo(child.name, ?1) AS c \
                 WHERE fk.\"table\" = ?2 COLLATE NOCASE \
                   AND coalesce(fk.\"to\", ?3) = ?3 COLLATE NOCASE AND c.name = fk.\"from\" COLLATE NOCASE"
            ),
            &[
                database.schema().into(),
                shape.name.as_str().into(),
                key.name.as_str().into(),
            ],
            |row| Ok(Self {
                child: row.text(0),
                column: row.text(1),
                affinity: Holds::of(&row.text(2).to_uppercase(), false).affinity,
                // 2 and 3: virtual and stored.
                generated: row.integer(3) >= 2,
                parent,
            }),
        )
    }

    /// Those that can be written.
    ///
    /// # Errors
    /// SQLite's.
    pub fn written_ones(database: &Database, shape: &Shape) -> Result<Vec<Self>> {
        let mut all = Self::all(database, shape)?;
        all.retain(|reference| !reference.generated);
        Ok(all)
    }

    /// Whether the column is the key of its table: a row is a part of the one that it refers to.
    pub fn is_key_of(&self, child: &Shape) -> bool {
        let keys = child.keys();
        keys.len() == 1 && keys[0].name.eq_ignore_ascii_case(&self.column)
    }

    /// Whether any row refers to a key by the column.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_used(&self, database: &Database, key: &Value) -> Result<bool> {
        let sql = format!(
            "SELECT 1 FROM {} WHERE {} LIMIT 1",
            database.qualified(&self.child),
            self.means(key, 1)
        );
        let mut read = database.connection().prepare(&sql)?;
        read.bind(1, key.borrow())?;
        read.step()
    }

    /// The condition that the column refers to a key, which is the parameter of that number.
    pub fn means(&self, key: &Value, parameter: usize) -> String {
        let column = quote_name(&self.column);
        match key {
            Value::Integer(_) | Value::Real(_) if is_numeric(self.parent) => {
                format!("CAST(?{parameter} AS NUMERIC) = {column}")
            }
            // Without an affinity of its own the column takes that of the key.
            Value::Text(_) if self.parent == Affinity::Text && self.affinity != Affinity::Text => {
                format!("CAST(?{parameter} AS TEXT) = +{column}")
            }
            _ => format!("{column} IS ?{parameter}"),
        }
    }

    /// The column as it is to be to refer to another key, which is the parameter of that number: what was a text stays one.
    pub fn written(&self, parameter: usize) -> String {
        let column = quote_name(&self.column);
        match is_numeric(self.parent) {
            true => format!(
                "CASE typeof({column}) WHEN 'text' THEN CAST(?{parameter} AS TEXT) ELSE ?{parameter} END"
            ),
            false => format!("?{parameter}"),
        }
    }

    /// The key that a value of the column means.
    pub fn key(&self, value: Value) -> Value {
        meant(self.parent, value)
    }
}

/// The key of that affinity that a value refers to.
pub fn meant(key: Affinity, value: Value) -> Value {
    let is_numeric = is_numeric(key);
    let slot = match &value {
        Value::Text(text) if is_numeric => Slot::Text(text.as_str().into()),
        Value::Integer(whole) if key == Affinity::Text => Slot::Integer(*whole),
        Value::Real(real) if is_numeric => return whole(*real).unwrap_or(value),
        _ => return value,
    };
    let holds = Holds {
        affinity: key,
        strict: None,
    };
    match stored(holds, slot) {
        Some(Slot::Integer(number)) => Value::Integer(number),
        Some(Slot::Real(real)) => whole(real).unwrap_or(Value::Real(real)),
        Some(Slot::Text(text)) => Value::Text(text.into_owned()),
        _ => value,
    }
}

fn is_numeric(affinity: Affinity) -> bool {
    matches!(
        affinity,
        Affinity::Integer | Affinity::Numeric | Affinity::Real
    )
}

/// The integer that a real is, where both are exact.
fn whole(real: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (real.trunc() == real && real.abs() <= EXACT).then_some(Value::Integer(real as i64))
}
