//! The thread that does what is due by schedule. One for a file works, over all connections and processes; others wait
//! for its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::coordination::{self, OwnerId, now, owner};
use crate::http::Secrets;
use crate::store::{Database, Door, Error, Result, Session, require_idle};
use crate::transfer::declared::Declared;

use super::limits::{BUSY, overdue};
use super::listeners::{Listeners, Shown};
use super::tick;

/// How often the thread looks whether the file has changed, or it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// The longest it goes without looking at what is due: schedules and pauses may be changed by others.
const AT_LEAST: Duration = Duration::from_secs(5);

/// How often it renews its lease: well within that.
const BEAT: Duration = Duration::from_secs(20);

/// How often one that waits for the place of another looks whether that is free.
const STAND_BY: Duration = Duration::from_secs(1);

/// The thread of a connection, by attached file.
#[derive(Default)]
struct Keepers {
    running: Mutex<Vec<(String, Keeper)>>,
}

struct Keeper {
    thread: JoinHandle<()>,
    cancel: Arc<AtomicBool>,
    shown: Shown,
}

/// Starts the thread for a file. False when this connection has one.
///
/// # Errors
/// No file to open a second time, no threads; called inside a transaction.
pub fn start(session: &Arc<Session>, schema: &str) -> Result<bool> {
    require_idle(session.connection())?;
    let keepers = session.part::<Keepers>();
    let mut running = keepers.running.lock();
    running.retain(|(_, keeper)| !keeper.thread.is_finished());
    if running.iter().any(|(known, _)| known == schema) {
        return Ok(false);
    }
    let door = Door::to(session, schema)?;
    // The thread writes with a connection of its own; what this one must not write is refused as ever.
    coordination::write(session, schema, |_| Ok(()))?;
    session.token();
    let cancel = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&cancel);
    let shown = Shown::default();
    let its_shown = Arc::clone(&shown);
    let secrets = session.part::<Secrets>();
    let declared = session.part::<Declared>();
    let work = move || {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let Ok(mut second) = door.open(BUSY) else {
                return;
            };
            second.interrupt_when(overdue(Arc::clone(&stop)));
            second.session().share(secrets);
            second.session().share(declared);
            keep(second.session(), &stop, &its_shown);
        }));
    };
    let thread = std::thread::Builder::new()
        .name("syncscope".into())
        .spawn(work)
        .map_err(|error| Error::misuse(format!("no thread could be started: {error}")))?;
    let keeper = Keeper {
        thread,
        cancel,
        shown,
    };
    running.push((schema.to_owned(), keeper));
    Ok(true)
}

/// Ends the threads of a connection, and waits for them.
pub fn stop(session: &Session) -> bool {
    let keepers = session.part::<Keepers>();
    let running = std::mem::take(&mut *keepers.running.lock());
    for (_, keeper) in &running {
        keeper.cancel.store(true, Ordering::Relaxed);
    }
    let any = !running.is_empty();
    for (_, keeper) in running {
        let _ = keeper.thread.join();
    }
    any
}

/// Whether this connection has a thread for a file.
pub fn is_running(session: &Session, schema: &str) -> bool {
    let keepers = session.part::<Keepers>();
    let running = keepers.running.lock();
    running
        .iter()
        .any(|(known, keeper)| known == schema && !keeper.thread.is_finished())
}

/// How the thread of this connection gets on listening for news of a provider; none when it does not listen.
pub fn listening(session: &Session, schema: &str, provider: &str) -> Option<String> {
    let keepers = session.part::<Keepers>();
    let running = keepers.running.lock();
    let (_, keeper) = running.iter().find(|(known, _)| known == schema)?;
    let shown = keeper.shown.lock();
    shown.get(provider).cloned()
}

