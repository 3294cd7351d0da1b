//! What capture costs: the same writes on a tracked and on an untracked table, as ratios of CPU time.
//!
//! 100,000 rows of about 150 bytes with random text keys, one transaction each, WAL, 2 MB of cache,
//! synchronous NORMAL; medians of shuffled rounds in one process. `make bench` builds the release file and
//! runs this. The library is the one that `SYNCSCOPE_LIBRARY` names.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use tempfile::TempDir;

const ROWS: usize = 100_000;
const ROUNDS: usize = 5;

/// CPU time of this thread. Wall time where the system does not tell.
fn cpu() -> Duration {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = read
        .as_deref()
        .and_then(|text| text.split(' ').next()?.parse().ok());
    match nanoseconds {
        Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        None => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default(),
    }
}

/// Repeatable random keys.
fn keys() -> Vec<String> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..ROWS)
        .map(|_| format!("{:016x}{:016x}", next(), next()))
        .collect()
}

fn database(file: &Path, library: &Path, tracked: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2000;
         CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT, n INTEGER, body TEXT, x REAL);",
    )?;
    if tracked {
        // SAFETY: our own library.
        unsafe {
            connection.load_extension_enable()?;
            connection.load_extension(library, None::<&str>)?;
        }
        connection.load_extension_disable()?;
        connection.query_row("SELECT sync_track('t')", [], |_| Ok(()))?;
    }
    Ok(connection)
}

/// One round: what each kind of write took.
fn round(
    library: &Path,
    keys: &[String],
    tracked: bool,
) -> rusqlite::Result<Vec<(&'static str, f64)>> {
    let directory =
        TempDir::new().map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let file = directory.path().join("bench.db");
    let connection = database(&file, library, tracked)?;
    let body =
        "some text of a certain length, so that a row takes about one hundred and fifty bytes";
    let mut times = Vec::new();
    let mut timed = |name, work: &dyn Fn() -> rusqlite::Result<()>| -> rusqlite::Result<()> {
        let start = cpu();
        work()?;
        times.push((name, (cpu() - start).as_secs_f64()));
        Ok(())
    };
    timed("insert", &|| {
        connection.execute_batch("BEGIN")?;
        let mut insert = connection.prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (number, key) in keys.iter().enumerate() {
            insert.execute(params![
                key,
                format!("name {number}"),
                number as i64,
                body,
                number as f64 * 1.5
            ])?;
        }
        connection.execute_batch("COMMIT")
    })?;
    timed("update", &|| {
        connection.execute_batch("BEGIN")?;
        let mut update = connection.prepare("UPDATE t SET name = ?2, n = n + 1 WHERE id = ?1")?;
        for key in keys {
            update.execute(params![key, &key[..12]])?;
        }
        connection.execute_batch("COMMIT")
    })?;
    timed("autocommit", &|| {
        let mut insert = connection.prepare("INSERT INTO t VALUES (?1, 'n', 1, ?2, 1.5)")?;
        for number in 0..3000 {
            insert.execute(params![format!("auto{number}"), body])?;
        }
        Ok(())
    })?;
    timed("delete", &|| {
        connection.execute_batch("BEGIN")?;
        let mut delete = connection.prepare("DELETE FROM t WHERE id = ?1")?;
        for key in keys {
            delete.execute([key])?;
        }
        connection.execute_batch("COMMIT")
    })?;
    Ok(times)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let library = std::env::var_os("SYNCSCOPE_LIBRARY")
        .ok_or("SYNCSCOPE_LIBRARY names no library; call make bench")?;
    let library = Path::new(&library);
    let keys = keys();
    let mut times: BTreeMap<(&str, bool), Vec<f64>> = BTreeMap::new();
    for number in 0..ROUNDS {
        // Taking turns in who goes first, so that a machine that slows down hits both.
        for tracked in [number % 2 == 0, number % 2 != 0] {
            for (name, time) in round(library, &keys, tracked)? {
                times.entry((name, tracked)).or_default().push(time);
            }
        }
    }
    let median = |name, tracked| -> f64 {
        let mut all = times.get(&(name, tracked)).cloned().unwrap_or_default();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    println!(
        "{:12} {:>12} {:>12} {:>7}",
        "write", "plain ms", "tracked ms", "ratio"
    );
    for name in ["insert", "update", "delete", "autocommit"] {
        let (plain, tracked) = (median(name, false), median(name, true));
        println!(
            "{name:12} {:12.1} {:12.1} {:7.2}",
            plain * 1e3,
            tracked * 1e3,
            tracked / plain
        );
    }
    Ok(())
}
