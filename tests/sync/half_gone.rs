//! Our own objects half gone, or in another file than they were made in (M7).

use std::io::Write;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;
use support::device::sync_on;
use support::{Backend, Device, all_settings, ask, assert_equal};

const SCHEMA: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);";
const ROWS: &str =
    "INSERT INTO t VALUES ('1', 'a', 'a'), ('2', 'b', 'b'), ('3', 'c', 'c'), ('4', 'd', 'd')";
const EDITS: &str = "UPDATE t SET b = 'edited' WHERE id = '1'; DELETE FROM t WHERE id = '2'; INSERT INTO t VALUES ('n', 'n', 'n')";
const WAITING: &str = "t|1|updated|[\"b\"]\nt|2|deleted|NULL\nt|n|created|[]";

fn codes(answer: &Value) -> Vec<&str> {
    let warnings = answer["warnings"].as_array().expect("warnings").iter();
    let codes = warnings.map(|warning| warning["code"].as_str());
    codes.map(|code| code.expect("a code")).collect()
}

fn message(answer: &Value, code: &str) -> String {
    let mut warnings = answer["warnings"].as_array().expect("warnings").iter();
    let found = warnings.find(|warning| warning["code"] == code);
    found.map_or_else(String::new, |warning| warning["message"].to_string())
}

/// What is noticed where an answer has no room for it.
fn kept(db: &Connection) -> String {
    ask(
        db,
        "SELECT detail ->> '$.code' FROM sync_log WHERE runId = 0 AND event = 'warning'",
    )
}

/// A device that has pulled, with changes that wait.
fn device(settings: &str) -> (Backend, Device) {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| db.execute_batch(ROWS));
    let device = Device::with(SCHEMA, &["t"], &backend.sync_url());
    device.exec(settings);
    device.synced();
    device.exec(EDITS);
    assert_eq!(device.pending(), WAITING);
    (backend, device)
}

/// Runs the sqlite3 shell on a file; what it prints.
fn shell(file: &std::path::Path, input: &str) -> String {
    let mut child = Command::new("sqlite3")
        .arg("-batch")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3, the shell");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(input.as_bytes()).expect("input");
    drop(stdin);
    let output = child.wait_with_output().expect("output");
    String::from_utf8(output.stdout).expect("text")
}

/// A connection to another file, with the provider declared as at every start of a program.
fn open(path: &std::path::Path) -> Connection {
    let db = Connection::open(path).expect("open");
    support::load(&db);
    db
}

fn pending(db: &Connection) -> String {
    ask(
        db,
        "SELECT \"table\", key, op, changed FROM sync_pending ORDER BY 1, 2",
    )
}

#[test]
fn m7_a_dump_that_is_read_again_goes_on_where_the_file_was() {
    for settings in all_settings() {
        let (backend, device) = device(&settings);
        let dump = shell(&device.world.path(), ".dump\n");
        let restored = device.world.file("restored.db");
        shell(&restored, &dump);
        let db = open(&restored);
        assert_eq!(pending(&db), WAITING, "{settings}");
        let answer = sync_on(&db, "all", &["t"]);
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(codes(&answer), [""; 0], "{answer}");
        assert_eq!(pending(&db), "");
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(id || b, ' ') FROM (SELECT * FROM t ORDER BY id)"
            ),
            "1edited 3c 4d nn"
        );
        // What is written in the restored file is captured.
        db.execute_batch("UPDATE t SET a = 'z' WHERE id = '3'")
            .expect("an edit");
        assert_eq!(pending(&db), "t|3|updated|[\"a\"]");
        assert_eq!(sync_on(&db, "all", &["t"])["state"], "synced");
        // And the first one finds it.
        device.synced();
        assert_equal(&device, &backend, &["t"]);
    }
}

