//! Who works on the file, what happens when they die, and that the living are left alone.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::scopes::{begin, picture, report, scope, start, status};
use support::{World, ask, both, library, refused, wait_for};

/// The sqlite3 shell with the extension, as another process that works on the file.
struct Shell {
    child: Child,
}

impl Shell {
    fn new(world: &World) -> Self {
        let child = Command::new("sqlite3")
            .arg("-batch")
            .arg(world.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the sqlite3 shell");
        let mut shell = Self { child };
        shell.say(".timeout 120000");
        shell.say(&format!(".load {}", library().display()));
        shell
    }

    fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin");
        writeln!(stdin, "{line}").expect("the shell listens");
        stdin.flush().expect("the shell listens");
    }

    /// SIGKILL. Not waited for at first: a dead process that nobody has buried is dead too.
    fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(db: &rusqlite::Connection, sql: &str, expected: &str) {
    wait_for(sql, || ask(db, sql) == expected);
}

/// Another process with a scope `s` of a and b, where a is in flight.
fn busy_shell(world: &World) -> Shell {
    drop(world.ready());
    let mut shell = Shell::new(world);
    shell.say(r#"SELECT sync_start_scope('s', '["a","b"]');"#);
    shell.say(r#"SELECT sync_entities('a', 'host', '["e"]');"#);
    wait_until(&world.plain(), "SELECT count(*) FROM _syncStatus", "1");
    shell
}

#[test]
fn line_14_a_killed_sync_reads_as_crashed_when_the_file_is_opened_again() {
    both(|world| {
        busy_shell(world).kill();
        let db = world.open(); // loading recovers
        assert_eq!(scope(&db, "s"), "interrupted 1/0/0/0");
        assert_eq!(status(&db, 1), "failed|interrupted: crashed");
        assert_eq!(
            ask(
                &db,
                "SELECT json_extract(details, '$.interruption.reason') FROM _syncScope"
            ),
            "crashed"
        );
        let before = picture(&db);
        drop(world.open());
        ask(&db, "SELECT sync_recover()");
        assert_eq!(picture(&db), before);
    });
}

#[test]
fn line_14_twenty_kills_at_any_moment_leave_nothing_syncing() {
    let world = World::new(false);
    drop(world.ready());
    for round in 0..20u64 {
        let mut shell = Shell::new(&world);
        for call in 0..30 {
            shell.say(&format!(
                r#"SELECT sync_start_scope('s{}', '["a","b"]');"#,
                call % 3
            ));
            shell.say(r#"SELECT sync_entities('a', 'host', '["e1","e2"]');"#);
            shell.say("SELECT sync_set_status(1, 'synced');");
            shell.say(r#"SELECT sync_entities('b', 'host', '["e2","e3"]');"#);
        }
        std::thread::sleep(Duration::from_millis(5 + round * 7 % 60));
        shell.kill();
        let db = world.open();
        ask(&db, "SELECT sync_recover()");
        assert_eq!(
            ask(
                &db,
                "SELECT count(*) FROM _syncStatus WHERE state = 'syncing'"
            ),
            "0"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT count(*) FROM _syncScope WHERE state = 'syncing'"
            ),
            "0"
        );
        assert_eq!(ask(&db, "PRAGMA integrity_check"), "ok");
    }
}

/// The guard of the README, in the connection of somebody who stays when the other process dies. Nobody else
/// recovers anything: a guard that went by what was last written would keep the scope shut for good.
#[test]
fn line_21_the_overlap_guard_opens_again_when_the_owner_dies() {
    const GUARDED: &str = "SELECT sync_start_scope('s', '[\"a\",\"b\"]') WHERE NOT EXISTS \
        (SELECT 1 FROM sync_scope WHERE id = 's' AND state = 'syncing')";
    both(|world| {
        let shell = busy_shell(world);
        let db = world.open();
        let guarded = || {
            db.query_row(GUARDED, [], |row| row.get::<_, String>(0))
                .ok()
        };
        assert_eq!(guarded(), None, "the other process is at work");
        shell.kill();
        assert_eq!(
            ask(&world.plain(), "SELECT state FROM _syncScope"),
            "syncing",
            "nobody has noticed yet"
        );
        assert_eq!(guarded().as_deref(), Some("syncing"));
        assert_eq!(guarded(), None, "it is ours now");
        ask(&db, "SELECT sync_interrupt('s')");
        assert_eq!(guarded().as_deref(), Some("syncing"));
    });
}

#[test]
fn line_14_the_virtual_tables_know_before_anyone_has_recovered() {
    let world = World::new(false);
    let shell = busy_shell(&world);
    let db = world.open();
    assert_eq!(
        ask(&db, "SELECT state, syncing FROM sync_scope"),
        "syncing|1"
    );
    shell.kill();
    assert_eq!(
        ask(&db, "SELECT state, syncing, reason FROM sync_scope"),
        "interrupted|0|crashed"
    );
    assert_eq!(
        ask(
            &db,
            "SELECT state FROM sync_scope_member WHERE instanceId = 'a'"
        ),
        "interrupted"
    );
    assert_eq!(
        ask(&db, "SELECT state, error FROM sync_status"),
        "failed|interrupted: crashed"
    );
    assert_eq!(
        ask(&db, "SELECT state, syncing FROM _syncScope"),
        "syncing|1"
    );
}

#[test]
fn line_15_a_living_process_is_left_alone_even_past_its_lease() {
    both(|world| {
        let shell = busy_shell(world);
        ask(
            &world.plain(),
            "UPDATE _syncOwner SET heartbeatAt = 0, leaseMs = 0",
        );
        let before = picture(&world.plain());
        let db = world.open();
        assert_eq!(
            ask(&db, "SELECT sync_recover()"),
            r#"{"operations":0,"scopes":[]}"#
        );
        assert_eq!(ask(&db, "SELECT sync_interrupt()"), "0");
        assert_eq!(picture(&db), before);
        shell.kill();
    });
}

#[test]
fn line_15_a_second_connection_of_the_same_process_changes_nothing() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let before = picture(&db);
        let second = world.open();
        ask(&second, "SELECT sync_heartbeat()");
        drop(second);
        assert_eq!(picture(&db), before);
        report(&db, 1, "synced", None);
        assert_eq!(scope(&db, "s"), "synced 0/0/0/1");
    });
}

#[test]
fn line_15_work_of_a_closed_connection_is_interrupted_as_closed() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        drop(db);
        let db = world.open();
        assert_eq!(scope(&db, "s"), "interrupted 0/0/0/0");
        assert_eq!(status(&db, 1), "failed|interrupted: closed");
    });
}

