//! The references to rows that get other keys: which follow, and which stay.

use std::collections::HashMap;

use crate::capture::log::Mark;
use crate::capture::reader::RowReader;
use crate::capture::sends::sends_of_there;
use crate::capture::{Key, Pending, PendingRows, Status, Tracked};
use crate::store::{Database, Result, Value, quote_name};

use super::family::same_type;
use super::reference::Reference;
use super::renamed::Renamed;
use super::rewriter::Rewriter;
use super::sent_reference::{referring, sent_references};

/// What an answer has made of a row that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It is the server's, and nothing of it waits.
    Settled,
    /// It was made here too, and is the server's but for what was changed here since.
    Yielded,
}

/// What an answer has made of the rows of one table.
pub type MetOf<'a> = dyn Fn(&Key) -> Result<Option<Met>> + 'a;

/// The same of any table, given by its number.
pub type MetAnywhere<'a> = dyn Fn(i64, &Key) -> Result<Option<Met>> + 'a;

/// A row that has followed after it was sent, so that the server has to hear where it points now.
pub struct Followed {
    pub table: i64,
    pub key: Key,
    /// The bit of the column.
    pub bit: usize,
}

impl Followed {
    /// What is to be pending of it.
    pub fn mark(&self) -> Mark {
        Mark {
            status: Status::Updated,
            bits: vec![self.bit],
            rowid: None,
        }
    }
}

/// Rows of a table that refer to a key.
pub struct References<'a> {
    table: String,
    column: String,
    pub row: &'a Renamed<'a>,
    /// The keys, after what refers.
    keys: Vec<Vec<Value>>,
    key_names: Vec<String>,
    /// What refers is the key itself.
    is_key: bool,
}

impl<'a> References<'a> {
    /// None when there are none.
    pub fn find(
        database: &Database,
        table: &Tracked,
        reference: &Reference,
        row: &'a Renamed<'a>,
    ) -> Result<Option<Self>> {
        let names = table.shape.keys();
        let key_names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
        let is_key = reference.is_key_of(&table.shape);
        let (table, column) = (
            database.qualified(&table.shape.name),
            quote_name(&reference.column),
        );
        let list = key_names.join(", ");
        let means = reference.means(&row.old, 1);
        let sql = format!("SELECT {column}, {list} FROM {table} WHERE {means}");
        let mut scan = database.connection().prepare(&sql)?;
        scan.bind(1, row.old.borrow())?;
        let mut keys = Vec::new();
        while scan.step()? {
            keys.push(scan.row());
        }
        Ok((!keys.is_empty()).then_some(Self {
            table,
            column,
            row,
            keys,
            key_names,
            is_key,
        }))
    }

    /// They refer to the new key for a while.
    pub fn go_along(&self, rewriter: &Rewriter<'_>) -> Result<()> {
        for (before, key) in self.each() {
            self.set(rewriter, &same_type(before, &self.row.new), key)?;
        }
        Ok(())
    }

    pub fn put_back(&self, rewriter: &Rewriter<'_>) -> Result<()> {
        for (before, key) in self.each() {
            let moved = [same_type(before, &self.row.new)];
            self.set(rewriter, before, if self.is_key { &moved } else { key })?;
        }
        Ok(())
    }

    /// What each row held, and its key.
    fn each(&self) -> impl Iterator<Item = (&Value, &[Value])> {
        let rows = self.keys.iter();
        rows.filter_map(|row| row.split_first())
    }

    /// Nothing has become of them in the end, so nobody hears of it.
    fn set(&self, rewriter: &Rewriter<'_>, to: &Value, key: &[Value]) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET {column} = ?1 WHERE {} AND {column} IS NOT ?1",
            self.table,
            meets(&self.key_names),
            column = self.column
        );
        let mut values = vec![to.borrow()];
        values.extend(key.iter().map(Value::borrow));
        rewriter.run_quietly(&sql, &values)
    }
}