#[test]
fn m7_a_copied_file_goes_on_with_and_without_its_wal() {
    for (journal, with_wal) in [("wal", true), ("wal", false), ("delete", false)] {
        let (backend, device) = device(&format!("PRAGMA journal_mode = {journal}"));
        if journal == "wal" && !with_wal {
            device.exec("PRAGMA wal_checkpoint(FULL)");
        }
        let copy = device.world.file("copy.db");
        std::fs::copy(device.world.path(), &copy).expect("copied");
        if with_wal {
            let wal = device.world.file("app.db-wal");
            std::fs::copy(wal, device.world.file("copy.db-wal")).expect("copied");
        }
        let db = open(&copy);
        assert_eq!(pending(&db), WAITING, "{journal} {with_wal}");
        let answer = sync_on(&db, "all", &["t"]);
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(codes(&answer), [""; 0], "{answer}");
        assert_eq!(pending(&db), "");
        drop(db);
        // The first file has sent nothing yet: that the same rows are there already does no harm.
        device.sync();
        device.synced();
        assert_equal(&device, &backend, &["t"]);
        assert_eq!(device.pending(), "");
    }
}

/// The names of our tables.
fn tables(device: &Device) -> Vec<String> {
    let names = device.ask(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\' ORDER BY 1",
    );
    names.lines().map(str::to_owned).collect()
}

#[test]
fn m7_any_one_of_our_tables_that_is_dropped_comes_back_and_is_named() {
    let (_, sample) = device("");
    for table in tables(&sample) {
        let (backend, device) = device("");
        device.exec("UPDATE t SET b = 'late' WHERE id = '3'");
        device
            .world
            .plain()
            .execute_batch(&format!("DROP TABLE {table}"))
            .expect("dropped");
        let db = device.second();
        assert_eq!(ask(&db, "SELECT sync_init()"), "1", "{table}");
        let kept = kept(&db);
        assert!(kept.contains("tablesMissing"), "{table}: {kept}");
        let objects = "SELECT count(*) FROM sqlite_master WHERE name LIKE '\\_sync%' ESCAPE '\\' AND name NOT LIKE '\\_syncCapture%' ESCAPE '\\'";
        assert_eq!(ask(&db, objects), sample.ask(objects), "{table}");
        // What a program does when it starts.
        device.provider(&backend.sync_url(), serde_json::json!({}));
        let tracked: Value =
            serde_json::from_str(&ask(&db, "SELECT sync_track('t')")).expect("JSON");
        let said = message(&tracked, "tablesMissing");
        assert!(said.contains(&table), "{table}: {tracked}");
        assert_eq!(
            codes(&tracked).contains(&"orphanedTriggers"),
            table == "_syncTable",
            "{table}: {tracked}"
        );
        if table == "_syncChange" {
            ask(&db, "SELECT sync_capture_existing('t')");
        }
        device.synced();
        let answer = device.synced();
        assert_eq!(codes(&answer), [""; 0], "{table}: {answer}");
        assert_eq!(device.pending(), "", "{table}");
        // Of a delete nothing but the log knew.
        if table != "_syncChange" && table != "_syncTable" {
            assert_equal(&device, &backend, &["t"]);
        }
        device.exec("UPDATE t SET a = 'again' WHERE id = '4'");
        assert_eq!(device.pending(), "t|4|updated|[\"a\"]", "{table}");
        device.synced();
        let there = "SELECT a FROM t WHERE id = '4'";
        let at = backend.sql(|db| db.query_row(there, [], |row| row.get::<_, String>(0)));
        assert_eq!(at, "again", "{table}");
    }
}

#[test]
fn m7_a_dropped_table_is_named_by_the_next_sync_too() {
    let (backend, device) = device("");
    device.exec("DROP TABLE _syncCursor; DROP INDEX _syncLog_run");
    let answer = device.synced();
    assert_eq!(codes(&answer)[0], "tablesMissing", "{answer}");
    assert!(message(&answer, "tablesMissing").contains("_syncCursor"));
    assert_equal(&device, &backend, &["t"]);
    device.exec("DROP TRIGGER _syncScope_insert");
    let answer = device.synced();
    assert_eq!(codes(&answer), ["tablesMissing"], "{answer}");
    assert!(message(&answer, "tablesMissing").contains("triggers"));
}

