//! Rows that were refused one by one may be good together: each cut from the others breaks a rule of the server that all keep
//! together, or lacks what another one brings. So, when the rest of a push is settled, they are tried together, and groups
//! of them, each in one request.

use serde_json::json;

use crate::ground::SyncError;
use crate::store::{Database, Transaction};
use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::rejected::Alone;
use crate::transfer::send::{outbox, together};

use super::groups::{TOO_LARGE, groups};
use super::patience::Patience;
use super::run::Run;

impl Run {
    /// When nothing else is left to send: makes a group of the refused rows the next part, if there is one to try.
    pub(super) fn try_together(&mut self, database: &Database) -> Result<(), SyncError> {
        let splitting = &mut self.parcels.splitting;
        if !splitting.begun || !self.parcels.waiting.is_empty() || self.kind.manners().resends {
            return Ok(());
        }
        let may_fit = |row: &&Alone| (400..500).contains(&row.status) && row.status != TOO_LARGE;
        let rows: Vec<Alone> = splitting.alone.iter().filter(may_fit).cloned().collect();
        let taken: i64 = self
            .report
            .entities
            .iter()
            .map(|counts| counts.pushed)
            .sum();
        let groups = splitting.together.groups.get_or_insert_with(|| {
            groups(&rows, taken == 0 && rows.len() == splitting.alone.len())
        });
        let is_refused = |row: &Alone| {
            let mut still = rows.iter();
            still.any(|known| known.place == row.place && known.key == row.key)
        };
        let group = loop {
            match groups.pop_front() {
                None => return Ok(()),
                Some(group) if group.iter().all(is_refused) => break group,
                Some(_) => {}
            }
        };
        let Some(left) = splitting.budget.and_then(|left| left.checked_sub(1)) else {
            return Ok(());
        };
        splitting.budget = Some(left);
        self.diary.note("together", json!({"rows": group.len()}));
        let provider = &self.call.provider;
        let part = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            let part = together::freeze(database, (provider, self.id), &self.bindings, &group)?;
            self.diary.write(database, self.id)?;
            transaction.commit()?;
            Ok(part)
        })?;
        self.diary.committed();
        self.parcels.splitting.together.tried = Some((part.push, group));
        self.parcels.waiting.push_back(part);
        Ok(())
    }

    /// The server has taken a push: if that was a group, nothing is refused of it any more.
    pub(super) fn taken_together(&mut self, frozen: Option<&Frozen>) {
        let splitting = &mut self.parcels.splitting;
        if !frozen.is_some_and(|frozen| splitting.together.is_tried(frozen)) {
            return;
        }
        let Some((_, taken)) = splitting.together.tried.take() else {
            return;
        };
        let is_taken = |row: &Alone| {
            let mut taken = taken.iter();
            taken.any(|known| known.place == row.place && known.key == row.key)
        };
        splitting.alone.retain(|row| !is_taken(row));
    }

    /// The server has refused a group, too: the next one. `unknown`: it may have taken it all the same.
    pub(super) fn refused_together(
        &mut self,
        database: &Database,
        frozen: &Frozen,
        unknown: bool,
    ) -> Result<(), SyncError> {
        self.parcels.splitting.together.tried = None;
        let state = match unknown {
            true => outbox::State::Unknown,
            false => outbox::State::Refused,
        };
        Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            outbox::close(database, &self.call.provider, frozen.push, state)?;
            Ok(transaction.commit()?)
        })?;
        if !unknown {
            self.try_together(database)?;
        }
        self.next_parcel();
        Ok(())
    }
}
