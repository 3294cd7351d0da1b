//! Taking the answer to a request: what it says becomes part of the file in one transaction.

use std::collections::HashSet;

use crate::capture::lost::pull_again;
use crate::coordination::{now, run_record};
use crate::ground::{Class, SyncError};
use crate::http::{HttpError, Kind, Response};
use crate::providers::conversation::{Again, Answer, Event, Goal, ParcelRows, Read};
use crate::providers::sink::Sink;
use crate::store::{Database, Session, Snapshot, Transaction};
use crate::transfer::apply::{Came, Setting, explain_foreign_key};
use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::held::foreign::{Search, broken_reference};
use crate::transfer::held::{self, Refusals};
use crate::transfer::intake::Intake;
use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::outbox;
use crate::transfer::send::settle::Settler;
use crate::transfer::send::unacknowledged::Unacknowledged;
use crate::transfer::{cursor, peer, place};

use super::compare::{Comparer, Found};
use super::patience::Patience;
use super::progress::{Counting, Reading};
use super::run::{Asked, Run};

impl Run {
    /// Takes the outcome of the request that was handed out last.
    pub(super) fn take(
        &mut self,
        session: &Session,
        database: &Database,
        answer: Result<Response, HttpError>,
    ) -> Result<(), SyncError> {
        let Some(asked) = self.asked.take() else {
            return Err(SyncError::bug());
        };
        if let Ok(response) = &answer {
            self.report.requests += response.attempts;
            self.redactor = response.redactor().clone();
        }
        self.note_answer(&asked, &answer);
        let frozen = match asked.parcel {
            Some(_) => self.parcels.current.take(),
            None => None,
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.lost(database, &asked, frozen.as_ref(), error),
        };
        self.live.reach(match asked.parcel.is_some() {
            true => "pushed",
            false => "pulled",
        });
        let is_read =
            (200..300).contains(&response.status) || asked.reads.contains(&response.status);
        if !is_read {
            let excerpt = response.excerpt(500);
            let upload = asked.parcel.is_some();
            let error = SyncError::from_status(response.status, upload, &excerpt)
                .after(response.retry_after());
            return self.refused(database, &asked, frozen.as_ref(), &response, error);
        }
        match self.read(session, database, &asked, frozen.as_ref(), &response) {
            Ok((read, _)) if read.unfinished => {
                self.parcels.current = frozen;
                self.hear(Event::Read(&read));
                Ok(())
            }
            Ok((read, outcome)) => {
                self.taken_together(frozen.as_ref());
                if asked.parcel.is_some() && outcome.again.is_empty() {
                    self.try_together(database)?;
                }
                self.adopt(&asked, read, &outcome);
                if frozen.is_some_and(|frozen| frozen.resent) {
                    // What was not known is known now.
                    let provider = Some(self.call.provider.as_str());
                    self.unacknowledged = Unacknowledged::read(database, provider)?;
                }
                Ok(())
            }
            Err(error) => match &frozen {
                // It took the rows, or some of them: which, the next pull shows.
                Some(frozen) if matches!(error.class, Class::Protocol | Class::Network) => {
                    self.close_parcel(database, frozen, without_answer(&asked, frozen))?;
                    Err(error)
                }
                Some(_) if error.class == Class::Server => {
                    self.refused(database, &asked, frozen.as_ref(), &response, error)
                }
                // The others may go well all the same.
                None if asked.operation.is_some() && is_about_the_answer(&error) => {
                    self.hear(Event::Lost(&error));
                    Ok(())
                }
                // It says no in its body, as an answer with that status would.
                None if error.status.is_some() => {
                    self.refused(database, &asked, None, &response, error)
                }
                _ => Err(error),
            },
        }
    }

    /// No complete answer came. Whether rows arrived, the next pull shows.
    fn lost(
        &mut self,
        database: &Database,
        asked: &Asked,
        frozen: Option<&Frozen>,
        error: HttpError,
    ) -> Result<(), SyncError> {
        let is_closed = error.kind() == Kind::Closed;
        let error = SyncError::from(error);
        if let Some(frozen) = frozen {
            if is_closed && self.closed(database, asked, frozen, &error)? {
                return Ok(());
            }
            self.close_parcel(database, frozen, without_answer(asked, frozen))?;
        }
        self.hear(Event::Lost(&error));
        Ok(())
    }

    /// Reads an answer, again if the database was locked in the middle of it.
    fn read(
        &mut self,
        session: &Session,
        database: &Database,
        asked: &Asked,
        frozen: Option<&Frozen>,
        response: &Response,
    ) -> Result<(Read, Came), SyncError> {
        let patience = Patience::new(&self.config);
        if self.goal == Goal::Check {
            let compared = patience.sync(|| self.compare(session, database, response))?;
            if let Some(found) = compared.found {
                self.report.compared = found;
            }
            return Ok((compared.read, Came::default()));
        }
        // What is found out about rows that can't be stored counts for every repetition.
        let refusals = Refusals::default();
        let taken = loop {
            let request = (asked, frozen, response);
            let once = || self.take_once(session, database, request, &refusals);
            if let Some(taken) = patience.sync(once)? {
                break taken;
            }
        };
        self.diary.committed();
        self.live.committed(settled(&taken.1.counts));
        Ok(taken)
    }

