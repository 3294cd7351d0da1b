//! Carrying out a request.

use std::io::{self, BufReader};

use super::asker::{Asker, storage};
use super::feed::{self, SITE_BITS};
use super::place::Place;
use super::pull::{self, Pulled};
use super::push::{self, Pushed};
use super::wire::{Op, Request, moment, read_head, write_head};
use crate::ground::SyncError;
use crate::http::{Spool, SpoolWriter};
use crate::store::{Database, Transaction};

/// Bytes of an answer kept in memory; more goes to a temporary file.
const MEMORY: usize = 8 << 20;

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
    let written = out
        .into_inner()
        .map_err(|error| storage(error.into_error()))?;
    Ok(Some(written.finish()))
}

/// What is changed from now on in the file that syncs, where that is a hub itself, is later than what an answer knows of.
///
/// # Errors
/// SQLite's; an answer that can't be read.
pub fn keep_time(database: &Database, answer: &Spool) -> Result<(), SyncError> {
    if !feed::exists(database)? {
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
