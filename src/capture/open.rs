//! Whether a tracked table can be gone on with as it is, and why not.

use crate::store::{Database, Error, Result, quote_name};

use super::doubt::doubt;
use super::names::quoted_list;
use super::shape::Shape;
use super::tracked::{Registration, Tracked, registration};
use super::triggers::Found;

impl Registration {
    /// The table that has its name and its key, for one whose triggers are gone, if it has every synced column, and what is to
    /// stay here is known: the same table, made again.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn same_table(&self, database: &Database) -> Result<Option<Shape>> {
        let shape = self.again(database)?;
        match shape.filter(|shape| self.missing(shape).is_empty()) {
            Some(shape) if doubt(database, self, &shape, &Found::default())?.is_none() => {
                Ok(Some(shape))
            }
            _ => Ok(None),
        }
    }

    /// Why capture does not go on with the table by itself, and what to do.
    ///
    /// # Errors
    /// SQLite's.
    pub fn refusal(&self, database: &Database) -> Result<Error> {
        let table = quote_name(&self.name);
        let forget = "call sync_untrack to forget it, which needs {\"discard\":true} while anything of it waits";
        let found = Shape::read(database, &self.name);
        if let Ok(shape) = &found
            && self.has_key_of(shape)
            && let Some(doubt) = doubt(database, self, shape, &Found::default())?
        {
            return Ok(doubt);
        }
        let problem = match found {
            Ok(shape) if !self.has_key_of(&shape) => format!(
                "{table} was made again with another key, so what waits of it can't be sent; make it again with the key \
                 {}, call sync_track with {{\"was\":{}}} if only its name is another, or {forget}, and then sync_track",
                self.keys.as_deref().map_or_else(
                    || "that it had".into(),
                    |keys| { quoted_list(&keys.iter().map(String::as_str).collect::<Vec<_>>()) }
                ),
                serde_json::Value::from(self.name.as_str())
            ),
            Ok(shape) => format!(
                "{table} was made again without {}, or computes it now; call sync_track to go on without: {}",
                quoted_list(&self.missing(&shape)),
                Tracked::assemble(self.clone(), shape.clone(), &Found::default())
                    .columns
                    .fate_of_missing(&shape)
            ),
            Err(_) if self.is_named(database)? => {
                format!(
                    "{table} was made again as something that can't be tracked; make it a table, or {forget}"
                )
            }
            Err(_) => format!(
                "{table} was dropped since it was tracked; make it again to go on with it, call sync_track \
                 with {{\"was\":{}}} for the table that it is now if it was renamed, or {forget}",
                serde_json::Value::from(self.name.as_str())
            ),
        };
        Ok(Error::argument(problem))
    }
}

impl Tracked {
    /// A tracked table by name. Call [`super::drift::refresh`] first in the same transaction.
    ///
    /// # Errors
    /// Not tracked; dropped, or made again so that it can't be gone on with by itself; capture is off; an option
    /// names a column that is gone.
    pub fn open(database: &Database, name: &str) -> Result<Self> {
        let Some(registration) = registration(database, name)? else {
            return Err(Error::argument(format!(
                "{} is not tracked; call sync_track first",
                quote_name(name)
            )));
        };
        let quoted = quote_name(&registration.name);
        if registration.off.is_some() {
            return Err(Error::argument(format!(
                "capture of {quoted} is off, since somebody called sync_capture_off; call sync_capture_on to go on"
            )));
        }
        let found = Found::read(database, registration.id)?;
        let Some(table) = &found.table else {
            return Err(registration.refusal(database)?);
        };
        let shape = Shape::read(database, table)?;
        if let Some(doubt) = doubt(database, &registration, &shape, &found)? {
            return Err(doubt);
        }
        let tracked = Self::assemble(registration, shape, &found);
        tracked.require_named_columns()?;
        Ok(tracked)
    }

    /// An option that names no column would silently do nothing: a column that was to stay here would travel.
    fn require_named_columns(&self) -> Result<()> {
        let table = quote_name(&self.shape.name);
        match self
            .options
            .names()
            .find(|name| self.shape.position(name).is_none())
        {
            None => Ok(()),
            Some(name) => Err(Error::argument(format!(
                "the options of {table} name the column {}, which is gone; call sync_track with options that fit",
                quote_name(name)
            ))),
        }
    }
}