#[test]
fn line_15_schema_changes_and_rollbacks_do_not_look_like_a_close() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        ask(&db, "BEGIN");
        ask(&db, "CREATE TABLE t(x)");
        ask(&db, "ROLLBACK");
        ask(&db, "CREATE TABLE u(x)");
        ask(&db, "SELECT sync_heartbeat()");
        ask(&db, "ATTACH ':memory:' AS extra");
        ask(&db, "DETACH extra");
        ask(&db, "SELECT sync_recover()");
        ask(&world.open(), "SELECT sync_recover()");
        assert_eq!(status(&db, 1), "syncing|NULL");
        assert_eq!(
            ask(&db, "SELECT count(*) FROM _syncOwner WHERE processId > 0"),
            "2"
        );
    });
}

/// Work of an owner whose row was changed as `set` says, judged by another connection.
fn judged(world: &World, set: &str) -> String {
    let db = world.ready();
    start(&db, "s", r#"["a"]"#);
    begin(&db, "a", r#"["e"]"#);
    ask(
        &db,
        &format!("UPDATE _syncOwner SET token = 'stranger', {set}"),
    );
    let other = world.open();
    ask(&other, "SELECT sync_recover()");
    status(&other, 1)
}

#[test]
fn line_15_the_same_process_id_with_another_start_time_is_dead() {
    both(|world| {
        assert_eq!(
            judged(world, "processStart = '1'"),
            "failed|interrupted: crashed"
        );
    });
}

#[test]
fn line_15_a_foreign_boot_lives_by_its_lease() {
    both(|world| assert_eq!(judged(world, "bootId = 'elsewhere'"), "syncing|NULL"));
    both(|world| {
        assert_eq!(
            judged(
                world,
                "pidNamespace = 'elsewhere', heartbeatAt = heartbeatAt - 50000"
            ),
            "syncing|NULL"
        );
    });
    both(|world| {
        assert_eq!(
            judged(
                world,
                "bootId = 'elsewhere', heartbeatAt = heartbeatAt - 61000"
            ),
            "failed|interrupted: expired"
        );
    });
}

#[test]
fn line_15_work_begun_by_plain_sql_expires_an_hour_after_its_last_change() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        let insert = "INSERT INTO _syncStatus(provider, entity, state, timestamp) \
            VALUES ('p', ?1, 'syncing', CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) - ?2)";
        plain
            .execute(insert, rusqlite::params!["young", 3_500_000])
            .expect("insert");
        plain
            .execute(insert, rusqlite::params!["old", 3_700_000])
            .expect("insert");
        ask(&db, "SELECT sync_recover()");
        assert_eq!(status(&db, 1), "syncing|NULL");
        assert_eq!(status(&db, 2), "failed|interrupted: expired");
    });
}

