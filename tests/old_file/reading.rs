//! Before anything is written, it is read as v0.1.0 reads it.

use super::fixture::{attaching, newest, old_bytes, old_file, read_only, reads_as_ever, whole};
use support::{ask, refused};

#[test]
fn it_is_read_as_v0_1_0_reads_it_and_reading_changes_nothing() {
    let world = old_file();
    reads_as_ever(&world.open(), "writable");
    reads_as_ever(&read_only(&world), "read-only");
    assert_eq!(std::fs::read(world.path()).expect("read"), old_bytes());
    let schema = ask(&world.open(), "SELECT sync_debug() ->> 'schemaVersion'");
    assert_eq!(schema, "1");
}

#[test]
fn it_is_read_the_same_in_wal_mode_and_attached() {
    let world = old_file();
    ask(&world.plain(), "PRAGMA journal_mode = wal");
    reads_as_ever(&world.open(), "writable");
    reads_as_ever(&read_only(&world), "read-only");
    let (_elsewhere, connection) = attaching(&world);
    let pending = "SELECT count(*) FROM sync_pending";
    assert_eq!(
        ask(&connection, &format!("{pending} WHERE schema = 'old'")),
        ask(&world.open(), pending)
    );
    assert_eq!(ask(&connection, "SELECT sync_init('old')"), "1");
    assert_eq!(
        ask(
            &connection,
            "SELECT value FROM old._syncMeta WHERE key = 'schemaVersion'"
        ),
        newest()
    );
}

#[test]
fn writing_to_a_virtual_table_asks_for_the_upgrade() {
    let world = old_file();
    let connection = world.open();
    let before = whole(&connection);
    for sql in [
        "INSERT INTO sync_scope (id, instanceIds) VALUES ('new', '[]')",
        "UPDATE sync_status SET state = 'synced' WHERE id = 9",
    ] {
        let text = refused(&connection, sql);
        assert!(
            text.contains("schema 1") && text.contains("sync_init()"),
            "{text}"
        );
    }
    assert_eq!(whole(&connection), before);
    ask(&connection, "SELECT sync_init()");
    ask(
        &connection,
        "INSERT INTO sync_scope (id, instanceIds) VALUES ('new', '[]')",
    );
}
