//! Applying remote rows to one table: the decision table of `apply.rs`, row by row.

use std::collections::{HashMap, HashSet};

use crate::capture::log::Mark;
use crate::capture::reader::RowReader;
use crate::capture::sends::sends;
use crate::capture::{Key, Pending, PendingRows, Status};
use crate::ground::SyncError;
use crate::providers::sink::Announced;
use crate::providers::wire::{Slot, WireType, fallback};
use crate::store::{Database, Error, Result, Statement, Value, ValueRef, quote_name, same, shown};

use crate::transfer::apply::Setting;
use crate::transfer::apply::by_columns::ByColumns;
use crate::transfer::apply::echo::{Carried, Pushed};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::policy::Policy;
use crate::transfer::conflict::record::Recorder;
use crate::transfer::conflict::resolver::Resolver;
use crate::transfer::counts::Counts;
use crate::transfer::send::unacknowledged::{Sent, Unacknowledged};

/// What an applied row means for the log entries of its key.
#[derive(Debug, PartialEq)]
pub enum Settlement {
    /// They stay.
    Stays,
    /// The server has settled them.
    Settled,
    /// The server has settled those up to this one.
    SettledUpTo(i64),
    /// Something else is pending now.
    Marked(Mark),
}

/// What a row of the server comes to.
#[derive(Debug)]
pub struct Decision {
    /// The columns to write.
    pub row: Vec<Slot<'static>>,
    pub settlement: Settlement,
}

/// Why a row could not be applied.
pub enum Trouble {
    Store(Error),
    Sync(SyncError),
    /// Another row has a value of it, perhaps not for long. It is not decided about again: what it
    /// was decided on may be gone by then.
    Clash(Error, Decision),
}

/// SQLite's code for a value that must be unique and is not.
pub const UNIQUE: i32 = 2067;

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<SyncError> for Trouble {
    fn from(error: SyncError) -> Self {
        Self::Sync(error)
    }
}

/// What an incoming row shows of a push without an answer.
pub(super) enum Shown {
    No,
    /// It arrived, and nothing was edited since.
    Settled,
    /// It arrived; this was logged since.
    EditedSince(Pending),
}

/// Applies rows to one table.
pub struct TableApplier<'a> {
    pub(super) database: &'a Database,
    pub(super) provider: &'a str,
    pub binding: &'a Binding,
    /// Rows that were pulled before come again.
    pub(super) redelivers: bool,
    pub(super) pending: PendingRows,
    /// Rows that the server may have from a push without an answer.
    pub(super) unacknowledged: &'a Unacknowledged,
    pub(super) reader: RowReader,
    inserts: ByColumns<(Statement, Vec<usize>)>,
    updates: ByColumns<Statement>,
    pub(super) delete: Statement,
    pub(super) carried: Carried,
    /// What was logged since of the rows that the server may have. Read when somebody asks.
    pub(super) newer: Option<PendingRows>,
    /// Those of them that it does have, with other content.
    ///
    /// With the last log entry that was sent.
    pub known: HashMap<Key, i64>,
    /// Other rows made here that it has too.
    pub there: HashSet<Key>,
    /// Those of them that it does have, edited here since: the last log entry that it has.
    pub acknowledged: HashMap<Key, i64>,
    /// What was pushed lately, once somebody asked.
    pub(super) pushed: Option<Pushed>,
    pub(super) policy: Policy,
    pub(super) resolver: Option<Resolver>,
    pub(super) conflicts: Recorder<'a>,
    /// The log's end before anything was applied.
    pub(super) start: i64,
    /// What INSERT and UPDATE begin with: a table's own ON CONFLICT clauses must not replace or skip rows.
    /// Elsewhere nothing is said, since it would count in the triggers of the application too.
    otherwise: &'static str,
    /// The table held no row at first: try to insert before looking.
    was_empty: bool,
    pub counts: Counts,
}

