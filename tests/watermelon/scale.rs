//! Many rows (WatermelonDB checklist, line 14): work grows with their number and no faster, memory does not
//! grow with an answer's size. Work is counted in steps of SQLite's machine, for clocks prove nothing;
//! `make bench` and `make bench-peers` tell how long it takes.

use serde_json::{Value, json};
use support::{Canned, Device, json_answer, sync_on, work_of};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, n INTEGER)";

/// What syncing makes SQLite do, in steps.
fn work(device: &mut Device) -> u64 {
    let entities = ["t"];
    work_of(&mut device.db, |db| {
        let answer = sync_on(db, "all", &entities);
        assert_eq!(answer["state"], "synced", "{answer}");
    })
}

fn rows(count: usize, text: &str) -> Value {
    (0..count)
        .map(|number| json!({"id": format!("row {number}"), "a": text, "n": number}))
        .collect()
}

/// Work of each step of a device's life with so many rows.
fn life(count: usize) -> Vec<(&'static str, u64)> {
    let server = Canned::start();
    let mut device = Device::with(TABLE, &["t"], &server.url());
    let made = format!(
        "WITH s (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM s WHERE x < {count}) \
         INSERT INTO t SELECT 'here ' || x, 'x', x FROM s"
    );
    let mut steps = Vec::new();
    server.changes(json!({"t": {"created": rows(count, "first")}}));
    steps.push(("a first pull", work(&mut device)));
    server.changes(json!({"t": {"updated": rows(count, "second")}}));
    steps.push(("a pull of updates", work(&mut device)));
    server.changes(json!({}));
    device.exec(&made);
    steps.push(("a push of created rows", work(&mut device)));
    device.exec("UPDATE t SET a = 'edited'");
    server.changes(json!({"t": {"updated": rows(count, "third")}}));
    steps.push(("conflicts, and a push of updates", work(&mut device)));
    server.changes(json!({}));
    device.exec("DELETE FROM t WHERE id LIKE 'here %'");
    steps.push(("a push of deletes", work(&mut device)));
    let ids: Vec<String> = (0..count).map(|number| format!("row {number}")).collect();
    server.changes(json!({"t": {"deleted": ids}}));
    steps.push(("a pull of deletes", work(&mut device)));
    assert_eq!(
        device.ask("SELECT count(*) FROM t") + "," + &device.pending(),
        "0,"
    );
    steps
}

#[test]
fn line_14_work_grows_in_proportion_to_the_rows() {
    const TIMES: u64 = 8;
    let few = life(500);
    let many = life(500 * TIMES as usize);
    for ((step, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 500, "{step}: {few} steps for 500 rows");
        // The square would be 64 times as much; trees grow a little deeper.
        assert!(
            many < few * TIMES * 3 / 2,
            "{step}: {few} steps for 500 rows, {many} for {TIMES} times as many"
        );
    }
}

/// The process whose memory is measured: pulls once, and tells its peak.
#[test]
fn the_process_that_pulls() {
    let Ok(url) = std::env::var("SYNCSCOPE_TEST_PULL_FROM") else {
        return;
    };
    let device = Device::with(TABLE, &["t"], &url);
    device.synced();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let rows = device.ask("SELECT count(*) FROM t");
    println!("\npeak {} rows {rows}", peak.expect("VmHWM").trim());
}

/// The peak of memory of a process that pulls so many rows, in KiB.
#[cfg(target_os = "linux")]
fn peak(count: usize) -> i64 {
    let server = Canned::start();
    let text = "x".repeat(400);
    let changes = json!({"t": {"created": rows(count, &text)}});
    let answer = json_answer(&json!({"changes": changes, "timestamp": 5}).to_string());
    server.pull_raw(move |_| answer.clone());
    let output = support::again(module_path!(), "the_process_that_pulls")
        .env("SYNCSCOPE_TEST_PULL_FROM", server.url())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("peak "));
    let words: Vec<&str> = line
        .unwrap_or_else(|| panic!("{said}{output:?}"))
        .split(' ')
        .collect();
    assert_eq!(words[3], count.to_string(), "{said}");
    words[0].parse().expect("KiB")
}

#[cfg(target_os = "linux")]
#[test]
fn line_14_memory_does_not_grow_with_the_answer() {
    // 40,000 rows are an answer of 18 MB.
    let (small, large) = (peak(2_000), peak(40_000));
    assert!(
        large - small < 12 * 1024,
        "{small} KiB for 2,000 rows, {large} KiB for 40,000"
    );
}
