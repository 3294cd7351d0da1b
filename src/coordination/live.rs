//! The state as it would be if somebody recovered right now: what the virtual tables show.

use std::collections::{HashMap, HashSet};

use super::interruption::Work;
use super::recovery;
use crate::store::{Database, Result};

/// Work whose owner is dead although nobody has said so yet.
#[derive(Debug, Default)]
pub struct Abandoned {
    /// `_syncOperation.id`.
    operations: HashSet<i64>,
    /// Reason by status id, for the rows all of whose open operations are abandoned.
    pub statuses: HashMap<i64, String>,
    /// Reason by instance, for the instances all of whose open operations are abandoned.
    pub instances: HashMap<String, String>,
    /// Reason by scope.
    pub scopes: HashMap<String, String>,
}

impl Abandoned {
    /// # Errors
    /// SQLite's.
    pub fn find(database: &Database) -> Result<Self> {
        let work = recovery::abandoned(database)?;
        let mut found = Self::default();
        if work.is_empty() {
            return Ok(found);
        }
        found.gather(database, &work)?;
        Ok(found)
    }

    fn gather(&mut self, database: &Database, work: &Work) -> Result<()> {
        self.operations = work.operations.iter().map(|(id, _, _)| *id).collect();
        for (id, status, reason) in &work.operations {
            self.statuses.insert(*status, reason.clone());
            let instance = database.query_row(
                "SELECT instanceId FROM main._syncOperation WHERE id = ?1",
                &[(*id).into()],
                |row| Ok(row.optional_text(0)),
            )?;
            if let Some(instance) = instance.flatten() {
                self.interrupt_scopes(database, &instance, reason)?;
                self.instances.insert(instance, reason.clone());
            }
        }
        // What a living owner runs too is not abandoned.
        let open = database.query_all(
            "SELECT id, statusId, instanceId FROM main._syncOperation WHERE state = 'syncing'",
            &[],
            |row| Ok((row.integer(0), row.integer(1), row.optional_text(2))),
        )?;
        for (id, status, instance) in open {
            if self.operations.contains(&id) {
                continue;
            }
            self.statuses.remove(&status);
            if let Some(instance) = instance {
                self.instances.remove(&instance);
            }
        }
        for (scope, reason) in &work.scopes {
            self.scopes.insert(scope.clone(), reason.clone());
        }
        Ok(())
    }

    fn interrupt_scopes(
        &mut self,
        database: &Database,
        instance: &str,
        reason: &str,
    ) -> Result<()> {
        let scopes = database.query_all(
            "SELECT scopeId FROM main._syncScopeMember WHERE instanceId = ?1 AND following = 1",
            &[instance.into()],
            |row| Ok(row.text(0)),
        )?;
        for scope in scopes {
            self.scopes.insert(scope, reason.to_owned());
        }
        Ok(())
    }
}
