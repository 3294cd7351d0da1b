//! Writing what a device sends, in one transaction.

use std::io::{self, BufReader};

use serde_json::{Value as Json, json};

use super::asker::{Asker, storage};
use super::change::{Change, fingerprint};
use super::feed::{self, Fed};
use super::mark::{device, is_forked, set_mark};
use super::place::Home;
use super::table::Table;
use super::wire::Request;
use super::writer::Writer;
use crate::ground::{Class, SyncError};
use crate::http::SpoolReader;
use crate::store::{
    Database, Error, REFERRING, Result, Transaction, enforces_references, random_token,
};

pub enum Pushed {
    Answer(Json),
    /// The hub is another copy than the one that the device knows.
    Forked,
}

/// Bytes of rows that are tried once more when the others are written, at most.
const AGAIN: usize = 8 << 20;

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
    let push = Push {
        asker,
        home,
        request,
        open,
        which,
    };
    match push.once(false)? {
        Some(pushed) => Ok(pushed),
        // Some reference is broken at the end: row by row it shows which.
        None => push.once(true)?.ok_or_else(SyncError::bug),
    }
}

/// Changes that are on their way into a hub.
struct Push<'a> {
    asker: &'a Asker<'a>,
    home: &'a Home,
    request: &'a Request,
    open: Open<'a>,
    /// Tells it from other pushes of the device.
    which: String,
}

/// What a push came to before the commit.
enum Outcome {
    Forked,
    /// Something is there that the device has not read.
    Behind,
    Answer(Json),
}

/// Why it came to nothing.
enum Failure {
    Hub(Error),
    Changes(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Hub(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Changes(error)
    }
}

/// Rows that the hub refuses: the numbers of the changes, and why.
type Refused = Vec<(i64, String)>;

impl Push<'_> {
    /// None: it can't be committed as a whole.
    fn once(&self, careful: bool) -> Result<Option<Pushed>, SyncError> {
        let trouble = |error| self.home.trouble(error);
        let transaction = Transaction::begin(self.home.database().connection()).map_err(trouble)?;
        let outcome = self.take(careful).map_err(|failure| match failure {
            Failure::Hub(error) => trouble(error),
            Failure::Changes(error) => storage(error),
        })?;
        let answer = match outcome {
            Outcome::Forked => return Ok(Some(Pushed::Forked)),
            Outcome::Behind => {
                let answer = json!({"behind": true, "refused": [], "more": true});
                return Ok(Some(Pushed::Answer(answer)));
            }
            Outcome::Answer(answer) => answer,
        };
        match transaction.commit() {
            Ok(()) => Ok(Some(Pushed::Answer(answer))),
            Err(error) if error.is_constraint() && !careful => Ok(None),
            Err(error) => Err(trouble(error)),
        }
    }

    fn take(&self, careful: bool) -> Result<Outcome, Failure> {
        let database = self.home.database();
        if is_forked(database, self.request)? {
            return Ok(Outcome::Forked);
        }
        let Some(tables) = feeds(database, self.request)? else {
            return Ok(Outcome::Behind);
        };
        let known = known(database, &self.request.device)?;
        if let Some(known) = &known
            && known.push.as_deref() == Some(&self.which)
        {
            // It was taken before, and its answer got lost.
            return Ok(Outcome::Answer(json!({
                "behind": false,
                "now": set_mark(database)?,
                "token": known.token,
                "refused": known.refused,
                "more": true,
            })));
        }
        let token = known.as_ref().map_or("", |known| known.token.as_str());
        // What was written in the hub itself has 0.
        let id = known.as_ref().map_or(-1, |known| known.id);
        if token != self.request.token || is_behind(database, self.request, &tables, id)? {
            return Ok(Outcome::Behind);
        }
        let token = random_token();
        let id = name_device(database, &self.request.device, &token)?;
        let start = feed::last(database)?;
        let mut writer = Writer::new(self.asker, database, &tables, careful)?;
        let refused = json!(self.write(&mut writer)?);
        writer.outgrow()?;
        self.give_origin(&mut writer, &tables, (id, start))?;
        let more = database.query_value(
            "SELECT EXISTS (SELECT 1 FROM main._syncFeed WHERE seq > ?1 AND origin <> ?2)",
            &[start.into(), id.into()],
        )?;
        let now = set_mark(database)?;
        database.execute(
            "UPDATE main._syncFeedDevice SET push = ?2, answer = ?3 WHERE id = ?1",
            &[
                id.into(),
                self.which.as_str().into(),
                (&refused.to_string()).into(),
            ],
        )?;
        Ok(Outcome::Answer(json!({
            "behind": false,
            "now": now,
            "token": token,
            "refused": refused,
            "more": more.as_i64() == Some(1),
        })))
    }

