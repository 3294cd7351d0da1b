//! Replacement: an answer that names all rows there are, so that others go.
//!
//! Rows created here stay, and so do rows that the provider's `replacementWhere` leaves out.

use crate::capture::sends::sends;
use crate::capture::{Key, Status};
use crate::store::{Result, Session, Value, ValueRef, quote_name};

use crate::transfer::apply::table::TableApplier;
use crate::transfer::binding::Binding;
use crate::transfer::declared;

/// Makes sure, before anything is sent, that the condition may be run.
///
/// # Errors
/// It comes from the file alone; it does not compile.
pub fn require_declared(session: &Session, binding: &Binding) -> Result<()> {
    let Some(condition) = &binding.replacement_where else {
        return Ok(());
    };
    let how = "call sync_provider with the same replacementWhere after opening the file";
    declared::require(session, condition, how)?;
    let sql = format!("SELECT 1 FROM {} WHERE ({condition})", binding.qualified);
    session
        .connection()
        .prepare(&sql)
        .map(drop)
        .map_err(|error| error.prefixed(&format!("replacementWhere of {:?}", binding.entity)))
}

impl TableApplier<'_> {
    /// Keys of the rows that a replacement takes away.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn unnamed(&mut self, named: &dyn Fn(&str) -> bool) -> Result<Vec<Value>> {
        let key = quote_name(&self.binding.table.shape.keys()[0].name);
        let condition = match &self.binding.replacement_where {
            Some(condition) => format!(" WHERE ({condition})"),
            None => String::new(),
        };
        let sql = format!("SELECT {key} FROM {}{condition}", self.binding.qualified);
        let mut scan = self.database.connection().prepare(&sql)?;
        let mut doomed = Vec::new();
        while scan.step()? {
            let key = scan.column(0);
            if is_named(key, named) || self.is_created(&key.to_owned()) {
                continue;
            }
            doomed.push(key.to_owned());
        }
        Ok(doomed)
    }

    /// Keys of the rows deleted here that a replacement makes an end of: the server has them no more
    /// either. With a condition nobody can tell any more whether it was true of them, and they stay
    /// pending.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn unnamed_deletes(&mut self, named: &dyn Fn(&str) -> bool) -> Result<Vec<Value>> {
        if self.binding.replacement_where.is_some() {
            return Ok(Vec::new());
        }
        let (binding, unacknowledged) = (self.binding, self.unacknowledged);
        let mut gone = Vec::new();
        for pending in self.pending.rows() {
            if is_named(pending.key.0.borrow(), named) {
                continue;
            }
            let exists = self.reader.find(pending)?;
            self.reader.release();
            let may_have_arrived =
                || unacknowledged.may_have_created(binding.table.id, &pending.key);
            if sends(pending, exists, &binding.columns, may_have_arrived) == Status::Deleted {
                gone.push(pending.key.0.clone());
            }
        }
        Ok(gone)
    }

    fn is_created(&self, key: &Value) -> bool {
        let pending = self.pending.get(&Key(key.clone()));
        pending.is_some_and(|pending| self.sends(pending, true) == Status::Created)
    }
}

fn is_named(key: ValueRef<'_>, named: &dyn Fn(&str) -> bool) -> bool {
    match key {
        ValueRef::Text(text) => named(text),
        ValueRef::Integer(number) => named(&number.to_string()),
        // Nothing that the server could name.
        _ => false,
    }
}