    /// Takes an answer in one transaction; nothing when it must be taken again, without rows that turned out to be
    /// refused by the file.
    fn take_once(
        &self,
        session: &Session,
        database: &Database,
        (asked, frozen, response): (&Asked, Option<&Frozen>, &Response),
        refusals: &Refusals,
    ) -> Result<Option<(Read, Came)>, SyncError> {
        let connection = database.connection();
        refusals.begin();
        let transaction = Transaction::begin(connection).map_err(SyncError::from)?;
        self.live.reads(response.body.len());
        let bindings = self.with_held(session, database)?;
        let answer = (asked, frozen, response);
        let taken = match self.apply(session, database, answer, &bindings, refusals) {
            _ if refusals.has_news() => return Ok(None),
            taken => taken?,
        };
        if Search::is_due_after(connection, refusals) {
            let broken = Search::now(database, &bindings, true)?;
            let error = explain_foreign_key(connection, broken_reference());
            drop(transaction);
            return match broken.blame(refusals)? {
                true => Ok(None),
                false => Err(error.into()),
            };
        }
        self.live.reach(match asked.parcel.is_some() {
            true if taken.0.unfinished => "pushed",
            true => "marked local changes as synced",
            false => "applied remote changes",
        });
        run_record::progress(database, self.id, &self.live.record(None))?;
        self.diary.write(database, self.id)?;
        transaction.commit_or(|error| explain_foreign_key(connection, error))?;
        Ok(Some(taken))
    }

    /// Rows, verdicts and cursors in one transaction; the caller commits. `bindings`: the run's, and others of which
    /// rows are held.
    fn apply(
        &self,
        session: &Session,
        database: &Database,
        (asked, frozen, response): (&Asked, Option<&Frozen>, &Response),
        bindings: &[Binding],
        refusals: &Refusals,
    ) -> Result<(Read, Came), SyncError> {
        let provider = self.call.provider.as_str();
        self.require_unchanged(database)?;
        for (binding, before) in self.bindings.iter().zip(&self.cursors) {
            cursor::require(database, provider, binding, before)?;
        }
        let setting = Setting {
            session,
            database,
            provider,
            run: self.id,
            bytes: response.body.len(),
            cancel: &self.cancel,
            again: (0..self.bindings.len())
                .map(|place| {
                    let asked = asked.again.iter().filter(|(asked, _)| *asked == place);
                    let asked = asked.map(|(_, again)| *again).max();
                    asked.max(self.again.contains(&place).then_some(Again::Rows))
                })
                .collect(),
            part: match (asked.part, asked.operation) {
                (Some(reading), Some(operation)) => {
                    let operation = self.call.operations.get(operation);
                    let operation = operation.ok_or_else(SyncError::bug)?;
                    Some((place::number(database, provider, operation)?, reading))
                }
                _ => None,
            },
            refusals,
        };
        let brought = held::clash::make_room(database, provider, self.id, bindings, refusals)?;
        let met = held::inserts::meet(database, provider, bindings)?;
        // A server may repeat our token in what it says.
        let clean = |text: &str| self.redactor.clean(text);
        let settler = frozen.map(|frozen| {
            let manners = self.kind.manners();
            Settler::new(database, provider, &self.bindings, frozen, manners, &clean)
                .of_repeated(response.repeated)
        });
        let intake = Intake::new(&setting, bindings, &self.unacknowledged, settler);
        let mut sink = Counting::new(intake, &self.live);
        let sent = frozen.map(|frozen| outbox::frozen_rows(database, &self.bindings, frozen.push));
        let mut read = self.read_into(response, sent.as_ref().map(|rows| rows as _), &mut sink)?;
        let mut outcome = match read.unfinished {
            true => sink.into_inner().leave_unsettled()?,
            false => {
                let revealed = self.revealed(&read, frozen);
                let intake = sink.into_inner().revealing(revealed);
                intake.finish(&read.due)?
            }
        };
        for references in &brought {
            references.settle(database)?;
        }
        for place in held::inserts::decide(database, provider, self.id, bindings, &met)? {
            outcome.counts[place].conflicts += 1;
        }
        read.warnings.append(&mut outcome.warnings);
        self.store(database, &read)?;
        // A further answer of the same run goes on from where the table was: its cursor is no beginning either.
        for table in self.comes_again.union(&outcome.comes_again) {
            pull_again(database, *table)?;
        }
        Ok((read, outcome))
    }

    /// The entities of which the server has told all that it has, with this answer to a pull; none where pulls show
    /// nothing of pushes without an answer.
    fn revealed(&self, read: &Read, frozen: Option<&Frozen>) -> HashSet<usize> {
        if frozen.is_some() || self.kind.manners().resends {
            return HashSet::new();
        }
        let pulled = read.cursors.iter().map(|(place, _)| *place);
        let pulled = pulled.chain(self.pulled.iter().copied());
        pulled.filter(|place| !read.due.contains(place)).collect()
    }

