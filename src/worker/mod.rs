//! Work in the background: a thread with its own connection to the same file.
//!
//! | file | subject |
//! |---|---|
//! | this one | one run in a thread |
//! | `schedule` | when something is due |
//! | `tick` | one look, and doing what is due |
//! | `noticed` | what a connection has noticed of what there is to do |
//! | `keeper` | the thread that looks again and again |
//! | `listeners`, `listener` | the threads that listen for news |
//! | `limits` | what threads may take |

pub mod keeper;
mod limits;
mod listener;
mod listeners;
mod noticed;
pub mod schedule;
pub mod tick;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde_json::Value as Json;

use crate::coordination::{self, EntitiesCall};
use crate::http::Secrets;
use crate::providers::conversation::Goal;
use crate::runs::{Run, complete};
use crate::store::{Door, Error, Result, Session, require_idle};
use crate::transfer::declared::Declared;

use limits::{BUSY, overdue};

/// The threads that a connection has started.
#[derive(Default)]
struct Workers {
    running: Mutex<Vec<Worker>>,
}

struct Worker {
    thread: JoinHandle<()>,
    cancel: Arc<AtomicBool>,
    /// Gone once the thread has ended.
    alive: Weak<()>,
}

/// Begins a run in its own thread and answers as soon as its operations are open. What can be
/// refused is refused here, as without `background`.
///
/// # Errors
/// No file to open a second time, no threads; what [`Run::begin`] refuses.
pub fn start(session: &Arc<Session>, call: EntitiesCall, goal: Goal) -> Result<Json> {
    // The thread must be able to write while we wait for its first word.
    require_idle(session.connection())?;
    let door = Door::to(session, &call.schema)?;
    // The thread writes with a connection of its own; what this one must not write is refused as ever.
    coordination::write(session, &call.schema, |_| Ok(()))?;
    // Arms the close hook, should a failed close have used it up.
    session.token();
    let workers = session.part::<Workers>();
    workers
        .running
        .lock()
        .retain(|worker| worker.alive.upgrade().is_some());
    let cancel = Arc::new(AtomicBool::new(false));
    let life = Arc::new(());
    let alive = Arc::downgrade(&life);
    let (say, hear) = sync_channel(1);
    let stop = Arc::clone(&cancel);
    let secrets = session.part::<Secrets>();
    let declared = session.part::<Declared>();
    let work = move || {
        let _life = life;
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(door, (call, goal), secrets, declared, stop, &say);
        }));
    };
    let thread = std::thread::Builder::new()
        .name("syncscope".into())
        .spawn(work)
        .map_err(|error| Error::misuse(format!("no thread could be started: {error}")))?;
    let begun = hear
        .recv()
        .map_err(|_| Error::Panic("the background thread ended".into()));
    workers.running.lock().push(Worker {
        thread,
        cancel,
        alive,
    });
    begun?
}

fn run(
    door: Door,
    (mut call, goal): (EntitiesCall, Goal),
    secrets: Arc<Secrets>,
    declared: Arc<Declared>,
    cancel: Arc<AtomicBool>,
    say: &SyncSender<Result<Json>>,
) {
    let mut second = match door.open(BUSY) {
        Ok(second) => second,
        Err(error) => {
            let _ = say.send(Err(error));
            return;
        }
    };
    second.interrupt_when(overdue(Arc::clone(&cancel)));
    second.session().share(secrets);
    second.session().share(declared);
    call.schema = "main".into();
    match Run::begin(second.session(), &call, goal, true) {
        Err(error) => {
            let _ = say.send(Err(error));
        }
        Ok(mut run) => {
            run.cancel_with(cancel);
            let _ = say.send(Ok(run.begun()));
            // What happened is in _syncRun and _syncStatus; nobody waits for it here.
            let _ = complete(second.session(), run);
        }
    }
}

/// Ends the threads that a connection has started, and waits for them. They notice within a row or a
/// tenth of a second.
pub fn stop(session: &Session) {
    let workers = session.part::<Workers>();
    keeper::stop(session);
    let running = std::mem::take(&mut *workers.running.lock());
    for worker in &running {
        worker.cancel.store(true, Ordering::Relaxed);
    }
    for worker in running {
        let _ = worker.thread.join();
    }
}
