//! Putting one id in the place of another, as a row's id and wherever data holds it as a JSON text. When a row
//! with the new id is there already, the row with the old one goes.
//!
//! The server has given a row made here its id. So in a tracked table nothing of it is an edit: what is pending of the
//! row waits under the new id, of a row that the server knows, and other rows that wait go on waiting. Rows that are held
//! count as applied.

use crate::capture::Key;
use crate::capture::log::{self, Fate};
use crate::store::{Database, Result, Value, ValueRef};
use crate::transfer::apply::{Applied, Found, OwnWrites};
use crate::transfer::binding::Binding;
use crate::transfer::held::documents;
use crate::transfer::send::rekey;
use crate::transfer::send::renamed::Renamed;

use super::entity_table::require;
use super::outcome::{Failure, Job, Outcome};
use super::tracked;

// In JSON, a text in its quotes can't be inside another text.
const HOLDS_IT: &str = "instr(data, json_quote(?1)) > 0";

/// Puts the id `replace` in the place of `find` in the table of that name.
///
/// # Errors
/// As [`require`]; SQLite's.
pub fn find_replace(
    job: &Job<'_>,
    name: &str,
    find: &str,
    replace: &Value,
) -> Result<Outcome, Failure> {
    require(job.database, name)?;
    let ids = Ids {
        database: job.database,
        table: job.database.qualified(name),
        find,
        replace,
    };
    match tracked::table(job.database, name)? {
        None => Ok(ids.replace_plainly()?),
        Some(table) => {
            let bindings = [tracked::bind(job.database, name, table)?];
            ids.replace_tracked(job, &bindings)
        }
    }
}

struct Ids<'a> {
    database: &'a Database,
    table: String,
    find: &'a str,
    replace: &'a Value,
}

impl Ids<'_> {
    fn replace_plainly(&self) -> Result<Outcome> {
        let table = &self.table;
        let exists = format!("EXISTS (SELECT 1 FROM {table} WHERE id = ?2)");
        let deleted = self.run(&format!("DELETE FROM {table} WHERE id = ?1 AND {exists}"))?;
        self.run(&format!("UPDATE {table} SET id = ?2 WHERE id = ?1"))?;
        Ok(Outcome {
            deleted,
            updated: self.replace_in_data()?,
            ..Outcome::default()
        })
    }

    fn replace_tracked(&self, job: &Job<'_>, bindings: &[Binding; 1]) -> Result<Outcome, Failure> {
        let database = self.database;
        let (from, to) = (
            tracked::wire_id(database, &Value::from(self.find))?.into_owned(),
            tracked::wire_id(database, self.replace)?,
        );
        let binding = &bindings[0];
        let mut outcome = Outcome::default();
        if self.is_there()? {
            let gone = tracked::apply(job, bindings, |sink| Ok(sink.gone(0, &from, None)?))?;
            outcome.add(gone);
        } else if let (Some(old), Some(new)) = (binding.wire_key(&from), binding.wire_key(&to)) {
            self.rename(binding, old, new)?;
        }
        let mut own = OwnWrites::begin(database, bindings, log::high_water(database)?, false, 0)?;
        let holding = format!("SELECT id FROM {} WHERE {HOLDS_IT}", self.table);
        let mut scan = database.connection().prepare(&holding)?;
        scan.bind(1, self.find.into())?;
        let mut rows = Vec::new();
        while scan.step()? {
            rows.push(Key(scan.column(0).to_owned()));
        }
        drop(scan);
        outcome.updated += self.replace_in_data()?;
        for row in &rows {
            own.wrote(binding.table.id, row, Applied::Unchecked);
        }
        own.finish(&mut |_, _, _| Ok(Found::AsApplied))?;
        if documents::replace_id(database, job.provider, binding, &from, &to)? {
            // They may fit now.
            outcome.add(tracked::apply(job, bindings, |_| Ok(()))?);
        }
        Ok(outcome)
    }

    /// Puts a row under the id that the server has given it.
    fn rename(&self, binding: &Binding, old: Value, new: Value) -> Result<()> {
        let row = (binding.table.id, Key(new.clone()));
        let renamed = Renamed::of(&binding.table, old, new);
        rekey::rename(self.database, &[renamed])?;
        // The server knows the row.
        let upto = log::high_water(self.database)?;
        log::rewrite(self.database, upto, |_, of| match *of == row {
            true => Ok(Fate::Met),
            false => Ok(Fate::Stays),
        })
    }

    /// Whether there is a row with the new id.
    fn is_there(&self) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE id = ?1", self.table);
        let mut there = self.database.connection().prepare(&sql)?;
        there.bind(1, self.replace.borrow())?;
        there.step()
    }

    fn replace_in_data(&self) -> Result<i64> {
        self.run(&format!(
            "UPDATE {} SET data = replace(data, json_quote(?1), json_quote(?2)) WHERE {HOLDS_IT}",
            self.table
        ))
    }

    fn run(&self, sql: &str) -> Result<i64> {
        let values: [ValueRef<'_>; 2] = [self.find.into(), self.replace.borrow()];
        self.database.connection().prepare(sql)?.run(&values)
    }
}
