//! A complete answer that says no. A push that is refused as a whole is cut in halves until the rows that the server
//! won't have are alone: they are kept with its words, and the rest goes through.

use std::collections::VecDeque;

use serde_json::json;

use crate::ground::{SyncError, Warning};
use crate::http::Response;
use crate::providers::conversation::{CLOSED, Event};
use crate::store::{Database, Result, Transaction};
use crate::transfer::peer;
use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::rejected::{self, Alone, Words, forget_rejection};
use crate::transfer::send::{outbox, slices};

use super::groups::TOO_LARGE;
use super::patience::Patience;
use super::run::{Asked, Run};

/// Bytes of an answer that says no which a conversation sees.
const EXCERPT: usize = 64 << 10;

/// How often a row is sent to a server that fails with it, before it is left out: once among others, and three times alone.
const ATTEMPTS: i64 = 4;

/// Why a row is left out over which the server closes the connection.
const NO_ANSWER: &str = "no answer";

/// The status by which an account as a whole may be shut out.
const FORBIDDEN: u16 = 403;

/// How many requests the cutting of so many rows may take in one run: with those before it, twice their logarithm
/// and 16.
fn most_requests(rows: u64) -> u64 {
    let digits = u64::from(u64::BITS - rows.leading_zeros());
    2 * digits + 10
}

impl Run {
    pub(super) fn refused(
        &mut self,
        database: &Database,
        asked: &Asked,
        frozen: Option<&Frozen>,
        response: &Response,
        error: SyncError,
    ) -> Result<(), SyncError> {
        let resends = self.kind.manners().resends;
        // An answer that says no in its body may say by which status that goes.
        let status = error.status.unwrap_or(response.status);
        let is_split = self.parcels.splitting.begun;
        let body = response.excerpt(EXCERPT);
        let event = Event::Refused {
            status,
            body: &body,
            error: &error,
        };
        let (Some(frozen), Some(parcel)) = (frozen, asked.parcel) else {
            self.hear(event);
            return Ok(());
        };
        let is_open = status == 408 || status >= 500 || parcel.open.contains(&status);
        let about_rows = parcel.refusals.contains(&status);
        if self.parcels.splitting.together.is_tried(frozen) {
            return self.refused_together(database, frozen, is_open || response.repeated);
        }
        // A repeated request may have arrived the first time, and been refused for that. Where it can be sent again as it
        // was, what is wrong with its rows was wrong then too.
        let is_doubtful = response.repeated && !(resends && about_rows);
        let unknown = parcel.may_store && (is_open || is_doubtful);
        if !is_split {
            // It may have something better to do: pull, and push once more.
            self.hear(event);
        }
        let hopeless = is_split || !self.goes_on();
        let splits = about_rows && (!unknown || resends);
        if hopeless && splits && self.split(database, frozen, &error, status >= 500)? {
            return Ok(());
        }
        // What was sent before may have arrived then, whatever is said now of who sends it, or in which way.
        let state = match unknown || (frozen.resent && !(about_rows && hopeless)) {
            true => outbox::State::Unknown,
            false => outbox::State::Refused,
        };
        self.close_parcel(database, frozen, state)?;
        if is_split {
            return Err(error);
        }
        if !hopeless {
            let message = format!("{}; pulled and pushed once more", error.message);
            let warning = Warning::new("pushedAgain", message).saying(error.said);
            self.report.warn([warning]);
        }
        Ok(())
    }

    /// Rows of this run that the server took.
    fn taken(&self) -> i64 {
        self.report
            .entities
            .iter()
            .map(|counts| counts.pushed)
            .sum()
    }

    /// The server has closed the connection, as some do over one row of many: the parts go out again, each as it was. False
    /// when there is nothing more to try.
    pub(super) fn closed(
        &mut self,
        database: &Database,
        asked: &Asked,
        frozen: &Frozen,
        error: &SyncError,
    ) -> Result<bool, SyncError> {
        let refuses = asked
            .parcel
            .is_some_and(|parcel| parcel.refusals.contains(&CLOSED));
        if !refuses {
            return Ok(false);
        }
        if !self.parcels.splitting.begun {
            self.hear(Event::Lost(error));
        }
        self.split(database, frozen, error, true)
    }

    /// Whether the server took any row of this run.
    fn was_taken(&self) -> bool {
        self.taken() > 0
    }

