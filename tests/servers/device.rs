//! A database that syncs as a recipe says.

use rusqlite::Connection;
use serde_json::Value;
use support::page::run_step;
use support::{World, ask};

use crate::recipe::{Recipe, table};
use crate::server::Server;

pub struct Device {
    pub db: Connection,
    provider: &'static str,
    _world: World,
}

impl Device {
    /// With the table, and all that the recipe declares.
    pub fn of(server: &dyn Server) -> Device {
        Device::with(server, &[])
    }

    /// `changes` are made in the recipe.
    pub fn with(server: &dyn Server, changes: &[(&str, &str)]) -> Device {
        Device::by(&server.recipe(changes), server.provider())
    }

    fn by(recipe: &Recipe, provider: &'static str) -> Device {
        let world = World::new(false);
        let db = world.open();
        db.execute_batch(&table()).expect("the table");
        for step in recipe.setup() {
            run_step(&db, &step, provider);
        }
        Device {
            db,
            provider,
            _world: world,
        }
    }

    pub fn sync(&self) -> Value {
        let answer = self.ask(&format!(
            "SELECT sync_entities('shop', '{}', '[\"book\"]')",
            self.provider
        ));
        serde_json::from_str(&answer).expect("JSON")
    }

    #[track_caller]
    pub fn synced(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    /// Syncs, which must fail; the error.
    #[track_caller]
    pub fn failed(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "failed", "{answer}");
        let operation = &answer["operations"][0]["error"];
        match answer["error"].is_null() {
            true => operation.clone(),
            false => answer["error"].clone(),
        }
    }

    pub fn secret(&self, value: &str, origin: &str) {
        let set = "SELECT sync_secret(?1, ?2, ?3)";
        let given = [self.provider, value, origin];
        self.db.query_row(set, given, |_| Ok(())).expect("a secret");
    }

    /// The next sync reads all.
    pub fn forget_cursor(&self) {
        self.exec("DELETE FROM sync_cursor WHERE entity = 'book'");
    }

    pub fn ask(&self, sql: &str) -> String {
        ask(&self.db, sql)
    }

    #[track_caller]
    pub fn exec(&self, sql: &str) {
        self.db
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// As [`Server::books`] has them.
    pub fn books(&self) -> Vec<String> {
        let found = self.ask("SELECT title, price FROM book");
        let mut books: Vec<String> = found.lines().map(|line| line.replace('|', "=")).collect();
        books.sort();
        books
    }

    pub fn pending(&self) -> String {
        self.ask("SELECT count(*) FROM sync_pending")
    }

    pub fn rejected(&self) -> String {
        self.ask(
            "SELECT group_concat(pk || ' ' || kind || ': ' || reason, '; ') FROM _syncRejected",
        )
    }

    /// Nothing waits, nothing was refused, and the server has what is here.
    #[track_caller]
    pub fn agrees_with(&self, server: &dyn Server) {
        assert_eq!(self.rejected(), "NULL");
        assert_eq!(self.pending(), "0");
        assert_eq!(self.books(), server.books());
    }
}
