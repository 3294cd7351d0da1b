//! A device of a schedule: its file, and the program's connection to it.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{World as Files, ask, load, sync_on, try_ask};

use super::world::{MARKED, TABLES, World};

/// Table, key and the mark of its birth: one row's life under one key.
pub type Life = (&'static str, String, String);

/// The marks that a device holds, and its rows.
#[derive(Default)]
pub struct Picture {
    pub marks: BTreeSet<String>,
    pub lives: BTreeSet<Life>,
}

/// A device.
pub struct Actor {
    pub name: &'static str,
    pub files: Files,
    settings: String,
    /// The program's connection.
    pub db: Connection,
}

impl Actor {
    pub fn new(who: usize, world: &World, url: &str) -> Actor {
        let files = Files::new(world.recursive);
        let settings = world.settings();
        let db = open(&files, &settings);
        ask(&db, &format!("PRAGMA journal_mode = {}", world.journal));
        db.execute_batch(&world.tables_of_a_device(who))
            .expect("schema");
        let actor = Actor {
            name: ["a", "b"][who],
            files,
            settings,
            db,
        };
        actor.provider(&world.config(url, &json!({})));
        for table in &world.entities {
            actor.ask(&format!(
                "SELECT sync_track('{table}', '{{\"exclude\":[\"local\"]}}')"
            ));
        }
        if world.policy != "columns" {
            actor.ask(&format!("SELECT sync_resolver('*', '{}')", world.policy));
        }
        actor
    }

    pub fn provider(&self, config: &Value) {
        // The same backend behind another port.
        let sql = r#"SELECT sync_provider('api', ?1, '{"keepCursor":true}')"#;
        self.db
            .query_row(sql, [config.to_string()], |_| Ok(()))
            .expect("provider");
    }

    pub fn ask(&self, sql: &str) -> String {
        ask(&self.db, sql)
    }

    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// A further connection to the file.
    pub fn second(&self) -> Connection {
        open(&self.files, &self.settings)
    }

    pub fn sync(&self, entities: &[&str]) -> Value {
        sync_on(&self.db, "all", entities)
    }
}

fn open(files: &Files, settings: &str) -> Connection {
    let db = files.plain();
    db.execute_batch(settings).expect("settings");
    load(&db);
    db
}

/// The columns of a table.
pub fn columns(db: &Connection, table: &str) -> Vec<String> {
    ask(
        db,
        &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
    )
    .lines()
    .map(str::to_owned)
    .collect()
}

pub fn picture(db: &Connection) -> Picture {
    let mut picture = Picture::default();
    for table in TABLES {
        let there = columns(db, table);
        let marked: Vec<&str> = MARKED
            .iter()
            .copied()
            .filter(|name| there.iter().any(|other| other == name))
            .collect();
        let sql = format!("SELECT id, {} FROM {table}", marked.join(", "));
        let rows = try_ask(db, &sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for line in rows.lines() {
            let mut values = line.split('|').map(str::to_owned);
            let key = values.next().unwrap_or_default();
            let values: Vec<String> = values.collect();
            picture.lives.insert((table, key, values[0].clone()));
            picture
                .marks
                .extend(values.into_iter().filter(|mark| mark != "NULL"));
        }
    }
    picture
}