fn keep(session: &Session, cancel: &Arc<AtomicBool>, shown: &Shown) {
    let is_over = || cancel.load(Ordering::Relaxed);
    while !is_over() {
        // A file that can't be written now may be later.
        match claim(session) {
            Ok(Some(me)) => {
                serve(session, me, cancel, Listeners::shown_in(Arc::clone(shown)));
                shown.lock().clear();
                let _ = leave(session, me);
            }
            _ => pause(STAND_BY, &is_over),
        }
    }
}

/// Does what is due until it is to end, or another has the place.
fn serve(session: &Session, me: OwnerId, cancel: &Arc<AtomicBool>, mut listeners: Listeners) {
    let is_over = || cancel.load(Ordering::Relaxed);
    let (mut version, mut looked, mut wait) = (None, Instant::now(), Duration::ZERO);
    let mut beaten = Instant::now();
    while !is_over() {
        if beaten.elapsed() > BEAT {
            beaten = Instant::now();
            let _ = beat(session, me);
        }
        let current = data_version(session);
        if current == version && looked.elapsed() < wait && !listeners.have_heard() {
            std::thread::sleep(LOOK);
            continue;
        }
        if has_lost_place(session, me) {
            return;
        }
        version = current;
        looked = Instant::now();
        let _ = listeners.look(session, "main");
        // What goes wrong is in _syncRun and _syncSchedule; a locked file is looked at again.
        let _ = tick::run_due(session, "main", Some(cancel));
        let next = tick::until_due(session, "main").ok().flatten();
        let next = next.and_then(|next| u64::try_from(next).ok());
        wait = next.map_or(AT_LEAST, |next| {
            Duration::from_millis(next).clamp(LOOK, AT_LEAST)
        });
        // What this connection writes itself does not count.
        version = data_version(session).or(version);
    }
}

/// Shows those who can't look at this process that it lives.
fn beat(session: &Session, me: OwnerId) -> Result<()> {
    owner::beat(&session.database("main")?, me)
}

/// Whether the place is another's or nobody's: one whose process stood still for longer than its lease is replaced,
/// and two must not work for one file. A file that can't be read now says nothing.
fn has_lost_place(session: &Session, me: OwnerId) -> bool {
    let holder = session
        .database("main")
        .and_then(|database| holder(&database));
    holder.is_ok_and(|holder| holder != Some(me))
}

/// Changes whenever another connection has written.
fn data_version(session: &Session) -> Option<i64> {
    let mut version = session.connection().prepare("PRAGMA data_version").ok()?;
    version.step().ok()?.then(|| version.integer(0))
}

fn pause(time: Duration, is_over: &dyn Fn() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < time && !is_over() {
        std::thread::sleep(LOOK);
    }
}

/// Takes the place, unless a living owner has it.
fn claim(session: &Session) -> Result<Option<OwnerId>> {
    coordination::write(session, "main", |ground| {
        let database = ground.database;
        if let Some(other) = holder(database)?
            && other != ground.owner
            && !owner::is_dead(database, other)?
        {
            return Ok(None);
        }
        database.execute(
            "INSERT OR REPLACE INTO main._syncWorker (id, ownerId, startedAt) VALUES (1, ?1, ?2)",
            &[ground.owner.into(), now().into()],
        )?;
        Ok(Some(ground.owner))
    })
}

/// Whether a thread of a living owner works for a file.
///
/// # Errors
/// SQLite's.
pub fn is_served(database: &Database) -> Result<bool> {
    match holder(database)? {
        Some(owner) => Ok(!owner::is_dead(database, owner)?),
        None => Ok(false),
    }
}

fn holder(database: &Database) -> Result<Option<OwnerId>> {
    let holder = database.query_value("SELECT ownerId FROM main._syncWorker", &[])?;
    Ok(holder.as_i64())
}

fn leave(session: &Session, me: OwnerId) -> Result<()> {
    coordination::write(session, "main", |ground| {
        ground.database.execute(
            "DELETE FROM main._syncWorker WHERE ownerId = ?1",
            &[me.into()],
        )?;
        Ok(())
    })
}