    /// Carries out all changes.
    fn write(&self, writer: &mut Writer<'_>) -> Result<Refused, Failure> {
        let (mut again, mut bytes): (Vec<(Change, String)>, usize) = (Vec::new(), 0);
        let mut refused = Refused::new();
        let mut changes = (self.open)()?;
        while let Some(change) = Change::read(&mut changes)? {
            let Some(reason) = writer.carry_out(&change)? else {
                continue;
            };
            bytes += change.bytes() + reason.len();
            match bytes < AGAIN {
                true => again.push((change, reason)),
                false => refused.push((change.number, reason)),
            }
        }
        let left = retry(writer, again)?.into_iter();
        refused.extend(left.map(|(change, reason)| (change.number, reason)));
        Ok(refused)
    }

    /// What the device need not read again: its rows, as they are now.
    fn give_origin(
        &self,
        writer: &mut Writer<'_>,
        tables: &[(Table, Fed)],
        (id, start): (i64, i64),
    ) -> Result<(), Failure> {
        let database = self.home.database();
        if !others_may_change(database)? {
            database.execute(
                "UPDATE main._syncFeed SET origin = ?1 WHERE seq > ?2",
                &[id.into(), start.into()],
            )?;
            return Ok(writer.give_back()?);
        }
        let mut changes = (self.open)()?;
        while let Some(change) = Change::read(&mut changes)? {
            if !writer.is_as_sent(&change, start)? {
                continue;
            }
            let Some((_, fed)) = tables.get(change.place) else {
                continue;
            };
            database.execute(
                "UPDATE main._syncFeed SET origin = ?1 WHERE seq > ?2 AND tbl = ?3 AND pk = ?4",
                &[id.into(), start.into(), fed.id.into(), change.key.borrow()],
            )?;
        }
        Ok(writer.give_back()?)
    }
}

/// Tries rows once more, as long as that helps: what stood in the way of one may have gone since. Those that are left.
///
/// Rows that wait for each other in a line are through at once in one direction or the other.
fn retry(
    writer: &mut Writer<'_>,
    mut again: Vec<(Change, String)>,
) -> Result<Vec<(Change, String)>> {
    let mut in_vain = 0;
    while in_vain < 2 && !again.is_empty() {
        let before = again.len();
        let mut left = Vec::new();
        while let Some((change, _)) = again.pop() {
            if let Some(reason) = writer.carry_out(&change)? {
                left.push((change, reason));
            }
        }
        in_vain = match left.len() < before {
            true => 0,
            false => in_vain + 1,
        };
        again = left;
    }
    Ok(again)
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
    let named = device(database, name)?;
    named
        .map(|(id, _)| id)
        .ok_or_else(|| Error::misuse("a file that syncs with it can't be named"))
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
fn others_may_change(database: &Database) -> Result<bool> {
    let triggers = database.query_value(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND substr(name, 1, 5) <> '_sync' \
         AND substr(tbl_name, 1, 5) <> '_sync')",
        &[],
    )?;
    if triggers.as_i64() == Some(1) {
        return Ok(true);
    }
    if !enforces_references(database.connection()) {
        return Ok(false);
    }
    let actions = database.query_value(
        &format!(
            "SELECT EXISTS (SELECT 1 FROM {REFERRING} AS t, pragma_foreign_key_list(t.name, ?1) AS k \
             WHERE k.on_delete NOT IN ('NO ACTION', 'RESTRICT') OR k.on_update NOT IN ('NO ACTION', 'RESTRICT'))"
        ),
        &[database.schema().into()],
    )?;
    Ok(actions.as_i64() == Some(1))
}