    fn read_into(
        &self,
        response: &Response,
        parcel: Option<&dyn ParcelRows>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let talk = self.talk.as_ref().ok_or_else(SyncError::bug)?;
        let headers: Vec<(String, String)> = response
            .headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status: response.status,
            headers: &headers,
            body: &mut Reading::new(response.body.reader(), &self.live),
            length: response.body.len(),
            parcel,
        };
        talk.read(&mut answer, sink)
    }

    /// Cursors, and what the kind wants to be remembered.
    fn store(&self, database: &Database, read: &Read) -> Result<(), SyncError> {
        let provider = self.call.provider.as_str();
        let at = now();
        for (operation, at) in &read.places {
            if let Some(operation) = self.call.operations.get(*operation) {
                place::store(database, provider, operation, at)?;
            }
        }
        for (place, cursor) in &read.cursors {
            let binding = &self.bindings[*place];
            let grows = self.kind.manners().cursors_grow;
            cursor::store(database, provider, binding, cursor, at, grows)?;
            if let Some(version) = read.schema_version {
                cursor::store_schema(database, provider, binding, version)?;
            }
        }
        if let Some(memory) = &read.memory {
            peer::store(database, provider, memory)?;
        }
        let due: Vec<usize> = (0..self.bindings.len())
            .filter(|place| !self.pulled.contains(place))
            .collect();
        let pulled = |place: &usize| read.cursors.iter().any(|(pulled, _)| pulled == place);
        if !due.is_empty() && due.iter().all(pulled) {
            let tables: Vec<i64> = self.bindings.iter().map(|one| one.table.id).collect();
            outbox::count_pull(database, provider, &tables, self.kind.manners())?;
        }
        Ok(())
    }

    /// Compares an answer with what is here: nobody else's writes in between, and nobody kept from writing.
    fn compare(
        &self,
        session: &Session,
        database: &Database,
        response: &Response,
    ) -> Result<Compared, SyncError> {
        let _snapshot = Snapshot::begin(database.connection())?;
        self.live.reads(response.body.len());
        let comparer = Comparer::new(session, database, &self.bindings)?;
        let mut sink = Counting::new(comparer, &self.live);
        let read = self.read_into(response, None, &mut sink)?;
        let found = match read.due.is_empty() {
            true => Some(sink.into_inner().finish(database)?),
            // What there is shows with another answer.
            false => None,
        };
        Ok(Compared { found, read })
    }

    /// Takes note of what is committed now.
    fn adopt(&mut self, asked: &Asked, read: Read, outcome: &Came) {
        let counts = outcome.counts.as_slice();
        for (total, counts) in self.report.entities.iter_mut().zip(counts) {
            total.add(counts);
        }
        if let Some(operation) = asked.operation {
            let calls = self.call.operations.len() - self.report.branches.len();
            let operation = self.report.operation_of(operation, calls);
            let total = self.report.operations.entry(operation).or_default();
            counts.iter().for_each(|counts| total.add(counts));
        }
        let cursor = read.cursors.first().map(|(_, cursor)| cursor.as_str());
        self.note_counts(asked, counts, cursor);
        for (place, cursor) in &read.cursors {
            self.cursors[*place] = Some(cursor.clone());
            self.bindings[*place].awaited.clear();
            self.pulled.insert(*place);
        }
        self.comes_again.extend(&outcome.comes_again);
        for (cursor, binding) in self.cursors.iter_mut().zip(&self.bindings) {
            if self.comes_again.contains(&binding.table.id) {
                *cursor = None;
            }
        }
        if let Some((_, cursor)) = read.cursors.first() {
            self.report.cursor = Some(cursor.clone());
        }
        if let Some(said) = &outcome.said {
            self.report.first_refusal.get_or_insert(said.clone());
        }
        for part in outcome.again.iter().rev() {
            self.parcels.waiting.push_front(part.clone());
        }
        if let Some(page) = read.page {
            self.report.page = Some(page);
            self.report.skipped += page.skipped;
        }
        self.hear(Event::Read(&read));
        self.report.warn(read.warnings);
        if asked.parcel.is_none() {
            self.report.rest = read.rest;
        } else if !self.parcels.waiting.is_empty() {
            self.next_parcel();
        }
    }
}

/// Whether an error is about what came, or what the tables make of it, not about this run as a whole.
fn is_about_the_answer(error: &SyncError) -> bool {
    matches!(error.class, Class::Protocol | Class::Server | Class::Data) && !error.is_busy()
}

/// Rows that are settled: the server has them, or said that it does not want them.
fn settled(counts: &[Counts]) -> u64 {
    let settled: i64 = counts
        .iter()
        .map(|count| count.pushed + count.rejected)
        .sum();
    settled.unsigned_abs()
}

/// What is known of rows that were sent when no answer says what became of them.
pub(super) fn without_answer(asked: &Asked, frozen: &Frozen) -> outbox::State {
    let may_store = asked.parcel.is_some_and(|parcel| parcel.may_store);
    match may_store || frozen.resent {
        true => outbox::State::Unknown,
        false => outbox::State::Refused,
    }
}

struct Compared {
    read: Read,
    found: Option<Found>,
}
