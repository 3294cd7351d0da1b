//! Carrying out a request.

use std::io::{self, BufReader, Read};

use super::feed::{self, SITE_BITS};
use super::place::Place;
use super::pull::{self, Pulled};
use super::push::{self, Pushed};
use super::stamp::Stamp;
use super::wire::{Op, Request, moment, read_head, write_head};
use crate::ground::{Class, SyncError};
use crate::http::{Spool, SpoolWriter};
use crate::store::{Database, Result, Session, Transaction, ValueRef};

/// Bytes of an answer kept in memory; more goes to a temporary file.
const MEMORY: usize = 8 << 20;

/// The file that syncs.
pub struct Asker<'a> {
    pub session: &'a Session,
    /// Which of the files of its connection.
    pub database: &'a Database,
    /// The tables of the request as they are called there, in the same order.
    pub tables: Vec<String>,
}

impl Asker<'_> {
    /// The numbers of the feeds that its tables have themselves; none where it is no hub.
    pub(super) fn feeds(&self) -> Result<Option<Vec<Option<i64>>>> {
        if !self.database.has_table("_syncFeedTable")? {
            return Ok(None);
        }
        let feeds = self.tables.iter().map(|table| feed::id_of(self.database, table));
        let feeds = feeds.collect::<Result<Vec<_>>>()?;
        Ok(feeds.iter().any(Option::is_some).then_some(feeds))
    }

    /// The stamps of a row in one of its feeds.
    pub(super) fn stamp(&self, feed: i64, key: ValueRef<'_>) -> Result<Option<Stamp>> {
        Ok(feed::stamp_of(self.database, feed, key)?.map(|(_, stamp)| stamp))
    }

    /// How one of its tables is defined, with its indexes.
    pub(super) fn definitions(&self, place: usize) -> Result<Vec<String>> {
        let name = self.tables.get(place).map_or("", String::as_str);
        self.database.query_all(
            "SELECT sql FROM main.sqlite_master WHERE sql IS NOT NULL AND tbl_name = ?1 COLLATE NOCASE \
             AND type IN ('table', 'index') ORDER BY type = 'index'",
            &[name.into()],
            |row| Ok(row.text(0)),
        )
    }
}

/// Opens the hub, carries out a request and closes it. None: the hub is another copy than the one that the device knows.
///
/// # Errors
/// A file or table that can't be used; SQLite's.
pub fn answer(asker: &Asker<'_>, place: &Place, body: &Spool) -> Result<Option<Spool>, SyncError> {
    let mut input = BufReader::new(body.reader());
    let head = read_head(&mut input).map_err(storage)?;
    let request = Request::read(&head).ok_or_else(SyncError::bug)?;
    let schema = asker.database.schema();
    let home = place.open(asker.session, schema)?;
    let mut out = io::BufWriter::with_capacity(64 << 10, SpoolWriter::new(MEMORY));
    let known = match request.op {
        Op::Push => {
            let open = || {
                let mut again = BufReader::with_capacity(64 << 10, body.reader());
                read_head(&mut again).map(|_| again)
            };
            match push::push(asker, &home, &request, &open)? {
                Pushed::Forked => return Ok(None),
                Pushed::Answer(head) => write_head(&mut out, &head),
            }
        }
        Op::Pull | Op::All => match pull::pull(asker, &home, place, &request, &mut out)? {
            Pulled::Forked => return Ok(None),
            Pulled::Written => Ok(()),
        },
    };
    known.map_err(storage)?;
    let written = out.into_inner().map_err(|error| storage(error.into_error()))?;
    Ok(Some(written.finish()))
}

/// What is changed from now on in the file that syncs, where that is a hub itself, is later than what an answer knows of.
///
/// # Errors
/// SQLite's; an answer that can't be read.
pub fn keep_time(database: &Database, answer: &Spool) -> Result<(), SyncError> {
    if !database.has_table("_syncFeedHub")? || !feed::exists(database)? {
        return Ok(());
    }
    let head = read_head(&mut answer.reader()).map_err(storage)?;
    let Some((now, _)) = moment(&head["now"]) else {
        return Ok(());
    };
    if feed::last(database)? < now {
        let transaction = Transaction::begin(database.connection())?;
        feed::outgrow(database, now << SITE_BITS)?;
        transaction.commit()?;
    }
    Ok(())
}

/// A temporary file can't be written or read.
pub(super) fn storage(error: io::Error) -> SyncError {
    SyncError::new(
        Class::Data,
        "SYNC_ERROR_STORAGE",
        format!("what is passed between the two files can't be kept: {error}; free some space"),
        true,
    )
}

/// Hashes what is left of a message: 64 bits are enough to know a push again, whose numbers are in it.
pub(super) fn fingerprint(input: &mut dyn Read) -> io::Result<String> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut length: u64 = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{hash:016x}-{length}"));
        }
        length += read as u64;
        for byte in &buffer[..read] {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
