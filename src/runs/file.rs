//! Driving a run with another file: what it asks for is carried out there and then.

use std::io::Cursor;
use std::time::Instant;

use serde_json::json;

use crate::capture::track;
use crate::ground::{Class, SyncError, quoted};
use crate::http::{HttpError, Outgoing, Response, Spool};
use crate::hub::wire::{Op, Request, read_head, write_head};
use crate::hub::{self, Asker, Place};
use crate::providers::{busy_timeout, place};
use crate::store::{Database, Session, Transaction};

use super::patience::pause;
use super::run::{Input, Run};

/// Carries out a request; the input with which the run goes on.
pub(super) fn send(session: &Session, run: &mut Run, outgoing: &Outgoing) -> Input {
    let empty = Spool::from_bytes(Vec::new());
    let body = outgoing.body.as_ref().unwrap_or(&empty);
    match carry_out(session, run, body) {
        Ok(answer) => {
            run.live().meter.given(answer.len());
            // There is no limit to what a file holds.
            Input::Answer(Response::given(200, Vec::new(), answer, &[], u64::MAX))
        }
        Err(error) if error.class == Class::Cancelled => {
            Input::Answer(Err(HttpError::interrupted()))
        }
        Err(error) => Input::Stop(error),
    }
}

fn carry_out(session: &Session, run: &mut Run, body: &Spool) -> Result<Spool, SyncError> {
    let place = place(run.config());
    let database = session.database(run.schema())?;
    if let Some(answer) = patiently(session, run, &database, &place, body)? {
        return Ok(answer);
    }
    // It is another copy than the one that is known here.
    if !place.merges_forks {
        return Err(SyncError::new(
            Class::Conflict,
            "SYNC_ERROR_FORK",
            format!(
                "{} is another copy than the one that was synced last, and each may have what the other lacks; put the \
                 right one back, or bring them together with \"onFork\":\"merge\"",
                quoted(&place.name())
            ),
            false,
        ));
    }
    let head = read_head(&mut body.reader()).ok();
    let request = head.as_ref().and_then(Request::read);
    let Some(mut request) = request else {
        return Err(SyncError::bug());
    };
    let message = |head: &serde_json::Value| {
        let mut bytes = Cursor::new(Vec::new());
        // Memory takes everything.
        let _ = write_head(&mut bytes, head);
        Spool::from_bytes(bytes.into_inner())
    };
    if request.op == Op::Push {
        // It is read first.
        return Ok(message(&json!({"behind": true})));
    }
    // All that is here goes there, and all that is there comes here.
    let transaction = Transaction::begin(database.connection())?;
    for binding in &run.bindings {
        track::log_as_changed(&database, &binding.table)?;
    }
    transaction.commit()?;
    request.known = None;
    for table in &mut request.tables {
        table.cursor = None;
    }
    let anew = message(&request.to_json());
    patiently(session, run, &database, &place, &anew)?.ok_or_else(SyncError::bug)
}

/// Waits while somebody else has the other file locked.
fn patiently(
    session: &Session,
    run: &mut Run,
    database: &Database,
    place: &Place,
    body: &Spool,
) -> Result<Option<Spool>, SyncError> {
    let until = Instant::now() + busy_timeout(run.config());
    let tables = run.bindings.iter();
    let asker = Asker {
        session,
        database,
        tables: tables
            .map(|binding| binding.table.shape.name.clone())
            .collect(),
    };
    loop {
        match hub::answer(&asker, place, body) {
            Err(error) if error.is_busy() && Instant::now() < until => pause(),
            Ok(Some(answer)) => {
                // Should this be locked, the next answer says it again.
                let _ = hub::keep_time(database, &answer);
                return Ok(Some(answer));
            }
            outcome => return outcome,
        }
        if run.is_interrupted(database) {
            return Err(SyncError::interrupted());
        }
    }
}