#[test]
fn line_15_an_operation_that_a_living_owner_shares_stays_open() {
    both(|world| {
        let shell = busy_shell(world);
        let db = world.open();
        start(&db, "t", r#"["c"]"#);
        begin(&db, "c", r#"["e","f"]"#);
        shell.kill();
        ask(&db, "SELECT sync_recover()");
        assert_eq!(scope(&db, "s"), "interrupted 1/0/0/0");
        assert_eq!(scope(&db, "t"), "syncing 0/1/0/0");
        assert_eq!(status(&db, 1), "syncing|NULL");
        report(&db, 1, "synced", None);
        report(&db, 2, "synced", None);
        assert_eq!(scope(&db, "t"), "synced 0/0/0/1");
    });
}

#[test]
fn line_21_a_scope_whose_starter_died_is_interrupted_unless_someone_living_works_in_it() {
    both(|world| {
        drop(world.ready());
        let mut shell = Shell::new(world);
        shell.say(r#"SELECT sync_start_scope('s', '["a","b"]');"#);
        let db = world.open();
        wait_until(&db, "SELECT count(*) FROM _syncScope", "1");
        begin(&db, "a", r#"["e"]"#);
        shell.kill();
        ask(&db, "SELECT sync_recover()");
        assert_eq!(scope(&db, "s"), "syncing 1/1/0/0");
        report(&db, 1, "synced", None);
        ask(&db, "SELECT sync_recover()");
        assert_eq!(scope(&db, "s"), "interrupted 1/0/0/1");
    });
}

#[test]
fn recovery_by_two_processes_interrupts_each_operation_once() {
    let world = World::new(false);
    busy_shell(&world).kill();
    let mut shells: Vec<_> = (0..3).map(|_| Shell::new(&world)).collect();
    for shell in &mut shells {
        shell.say("SELECT sync_recover();");
        shell.say("CREATE TABLE IF NOT EXISTS done(x);");
        shell.say("INSERT INTO done VALUES (1);");
    }
    let plain = world.plain();
    wait_until(
        &plain,
        "SELECT count(*) FROM sqlite_master WHERE name = 'done'",
        "1",
    );
    wait_until(&plain, "SELECT count(*) FROM done", "3");
    let events =
        "SELECT count(*) FROM _syncEvent WHERE kind = 'operation' AND event = 'interrupted'";
    assert_eq!(ask(&plain, events), "1");
}

#[test]
fn loading_inside_a_transaction_or_a_read_only_file_recovers_nothing_and_succeeds() {
    let world = World::new(false);
    busy_shell(&world).kill();
    let plain = world.plain();
    ask(&plain, "BEGIN");
    support::load(&plain);
    assert_eq!(status(&plain, 1), "syncing|NULL");
    ask(&plain, "COMMIT");
    assert!(refused(&plain, "SELECT sync_set_status(1, 'x')").contains("state must be"));
    ask(&plain, "SELECT sync_heartbeat()");
    assert_eq!(status(&plain, 1), "failed|interrupted: crashed");
}

#[test]
fn an_interrupted_instance_keeps_its_reason_when_who_shared_its_work_dies() {
    both(|world| {
        let shell = busy_shell(world);
        let db = world.open();
        start(&db, "t", r#"["c"]"#);
        begin(&db, "c", r#"["e"]"#);
        ask(&db, "SELECT sync_interrupt(NULL, 'background')");
        let reasons = "SELECT group_concat(id || ' ' || (details->'interruption'->>'reason'), ', ') \
                       FROM (SELECT * FROM _syncScope ORDER BY id) WHERE state = 'interrupted'";
        assert_eq!(ask(&db, reasons), "t background");
        assert_eq!(status(&db, 1), "syncing|NULL");
        shell.kill();
        ask(&db, "SELECT sync_recover()");
        assert_eq!(ask(&db, reasons), "s crashed, t background");
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(instanceId || ' ' || error, ', ') \
                 FROM (SELECT * FROM _syncOperation ORDER BY instanceId)"
            ),
            "a interrupted: crashed, c interrupted: background"
        );
    });
}