/// A condition on the columns of a key, whose values are the parameters from the second on.
pub(super) fn meets(names: &[String]) -> String {
    let names = names.iter().enumerate();
    let meets: Vec<String> = names
        .map(|(place, name)| format!("{name} IS ?{}", place + 2))
        .collect();
    meets.join(" AND ")
}

/// Lets the references of a tracked table follow that were set here.
pub fn follow(
    database: &Database,
    rewriter: &mut Rewriter<'_>,
    (child, reference): (&Tracked, &Reference),
    keys: &HashMap<Key, &Value>,
    (met, upto): (&MetOf<'_>, i64),
    about: &dyn Fn(&Value),
) -> Result<()> {
    let Some(position) = child.shape.position(&reference.column) else {
        return Ok(());
    };
    let set = |pending: &Pending| pending.changed(position);
    let found = set_here(database, (child, reference), keys, (met, upto), &set)?;
    let sql = update_of_one(database, child, reference);
    for (key, new) in found {
        about(new);
        let new = (*new).clone();
        rewriter.follow(&sql, [vec![new], key].concat())?;
    }
    Ok(())
}

/// Lets the references of a tracked table follow that the server was sent, and that nothing waits of.
pub fn follow_sent(
    database: &Database,
    rewriter: &mut Rewriter<'_>,
    (child, reference): (&Tracked, &Reference),
    keys: &HashMap<Key, &Value>,
    about: &dyn Fn(&Value),
) -> Result<Vec<Followed>> {
    let mut followed = Vec::new();
    let sent = sent_references(database, (child, reference), &|key| keys.contains_key(key))?;
    let position = child.shape.position(&reference.column);
    let bit = position.and_then(|position| child.columns.bit(position));
    let (Some(bit), false) = (bit, sent.is_empty()) else {
        return Ok(followed);
    };
    let sql = update_of_one(database, child, reference);
    for (old, new) in keys {
        for row in referring(database, &child.shape, reference, &old.0)? {
            if sent.get(&row.logged) != Some(old) {
                continue;
            }
            about(new);
            let new = (*new).clone();
            rewriter.follow(&sql, [vec![new], row.keys].concat())?;
            followed.push(Followed {
                table: child.id,
                key: row.logged,
                bit,
            });
        }
    }
    Ok(followed)
}

/// A statement that lets one row, whose key's columns are the parameters from the second on, refer to another key.
fn update_of_one(database: &Database, child: &Tracked, reference: &Reference) -> String {
    let names = child.shape.keys();
    let names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
    format!(
        "UPDATE {} SET {} = {} WHERE {}",
        database.qualified(&child.shape.name),
        quote_name(&reference.column),
        reference.written(1),
        meets(&names)
    )
}

/// The rows whose references to some keys were set here, each with the key that is to be.
pub(super) fn set_here<'k>(
    database: &Database,
    (child, reference): (&Tracked, &Reference),
    keys: &HashMap<Key, &'k Value>,
    (met, upto): (&MetOf<'_>, i64),
    set: &dyn Fn(&Pending) -> bool,
) -> Result<Vec<(Vec<Value>, &'k Value)>> {
    let Some(position) = child.shape.position(&reference.column) else {
        return Ok(Vec::new());
    };
    let mut reader = RowReader::new(database, child, &[position])?;
    let mut found = Vec::new();
    let pending = PendingRows::read(database, &[child], upto)?
        .pop()
        .unwrap_or_default();
    pending.each(|pending| {
        let met = met(&pending.key)?;
        if met == Some(Met::Settled) {
            return Ok(());
        }
        let exists = reader.find(pending)?;
        let made_here = || met.is_none() && sends_of_there(pending, &[position]) == Status::Created;
        let set_here = exists && (set(pending) || made_here());
        if set_here {
            let value = reference.key(reader.column(0).to_owned());
            if let Some(new) = keys.get(&Key(value)) {
                found.push((reader.key_values(&pending.key.0)?, *new));
            }
        }
        reader.release();
        Ok(())
    })?;
    Ok(found)
}
