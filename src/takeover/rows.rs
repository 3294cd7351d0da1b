//! The rows of a table that is taken over: what the client has not pushed becomes what is pending here.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};

use crate::capture::carry::Carrier;
use crate::capture::shape::Shape;
use crate::capture::tracked::{ColumnType, Existing, TrackOptions};
use crate::capture::{Tracked, track};
use crate::store::{Database, Error, Result, Value, quote_name};

use super::native::STATE;

/// A row that the client has not pushed yet.
struct Unpushed {
    key: Value,
    rowid: Option<i64>,
    created: bool,
    /// Names of columns, separated by commas.
    changed: String,
}

/// A table that is tracked now, its pending rows in the log.
pub struct Taken {
    pub tracked: Tracked,
    created: usize,
    updated: usize,
}

impl Taken {
    /// Tracks a table and logs what the client has not pushed.
    ///
    /// # Errors
    /// A state that the client doesn't know; SQLite's.
    pub fn begin(
        database: &Database,
        shape: &Shape,
        types: BTreeMap<String, ColumnType>,
    ) -> Result<Self> {
        refuse_unknown_state(database, shape)?;
        let unpushed = unpushed(database, shape)?;
        // While nothing is captured yet, this is no change of the program's.
        settle_state(database, shape)?;
        let options = TrackOptions {
            existing: Some(Existing::Skip),
            exclude: STATE.map(String::from).to_vec(),
            types,
            ..TrackOptions::default()
        };
        track::track(database, &shape.name, Some(options))?;
        let tracked = Tracked::open(database, &shape.name)?;
        log_unpushed(database, &tracked, &unpushed)?;
        let created = unpushed.iter().filter(|row| row.created).count();
        Ok(Self {
            tracked,
            created,
            updated: unpushed.len() - created,
        })
    }

    /// Removes the rows that the client keeps until their delete is pushed. Their number.
    ///
    /// # Errors
    /// SQLite's.
    pub fn delete_tombstones(&self, database: &Database) -> Result<i64> {
        let table = database.qualified(&self.tracked.shape.name);
        let delete = format!("DELETE FROM {table} WHERE _status = 'deleted'");
        database.connection().prepare(&delete)?.run(&[])
    }

    /// What to answer about the table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn report(&self, database: &Database, deleted: i64) -> Result<Json> {
        let name = &self.tracked.shape.name;
        let mut count = database.connection().prepare(&format!(
            "SELECT count(*) FROM {}",
            database.qualified(name)
        ))?;
        count.step()?;
        Ok(json!({
            "table": name,
            "rows": count.integer(0),
            "created": self.created,
            "updated": self.updated,
            "deleted": deleted,
        }))
    }
}

fn refuse_unknown_state(database: &Database, shape: &Shape) -> Result<()> {
    let mut unknown = database.connection().prepare(&format!(
        "SELECT quote(id), quote(_status) FROM {} WHERE _status IS NULL \
         OR _status NOT IN ('synced', 'created', 'updated', 'deleted') LIMIT 1",
        database.qualified(&shape.name)
    ))?;
    if !unknown.step()? {
        return Ok(());
    }
    Err(Error::argument(format!(
        "the row {} of {} has the _status {}, which WatermelonDB doesn't know; set it to synced, \
         created, updated or deleted",
        unknown.text(0),
        quote_name(&shape.name),
        unknown.text(1)
    )))
}

fn unpushed(database: &Database, shape: &Shape) -> Result<Vec<Unpushed>> {
    let mut scan = database.connection().prepare(&format!(
        "SELECT id, {}, _status = 'created', _changed FROM {} \
         WHERE _status IN ('created', 'updated')",
        shape.rowid.unwrap_or("NULL"),
        database.qualified(&shape.name)
    ))?;
    let mut rows = Vec::new();
    while scan.step()? {
        rows.push(Unpushed {
            key: scan.column(0).to_owned(),
            rowid: scan.column(1).as_i64(),
            created: scan.integer(2) != 0,
            changed: scan.optional_text(3).unwrap_or_default(),
        });
    }
    Ok(rows)
}

fn settle_state(database: &Database, shape: &Shape) -> Result<()> {
    let update = format!(
        "UPDATE {} SET _status = 'synced', _changed = '' \
         WHERE _status <> 'deleted' AND (_status <> 'synced' OR _changed IS NOT '')",
        database.qualified(&shape.name)
    );
    database.connection().prepare(&update)?.run(&[])?;
    Ok(())
}

fn log_unpushed(database: &Database, tracked: &Tracked, rows: &[Unpushed]) -> Result<()> {
    let mut carrier = Carrier::new(database, tracked)?;
    let mut known: HashMap<&str, Vec<usize>> = HashMap::new();
    for row in rows {
        let changed = known
            .entry(&row.changed)
            .or_insert_with(|| positions(&tracked.shape, &row.changed));
        if row.created {
            carrier.inserted(&row.key, row.rowid)?;
        }
        // The client pushes an updated row even if it does not say what changed, so all of it goes.
        if changed.is_empty() && !row.created {
            carrier.updated_everywhere(&row.key, row.rowid)?;
        } else {
            carrier.updated(&row.key, row.rowid, changed)?;
        }
    }
    Ok(())
}

/// Where the columns named in `_changed` are; a column that is gone is left out.
fn positions(shape: &Shape, changed: &str) -> Vec<usize> {
    changed
        .split(',')
        .filter(|name| *name != "id" && !STATE.contains(name))
        .filter_map(|name| shape.position(name))
        .collect()
}
