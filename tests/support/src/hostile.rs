//! What the tests with hostile files share: a furnished file, an attacker who edits it without the
//! extension, and a victim who opens it and calls everything.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use serde_json::json;

use crate::canned::{Canned, json_answer};
use crate::database::{World, ask, load, try_ask};
use crate::device::Device;
use crate::host::{failure, settled};

/// A secret that must never leave, and where it may go.
pub const TOKEN: &str = "hunter2-5f3a9c-token";
pub const HOME: &str = "https://api.example.com";

/// A file with a bit of everything: a provider that syncs `task`, one sync done, changes pending, a scope,
/// operations open and ended, a resolver, a conflict, a rejected row.
pub struct Base {
    world: World,
    pub server: Canned,
}

impl Base {
    pub fn furnished() -> Base {
        let server = Canned::start();
        let device = Device::new(&server.url());
        server.changes(
            json!({"task": {"created": [{"id": "a", "title": "A"}, {"id": "b"}]},
                          "list": {"created": [{"id": "l"}]}}),
        );
        device.synced();
        device.exec(
            "UPDATE task SET title = 'mine' WHERE id = 'a'; INSERT INTO task (id) VALUES ('new')",
        );
        server.changes(json!({"task": {"updated": [{"id": "a", "title": "theirs"}]}}));
        server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"task":["new"]}}"#));
        device.sync();
        device.exec("DELETE FROM task WHERE id = 'b'; UPDATE task SET note = 'n'");
        for sql in [
            r#"SELECT sync_provider('host', '{"kind":"host"}')"#,
            r#"SELECT sync_start_scope('s', '["i","all"]')"#,
            r#"SELECT sync_entities('i', 'host', '["local/t"]', '{"forRowsWithMatchingIds":true}')"#,
            "SELECT sync_resolver('*', 'serverWins')",
        ] {
            device.ask(sql);
        }
        // A push whose fate is unknown, a row in every table.
        device.exec(
            "INSERT OR IGNORE INTO _syncLease VALUES ('other', 1, 1, 1);
             INSERT INTO _syncPush (provider, runId, state, uptoSeq, rows, pulls, createdAt)
               VALUES ('api', 1, 'unknown', 1, 1, 0, 1);
             INSERT INTO _syncOutbox (pushId, tbl, kind, pk, content, uptoSeq)
               SELECT max(id), 2, 'created', 'a', '{}', 1 FROM _syncPush;",
        );
        let Device { world, db, .. } = device;
        drop(db);
        Base { world, server }
    }

    pub fn plain(&self) -> Connection {
        self.world.plain()
    }

    pub fn path(&self) -> PathBuf {
        self.world.path()
    }

    /// Names of all triggers on our tables.
    pub fn triggers(&self) -> String {
        ask(
            &self.plain(),
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE '\\_sync%' ESCAPE '\\'",
        )
    }
}

/// Somebody who opens a file from a stranger.
pub struct Victim {
    pub world: World,
}

/// What the victim calls. Nothing in the file declares SQL of its own.
pub const CALLS: &[&str] = &[
    "sync_debug()",
    "sync_recover()",
    "sync_heartbeat()",
    r#"sync_entities('all', 'api', '["task","list"]')"#,
    "sync_check('api')",
    "sync_apply(3, '[{\"id\":\"x\"}]')",
    r#"sync_entities('i', 'host', '["local/t"]', '{"forRowsWithMatchingIds":true}')"#,
    "sync_apply(3, '[{\"id\":\"x\"}]', 1)",
    "sync_set_status(3, 'failed', 'why')",
    r#"sync_start_scope('s', '["i","all"]')"#,
    "sync_interrupt('s', 'why')",
    "sync_interrupt()",
    "sync_track('task')",
    "sync_capture_existing('task')",
    "sync_alter('task', 'ALTER TABLE task DROP COLUMN n')",
    "sync_resolver('list', 'clientWins')",
    r#"sync_provider('api2', '{"kind":"host"}')"#,
    r#"sync_untrack('list', '{"discard":true}')"#,
    "sync_retry('task', 'x')",
    "sync_discard('task', 'x', '{\"revert\":true}')",
    "sync_delete_status(1)",
    "sync_delete_scope('s')",
    "sync_cancel(1)",
    "sync_detach('api2')",
    r#"sync_detach('api', '{"wipe":true,"keep":["list"],"force":true}')"#,
    r#"sync_detach('api', '{"wipe":true,"force":true}')"#,
    "sync_init()",
];

