//! What a run sends: freezing it, and the parts that go out one after the other.

use std::collections::VecDeque;

use serde_json::json;

use crate::coordination::run_record;
use crate::ground::{Class, SyncError, Warning};
use crate::providers::conversation::{Event, Goal, ParcelRows};
use crate::store::{Database, Result, Transaction};
use crate::transfer::peer;
use crate::transfer::send::freeze;
use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::unacknowledged::Unacknowledged;
use crate::transfer::send::{outbox, resend, slices};

use super::patience::Patience;
use super::run::Run;

/// How often rows whose fate stays open go out again in one run.
const ROUNDS: u32 = 1000;

impl Run {
    /// Freezes what is pending.
    pub(super) fn freeze(&mut self, database: &Database) -> Result<(), SyncError> {
        if self.parcels.resent > ROUNDS {
            let message = "the backend leaves open what became of rows that were sent, however often it is asked; the next sync asks again";
            return Err(SyncError::new(
                Class::Server,
                "SYNC_ERROR_PROTOCOL",
                message,
                true,
            ));
        }
        let (frozen, parts) = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            self.require_unchanged(database)?;
            let (frozen, parts) = self.freeze_parts(database)?;
            self.live.reach("fetched local changes");
            self.live.parts(parts.len(), frozen.rows);
            run_record::progress(database, self.id, &self.live.record(None))?;
            self.diary.write(database, self.id)?;
            transaction.commit()?;
            Ok((frozen, parts))
        })?;
        self.diary.committed();
        let unsendable: i64 = frozen.unsendable.iter().copied().sum();
        self.diary.note(
            "frozen",
            json!({"rows": frozen.rows, "unsendable": unsendable, "pushes": parts.len()}),
        );
        for place in &frozen.conflicts {
            self.report.entities[*place].conflicts += 1;
        }
        for (place, unsendable) in frozen.unsendable.iter().enumerate() {
            if *unsendable == 0 {
                continue;
            }
            self.report.entities[place].rejected += unsendable;
            let entity = &self.bindings[place].entity;
            let message = format!("{entity}: rows that can't be sent; see _syncRejected");
            self.report.warn([Warning::new("rowsNotSendable", message)
                .of(entity)
                .times(*unsendable)]);
        }
        self.parcels.batch = peer::batch(database, &self.call.provider)?;
        self.parcels.resent += u32::from(parts.iter().any(|part| part.resent));
        self.parcels.waiting = parts;
        self.next_parcel();
        Ok(())
    }

    /// What is frozen, and the parts in which it goes out. Rows of unknown outcome come first, and alone.
    fn freeze_parts(&self, database: &Database) -> Result<(Frozen, VecDeque<Frozen>)> {
        let (provider, manners) = (self.call.provider.as_str(), self.kind.manners());
        if manners.resends {
            let parts = resend::take_up(database, provider, self.id, self.bindings.len())?;
            if let Some(first) = parts.front() {
                let rows = parts.iter().map(|part| part.rows).sum();
                let all = Frozen {
                    rows,
                    ..first.clone()
                };
                return Ok((all, parts));
            }
        }
        let mut frozen = freeze::freeze(
            database,
            provider,
            self.id,
            &*self.kind,
            &self.bindings,
            &self.unacknowledged,
        )?;
        let batch = match (manners.batch, peer::batch(database, provider)?) {
            (0, lowered) => lowered.unwrap_or(0),
            (most, lowered) => lowered.map_or(most, |lowered| lowered.min(most)),
        };
        let mut parts = slices::cut(database, &frozen, &self.bindings, batch)?;
        if self.goal == Goal::Upload && manners.round > 0 {
            slices::shorten(database, provider, &mut parts, manners.round)?;
            frozen.rows = parts.iter().map(|part| part.rows).sum();
        }
        Ok((frozen, parts))
    }

    /// Goes on with the next part of what was frozen, if there is one.
    pub(super) fn next_parcel(&mut self) {
        self.parcels.current = self.parcels.waiting.pop_front();
        self.parcels.attempted = false;
        self.parcels.is_met = false;
        let event = match &self.parcels.current {
            Some(part) if part.resent => Event::Resent(part.rows),
            Some(part) => Event::Frozen(part.rows),
            None => Event::Frozen(0),
        };
        self.hear(event);
    }

    /// Shows the row of the parcel to the conversation, where a request depends on it.
    pub(super) fn meet_row(&mut self, database: &Database) -> Result<(), SyncError> {
        let (Some(frozen), Some(talk)) = (&self.parcels.current, &mut self.talk) else {
            return Ok(());
        };
        if self.parcels.is_met || !self.kind.manners().one_by_one {
            return Ok(());
        }
        let rows = outbox::frozen_rows(database, &self.bindings, frozen.push);
        for place in 0..self.bindings.len() {
            let met = rows.rows(place, None, &mut |row| {
                talk.meet(place, row);
                Ok(())
            });
            met.map_err(|_| SyncError::bug())?;
        }
        self.parcels.is_met = true;
        Ok(())
    }

    /// Closes the parcel that was sent, and those that were to follow it, which were not.
    pub(super) fn close_parcel(
        &mut self,
        database: &Database,
        frozen: &Frozen,
        state: outbox::State,
    ) -> Result<(), SyncError> {
        self.diary
            .note(state.as_str(), json!({"rows": frozen.rows}));
        let provider = &self.call.provider;
        Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            outbox::close(database, provider, frozen.push, state)?;
            for part in &self.parcels.waiting {
                outbox::close(database, provider, part.push, unsent(part))?;
            }
            self.diary.write(database, self.id)?;
            transaction.commit()?;
            Ok(())
        })?;
        self.diary.committed();
        self.parcels.waiting.clear();
        self.unacknowledged = Unacknowledged::read(database, Some(provider))?;
        Ok(())
    }

    /// Where a request can't be made again, what it carried is [taken back](Self::take_back).
    pub(super) fn or_take_back<T>(
        &mut self,
        database: &Database,
        outcome: Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        if outcome.is_err() {
            self.take_back(database)?;
        }
        outcome
    }

    /// The request that was handed out is not sent: what it would have carried is pending as before.
    pub(super) fn take_back(&mut self, database: &Database) -> Result<(), SyncError> {
        self.asked = None;
        match self.parcels.current.take() {
            // An earlier request about it may have made the server take it.
            Some(frozen) if self.parcels.attempted => {
                self.close_parcel(database, &frozen, outbox::State::Unknown)
            }
            Some(frozen) => self.close_parcel(database, &frozen, unsent(&frozen)),
            None => Ok(()),
        }
    }
}

/// What is left of a part that was not sent this time.
fn unsent(part: &Frozen) -> outbox::State {
    match part.resent {
        true => outbox::State::Unknown,
        false => outbox::State::Refused,
    }
}