#[test]
fn m7_numbers_of_a_log_that_is_gone_are_not_used_again() {
    let (_, device) = device("");
    let last: i64 = device
        .ask("SELECT max(seq) FROM _syncChange")
        .parse()
        .expect("a number");
    device.exec(&format!(
        "INSERT INTO _syncRejected (provider, tbl, pk, kind, reason, at, uptoSeq) SELECT 'api', id, '1', 'updated', 'no', 1, {last} FROM _syncTable"
    ));
    device.exec("DROP TABLE _syncChange");
    device.ask("SELECT sync_init()");
    device.exec("UPDATE t SET b = 'new' WHERE id = '1'");
    let next: i64 = device
        .ask("SELECT max(seq) FROM _syncChange")
        .parse()
        .expect("a number");
    assert!(next > last, "{next} after {last}");
}

#[test]
fn m7_what_was_logged_for_a_table_that_is_not_known_any_more_is_never_another_s() {
    let (_, device) = device("");
    device.exec(
        "CREATE TABLE other (id TEXT PRIMARY KEY NOT NULL, x TEXT); DROP TABLE _syncTable;
         INSERT INTO t VALUES ('x', 'logged by a trigger that is left over', 'x')",
    );
    let db = device.second();
    let answer: Value =
        serde_json::from_str(&ask(&db, "SELECT sync_track('other')")).expect("JSON");
    assert_eq!(
        codes(&answer),
        ["tablesMissing", "orphanedTriggers"],
        "{answer}"
    );
    assert!(
        message(&answer, "orphanedTriggers").contains("\\\"t\\\""),
        "{answer}"
    );
    assert_eq!(pending(&db), "");
    db.execute_batch("INSERT INTO other VALUES ('o', 1); UPDATE t SET a = 'free' WHERE id = '3'")
        .expect("writes");
    assert_eq!(pending(&db), "other|o|created|[]");
}

/// All tables dropped, or their rows: as a schema that was restored alone.
#[test]
fn m7_sync_init_says_what_it_found_and_did() {
    for how in ["DROP TABLE", "DELETE FROM"] {
        for later in ["", "UPDATE t SET b = 'logged' WHERE id = '3'"] {
            let (backend, device) = device("");
            let plain = device.world.plain();
            let guards = ask(
                &plain,
                "SELECT group_concat('DROP TRIGGER \"' || name || '\"', ';') FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE '\\_sync%' ESCAPE '\\'",
            );
            plain.execute_batch(&guards).expect("guards");
            for table in tables(&device) {
                plain
                    .execute_batch(&format!("{how} {table}"))
                    .expect("ruined");
            }
            // A trigger that is left over logs, where the log is there.
            let written = plain.execute_batch(later);
            assert_eq!(written.is_ok(), how == "DELETE FROM" || later.is_empty());
            let db = device.second();
            assert_eq!(ask(&db, "SELECT sync_init()"), "1");
            let expected = match how {
                "DROP TABLE" => "orphanedTriggers",
                _ => "tablesMissing\norphanedTriggers",
            };
            assert_eq!(kept(&db), expected, "{how} {later}");
            db.execute_batch("UPDATE t SET b = 'free' WHERE id = '3'")
                .expect("no trigger is left");
            device.provider(&backend.sync_url(), serde_json::json!({}));
            let tracked: Value = serde_json::from_str(&ask(
                &db,
                "SELECT sync_track('t', '{\"existing\":\"skip\"}')",
            ))
            .expect("JSON");
            let told: Vec<&str> = expected.lines().collect();
            assert_eq!(codes(&tracked), told, "{tracked}");
            assert_eq!(kept(&db), "");
            device.exec("UPDATE t SET a = 'x' WHERE id = '4'");
            assert_eq!(device.pending(), "t|4|updated|[\"a\"]");
            device.synced();
        }
    }
}

#[test]
fn m7_who_only_reads_hears_what_to_call() {
    let (_, device) = device("");
    device.exec("DROP TABLE _syncTable");
    for read in ["SELECT * FROM sync_pending", "SELECT sync_has_pending()"] {
        let refusal = device.refused(read);
        assert!(
            refusal.contains("_syncTable; call sync_init()"),
            "{refusal}"
        );
    }
    device.ask("SELECT sync_init()");
    assert_eq!(device.pending(), "");
}
