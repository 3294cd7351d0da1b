//! Writing what a device sends, in one transaction.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

use serde_json::{Value as Json, json};

use super::asker::{Asker, fingerprint, storage};
use super::feed::{self, Fed, SITE_BITS};
use super::mark::{device, is_forked, set_mark};
use super::place::Home;
use super::stamp::Stamp;
use super::table::Table;
use super::wire::{Mark, Request, read_columns, read_number, read_text, read_value};
use crate::ground::{Class, SyncError, quoted};
use crate::http::SpoolReader;
use crate::store::{
    Connection, Database, Error, Result, Statement, Transaction, Value, enforces_references,
    quote_name, random_token, same,
};

pub enum Pushed {
    Answer(Json),
    /// The hub is another copy than the one that the device knows.
    Forked,
}

/// Rows that are tried once more when the others are written, at most.
const AGAIN: usize = 10_000;

/// Opens the changes of a request once more.
type Open<'f> = &'f dyn Fn() -> io::Result<BufReader<SpoolReader>>;

/// Takes the changes of a device.
pub fn push(
    asker: &Asker<'_>,
    home: &Home,
    request: &Request,
    open: Open<'_>,
) -> Result<Pushed, SyncError> {
    if home.is_read_only() {
        return Err(SyncError::new(
            Class::Data,
            "SYNC_ERROR_STORAGE",
            "the other file can't be written, so what was changed here waits; give write access to it",
            true,
        ));
    }
    let which = open()
        .and_then(|mut changes| fingerprint(&mut changes))
        .map_err(storage)?;
    match once(asker, home, request, open, &which, false)? {
        Some(pushed) => Ok(pushed),
        // Some reference is broken at the end: row by row it shows which.
        None => once(asker, home, request, open, &which, true)?.ok_or_else(SyncError::bug),
    }
}

