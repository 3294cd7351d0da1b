//! Installations of which only a part is left, the table of the version gone with the rest (M7): the next call that writes
//! makes them whole, or says what to do.

use rusqlite::Connection;
use support::{Backend, Device, Random, ask, refused};

const SCHEMA: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT);";

fn device() -> (Backend, Device) {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| db.execute_batch("INSERT INTO t VALUES ('1', 'a')"));
    let device = Device::with(SCHEMA, &["t"], &backend.sync_url());
    device.synced();
    device.exec("UPDATE t SET a = 'edited'");
    (backend, device)
}

fn tables(db: &Connection) -> Vec<String> {
    let names = ask(
        db,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\' ORDER BY 1",
    );
    names.lines().map(str::to_owned).collect()
}

fn drop_tables<'t>(device: &Device, tables: impl IntoIterator<Item = &'t String>) -> Connection {
    let plain = device.world.plain();
    for table in tables {
        let dropped = plain.execute_batch(&format!("DROP TABLE {table}"));
        dropped.expect("dropped");
    }
    device.second()
}

fn writes(db: &Connection, what: &str) {
    db.execute_batch("UPDATE t SET a = 'free' WHERE id = '1'")
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// The application can write, and what it writes arrives.
fn works(db: &Connection, backend: &Backend, device: &Device, what: &str) {
    writes(db, what);
    device.provider(&backend.sync_url(), serde_json::json!({}));
    ask(db, "SELECT sync_track('t')");
    device.synced();
    db.execute_batch("UPDATE t SET a = 'last' WHERE id = '1'")
        .expect("an edit");
    device.synced();
    let there =
        backend.sql(|db| db.query_row("SELECT a FROM t", [], |row| row.get::<_, String>(0)));
    assert_eq!(there, "last", "{what}");
}

#[test]
fn m7_whatever_part_of_our_tables_is_left_the_next_call_makes_them_whole() {
    let (_, sample) = device();
    let all = tables(&sample.world.plain());
    let mut random = Random(7);
    let alone = all.iter().map(|left| vec![left.clone()]);
    let some = (0..12).map(|_| {
        let kept = all.iter().filter(|_| random.below(2) == 0);
        kept.cloned().collect()
    });
    for (number, left) in alone.chain(some.collect::<Vec<_>>()).enumerate() {
        let (backend, device) = device();
        let db = drop_tables(&device, all.iter().filter(|table| !left.contains(table)));
        ask(&db, "SELECT sync_init()");
        assert_eq!(tables(&db), all, "{left:?}");
        let what = format!("{left:?} are left");
        match number % 5 {
            0 => works(&db, &backend, &device, &what),
            _ => writes(&db, &what),
        }
    }
}

#[test]
fn m7_tables_without_the_row_of_the_version_are_read_by_their_columns() {
    let (backend, device) = device();
    device
        .world
        .plain()
        .execute_batch("DELETE FROM _syncMeta")
        .expect("deleted");
    let db = device.second();
    assert_eq!(ask(&db, "SELECT changed FROM sync_pending"), "[\"a\"]");
    works(&db, &backend, &device, "without the version");
}

#[test]
fn m7_a_table_of_somebody_else_under_one_of_our_names_is_named() {
    let (_, device) = device();
    let all = tables(&device.world.plain());
    let db = drop_tables(&device, &all);
    db.execute_batch("CREATE TABLE _syncLog (id INTEGER PRIMARY KEY, line TEXT)")
        .expect("created");
    for call in ["sync_init()", "sync_track('t')"] {
        let refusal = refused(&db, &format!("SELECT {call}"));
        assert!(
            refusal.contains("\"_syncLog\"")
                && refusal.contains("Copy it to another name, drop it"),
            "{refusal}"
        );
    }
    db.execute_batch("CREATE TABLE my_log AS SELECT * FROM _syncLog; DROP TABLE _syncLog")
        .expect("copied");
    ask(&db, "SELECT sync_init()");
    db.execute_batch("UPDATE t SET a = 'free'")
        .expect("no trigger is left");
}

#[test]
fn m7_a_table_with_a_name_like_ours_hides_none_that_is_missing() {
    let (backend, device) = device();
    device.exec("DROP TABLE _syncCursor; CREATE TABLE _syncMine (x)");
    let db = device.second();
    ask(&db, "SELECT sync_init()");
    assert!(tables(&db).contains(&"_syncCursor".to_owned()));
    works(&db, &backend, &device, "beside another table");
}