pub const LENSES: &[&str] = &[
    "sync_scope",
    "sync_scope_member",
    "sync_status",
    "sync_pending",
    "sync_conflict",
    "sync_held",
    "sync_log",
];

impl Victim {
    pub fn of(base: &Base) -> Victim {
        let world = World::new(true);
        std::fs::copy(base.path(), world.path()).expect("copy");
        Victim { world }
    }

    /// The attacker's work on the file: all of SQLite, but not the extension.
    pub fn attack(&self, script: &str) -> rusqlite::Result<()> {
        let plain = self.world.plain();
        plain.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;")?;
        plain.execute_batch(script)
    }

    /// Opens the file, calls everything, reads everything; gives what was wrong.
    pub fn exercise(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let canary = Canary::default();
        let connection = self.world.plain();
        canary.sit_on(&connection);
        load(&connection);
        // Fails where the schema can't be read.
        let _ = connection.execute_batch("PRAGMA synchronous = OFF");
        settled(&connection, true, "loading");
        for lens in LENSES {
            let read = try_ask(&connection, &format!("SELECT * FROM {lens}"));
            note(&mut wrong, lens, read);
        }
        for call in CALLS {
            let answer = try_ask(&connection, &format!("SELECT {call}"));
            note(&mut wrong, call, answer);
            if !connection.is_autocommit() {
                wrong.push(format!("{call}: a transaction is open"));
                let _ = connection.execute_batch("ROLLBACK");
            }
            settled(&connection, true, call);
        }
        for lens in LENSES {
            let read = try_ask(&connection, &format!("SELECT * FROM {lens}"));
            note(&mut wrong, lens, read);
        }
        settled(&connection, true, "reading");
        if canary.sang() > 0 {
            wrong.push("SQL of the file was run".into());
        }
        wrong
    }
}

/// Makes each attack on a file of its own, and has a victim open it and call everything.
pub fn survives(base: &Base, attacks: &[(String, String)]) {
    all_well(attacks, |(what, script)| {
        let victim = Victim::of(base);
        victim
            .attack(script)
            .unwrap_or_else(|error| panic!("{what}: {script}: {error}"));
        let found = victim.exercise();
        found
            .into_iter()
            .map(|found| format!("{what}: {found}"))
            .collect()
    });
}

/// Tries all cases, as many at a time as there are processors; none may find anything wrong.
pub fn all_well<T: Sync>(cases: &[T], check: impl Fn(&T) -> Vec<String> + Sync) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = check(case);
                    wrong.lock().expect("no check panicked").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no check panicked");
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The names of our tables.
pub fn our_tables(base: &Base) -> Vec<String> {
    let names = ask(
        &base.plain(),
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\'",
    );
    names.lines().map(str::to_owned).collect()
}

fn note(wrong: &mut Vec<String>, call: &str, answer: rusqlite::Result<String>) {
    match answer {
        Ok(text) if text.contains("bug of syncscope") => wrong.push(format!("{call}: {text}")),
        Ok(_) => {}
        Err(error) => {
            let (code, text) = failure(&error);
            let name = call.split('(').next().unwrap_or(call);
            let shown: String = text.chars().take(300).collect();
            // A schema that SQLite itself can't read: the call is not even compiled.
            let unreadable = code == 11 && text.contains("malformed");
            let named = text.starts_with(name) || unreadable || LENSES.contains(&call);
            if text.contains("panic") || code == 0 || text.len() > 4000 || !named {
                wrong.push(format!("{call}: {code} {shown}"));
            }
        }
    }
}

/// Functions of the program that a file must not reach: `canary()` can only be called in statements of the
/// program itself.
#[derive(Default, Clone)]
pub struct Canary(Arc<AtomicUsize>);

impl Canary {
    pub fn sit_on(&self, connection: &Connection) {
        let count = Arc::clone(&self.0);
        connection
            .create_scalar_function(
                "canary",
                0,
                FunctionFlags::SQLITE_UTF8
                    | FunctionFlags::SQLITE_DIRECTONLY
                    | FunctionFlags::SQLITE_DETERMINISTIC,
                move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(1)
                },
            )
            .expect("a function");
    }

    pub fn sang(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
