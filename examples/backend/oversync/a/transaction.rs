//! The changes of one request, taken together or one by one.

use std::collections::{HashMap, HashSet, VecDeque};

use super::change::{Known, Op, Refusal};
use super::json;
use super::outcome::{Fault, Outcome, server_row};
use super::project::{project, table_is_gone};
use super::state::{Breakdown, ChangeKey, Entry, Failure, Row, RowKey, State, Used};

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    pub user: String,
    /// The device.
    pub source: String,
}

pub struct Transaction<'a> {
    pub state: &'a mut State,
    pub who: &'a Who,
    /// Numbers of the log that were taken before.
    pub numbers: &'a mut VecDeque<i64>,
    pub at: String,
    /// By the change's place in the request.
    pub outcomes: HashMap<usize, Outcome>,
}

/// A change and its place in the request.
pub type Placed<'a> = (usize, &'a Known);

impl Transaction<'_> {
    /// Takes the upserts of a request, in this order.
    pub fn upserts(&mut self, changes: &[Placed]) -> Result<(), Fault> {
        if changes.len() < 2 || !self.state.options.defects.phantoms {
            return self.one_by_one(changes);
        }
        let mark = self.state.mark();
        if self.upserts_together(changes)? {
            return Ok(());
        }
        self.state.go_back(mark);
        self.one_by_one(changes)
    }

    /// Takes its deletes.
    pub fn deletes(&mut self, changes: &[Placed]) -> Result<(), Fault> {
        if changes.len() < 2 || !self.state.options.defects.phantoms {
            return self.one_by_one(changes);
        }
        for (place, change) in self.logged(changes) {
            let key = self.row_key(change);
            let outcome = match self.state.rows.get(&key) {
                None => Outcome::Applied(None),
                Some(row) if row.version == change.base => self.store(change),
                Some(_) => self.conflict(change)?,
            };
            self.outcomes.insert(place, outcome);
        }
        Ok(())
    }

    fn one_by_one(&mut self, changes: &[Placed]) -> Result<(), Fault> {
        for (place, change) in changes {
            let outcome = self.alone(change)?;
            self.outcomes.insert(*place, outcome);
        }
        Ok(())
    }

    fn alone(&mut self, change: &Known) -> Result<Outcome, Fault> {
        let number = self.number();
        if let Some(outcome) = self.replay(change) {
            return Ok(outcome);
        }
        let version = self
            .state
            .rows
            .get(&self.row_key(change))
            .map(|row| row.version);
        match version {
            None if change.op == Op::Delete => return Ok(Outcome::Applied(None)),
            None if change.base != 0 => return Ok(self.no_server_row(change)),
            Some(version) if version != change.base => return self.conflict(change),
            _ => {}
        }
        self.log(number, change, Some(change.base + 1));
        Ok(self.store(change))
    }

    /// One statement for all: the log first, and no change sees what another one does. False: two of them
    /// are the same new row, which the statement can not do.
    fn upserts_together(&mut self, changes: &[Placed]) -> Result<bool, Fault> {
        let fresh = self.logged(changes);
        let versions: HashMap<RowKey, Option<i64>> = fresh
            .iter()
            .map(|(_, change)| {
                let key = self.row_key(change);
                let version = self.state.rows.get(&key).map(|row| row.version);
                (key, version)
            })
            .collect();
        let mut written = HashSet::new();
        let mut conflicts = Vec::new();
        for (place, change) in fresh {
            let key = self.row_key(change);
            let version = versions.get(&key).copied().flatten();
            let fits = version.unwrap_or(0) == change.base;
            if version.is_none() && fits && written.contains(&key) {
                return Ok(false);
            }
            if version.is_none() && !fits {
                let outcome = self.no_server_row(change);
                self.outcomes.insert(place, outcome);
            } else if fits && written.insert(key) {
                let outcome = self.store(change);
                self.outcomes.insert(place, outcome);
            } else {
                conflicts.push((place, change));
            }
        }
        // The rows of conflicts are looked up when all is done.
        for (place, change) in conflicts {
            let outcome = self.conflict(change)?;
            self.outcomes.insert(place, outcome);
        }
        Ok(true)
    }

    /// Writes changes into the log, whatever becomes of them, and gives those that are no replays. An id that
    /// occurs twice gets one line.
    fn logged<'c>(&mut self, changes: &[Placed<'c>]) -> Vec<Placed<'c>> {
        let mut fresh = Vec::new();
        let replays: Vec<_> = changes
            .iter()
            .map(|(_, change)| self.replay(change))
            .collect();
        for ((place, change), replay) in changes.iter().zip(replays) {
            let number = self.number();
            if let Some(outcome) = replay {
                self.outcomes.insert(*place, outcome);
                continue;
            }
            if !self.state.used.contains_key(&self.change_key(change)) {
                self.log(number, change, None);
            }
            fresh.push((*place, *change));
        }
        fresh
    }

    /// What a change is answered whose id is known.
    fn replay(&self, change: &Known) -> Option<Outcome> {
        let used = self.state.used.get(&self.change_key(change))?;
        if self.state.options.defects.swallows_replays {
            return Some(Outcome::Applied(None));
        }
        Some(match used.content == content(change) {
            true => Outcome::Applied(used.version),
            false => Outcome::Invalid(Refusal::new(
                "bad_payload",
                format!("source_change_id {} was another change", change.id),
            )),
        })
    }

    fn number(&mut self) -> i64 {
        match self.numbers.pop_front() {
            Some(number) => number,
            None => self.state.number(),
        }
    }

    fn log(&mut self, number: i64, change: &Known, version: Option<i64>) {
        let entry = Entry {
            user: self.who.user.clone(),
            source: self.who.source.clone(),
            change: change.id,
            table: change.table.clone(),
            op: change.op.name(),
            pk: change.pk.clone(),
            payload: json::compact(&change.payload),
            version: change.base + 1,
            deleted: change.op == Op::Delete,
            at: self.at.clone(),
        };
        self.state.write_entry(number, entry);
        let content = content(change);
        let used = Used { content, version };
        self.state.use_up(self.change_key(change), used);
    }

    /// Writes the row and what is projected of it.
    fn store(&mut self, change: &Known) -> Outcome {
        let version = change.base + 1;
        let row = Row {
            version,
            deleted: change.op == Op::Delete,
            payload: change.payload.clone(),
        };
        self.state.write_row(self.row_key(change), row);
        if let Some(used) = self.state.used.get_mut(&self.change_key(change)) {
            used.version = Some(version);
        }
        let error = match project_row(self.state, self.who, change) {
            Ok(()) => return Outcome::Applied(Some(version)),
            Err(error) => error,
        };
        self.state.write_failure(Failure {
            user: self.who.user.clone(),
            table: change.table.clone(),
            pk: change.pk.clone(),
            version,
            op: change.op.name(),
            payload: change.payload.clone(),
            error: error.clone(),
            at: self.at.clone(),
            retries: 0,
        });
        match self.state.options.defects.hides_projection {
            true => Outcome::Applied(Some(version)),
            false => Outcome::NotProjected(version, error),
        }
    }

    fn conflict(&self, change: &Known) -> Result<Outcome, Fault> {
        let Some(row) = self.state.rows.get(&self.row_key(change)) else {
            return Ok(self.no_server_row(change));
        };
        let options = &self.state.options;
        let rewrites = options.defects.rewrites_images;
        server_row(&options.schema, &change.table, &change.pk, row, rewrites)
            .map(Outcome::Conflict)
            .ok_or(Fault::Failed)
    }

    fn no_server_row(&self, change: &Known) -> Outcome {
        let message = format!(
            "conflict without server_row for {}.{} pk={}",
            self.state.options.schema, change.table, change.pk
        );
        Outcome::Invalid(Refusal::new("internal_error", message))
    }

    fn row_key(&self, change: &Known) -> RowKey {
        let user = self.who.user.clone();
        (user, change.table.clone(), change.pk.clone())
    }

    fn change_key(&self, change: &Known) -> ChangeKey {
        let who = self.who;
        (who.user.clone(), who.source.clone(), change.id)
    }
}

/// Writes the projected row of a change.
pub fn project_row(state: &mut State, who: &Who, change: &Known) -> Result<(), String> {
    let Some(table) = state.options.tables.iter().find(|t| t.name == change.table) else {
        return Ok(());
    };
    if state.breakdown == Breakdown::Table(change.table.clone()) {
        return Err(table_is_gone(&state.options.schema, table));
    }
    let row = match change.op {
        Op::Delete => None,
        _ => Some(project(table, &change.pk, &change.payload)?),
    };
    let key = (state.owner(&who.user), change.pk.clone());
    state.write_projected(&change.table, key, row);
    Ok(())
}

fn content(change: &Known) -> String {
    let (op, table, pk) = (change.op.name(), &change.table, &change.pk);
    format!("{op} {table} {pk} {} {}", change.base, change.payload)
}