/// None: it can't be committed as a whole.
fn once(
    asker: &Asker<'_>,
    home: &Home,
    request: &Request,
    open: Open<'_>,
    which: &str,
    careful: bool,
) -> Result<Option<Pushed>, SyncError> {
    let database = home.database();
    let trouble = |error| home.trouble(error);
    let transaction = Transaction::begin(database.connection()).map_err(trouble)?;
    if is_forked(database, request).map_err(trouble)? {
        return Ok(Some(Pushed::Forked));
    }
    let behind = json!({"behind": true, "refused": [], "more": true});
    let Some(fed) = feeds(database, request).map_err(trouble)? else {
        return Ok(Some(Pushed::Answer(behind)));
    };
    let known = known(database, &request.device).map_err(trouble)?;
    if let Some(known) = &known
        && known.push.as_deref() == Some(which)
    {
        // It was taken before, and its answer got lost.
        let (seq, mark) = set_mark(database).map_err(trouble)?;
        transaction.commit().map_err(trouble)?;
        return Ok(Some(Pushed::Answer(json!({
            "behind": false,
            "now": (seq, mark),
            "token": known.token,
            "refused": known.refused,
            "more": true,
        }))));
    }
    let token = known.as_ref().map_or("", |known| known.token.as_str());
    // What was written in the hub itself has 0.
    let id = known.as_ref().map_or(-1, |known| known.id);
    if token != request.token || is_behind(database, request, &fed, id).map_err(trouble)? {
        return Ok(Some(Pushed::Answer(behind)));
    }
    let new_token = random_token();
    let id = name_device(database, &request.device, &new_token).map_err(trouble)?;
    let start = feed::last(database).map_err(trouble)?;
    let mut writer = Writer {
        asker,
        feeds: asker.feeds().map_err(SyncError::from)?,
        database,
        connection: database.connection(),
        tables: &fed,
        statements: HashMap::new(),
        careful,
        touched: Vec::new(),
        highest: 0,
    };
    let mut refused: Vec<(i64, String)> = Vec::new();
    let mut again: Vec<(Change, String)> = Vec::new();
    let mut changes = open().map_err(storage)?;
    while let Some(change) = Change::read(&mut changes).map_err(storage)? {
        match writer.carry_out(&change).map_err(trouble)? {
            Some(reason) if again.len() < AGAIN => again.push((change, reason)),
            Some(reason) => refused.push((change.number, reason)),
            None => {}
        }
    }
    // What stood in the way of a row may have gone since.
    let mut left = usize::MAX;
    while again.len() < left {
        left = again.len();
        let mut still = Vec::new();
        for (change, _) in again {
            if let Some(reason) = writer.carry_out(&change).map_err(trouble)? {
                still.push((change, reason));
            }
        }
        again = still;
    }
    let again = again.into_iter();
    refused.extend(again.map(|(change, reason)| (change.number, reason)));
    if writer.highest > 0 {
        feed::outgrow(database, writer.highest).map_err(trouble)?;
    }
    // What the device need not read again: its rows, as they are now.
    let others = others_may_change(database, &fed).map_err(trouble)?;
    match others {
        false => {
            let sql = "UPDATE main._syncFeed SET origin = ?1 WHERE seq > ?2";
            database
                .execute(sql, &[id.into(), start.into()])
                .map_err(trouble)?;
        }
        true => {
            let mut changes = open().map_err(storage)?;
            while let Some(change) = Change::read(&mut changes).map_err(storage)? {
                if writer.is_as_sent(&change, start).map_err(trouble)? {
                    let sql = "UPDATE main._syncFeed SET origin = ?1 WHERE seq > ?2 AND tbl = ?3 AND pk = ?4";
                    let table = writer.tables[change.place].1.id;
                    let values = [id.into(), start.into(), table.into(), change.key.borrow()];
                    database.execute(sql, &values).map_err(trouble)?;
                }
            }
        }
    }
    for (table, key) in &writer.touched {
        let sql = "UPDATE main._syncFeed SET origin = 0 WHERE tbl = ?1 AND pk = ?2";
        database
            .execute(sql, &[(*table).into(), key.borrow()])
            .map_err(trouble)?;
    }
    drop(writer);
    let more = database.query_value(
        "SELECT EXISTS (SELECT 1 FROM main._syncFeed WHERE seq > ?1 AND origin <> ?2)",
        &[start.into(), id.into()],
    );
    let more = more.map_err(trouble)?.as_i64() == Some(1);
    let refused = json!(refused);
    let (seq, mark) = set_mark(database).map_err(trouble)?;
    let sql = "UPDATE main._syncFeedDevice SET push = ?2, answer = ?3 WHERE id = ?1";
    let answer = refused.to_string();
    let values = [id.into(), which.into(), (&answer).into()];
    database.execute(sql, &values).map_err(trouble)?;
    match transaction.commit() {
        Ok(()) => {}
        Err(error) if error.is_constraint() && !careful => return Ok(None),
        Err(error) => return Err(home.trouble(error)),
    }
    Ok(Some(Pushed::Answer(json!({
        "behind": false,
        "now": (seq, mark),
        "token": new_token,
        "refused": refused,
        "more": more,
    }))))
}

/// The tables of a request; none where one has no feed that can be relied on.
fn feeds(database: &Database, request: &Request) -> Result<Option<Vec<(Table, Fed)>>> {
    if !feed::exists(database)? {
        return Ok(None);
    }
    let mut tables = Vec::with_capacity(request.tables.len());
    for asked in &request.tables {
        let table = Table::find(database, asked)?;
        match feed::of(database, &table)? {
            Some(fed) => tables.push((table, fed)),
            None => return Ok(None),
        }
    }
    Ok(Some(tables))
}

struct Known {
    id: i64,
    token: String,
    push: Option<String>,
    refused: Json,
}

