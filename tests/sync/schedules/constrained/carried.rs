//! A transaction of a program, and what it did to the marks.

use std::collections::BTreeMap;

use rusqlite::Connection;
use support::ask;

use super::actor::{Picture, picture};
use super::world::TABLES;

/// What was committed.
pub struct Carried {
    pub before: Picture,
    pub after: Picture,
    /// Cursors of the tables then.
    pub cursors: BTreeMap<String, i64>,
}

/// Carries statements out in one transaction. What constraints refuse is no edit; the program goes on.
pub fn carry_out(db: &Connection, statements: &[String]) -> Carried {
    db.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let before = picture(db);
    let cursors = TABLES
        .iter()
        .map(|table| ((*table).to_owned(), cursor(db, table)))
        .collect();
    for sql in statements {
        let _ = db.execute_batch(sql);
    }
    let after = picture(db);
    db.execute_batch("COMMIT").expect("commit");
    Carried {
        before,
        after,
        cursors,
    }
}

/// 0 before the first pull.
fn cursor(db: &Connection, table: &str) -> i64 {
    ask(
        db,
        &format!("SELECT cursor FROM _syncCursor WHERE entity = '{table}'"),
    )
    .parse()
    .unwrap_or(0)
}
