//! A process that syncs and is killed with SIGKILL at a named step.
//!
//! It is the test's own binary, started again for the one test that calls [`be_a_victim`]. Arrived at
//! its step it says so and stands still, wherever that is: in the middle of a statement, with its
//! transaction open and half of it in the journal. Then the parent kills it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{PATIENCE, again, load, sync_on};
use syncscope_backend::{Kind, Moment, Moments};

/// The test that is started for a victim; it calls [`be_a_victim`].
const VICTIM: &str = "the_process_that_is_killed";

/// Where a victim stands still. The backend's moments are the parent's own business.
#[derive(Clone, Debug)]
pub enum At {
    /// Nowhere by itself.
    Nowhere,
    /// At the nth write of a row of this table, before the statement goes on.
    Write(&'static str, u64),
    /// In the commit of the transaction that made the nth write of a row of this table.
    CommitOf(&'static str, u64),
    /// In the nth commit.
    Commit(u64),
    /// After so many of SQLite's operations, wherever that is.
    Operations(u64),
    /// After this SQL, without a sync.
    Sql(String),
}

impl At {
    fn to_json(&self) -> Value {
        match self {
            At::Nowhere => json!(["nowhere"]),
            At::Write(table, nth) => json!(["write", table, nth]),
            At::CommitOf(table, nth) => json!(["commitOf", table, nth]),
            At::Commit(nth) => json!(["commit", "", nth]),
            At::Operations(number) => json!(["operations", "", number]),
            At::Sql(sql) => json!(["sql", sql]),
        }
    }
}

/// What there is to hear while a sync runs in another process or thread.
pub enum Word {
    /// A victim stands at its step.
    Here,
    /// The sync is over; its answer.
    Done(Value),
    /// The process is gone.
    Gone,
    /// A request is at a moment, and goes on when the sender is dropped.
    Moment(Sender<()>),
}

/// Plans that `words` is sent a moment of the backend, after `skip` others of the kind. The request
/// waits there until the sender that comes with the word is dropped.
pub fn tell_of(moments: &Moments, (kind, moment): (Kind, Moment), skip: u32, words: &Sender<Word>) {
    let words = words.clone();
    moments.plan(kind, moment, skip, move || {
        let (go_on, wait) = channel();
        // Nobody listens any more: then nobody wants to hold the request.
        let _ = words.send(Word::Moment(go_on));
        let _ = wait.recv_timeout(PATIENCE);
    });
}

/// A running victim. Killed when dropped.
pub struct Victim {
    child: Child,
}

impl Victim {
    /// Starts one that syncs `entities` in `file` and reports to `words` how it goes. `module` is that
    /// of the test called [`VICTIM`].
    pub fn start(
        module: &str,
        file: &Path,
        entities: &[&str],
        at: &At,
        words: Sender<Word>,
    ) -> Victim {
        Victim::with_settings("", module, file, entities, at, words)
    }

    /// The same on a connection that is given these settings.
    pub fn with_settings(
        settings: &str,
        module: &str,
        file: &Path,
        entities: &[&str],
        at: &At,
        words: Sender<Word>,
    ) -> Victim {
        let task =
            json!({"file": file, "entities": entities, "at": at.to_json(), "settings": settings});
        let mut child = again(module, VICTIM)
            .env("SYNCSCOPE_VICTIM", task.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let output = child.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let word = match line.split_once(' ') {
                    Some(("victim:", "here")) => Word::Here,
                    Some(("victim:", answer)) => {
                        Word::Done(serde_json::from_str(answer).expect("JSON"))
                    }
                    _ => continue,
                };
                // Nobody listens any more: then it does not matter.
                let _ = words.send(word);
            }
            let _ = words.send(Word::Gone);
        });
        Victim { child }
    }

    /// SIGKILL; gives whether it was still alive.
    pub fn kill(&mut self) -> bool {
        self.child.kill().expect("killed");
        let status = self.child.wait().expect("gone");
        status.code().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The victim's whole life, in the process that was started for it; nothing in any other.
pub fn be_a_victim() {
    let Ok(task) = std::env::var("SYNCSCOPE_VICTIM") else {
        return;
    };
    let task: Value = serde_json::from_str(&task).expect("JSON");
    let mut db = Connection::open(task["file"].as_str().expect("a file")).expect("open");
    db.busy_timeout(PATIENCE).expect("timeout");
    load(&db);
    // The process dies, not the machine. A small cache writes pages before the commit.
    db.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = 8; PRAGMA cache_spill = ON;")
        .expect("pragmas");
    db.execute_batch(task["settings"].as_str().unwrap_or_default())
        .expect("settings");
    if let Some(sql) = sql_of(&task["at"]) {
        db.execute_batch(sql).expect("SQL");
        stand_still();
    }
    arm(&mut db, &task["at"]);
    let entities: Vec<&str> = task["entities"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let answer = sync_on(&db, "all", &entities);
    say(&answer.to_string());
}

fn sql_of(at: &Value) -> Option<&str> {
    (at[0] == "sql").then(|| at[1].as_str().unwrap_or_default())
}

fn arm(db: &mut Connection, at: &Value) {
    let table = at[1].as_str().unwrap_or_default().to_owned();
    let nth = at[2].as_u64().unwrap_or(0);
    let kind = at[0].as_str().unwrap_or_default();
    if kind == "operations" {
        let left = AtomicU64::new(nth);
        let tick = move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                stand_still();
            }
            false
        };
        db.progress_handler(1, Some(tick)).expect("handler");
        return;
    }
    let reached = Arc::new(AtomicBool::new(kind == "commit"));
    let in_commit = kind != "write";
    let commits = AtomicU64::new(if kind == "commit" { nth } else { 1 });
    let its_reached = Arc::clone(&reached);
    let count = AtomicU64::new(0);
    if kind == "write" || kind == "commitOf" {
        let written = move |_, _: &str, name: &str, _| {
            if name != table || count.fetch_add(1, Ordering::Relaxed) + 1 != nth {
                return;
            }
            if !in_commit {
                stand_still();
            }
            its_reached.store(true, Ordering::Relaxed);
        };
        db.update_hook(Some(written)).expect("hook");
    }
    if in_commit && kind != "nowhere" {
        let committing = move || {
            if reached.load(Ordering::Relaxed) && commits.fetch_sub(1, Ordering::Relaxed) == 1 {
                stand_still();
            }
            false
        };
        db.commit_hook(Some(committing)).expect("hook");
    }
}

/// Waits to be killed; an orphan ends by itself.
fn stand_still() {
    say("here");
    std::thread::sleep(Duration::from_secs(120));
    std::process::exit(3);
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nvictim: {text}\n").as_bytes())
        .expect("said");
    out.flush().expect("said");
}
