//! Entities that a run is not about, of which rows are held: they may lack only what the run brings.

use std::borrow::Cow;

use crate::store::{Database, Error, Result, Session};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::resolver::require_usable;
use crate::transfer::held::keep;

use super::run::Run;

impl Run {
    /// The entities of the run, and behind them those of which rows are held.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn with_held(
        &self,
        session: &Session,
        database: &Database,
    ) -> Result<Cow<'_, [Binding]>> {
        let mut all = Cow::Borrowed(self.bindings.as_slice());
        for (entity, table) in keep::elsewhere(database, &self.call.provider, &self.bindings)? {
            match self.bystander(session, database, &entity) {
                Ok(binding) if binding.table.id == table => all.to_mut().push(binding),
                Err(error @ Error::Sqlite { .. }) => return Err(error),
                // Its table is gone, or was altered, or its resolver is not declared here: its rows stay held.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(all)
    }

    fn bystander(&self, session: &Session, database: &Database, entity: &str) -> Result<Binding> {
        let binding = Binding::resolve(database, &self.config, &*self.kind, entity)?;
        require_usable(session, database, &binding.entity)?;
        Ok(binding)
    }
}
