//! Syncs two tables through rusqlite (`cargo add rusqlite --features bundled,load_extension`).
//!
//! usage: `cargo run --example rusqlite [FILE]`, without FILE in a temporary one;
//! environment: `SYNCSCOPE_LIBRARY`, the built library; `SYNCSCOPE_BACKEND`, the URL of its sync endpoint.

use std::env;
use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, LoadExtensionGuard, Params};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS planes
  (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
";

fn connect(file: &Path) -> Outcome<Connection> {
    let db = Connection::open(file)?;
    let library = env::var("SYNCSCOPE_LIBRARY")?;
    // SAFETY: the library is ours. The guard switches extension loading off again.
    unsafe {
        let _guard = LoadExtensionGuard::new(&db)?;
        db.load_extension(library, None::<&str>)?;
    }
    Ok(db)
}

/// The first column of the first row.
fn one<T: FromSql>(db: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<T> {
    db.query_row(sql, parameters, |row| row.get(0))
}

fn example(file: &Path) -> Outcome {
    let db = connect(file)?;
    println!(
        "syncscope {}, SQLite {}, rusqlite",
        one::<String>(&db, "SELECT sync_version()", ())?,
        rusqlite::version()
    );
    db.execute_batch(SCHEMA)?;
    one::<String>(
        &db,
        "SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))",
        [env::var("SYNCSCOPE_BACKEND")?],
    )?;
    one::<String>(&db, "SELECT sync_track('airlines')", ())?;
    one::<String>(&db, "SELECT sync_track('planes')", ())?;
    first_sync(&db)?;
    second_sync(&db)?;

    // A call that is wrong is an error. (A sync that fails is not: see _syncStatus.error.)
    let wrong = r#"SELECT sync_entities('reference-data', 'nope', '["planes"]')"#;
    if let Err(error) = one::<String>(&db, wrong, ()) {
        println!("refused: {error}");
    }

    // Closing stops a sync that is under way; the next sync makes up for it.
    one::<String>(
        &db,
        r#"SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                '{"background":true}')"#,
        (),
    )?;
    db.close().map_err(|(_, error)| error)?;
    println!("closed");
    Ok(())
}

/// In the background; the tables show its progress.
fn first_sync(db: &Connection) -> Outcome {
    let start = r#"SELECT sync_start_scope('startup', '["reference-data"]')"#;
    one::<String>(db, start, ())?;
    let state: String = one(
        db,
        r#"SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                '{"background":true}')->>'state'"#,
        (),
    )?;
    println!("first sync: {state}");
    let scope = "SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'";
    while one::<String>(db, scope, ())? == "syncing" {
        thread::sleep(Duration::from_millis(50));
    }
    let (state, synced, failed): (String, i64, i64) =
        db.query_row(scope, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    println!("scope startup: {state}, {synced} synced, {failed} failed");
    let mut statuses =
        db.prepare("SELECT entity, coalesce(error, state) FROM _syncStatus ORDER BY entity")?;
    let mut rows = statuses.query(())?;
    while let Some(row) = rows.next()? {
        println!(
            "status {}: {}",
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?
        );
    }
    if state != "synced" {
        return Err("the first sync failed".into());
    }
    println!(
        "rows: {} airlines, {} planes",
        one::<i64>(db, "SELECT count(*) FROM airlines", ())?,
        one::<i64>(db, "SELECT count(*) FROM planes", ())?
    );
    Ok(())
}

/// An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
fn second_sync(db: &Connection) -> Outcome {
    db.execute(
        "UPDATE planes SET seats = seats + 1 WHERE tailnum = ?",
        ["N10156"],
    )?;
    let edited: String = one(
        db,
        r#"SELECT "table" || ' ' || key || ' ' || changed FROM sync_pending"#,
        (),
    )?;
    println!("edited: {edited}");
    let pushed: i64 = one(
        db,
        r#"SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'"#,
        (),
    )?;
    let pending: i64 = one(db, "SELECT count(*) FROM sync_pending", ())?;
    println!("second sync: {pushed} pushed, {pending} pending");
    if pending != 0 {
        return Err("the second sync failed".into());
    }
    Ok(())
}

fn main() -> Outcome {
    if let Some(file) = env::args_os().nth(1) {
        return example(file.as_ref());
    }
    let folder = tempfile::tempdir()?;
    example(&folder.path().join("app.db"))
}