fn known(database: &Database, name: &str) -> Result<Option<Known>> {
    let Some((id, token)) = device(database, name)? else {
        return Ok(None);
    };
    let (push, answer) = database
        .query_row(
            "SELECT push, answer FROM main._syncFeedDevice WHERE id = ?1",
            &[id.into()],
            |row| Ok((row.optional_text(0), row.text(1))),
        )?
        .unwrap_or_default();
    Ok(Some(Known {
        id,
        token,
        push,
        refused: serde_json::from_str(&answer).unwrap_or_else(|_| json!([])),
    }))
}

/// Notes the token that a device has from now on; its number.
fn name_device(database: &Database, name: &str, token: &str) -> Result<i64> {
    database.execute(
        "INSERT INTO main._syncFeedDevice (device, token) VALUES (?1, ?2) \
         ON CONFLICT (device) DO UPDATE SET token = excluded.token",
        &[name.into(), token.into()],
    )?;
    Ok(device(database, name)?.map_or(0, |(id, _)| id))
}

/// Whether something is there that the device has not read.
fn is_behind(
    database: &Database,
    request: &Request,
    fed: &[(Table, Fed)],
    device: i64,
) -> Result<bool> {
    for (asked, (_, fed)) in request.tables.iter().zip(fed) {
        let Some(cursor) = asked.cursor.filter(|cursor| *cursor >= fed.since) else {
            return Ok(true);
        };
        let newer = database.query_value(
            "SELECT EXISTS (SELECT 1 FROM main._syncFeed WHERE seq > ?1 AND tbl = ?2 AND origin <> ?3)",
            &[cursor.into(), fed.id.into(), device.into()],
        )?;
        if newer.as_i64() == Some(1) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether writing these rows may change others, or what is written: a trigger there, or an action of a foreign key.
fn others_may_change(database: &Database, fed: &[(Table, Fed)]) -> Result<bool> {
    let triggers = database.query_value(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND substr(name, 1, 5) <> '_sync' \
         AND substr(tbl_name, 1, 5) <> '_sync')",
        &[],
    )?;
    if triggers.as_i64() == Some(1) {
        return Ok(true);
    }
    if fed.iter().any(|(table, _)| !table.unique.is_empty()) {
        // Rows that others may have met.
        return Ok(true);
    }
    if !enforces_references(database.connection()) {
        return Ok(false);
    }
    let actions = database.query_value(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_master AS t, pragma_foreign_key_list(t.name, ?1) AS k \
         WHERE t.type = 'table' AND (k.on_delete NOT IN ('NO ACTION', 'RESTRICT') \
         OR k.on_update NOT IN ('NO ACTION', 'RESTRICT')))",
        &[database.schema().into()],
    )?;
    Ok(actions.as_i64() == Some(1))
}

/// A change as it came.
struct Change {
    kind: Mark,
    place: usize,
    number: i64,
    key: Value,
    content: String,
}

impl Change {
    /// The next one; none at the end.
    fn read(input: &mut dyn Read) -> io::Result<Option<Self>> {
        let kind = Mark::read(input)?;
        if kind == Mark::End {
            return Ok(None);
        }
        Ok(Some(Self {
            kind,
            place: usize::try_from(read_number(input)?).unwrap_or(usize::MAX),
            number: read_number(input)?,
            key: read_value(input)?.unwrap_or_default(),
            content: read_text(input)?,
        }))
    }
}

struct Writer<'a> {
    asker: &'a Asker<'a>,
    /// The feeds of the file that sends, where it is a hub itself.
    feeds: Option<Vec<Option<i64>>>,
    database: &'a Database,
    connection: Connection,
    tables: &'a [(Table, Fed)],
    statements: HashMap<String, Statement>,
    /// Each row is tried by itself.
    careful: bool,
    /// Rows that the device must read again: table and key.
    touched: Vec<(i64, Value)>,
    /// The highest stamp that came.
    highest: i64,
}

/// The columns of a change, by their place in the table.
type Columns<'c> = Vec<(usize, Value)>;