impl<'a> TableApplier<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(
        setting: &Setting<'a>,
        binding: &'a Binding,
        redelivers: bool,
        pending: PendingRows,
        unacknowledged: &'a Unacknowledged,
        start: i64,
    ) -> Result<Self> {
        let (database, provider) = (setting.database, setting.provider);
        let shape = &binding.table.shape;
        let table = database.qualified(&shape.name);
        let key = quote_name(&binding.table.shape.keys()[0].name);
        let connection = database.connection();
        let was_empty = !connection
            .prepare(&format!("SELECT 1 FROM {table} LIMIT 1"))?
            .step()?;
        let delete = connection.prepare(&format!(
            "DELETE FROM {table} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY"
        ))?;
        let own_clause = database.query_value(
            "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE \
             AND sql LIKE '%conflict%'",
            &[shape.name.as_str().into()],
        )?;
        let policy = Policy::of(database, &binding.entity)?;
        Ok(Self {
            database,
            provider,
            binding,
            redelivers,
            pushed: None,
            start,
            resolver: Resolver::of(setting.session, connection, &policy)?,
            policy,
            conflicts: Recorder::new(database, provider, setting.run),
            carried: Carried::new(database)?,
            newer: None,
            known: HashMap::new(),
            there: HashSet::new(),
            acknowledged: HashMap::new(),
            pending,
            unacknowledged,
            reader: RowReader::new(database, &binding.table, &binding.columns)?,
            inserts: ByColumns::new(),
            updates: ByColumns::new(),
            delete,
            otherwise: match own_clause {
                Value::Null => "",
                _ => " OR ABORT",
            },
            was_empty,
            counts: Counts::default(),
        })
    }

    /// Applies one row (`settled`: this answer has spoken of it before).
    ///
    /// # Errors
    /// SQLite's; a resolver's.
    pub fn upsert(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
        settled: bool,
    ) -> Result<Settlement, Trouble> {
        if settled || self.pending.is_empty() {
            return self.upsert_clean(announced, key, row);
        }
        let Some(pending) = self.pending.get(&Key(key.clone())).cloned() else {
            return self.upsert_clean(announced, key, row);
        };
        let exists = self.reader.find(&pending)?;
        match self.sends(&pending, exists) {
            Status::Created | Status::Updated => self.meet_edited(announced, key, row, &pending),
            Status::Deleted => {
                let settlement = self.meet_deleted(announced, key, row)?;
                let sent = self.sent(&pending.key).filter(|sent| sent.created);
                if let Some(sent) = sent.filter(|_| settlement == Settlement::Stays) {
                    // What was to create it did arrive: from now on this is an ordinary delete of a known row.
                    self.known.insert(pending.key, sent.upto);
                }
                Ok(settlement)
            }
            Status::Nothing if exists => {
                self.reader.release();
                self.upsert_clean(announced, key, row)
            }
            Status::Nothing => {
                self.insert_or_tell(key, row)?;
                Ok(Settlement::Settled)
            }
        }
    }

    /// What would be sent of a row.
    pub(super) fn sends(&self, pending: &Pending, exists: bool) -> Status {
        let table = self.binding.table.id;
        sends(pending, exists, &self.binding.columns, || {
            self.unacknowledged.may_have_created(table, &pending.key)
        })
    }

    /// A row as a push without an answer carried it.
    pub(super) fn sent(&self, key: &Key) -> Option<&'a Sent> {
        self.unacknowledged.get(self.binding.table.id, key)
    }

    /// Empties a column that a waiting row is about to get. One that may not be empty gets a value that
    /// nobody has.
    ///
    /// # Errors
    /// SQLite's.
    pub fn park(&mut self, key: &Value, place: usize) -> Result<()> {
        let column = &self.binding.table.shape.columns[self.binding.columns[place]];
        let value = match (column.not_null, self.binding.wire.columns[place].kind) {
            (false, _) => "NULL",
            (true, WireType::Number | WireType::Boolean) => "-abs(random() >> 1)",
            (true, WireType::Base64) => "randomblob(16)",
            (true, WireType::String | WireType::Any) => "hex(randomblob(16))",
        };
        let name = quote_name(&self.binding.table.shape.keys()[0].name);
        let sql = format!(
            "UPDATE{} {} SET {} = {value} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY",
            self.otherwise,
            self.table(),
            self.column_name(place),
        );
        self.connection().prepare(&sql)?.run(&[key.borrow()])?;
        Ok(())
    }

    /// A row that nothing is pending about.
    fn upsert_clean(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
    ) -> Result<Settlement, Trouble> {
        let rules = &self.binding.rules;
        let unseen = announced == Announced::Updated && !rules.created_as_updated;
        let likely_new = self.was_empty || announced == Announced::Created;
        if likely_new && self.insert(key, row)? {
            self.counts.announced_wrongly += i64::from(unseen);
            return Ok(Settlement::Stays);
        }
        if !self.reader.find_key(key)? {
            self.reader.release();
            self.insert_or_tell(key, row)?;
            self.counts.announced_wrongly += i64::from(unseen);
            return Ok(Settlement::Stays);
        }
        if self.policy.sees_clean_rows() {
            self.counts.announced_wrongly += i64::from(announced == Announced::Created);
            return self.ask_about_clean(key, row);
        }
        let wanted: Vec<bool> = row.iter().map(|slot| !slot.is_missing()).collect();
        let unchanged = self.counts.unchanged;
        self.update_where_different(key, row, wanted)?;
        let comes_again = self.redelivers && self.counts.unchanged > unchanged;
        let again = announced == Announced::Created && !comes_again;
        self.counts.announced_wrongly += i64::from(again);
        Ok(Settlement::Stays)
    }

    /// Whether applying a row may run SQL of the application's.
    pub fn asks_the_application(&self) -> bool {
        self.resolver.is_some()
    }

    /// Writes the wanted columns of the row the reader stands on, if any of them differs.
    pub(super) fn update_where_different(
        &mut self,
        key: &Value,
        row: &[Slot<'_>],
        wanted: Vec<bool>,
    ) -> Result<()> {
        let differs = row
            .iter()
            .enumerate()
            .any(|(place, slot)| wanted[place] && !same(self.reader.column(place), slot.value()));
        self.reader.release();
        if !differs {
            self.counts.unchanged += 1;
            return Ok(());
        }
        let mut values: Vec<ValueRef<'_>> = row
            .iter()
            .zip(&wanted)
            .filter(|(_, wanted)| **wanted)
            .map(|(slot, _)| slot.value())
            .collect();
        values.push(key.borrow());
        if !self.updates.find(wanted.iter().copied()) {
            let statement = self.prepare_update(&wanted)?;
            self.updates.put(wanted, statement);
        }
        if let Some(update) = self.updates.front() {
            update.run(&values)?;
        }
        self.counts.updated += 1;
        Ok(())
    }

    /// Inserts a row that is not there. What comes to nothing must not do so in silence: another row
    /// may have the key by the column's collation, or a trigger of the application ignored the row.
    pub(super) fn insert_or_tell(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<()> {
        if self.insert(key, row)? {
            return Ok(());
        }
        let name = quote_name(&self.binding.table.shape.keys()[0].name);
        let sql = format!("SELECT 1 FROM {} WHERE {name} = ?1", self.table());
        let mut clash = self.connection().prepare(&sql)?;
        clash.bind(1, key.borrow())?;
        if clash.step()? {
            return Err(Error::Sqlite {
                code: UNIQUE,
                text: "another row has the same key by the column's collation".into(),
            });
        }
        self.counts.ignored += 1;
        Ok(())
    }

    /// Inserts a row; false when one with this key is there already.
    fn insert(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<bool> {
        let present = row.iter().map(|slot| !slot.is_missing());
        if !self.inserts.find(present.clone()) {
            let present: Vec<bool> = present.collect();
            let statement = self.prepare_insert(&present)?;
            self.inserts.put(present, statement);
        }
        let Some((insert, places)) = self.inserts.front() else {
            return Ok(false);
        };
        let columns = &self.binding.wire.columns;
        let stand_ins: Vec<Slot<'_>> = places
            .iter()
            .filter(|place| row[**place].is_missing())
            .map(|place| fallback(columns[*place].kind, columns[*place].required))
            .collect();
        let mut stand_in = stand_ins.iter();
        let mut values = Vec::with_capacity(places.len() + 1);
        values.push(key.borrow());
        for place in places.iter() {
            let slot = &row[*place];
            let value = match slot.is_missing() {
                true => stand_in.next().map_or(ValueRef::Null, Slot::value),
                false => slot.value(),
            };
            values.push(value);
        }
        let inserted = insert.run(&values)? > 0;
        self.counts.inserted += i64::from(inserted);
        Ok(inserted)
    }

    /// The columns an INSERT names: those present, and those that are required and have no DEFAULT
    /// of their own.
    fn prepare_insert(&self, present: &[bool]) -> Result<(Statement, Vec<usize>)> {
        let shape = &self.binding.table.shape;
        let places: Vec<usize> = (0..present.len())
            .filter(|place| {
                let column = &shape.columns[self.binding.columns[*place]];
                present[*place] || (column.not_null && column.default.is_none())
            })
            .collect();
        let key = quote_name(&shape.keys()[0].name);
        let mut names = vec![key.clone()];
        names.extend(places.iter().map(|place| self.column_name(*place)));
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!(
            "INSERT{} INTO {} ({}) VALUES ({marks}) ON CONFLICT ({key}) DO NOTHING",
            self.otherwise,
            self.table(),
            names.join(", "),
        );
        Ok((self.connection().prepare(&sql)?, places))
    }

    fn prepare_update(&self, wanted: &[bool]) -> Result<Statement> {
        let set: Vec<String> = (0..wanted.len())
            .filter(|place| wanted[*place])
            .zip(1..)
            .map(|(place, number)| format!("{} = ?{number}", self.column_name(place)))
            .collect();
        let key = quote_name(&self.binding.table.shape.keys()[0].name);
        // The first comparison finds the row by its index, the second looks at every byte.
        let sql = format!(
            "UPDATE{} {} SET {} WHERE {key} = ?{number} AND {key} = ?{number} COLLATE BINARY",
            self.otherwise,
            self.table(),
            set.join(", "),
            number = set.len() + 1,
        );
        self.connection().prepare(&sql)
    }

    /// Deletes one row (`settled`: this answer has spoken of it before).
    ///
    /// # Errors
    /// SQLite's.
    pub fn remove(&mut self, key: &Value, settled: bool) -> Result<Settlement> {
        let pending = self.pending.get(&Key(key.clone())).cloned();
        if let Some(pending) = pending.as_ref().filter(|_| !settled)
            && let Some(upto) = self.made_again(pending)?
        {
            self.counts.unchanged += 1;
            return Ok(Settlement::SettledUpTo(upto));
        }
        if self.binding.rules.keep_created && self.is_created_here(key)? {
            if let Some(pending) = &pending {
                self.record_deleted(key, pending, true)?;
            }
            return Ok(Settlement::Stays);
        }
        self.take_away(key)
    }

    /// Deletes one row, whatever was done to it here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn take_away(&mut self, key: &Value) -> Result<Settlement> {
        let pending = self.pending.get(&Key(key.clone())).cloned();
        if let Some(pending) = &pending {
            self.record_deleted(key, pending, false)?;
        }
        let removed = self.delete.run(&[key.borrow()])?;
        self.counts.deleted += removed;
        Ok(match pending {
            Some(_) => Settlement::Settled,
            None => Settlement::Stays,
        })
    }

    /// Whether the server's delete says nothing about the row that is here now, since that was made after
    /// it: the delete is our own and was the last word pushed about the key, or it may be known from an
    /// earlier answer. Gives the last log entry that a push of ours covered, 0 when there is none.
    fn made_again(&mut self, pending: &Pending) -> Result<Option<i64>> {
        let exists = self.reader.find(pending)?;
        self.reader.release();
        if !exists || !pending.inserted_after(0) {
            return Ok(None);
        }
        let upto = self.pushed()?.deleted_up_to(&pending.key);
        let ours = upto.filter(|upto| pending.inserted_after(*upto));
        let known = self.redelivers && self.sends(pending, true) == Status::Created;
        Ok(ours.or(known.then_some(0)))
    }

    /// Whether the row was created here and the server can't have had it.
    fn is_created_here(&mut self, key: &Value) -> Result<bool> {
        let key = Key(key.clone());
        let Some(pending) = self.pending.get(&key) else {
            return Ok(false);
        };
        if self.sent(&key).is_some() {
            return Ok(false);
        }
        let exists = self.reader.find(pending)?;
        self.reader.release();
        Ok(self.sends(pending, exists) == Status::Created)
    }

    /// A constraint error that names the row it is about.
    pub fn named(&self, trouble: impl Into<Trouble>, key: &Value) -> SyncError {
        let error = match trouble.into() {
            Trouble::Sync(error) => return error,
            Trouble::Store(error) | Trouble::Clash(error, _) => error,
        };
        if !error.is_constraint() {
            return error.into();
        }
        let id = shown(key);
        SyncError::data(format!(
            "the row {id:?} of {:?} can't be stored: {error}; nothing of this pull was applied",
            self.binding.table.shape.name
        ))
    }

    fn column_name(&self, place: usize) -> String {
        quote_name(&self.binding.table.shape.columns[self.binding.columns[place]].name)
    }

    fn table(&self) -> String {
        self.binding.qualified.clone()
    }

    fn connection(&self) -> crate::store::Connection {
        self.database.connection()
    }
}
