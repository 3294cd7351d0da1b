//! A database that syncs with a [`Remote`], its requests sent by a [`Transport`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::server::{On, Remote};
use super::transport::{Came, Transport, python};
use crate::database::{World, ask, load, refused};
use crate::device::{SCHEMA, rows_of};
use crate::waiting::PATIENCE;

/// With the tables of [`SCHEMA`], tracked, and the server declared as `api`.
pub struct Client<'a> {
    pub remote: &'a dyn Remote,
    pub transport: Transport,
    /// None: it is in memory.
    pub world: Option<World>,
    pub db: Connection,
    /// The longest silence that the program puts up with.
    pub silence: Duration,
    /// Set when an edit is to be made between a request and its answer.
    due: Arc<AtomicBool>,
}

impl<'a> Client<'a> {
    pub fn new(remote: &'a dyn Remote, transport: Transport) -> Client<'a> {
        let (world, db) = match transport {
            Transport::Memory => {
                let db = Connection::open_in_memory().expect("memory");
                load(&db);
                (None, db)
            }
            Transport::Http | Transport::Python => {
                let world = World::new(false);
                let db = world.open();
                // No test pulls the plug: what a killed process wrote is there without waiting for the disk.
                ask(&db, "PRAGMA journal_mode = WAL");
                ask(&db, "PRAGMA synchronous = OFF");
                (Some(world), db)
            }
        };
        db.execute_batch(SCHEMA).expect("schema");
        let client = Client {
            remote,
            transport,
            world,
            db,
            silence: PATIENCE,
            due: Arc::default(),
        };
        client.declare(&json!({}));
        client.ask("SELECT sync_track('list'), sync_track('task')");
        client
    }

    /// Declares the server again, with further options.
    pub fn declare(&self, more: &Value) {
        let mut config = self.remote.config();
        self.remote.takes(more);
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        self.db
            .query_row(
                "SELECT sync_provider('api', ?1)",
                [config.to_string()],
                |_| Ok(()),
            )
            .expect("sync_provider");
    }

    pub fn ask(&self, sql: &str) -> String {
        self.ask_on(&self.db, sql)
    }

    /// The same on another connection.
    pub fn ask_on(&self, db: &Connection, sql: &str) -> String {
        let sql = self.remote.spelled(sql);
        self.remote.shown(ask(db, &sql))
    }

    pub fn refused(&self, sql: &str) -> String {
        let sql = self.remote.spelled(sql);
        self.remote.shown(refused(&self.db, &sql))
    }

    pub fn exec(&self, sql: &str) {
        self.db
            .execute_batch(&self.remote.spelled(sql))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// All rows of a table, as the server shows its own.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        let rows = Value::from(rows_of(&self.db, table)).to_string();
        serde_json::from_str(&self.remote.shown(rows)).expect("JSON")
    }

    /// A second connection to the same file.
    pub fn second(&self) -> Connection {
        self.world.as_ref().expect("a file").open()
    }

    /// `table|key|op|changed` of what is pending.
    pub fn pending(&self) -> String {
        self.ask("SELECT \"table\", key, op, changed FROM sync_pending ORDER BY 1, 2")
    }

    /// Nothing was sent, and this waits as before; where a kind sends before it asks, it has gone up.
    #[track_caller]
    pub fn nothing_was_sent(&self, pending: &str) {
        if self.remote.sends_first() {
            return assert_eq!(self.pending(), "");
        }
        assert_eq!(self.pending(), pending);
        assert!(self.remote.pushed().is_empty());
    }

    /// Syncs once more, where what stays of ours in a conflict goes up only then.
    pub fn keeps_ours(&self) {
        if self.remote.sends_first() {
            self.synced();
        }
    }

    /// The id of the newest run, for conditions.
    pub fn run(&self, columns: &str) -> String {
        self.ask(&format!(
            "SELECT {columns} FROM _syncRun ORDER BY id DESC LIMIT 1"
        ))
    }

    // ---- syncing

    /// Syncs both tables as instance `all`; the answer.
    pub fn sync(&self) -> Value {
        self.try_sync("all", &["list", "task"], json!({}))
            .unwrap_or_else(|error| panic!("sync_entities: {error}"))
    }

    /// Syncs; it must succeed.
    #[track_caller]
    pub fn synced(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    /// Syncs; it must fail. Gives the error object, the same in the answer, the run and the statuses, and
    /// makes sure that nobody is left syncing.
    #[track_caller]
    pub fn failed(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "failed", "{answer}");
        let error = answer["error"].clone();
        let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("an error object");
        assert_eq!(parsed(&self.run("error")), error);
        for status in self.ask("SELECT error FROM _syncStatus").lines() {
            assert_eq!(parsed(status), error);
        }
        assert_eq!(self.run("state"), "failed");
        self.is_idle();
        error
    }

    /// Nothing is being synced.
    #[track_caller]
    pub fn is_idle(&self) {
        assert_eq!(
            self.ask(
                "SELECT (SELECT count(*) FROM _syncLease), \
                 (SELECT count(*) FROM _syncRun WHERE state IN ('queued', 'running')), \
                 (SELECT count(*) FROM _syncStatus WHERE state = 'syncing'), \
                 (SELECT count(*) FROM sync_progress)"
            ),
            "0|0|0|0"
        );
    }

    /// Here and there are the same rows, and nothing is left to send.
    #[track_caller]
    pub fn is_at_rest(&self) {
        assert_eq!(self.pending(), "");
        for table in ["list", "task"] {
            assert_eq!(self.rows(table), self.remote.rows(table), "{table}");
        }
    }

    /// Syncs, and runs this SQL while the next request of that direction waits for its answer: as another
    /// program would, or, where there can be none, as this one does.
    pub fn sync_while(&self, on: On, sql: &str) -> Value {
        match &self.world {
            Some(world) => {
                let (plain, sql) = (world.plain(), self.remote.spelled(sql));
                let edit = move || plain.execute_batch(&sql).expect("nobody holds a lock");
                self.remote.meanwhile(on, Box::new(edit));
                self.sync()
            }
            None => {
                let due = Arc::clone(&self.due);
                let edit = move || due.store(true, Ordering::SeqCst);
                self.remote.meanwhile(on, Box::new(edit));
                let run = self.open("all", &["list", "task"], json!({}));
                self.drive(run, |_| {
                    if self.due.swap(false, Ordering::SeqCst) {
                        self.exec(sql);
                    }
                })
                .expect("an answer")
            }
        }
    }

    /// Syncs by whichever way this client has.
    ///
    /// # Errors
    /// What the SQL functions refuse.
    pub fn try_sync(
        &self,
        instance: &str,
        entities: &[&str],
        options: Value,
    ) -> rusqlite::Result<Value> {
        if !self.transport.is_host() {
            return call_entities(&self.db, instance, entities, &options);
        }
        let begun = call_entities(&self.db, instance, entities, &by_the_program(options))?;
        self.drive(begun["runId"].as_i64().expect("a run"), |_| {})
    }

    /// Calls an operation, such as `sync_upload_once`, for all tables; the answer.
    ///
    /// # Errors
    /// What the SQL functions refuse.
    pub fn try_operation(&self, function: &str, options: Value) -> rusqlite::Result<Value> {
        let options = match self.transport.is_host() {
            true => by_the_program(options),
            false => options,
        };
        let begun: Value = self.db.query_row(
            &format!("SELECT {function}('api', ?1)"),
            [options.to_string()],
            |row| row.get(0).map(json_of),
        )?;
        match self.transport.is_host() {
            true => self.drive(begun["runId"].as_i64().expect("a run"), |_| {}),
            false => Ok(begun),
        }
    }

    /// Calls an operation; it must succeed.
    #[track_caller]
    pub fn operation(&self, function: &str) -> Value {
        let answer = self
            .try_operation(function, json!({}))
            .unwrap_or_else(|error| panic!("{function}: {error}"));
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    // ---- as the program that sends the requests

    /// Opens a run whose requests the program sends.
    pub fn open(&self, instance: &str, entities: &[&str], more: Value) -> i64 {
        let begun = call_entities(&self.db, instance, entities, &by_the_program(more))
            .unwrap_or_else(|error| panic!("sync_entities: {error}"));
        assert_eq!(
            (&begun["state"], &begun["finishedAt"]),
            (&json!("syncing"), &Value::Null),
            "{begun}"
        );
        begun["runId"].as_i64().expect("a run")
    }

    /// # Errors
    /// What `sync_next_request` refuses.
    pub fn next(&self, run: i64) -> rusqlite::Result<Value> {
        next(&self.db, run)
    }

    /// # Errors
    /// What `sync_put_response` refuses.
    pub fn put(&self, run: i64, came: &Came) -> rusqlite::Result<Value> {
        put(&self.db, run, came)
    }

    /// The next request once a response is put, or the answer of the run.
    ///
    /// # Errors
    /// What the two functions refuse.
    pub fn put_and_next(&self, run: i64, came: &Came) -> rusqlite::Result<Value> {
        put_and_next(&self.db, run, came)
    }

    /// Sends a request.
    pub fn send(&self, request: &Value) -> Came {
        send(request, self.silence)
    }

    /// Sends the requests of a run until it is over; `between` is called with each, when it has been answered.
    ///
    /// # Errors
    /// What the two functions refuse.
    pub fn drive(&self, run: i64, between: impl FnMut(&Value)) -> rusqlite::Result<Value> {
        drive(&self.db, run, self.silence, between)
    }
}

/// Syncs on any connection where `api` is declared.
///
/// # Errors
/// What the SQL functions refuse.
pub fn sync_over(
    db: &Connection,
    transport: Transport,
    instance: &str,
    entities: &[&str],
) -> rusqlite::Result<Value> {
    if !transport.is_host() {
        return call_entities(db, instance, entities, &json!({}));
    }
    let begun = call_entities(db, instance, entities, &by_the_program(json!({})))?;
    let run = begun["runId"].as_i64().expect("a run");
    drive(db, run, PATIENCE, |_| {})
}

fn by_the_program(mut options: Value) -> Value {
    options["transport"] = json!("host");
    options
}

fn call_entities(
    db: &Connection,
    instance: &str,
    entities: &[&str],
    options: &Value,
) -> rusqlite::Result<Value> {
    let entities = json!(entities).to_string();
    db.query_row(
        "SELECT sync_entities(?1, 'api', ?2, ?3)",
        params![instance, entities, options.to_string()],
        |row| row.get(0).map(json_of),
    )
}

fn next(db: &Connection, run: i64) -> rusqlite::Result<Value> {
    db.query_row("SELECT sync_next_request(?1)", [run], |row| {
        row.get(0).map(json_of)
    })
}

fn put(db: &Connection, run: i64, came: &Came) -> rusqlite::Result<Value> {
    db.query_row(
        "SELECT sync_put_response(?1, ?2, ?3, ?4)",
        params![run, came.status, came.headers.to_string(), came.body],
        |row| row.get(0).map(json_of),
    )
}

fn put_and_next(db: &Connection, run: i64, came: &Came) -> rusqlite::Result<Value> {
    let answer = put(db, run, came)?;
    match answer["finishedAt"].is_null() {
        true => next(db, run),
        false => Ok(answer),
    }
}

fn send(request: &Value, silence: Duration) -> Came {
    python()
        .expect("cases without Python are left out")
        .send(request, silence)
}

fn drive(
    db: &Connection,
    run: i64,
    silence: Duration,
    mut between: impl FnMut(&Value),
) -> rusqlite::Result<Value> {
    let mut request = next(db, run)?;
    while request["finishedAt"].is_null() {
        assert_eq!(
            (&request["runId"], &request["state"]),
            (&json!(run), &json!("syncing")),
            "{request}"
        );
        let came = send(&request, silence);
        between(&request);
        request = put_and_next(db, run, &came)?;
    }
    Ok(request)
}

fn json_of(text: String) -> Value {
    serde_json::from_str(&text).expect("JSON")
}