    /// Goes on with the halves of a push, or without the one row of it. False when there is nothing more to try.
    /// `in_trouble`: the server did not refuse it but failed, and may have taken some of it.
    fn split(
        &mut self,
        database: &Database,
        frozen: &Frozen,
        error: &SyncError,
        in_trouble: bool,
    ) -> Result<bool, SyncError> {
        if self.parcels.splitting.together.is_tried(frozen) {
            return Ok(false);
        }
        self.parcels.splitting.begun = true;
        let rows = frozen.rows;
        if rows == 1 || frozen.circle {
            return self.set_aside(database, frozen, error, in_trouble);
        }
        let waiting = self.parcels.waiting.iter().map(|part| part.rows);
        let whole = most_requests(rows + waiting.sum::<u64>());
        let budget = *self.parcels.splitting.budget.get_or_insert(whole);
        let left = budget.checked_sub(2);
        let half = rows.div_ceil(2);
        let provider = &self.call.provider;
        let too_large = error.status == Some(TOO_LARGE);
        let (parts, others) = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            let parts = slices::cut(database, frozen, &self.bindings, half)?;
            if parts.len() == 1 || left.is_none() {
                return Ok((parts, VecDeque::new()));
            }
            let mut others = VecDeque::new();
            for part in &self.parcels.waiting {
                match too_large && part.rows > half {
                    true => others.extend(slices::cut(database, part, &self.bindings, half)?),
                    false => others.push_back(part.clone()),
                }
            }
            let is_alone = |part: &&Frozen| part.rows == 1 || part.circle;
            for part in parts.iter().filter(|part| in_trouble && is_alone(part)) {
                outbox::count_from(database, part.push, 1)?;
            }
            if too_large {
                peer::store_batch(database, provider, Some(half))?;
            }
            transaction.commit()?;
            Ok((parts, others))
        })?;
        // Rows that refer to each other in a circle are refused together: none of them goes without the others.
        if let (1, Some(part)) = (parts.len(), parts.front()) {
            return self.set_aside(database, part, error, in_trouble);
        }
        let Some(left) = left else {
            let state = match in_trouble || frozen.resent {
                true => outbox::State::Unknown,
                false => outbox::State::Refused,
            };
            return self.leave_off(database, frozen, state);
        };
        self.diary
            .note("split", json!({"rows": rows, "status": error.status}));
        self.parcels.splitting.budget = Some(left);
        self.parcels.splitting.too_large |= too_large;
        self.parcels.waiting = others;
        for part in parts.into_iter().rev() {
            // A server in trouble may have taken some of it.
            let resent = part.resent || in_trouble;
            self.parcels.waiting.push_front(Frozen { resent, ..part });
        }
        self.next_parcel();
        Ok(true)
    }

    /// Keeps a row that was refused alone, or rows that can't be parted, and goes on with the others.
    fn set_aside(
        &mut self,
        database: &Database,
        frozen: &Frozen,
        error: &SyncError,
        in_trouble: bool,
    ) -> Result<bool, SyncError> {
        let status = error.status.unwrap_or_default();
        if in_trouble && outbox::attempts(database, frozen.push)? < ATTEMPTS {
            return self.leave_unknown(database, frozen, error);
        }
        // All were refused, so it is not about rows, unless others were taken when they were refused before.
        let shut_out = status == FORBIDDEN && self.parcels.waiting.is_empty() && !self.was_taken();
        let mut alone = self.parcels.splitting.alone.iter();
        let only_last_chances =
            rejected::is_sent_once_more(database, &self.call.provider, frozen.push)?
                && alone.all(|row| row.last_chance);
        if shut_out && !only_last_chances {
            self.take_back_forbidden(database)?;
            return Ok(false);
        }
        let provider = &self.call.provider;
        let said = error.said.as_deref().unwrap_or(&error.message);
        let word = match status {
            0 => NO_ANSWER.to_owned(),
            status => format!("HTTP {status}"),
        };
        let mut reason = self.redactor.clean(&format!("{word}: {said}"));
        if frozen.rows > 1 {
            let rows = frozen.rows;
            let circle = format!(
                " (one of {rows} rows that refer to each other in a circle: they go up only together)"
            );
            reason.push_str(&circle);
        }
        let batch = self.parcels.batch;
        let alone = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            let words = Words {
                status,
                word: word.clone(),
                reason: reason.clone(),
                said: error.said.clone(),
            };
            let by = (provider.as_str(), self.id);
            let alone = rejected::reject_alone(database, by, &self.bindings, frozen, words)?;
            if status == TOO_LARGE {
                // It was the size of this row, not how many there were.
                peer::store_batch(database, provider, batch)?;
            }
            outbox::close(database, provider, frozen.push, outbox::State::Refused)?;
            transaction.commit()?;
            Ok(alone)
        })?;
        for mut alone in alone {
            alone.taken_before = self.taken();
            if in_trouble {
                // It was tried often enough, whatever else went through this time.
                let table = self.bindings[alone.place].table.id;
                rejected::leave_out(database, provider, table, &alone)?;
            }
            self.parcels.splitting.alone.push(alone);
        }
        self.try_together(database)?;
        self.next_parcel();
        Ok(true)
    }

    /// Counts the rows that were refused, and warns of them.
    pub(super) fn tell_refused(&mut self) {
        for row in &self.parcels.splitting.alone {
            self.report.entities[row.place].refuse(&row.word);
            let reason = || row.reason.clone();
            self.report.first_refusal.get_or_insert_with(reason);
            let entity = &self.bindings[row.place].entity;
            let message = format!("{entity}: rows that the backend refuses; see _syncRejected");
            let warning = Warning::new("rowsRefused", message).of(entity);
            self.report.warn([warning.saying(row.said.clone())]);
        }
    }

    /// A push that has gone well may be larger the next time, where its size was a matter: what was too large once was
    /// perhaps a few large rows.
    pub(super) fn widen(&self, database: &Database) -> Result<()> {
        let splitting = &self.parcels.splitting;
        let provider = self.call.provider.as_str();
        let Some(batch) = peer::batch(database, provider)? else {
            return Ok(());
        };
        let goes_well = self.parcels.current.is_none() && self.parcels.waiting.is_empty();
        if splitting.too_large || !goes_well || self.taken().unsigned_abs() <= batch {
            return Ok(());
        }
        peer::store_batch(database, provider, Some(batch.saturating_mul(2)))
    }

    /// A server in trouble may take the row another time: it goes out again with the next sync, and the others now.
    fn leave_unknown(
        &mut self,
        database: &Database,
        frozen: &Frozen,
        error: &SyncError,
    ) -> Result<bool, SyncError> {
        let may_be_down = self.parcels.waiting.is_empty() && !self.was_taken();
        if may_be_down && !frozen.resent {
            return Ok(false);
        }
        Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            let provider = &self.call.provider;
            outbox::close(database, provider, frozen.push, outbox::State::Unknown)?;
            Ok(transaction.commit()?)
        })?;
        let message =
            "the backend failed with rows of this push; they go up again with the next sync";
        let warning = Warning::new("pushUnfinished", message);
        self.report.warn([warning.saying(error.said.clone())]);
        self.try_together(database)?;
        self.next_parcel();
        Ok(true)
    }

    /// Enough requests for one run: the next one goes on. False when this one has come to nothing.
    fn leave_off(
        &mut self,
        database: &Database,
        frozen: &Frozen,
        state: outbox::State,
    ) -> Result<bool, SyncError> {
        if !self.was_taken() {
            self.take_back_forbidden(database)?;
            if self.parcels.splitting.alone.is_empty() {
                return Ok(false);
            }
        }
        let waiting = self.parcels.waiting.iter().map(|part| part.rows);
        let rows = frozen.rows + waiting.sum::<u64>();
        self.close_parcel(database, frozen, state)?;
        let message =
            "the backend refuses several rows; the others of this push go up with the next sync";
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.report
            .warn([Warning::new("pushUnfinished", message).times(rows)]);
        self.next_parcel();
        Ok(true)
    }

    /// The account was shut out: nothing is wrong with its rows.
    fn take_back_forbidden(&mut self, database: &Database) -> Result<(), SyncError> {
        let alone = std::mem::take(&mut self.parcels.splitting.alone);
        let (forbidden, others): (Vec<Alone>, Vec<Alone>) =
            alone.into_iter().partition(|row| row.status == FORBIDDEN);
        for row in &forbidden {
            let table = self.bindings[row.place].table.id;
            forget_rejection(database, &self.call.provider, table, &row.key.0)?;
        }
        self.parcels.splitting.alone = others;
        Ok(())
    }

    /// Rows that were refused alone while others were taken are left out of later pushes, but for one that was refused
    /// before the last of those: what it lacked may have been among them, so it has a second chance. Where none was
    /// taken, the server may have been at fault: they are sent again.
    pub(super) fn leave_out_refused(&self, database: &Database) -> Result<()> {
        let provider = self.call.provider.as_str();
        for row in &self.parcels.splitting.alone {
            let table = self.bindings[row.place].table.id;
            if !self.was_taken() && !row.last_chance {
                continue;
            }
            let taken_since = self.taken() > row.taken_before;
            if taken_since && rejected::send_once_more(database, provider, table, row)? {
                continue;
            }
            rejected::leave_out(database, provider, table, row)?;
        }
        Ok(())
    }
}
