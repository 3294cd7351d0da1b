//! References that the server was sent before what they refer to: its number was counted here, and may turn out to be that
//! of another row.
//!
//! What is sent of such a row does not wait any more, so only the journal tells that it was made here and what it means. An
//! entry is kept there as long as what it refers to waits.

use std::collections::{HashMap, HashSet};

use crate::capture::sends::sends_of_there;
use crate::capture::shape::Shape;
use crate::capture::shared::Counting;
use crate::capture::tracked::registration;
use crate::capture::{Key, PendingRows, Status, Tracked, key, log};
use crate::store::{Database, Result, Value, ValueRef, quote_name};

use super::reference::Reference;

/// A row as it was sent last.
struct Sent {
    /// Its number in the outbox.
    id: i64,
    /// Its key.
    row: Key,
    /// What it refers to.
    to: Key,
}

/// What was sent last of the rows of a table, as to one of their references. `which`: a condition on `_syncOutbox`.
fn sent(
    database: &Database,
    (child, reference): (&Tracked, &Reference),
    (which, values): (&str, &[ValueRef<'_>]),
    wanted: &dyn Fn(&Key) -> Result<bool>,
) -> Result<Vec<Sent>> {
    // Some protocols have all names in lower case.
    let names = [reference.column.clone(), reference.column.to_lowercase()];
    let [name, lower] = names.map(|name| format!("$.\"{name}\""));
    let first = values.len() + 1;
    let mut values = values.to_vec();
    values.extend([ValueRef::from(child.id), (&name).into(), (&lower).into()]);
    // With one max(), SQLite takes the other columns from the row that has it.
    let mut scan = database.prepare(&format!(
        "SELECT max(id), pk, CASE WHEN json_valid(content) THEN \
           coalesce(content ->> ?{}, content ->> ?{}) END \
         FROM main._syncOutbox WHERE {which} AND tbl = ?{first} AND pk IS NOT NULL GROUP BY pk",
        first + 1,
        first + 2
    ))?;
    scan.bind_all(&values)?;
    let mut all = Vec::new();
    while scan.step()? {
        let to = Key(reference.key(scan.column(2).to_owned()));
        if to.0 != Value::Null && wanted(&to)? {
            let (id, row) = (scan.integer(0), Key(scan.column(1).to_owned()));
            all.push(Sent { id, row, to });
        }
    }
    Ok(all)
}

/// The rows of a table that the server was sent with a reference to one of some keys, each with that key.
///
/// # Errors
/// SQLite's.
pub fn sent_references(
    database: &Database,
    (child, reference): (&Tracked, &Reference),
    wanted: &dyn Fn(&Key) -> bool,
) -> Result<HashMap<Key, Key>> {
    let acknowledged = "pushId IN (SELECT id FROM main._syncPush WHERE state = 'acknowledged')";
    let sent = sent(database, (child, reference), (acknowledged, &[]), &|key| {
        Ok(wanted(key))
    })?;
    Ok(sent.into_iter().map(|sent| (sent.row, sent.to)).collect())
}

/// A row that refers to a key.
pub struct Referring {
    /// Its own key, as it is logged.
    pub logged: Key,
    /// The columns of its own key.
    pub keys: Vec<Value>,
    /// What the column holds.
    pub value: Value,
}

/// The rows of a table that refer to a key.
///
/// # Errors
/// SQLite's.
pub fn referring(
    database: &Database,
    shape: &Shape,
    reference: &Reference,
    parent: &Value,
) -> Result<Vec<Referring>> {
    let names: Vec<&str> = shape.keys().iter().map(|key| key.name.as_str()).collect();
    let list: Vec<String> = names.iter().map(|name| quote_name(name)).collect();
    let sql = format!(
        "SELECT {}, o.{}, {} FROM {} AS o WHERE {}",
        key::expression("o", &names),
        quote_name(&reference.column),
        list.join(", "),
        database.qualified(&shape.name),
        reference.means(parent, 1)
    );
    database.query_all(&sql, &[parent.borrow()], |row| {
        let mut values = row.row().into_iter();
        Ok(Referring {
            logged: Key(values.next().unwrap_or_default()),
            value: values.next().unwrap_or_default(),
            keys: values.collect(),
        })
    })
}

/// The entries of the journal that would go, and tell what a reference means to a row that waits. `going`: which would
/// go, as a condition on `_syncOutbox`.
///
/// # Errors
/// SQLite's.
pub fn still_needed(
    database: &Database,
    going: &str,
    values: &[ValueRef<'_>],
) -> Result<HashSet<i64>> {
    let mut needed = HashSet::new();
    let any = format!("SELECT 1 FROM main._syncOutbox WHERE {going} LIMIT 1");
    if database.query_value(&any, values)? == Value::Null {
        return Ok(needed);
    }
    let upto = log::high_water(database)?;
    for parent in Tracked::all(database)? {
        if !parent.is_there || Counting::of(database, &parent)? == Counting::Not {
            continue;
        }
        let pending = PendingRows::read(database, &[&parent], upto)?.pop();
        let Some(pending) = pending.filter(|pending| !pending.is_empty()) else {
            continue;
        };
        let waits = |key: &Key| {
            let row = pending.get(key)?;
            Ok(row.is_some_and(|row| sends_of_there(&row, &[]) == Status::Created))
        };
        for reference in Reference::written_ones(database, &parent.shape)? {
            if registration(database, &reference.child)?.is_none() {
                continue;
            }
            if let Ok(child) = Tracked::open(database, &reference.child) {
                let sent = sent(database, (&child, &reference), (going, values), &waits)?;
                needed.extend(sent.into_iter().map(|sent| sent.id));
            }
        }
    }
    Ok(needed)
}
