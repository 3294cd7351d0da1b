//! Datasette.

use std::path::PathBuf;
use std::sync::OnceLock;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{PATIENCE, root};

use crate::recipe::Recipe;
use crate::relay::Relay;
use crate::server::{Server, call};
use crate::{program, trials};

const SECRET: &str = "a-secret-of-your-own";

/// The one that all tests share.
struct Shared {
    port: u16,
    database: PathBuf,
    token: String,
    expired: String,
}

struct Datasette {
    shared: &'static Shared,
    relay: Relay,
    table: String,
}

fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let program = root().join("tests/python/venv/bin/datasette");
        if !program::is_there(&program, "servers") {
            return None;
        }
        let program = program.to_string_lossy();
        let folder = program::folder();
        let settings = Recipe::of("Datasette", &[]).only("yaml");
        std::fs::write(folder.join("datasette.yaml"), settings).expect("the settings");
        let database = folder.join("shop.db");
        Connection::open(&database)
            .and_then(|db| db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE other (id);"))
            .expect("the database");
        let command = [
            &*program,
            "serve",
            "shop.db",
            "--config",
            "datasette.yaml",
            "--secret",
            SECRET,
            "--port",
            "0",
        ];
        let port = program::start(&folder, &command, &[], "running on http://127.0.0.1:");
        let token = |expires: &str| {
            program::run(&[
                &*program,
                "create-token",
                "device",
                "--secret",
                SECRET,
                "--expires-after",
                expires,
            ])
        };
        Some(Shared {
            port,
            database,
            token: token("86400"),
            expired: token("-1"),
        })
    });
    shared.as_ref()
}

/// A table of its own for each trial.
fn datasette(trial: &str) -> Option<Datasette> {
    let shared = shared()?;
    let table = format!("book_{trial}");
    let schema = Recipe::of("Datasette", &[]).only("sql no-run schema");
    let schema = schema
        .replace("TABLE book", &format!("TABLE {table}"))
        .replace("ON book", &format!("ON {table}"))
        .replace("UPDATE book", &format!("UPDATE {table}"))
        .replace("TRIGGER book", &format!("TRIGGER {table}"));
    let server = Datasette {
        shared,
        relay: Relay::to(shared.port),
        table,
    };
    server.exec(&schema);
    Some(server)
}

impl Datasette {
    fn db(&self) -> Connection {
        let db = Connection::open(&self.shared.database).expect("the database");
        db.busy_timeout(PATIENCE).expect("patience");
        db
    }

    fn exec(&self, sql: &str) {
        self.db().execute_batch(sql).expect(sql);
    }
}

impl Server for Datasette {
    fn recipe(&self, changes: &[(&str, &str)]) -> Recipe {
        let origin = self.relay.origin();
        let table = format!("\"path\":\"/{}", self.table);
        let own = [
            ("http://127.0.0.1:8001", &*origin),
            ("dstok_…", &*self.shared.token),
            ("\"path\":\"/book", &*table),
        ];
        Recipe::of("Datasette", &[&own, changes].concat())
    }

    fn provider(&self) -> &'static str {
        "datasette"
    }

    fn relay(&self) -> &Relay {
        &self.relay
    }

    fn put(&self, number: usize, title: &str, price: f64) {
        self.exec(&format!(
            "INSERT INTO {} (id, title, price) VALUES ('b{number}', '{title}', {price}) \
             ON CONFLICT (id) DO UPDATE SET title = excluded.title, price = excluded.price",
            self.table
        ));
    }

    fn remove(&self, number: usize) {
        self.exec(&format!(
            "DELETE FROM {} WHERE id = 'b{number}'",
            self.table
        ));
    }

    fn rows(&self) -> Vec<Value> {
        let db = self.db();
        let sql = format!("SELECT title, price FROM {}", self.table);
        let mut statement = db.prepare(&sql).expect("a statement");
        let rows = statement.query_map([], |row| {
            Ok(json!({"title": row.get::<_, String>(0)?, "price": row.get::<_, f64>(1)?}))
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    }
}

#[test]
fn datasette_is_synced_as_the_page_shows() {
    if let Some(server) = datasette("page") {
        trials::the_page_is_true(&server);
    }
}

#[test]
fn datasette_gives_out_pages_behind_the_last_key() {
    if let Some(server) = datasette("pages") {
        trials::pages_are_read_to_the_end(&server);
    }
}

#[test]
fn datasette_is_asked_only_for_what_is_new() {
    if let Some(server) = datasette("news") {
        trials::what_is_new_comes(&server, Some("updated__gte="));
    }
}

#[test]
fn datasette_shows_what_is_gone_when_all_is_read() {
    if let Some(server) = datasette("gone") {
        trials::what_is_gone_goes(&server, true);
    }
}

#[test]
fn datasette_shows_nothing_and_nothing_is_removed() {
    if let Some(server) = datasette("empty") {
        trials::an_empty_answer_empties_nothing(&server);
    }
}

#[test]
fn datasette_keeps_two_devices_in_step() {
    if let Some(server) = datasette("two") {
        trials::two_devices_agree(&server, true);
    }
}

#[test]
fn datasette_refuses_an_expired_token_and_nothing_is_lost() {
    if let Some(server) = datasette("token") {
        let bearer = format!("Bearer {}", server.shared.expired);
        let url = format!(
            "http://127.0.0.1:{}/shop/{}.json",
            server.shared.port, server.table
        );
        let (status, said) = call("GET", &url, ("Authorization", &bearer), None);
        assert_eq!((status, &said["error"]), (401, &json!("Token has expired")));
        trials::a_bad_token_loses_nothing(&server, &server.shared.token, &server.shared.expired);
    }
}

#[test]
fn datasette_is_sent_once_more_what_got_no_answer() {
    if let Some(server) = datasette("lost") {
        trials::a_lost_answer_doubles_and_loses_nothing(&server, trials::ATTEMPTS);
    }
}

#[test]
fn datasette_and_two_devices_come_together_after_random_edits_and_losses() {
    if let Some(server) = datasette("random") {
        trials::random_edits_come_together(&server, trials::ATTEMPTS[0], true, true);
    }
}