impl<'a> Writer<'a> {
    /// Carries out one change; why it is refused.
    fn carry_out(&mut self, change: &Change) -> Result<Option<String>> {
        if !self.careful {
            return self.attempt(change);
        }
        self.connection.execute_script("SAVEPOINT _syncFeedRow")?;
        let mut reason = self.attempt(change)?;
        if reason.is_none() && self.connection.has_broken_references() {
            reason = Some("FOREIGN KEY constraint failed".to_owned());
            self.connection.execute_script("ROLLBACK TO _syncFeedRow")?;
        }
        self.connection.execute_script("RELEASE _syncFeedRow")?;
        Ok(reason)
    }

    fn attempt(&mut self, change: &Change) -> Result<Option<String>> {
        let Some((table, fed)) = self.tables.get(change.place) else {
            return Ok(Some("its table is not one of this sync".to_owned()));
        };
        let mut columns = Columns::new();
        for (name, value) in read_columns(&change.content).unwrap_or_default() {
            let mut known = table.columns.iter();
            match known.position(|known| known.eq_ignore_ascii_case(name)) {
                Some(place) => columns.push((place, value)),
                None => {
                    return Ok(Some(format!(
                        "column {} is no longer synced; write the row again",
                        quoted(name)
                    )));
                }
            }
        }
        let (id, sent) = (fed.id, self.sent_stamp(change)?);
        let made = match change.kind {
            Mark::Deleted => self.delete(change, id, sent.as_ref()),
            Mark::Created => self.create(change, id, columns, sent.as_ref()),
            _ => self.update(change, id, columns, sent.as_ref()),
        };
        match made {
            Ok(()) => Ok(None),
            // The row is to blame: a constraint, a trigger's RAISE, a value that does not fit.
            Err(error) if matches!(error.code() & 0xff, 1 | 18 | 19 | 20) => {
                match self.connection.standing().autocommit {
                    false => Ok(Some(error.to_string())),
                    true => Err(Error::misuse(
                        "a trigger there has undone everything with RAISE(ROLLBACK); use RAISE(ABORT)",
                    )),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// When the file that sends has got what it sends; none where it does not know.
    fn sent_stamp(&mut self, change: &Change) -> Result<Option<Stamp>> {
        let feed = self.feeds.as_ref();
        let Some(feed) = feed.and_then(|feeds| feeds.get(change.place).copied().flatten()) else {
            return Ok(None);
        };
        // What its feed knows nothing of is older than all that it knows.
        let stamp = self
            .asker
            .stamp(feed, change.key.borrow())?
            .unwrap_or_default();
        self.highest = self.highest.max(stamp.latest());
        Ok(Some(stamp))
    }

    fn statement(&mut self, sql: &str) -> Result<&mut Statement> {
        if !self.statements.contains_key(sql) {
            let statement = self.connection.prepare(sql)?;
            self.statements.insert(sql.to_owned(), statement);
        }
        self.statements
            .get_mut(sql)
            .ok_or_else(|| Error::misuse("a statement is missing"))
    }

    fn table(&self, place: usize) -> (&'a Table, String) {
        let table = &self.tables[place].0;
        (table, self.database.qualified(&table.name))
    }

    /// What a row holds in some columns; none where it is not there.
    fn holds(
        &mut self,
        place: usize,
        key: &Value,
        columns: &[(usize, Value)],
    ) -> Result<Option<Vec<Value>>> {
        let (table, qualified) = self.table(place);
        let names: String = columns
            .iter()
            .map(|(place, _)| format!(", {}", quote_name(&table.columns[*place])))
            .collect();
        let name = table.quoted_key();
        let sql = format!(
            "SELECT 1{names} FROM {qualified} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY"
        );
        let statement = self.statement(&sql)?;
        statement.bind(1, key.borrow())?;
        let found = statement.step()?.then(|| statement.row().split_off(1));
        statement.reset();
        Ok(found)
    }

    fn create(
        &mut self,
        change: &Change,
        id: i64,
        columns: Columns<'_>,
        sent: Option<&Stamp>,
    ) -> Result<()> {
        if let Some(sent) = sent {
            if self.holds(change.place, &change.key, &[])?.is_some() {
                return self.update(change, id, columns, Some(sent));
            }
            let there = feed::stamp_of(self.database, id, change.key.borrow())?;
            if there.is_some_and(|(_, there)| there.at > sent.at) {
                return self.touch(id, &change.key);
            }
        }
        let (table, qualified) = self.table(change.place);
        let names: String = columns
            .iter()
            .map(|(place, _)| format!(", {}", quote_name(&table.columns[*place])))
            .collect();
        let places: String = (0..columns.len())
            .map(|place| format!(", ?{}", place + 2))
            .collect();
        let name = table.quoted_key();
        let sql = format!("INSERT OR ABORT INTO {qualified} ({name}{names}) VALUES (?1{places})");
        let mut values = vec![change.key.borrow()];
        values.extend(columns.iter().map(|(_, value)| value.borrow()));
        let made = self.statement(&sql)?.run(&values);
        drop(values);
        match made {
            Ok(_) => {}
            Err(error) if error.is_constraint() => {
                // One that is there already, or one that clashes with another.
                return match self.holds(change.place, &change.key, &[])? {
                    Some(_) => self.update(change, id, columns, sent),
                    None => Err(error),
                };
            }
            Err(error) => return Err(error),
        }
        match sent {
            Some(sent) => self.keep_stamp(id, &change.key, sent),
            None => Ok(()),
        }
    }

    /// Writes the columns that differ.
    fn update(
        &mut self,
        change: &Change,
        id: i64,
        columns: Columns<'_>,
        sent: Option<&Stamp>,
    ) -> Result<()> {
        let Some(holds) = self.holds(change.place, &change.key, &columns)? else {
            let is_whole = columns.len() == self.tables[change.place].0.columns.len();
            let there = feed::stamp_of(self.database, id, change.key.borrow())?;
            return match is_whole && there.is_none() {
                // This file never had it: another copy of it did.
                true => self.create(change, id, columns, None),
                // It was deleted: the device reads that with the next pull.
                false => self.touch(id, &change.key),
            };
        };
        let mut stamp = match sent {
            Some(_) => feed::stamp_of(self.database, id, change.key.borrow())?
                .map(|(_, stamp)| stamp)
                .unwrap_or_default(),
            None => Stamp::default(),
        };
        let (mut written, mut stays) = (Columns::new(), false);
        let mut settled: Vec<(&str, i64)> = Vec::new();
        for ((place, value), held) in columns.into_iter().zip(&holds) {
            let name = self.table(change.place).0.columns[place].as_str();
            if let Some(sent) = sent {
                let (theirs, ours) = (sent.of(name), stamp.of(name));
                let is_same = same(value.borrow(), held.borrow());
                if ours > theirs {
                    // What is there was written later.
                    stays |= !is_same;
                    continue;
                }
                settled.push((name, theirs));
                if is_same {
                    continue;
                }
            } else if same(value.borrow(), held.borrow()) {
                continue;
            }
            written.push((place, value));
        }
        if !written.is_empty() {
            let (table, qualified) = self.table(change.place);
            let names: Vec<String> = written
                .iter()
                .enumerate()
                .map(|(at, (place, _))| {
                    format!("{} = ?{}", quote_name(&table.columns[*place]), at + 2)
                })
                .collect();
            let name = table.quoted_key();
            let sql = format!(
                "UPDATE OR ABORT {qualified} SET {} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY",
                names.join(", ")
            );
            let mut values = vec![change.key.borrow()];
            values.extend(written.iter().map(|(_, value)| value.borrow()));
            self.statement(&sql)?.run(&values)?;
        }
        if !settled.is_empty() {
            // With what triggers there have written besides.
            if let Some((_, now)) = feed::stamp_of(self.database, id, change.key.borrow())? {
                stamp = now;
            }
            for (name, theirs) in settled {
                stamp.set(name, theirs);
            }
            self.keep_stamp(id, &change.key, &stamp)?;
        }
        if stays {
            self.touch(id, &change.key)?;
        }
        Ok(())
    }

    fn delete(&mut self, change: &Change, id: i64, sent: Option<&Stamp>) -> Result<()> {
        if let Some(sent) = sent {
            let there = feed::stamp_of(self.database, id, change.key.borrow())?;
            let is_newer = there.is_some_and(|(_, there)| there.at > sent.at);
            // It was made anew since.
            if is_newer && self.holds(change.place, &change.key, &[])?.is_some() {
                return self.touch(id, &change.key);
            }
        }
        let (table, qualified) = self.table(change.place);
        let name = table.quoted_key();
        let sql =
            format!("DELETE FROM {qualified} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY");
        let gone = self.statement(&sql)?.run(&[change.key.borrow()])?;
        match sent {
            Some(sent) if gone > 0 => self.keep_stamp(id, &change.key, sent),
            _ => Ok(()),
        }
    }

    /// The stamps that a row has from now on, in place of those that were made as it was written.
    fn keep_stamp(&mut self, id: i64, key: &Value, stamp: &Stamp) -> Result<()> {
        self.database.execute(
            "UPDATE main._syncFeed SET at = ?3, cols = ?4 WHERE tbl = ?1 AND pk = ?2",
            &[
                id.into(),
                key.borrow(),
                stamp.at.into(),
                stamp.columns_json().as_deref().into(),
            ],
        )?;
        Ok(())
    }

    /// The device reads the row again.
    fn touch(&mut self, id: i64, key: &Value) -> Result<()> {
        self.database.execute(
            "INSERT INTO main._syncFeed (tbl, pk, at) VALUES (?1, ?2, 0) ON CONFLICT (tbl, pk) DO UPDATE \
             SET seq = (SELECT max(seq) + 1 FROM main._syncFeed), origin = 0",
            &[id.into(), key.borrow()],
        )?;
        self.touched.push((id, key.clone()));
        Ok(())
    }

    /// Whether a row is what the device has made of it.
    fn is_as_sent(&mut self, change: &Change, start: i64) -> Result<bool> {
        let Some((table, fed)) = self.tables.get(change.place) else {
            return Ok(false);
        };
        let position = |name: &str| {
            let mut known = table.columns.iter();
            known.position(|known| known.eq_ignore_ascii_case(name))
        };
        let columns = read_columns(&change.content).unwrap_or_default();
        let columns: Option<Columns<'_>> = columns
            .into_iter()
            .map(|(name, value)| Some((position(name)?, value)))
            .collect();
        let Some(columns) = columns else {
            return Ok(false);
        };
        if change.kind == Mark::Updated {
            // A trigger has written other columns.
            let stamp = feed::stamp_of(self.database, fed.id, change.key.borrow())?;
            let stamp = stamp.map(|(_, stamp)| stamp).unwrap_or_default();
            let sent: Vec<&str> = columns
                .iter()
                .map(|(place, _)| table.columns[*place].as_str())
                .collect();
            let mut written = stamp.columns.iter();
            if written
                .any(|(name, stamp)| stamp >> SITE_BITS > start && !sent.contains(&name.as_str()))
            {
                return Ok(false);
            }
        }
        let holds = self.holds(change.place, &change.key, &columns)?;
        Ok(match (change.kind, holds) {
            (Mark::Deleted, holds) => holds.is_none(),
            (_, None) => false,
            (_, Some(holds)) => columns
                .iter()
                .zip(&holds)
                .all(|((_, sent), held)| same(sent.borrow(), held.borrow())),
        })
    }
}
