//! File to file against `INSERT … SELECT` over ATTACH. Run by hand: `cargo test --release --test sqlite speed -- --ignored --nocapture`.

use std::time::Instant;

use serde_json::json;

use super::{Folder, NOTES};

const ROWS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO notes SELECT hex(randomblob(8)), 'title ' || i, 'body of note ' || i, i FROM n";

#[test]
#[ignore = "a measurement"]
fn speed_of_a_hundred_thousand_rows() {
    let folder = Folder::new();
    let hub = folder.made(
        "hub.db",
        &format!("PRAGMA journal_mode = WAL; {NOTES} {ROWS}"),
    );
    drop(hub);
    let plain = folder.made("plain.db", &format!("PRAGMA journal_mode = WAL; {NOTES}"));
    plain
        .execute("ATTACH ?1 AS hub", [folder.path("hub.db").to_str()])
        .expect("attached");
    let start = Instant::now();
    plain
        .execute_batch("INSERT INTO notes SELECT * FROM hub.notes")
        .expect("copied");
    let copied = start.elapsed();
    let device = folder.device(
        "a.db",
        &format!("PRAGMA journal_mode = WAL; {NOTES}"),
        "hub.db",
        json!({}),
    );
    let start = Instant::now();
    assert_eq!(device.synced()["inserted"], 100_000);
    let pulled = start.elapsed();
    let device = folder.device(
        "b.db",
        &format!("PRAGMA journal_mode = WAL; {NOTES}"),
        "empty.db",
        json!({"create": true}),
    );
    device.synced();
    device.exec(ROWS);
    let start = Instant::now();
    assert_eq!(device.synced()["pushed"], 100_000);
    let pushed = start.elapsed();
    let factor = |time: std::time::Duration| time.as_secs_f64() / copied.as_secs_f64();
    println!(
        "INSERT … SELECT {copied:?}; pull {pulled:?} ({:.2}); push {pushed:?} ({:.2})",
        factor(pulled),
        factor(pushed)
    );
}
