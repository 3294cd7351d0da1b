//! Tiny limits, an authorizer that forbids, an interruption at any moment, a full disk: whatever the
//! host's SQLite throws at a function in the middle of its work, the outcome is an SQL error or
//! success, no transaction stays open, no statement is left, and the next call works. By default a sample
//! of the cases is tried, with `SYNCSCOPE_WHOLE=1` all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ffi};
use support::host::{LOCAL, consistent, copy_of, failure, furnished_file, name_of, settled};
use support::sample::{each, sample, steps};
use support::{ask, try_ask};

const INTERRUPT: i32 = 9;

/// Outside of the caller's transaction, and inside.
const BEGINS: [&str; 2] = ["", "BEGIN"];

/// Runs `SELECT call` and lists what was wrong with the outcome, so that a test can name all cases.
fn attempt(connection: &Connection, call: &str, autocommit: bool, what: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(error) = try_ask(connection, &format!("SELECT {call}"))
        && let rusqlite::Error::SqliteFailure(_, _) | rusqlite::Error::SqlInputError { .. } = error
    {
        let (code, text) = failure(&error);
        if text.contains("panic") {
            wrong.push(format!("{what}: {call}: {text}"));
        }
        if matches!(code & 0xff, 0 | 11 | 100 | 101) {
            wrong.push(format!("{what}: {call}: code {code}: {text}"));
        }
    }
    if connection.is_autocommit() != autocommit {
        wrong.push(format!(
            "{what}: {call}: autocommit is {}",
            connection.is_autocommit()
        ));
    }
    wrong
}

/// Ends the caller's transaction, if there is one. Then nothing in the file contradicts anything
/// else, and the call works. Gives what was wrong.
fn afterwards(connection: &Connection, call: &str, begin: &str, what: &str) -> Vec<String> {
    if !connection.is_autocommit() {
        let end = if begin.is_empty() {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        connection.execute_batch(end).expect("end");
    }
    let checks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        consistent(connection, &format!("{what}: {call}: at once"));
        settled(connection, true, what);
        ask(connection, "SELECT sync_init()");
        let _ = try_ask(connection, &format!("SELECT {call}"));
        settled(connection, true, what);
        consistent(connection, &format!("{what}: {call}: after another call"));
    }));
    let Err(panic) = checks else {
        return Vec::new();
    };
    vec![
        panic
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| format!("{what}: {call}")),
    ]
}

/// Sets one of the host's limits; gives the one before.
fn set_limit(connection: &Connection, limit: i32, value: i32) -> i32 {
    // SAFETY: the connection is open.
    unsafe { ffi::sqlite3_limit(connection.handle(), limit, value) }
}

#[track_caller]
fn none(wrong: &[String]) {
    let shown: Vec<_> = wrong.iter().take(25).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        shown.join("\n")
    );
}

#[test]
fn a_tiny_limit_of_any_kind_is_an_error_and_nothing_stays_open() {
    let (_keep, base) = furnished_file();
    let limits = [
        (
            ("SQLITE_LIMIT_LENGTH", ffi::SQLITE_LIMIT_LENGTH),
            &[30, 60, 100, 200, 500, 1000, 2000, 5000][..],
        ),
        (
            ("SQLITE_LIMIT_SQL_LENGTH", ffi::SQLITE_LIMIT_SQL_LENGTH),
            &[16, 30, 64, 100, 200, 400, 1000, 2000, 5000],
        ),
        (
            ("SQLITE_LIMIT_EXPR_DEPTH", ffi::SQLITE_LIMIT_EXPR_DEPTH),
            &[1, 2, 3, 4, 5, 6, 8, 10, 12, 20],
        ),
        (
            ("SQLITE_LIMIT_COLUMN", ffi::SQLITE_LIMIT_COLUMN),
            &[1, 2, 3, 5, 7, 8, 10, 12],
        ),
        (
            ("SQLITE_LIMIT_VDBE_OP", ffi::SQLITE_LIMIT_VDBE_OP),
            &[1, 5, 10, 20, 40, 80, 160, 320],
        ),
        (
            (
                "SQLITE_LIMIT_COMPOUND_SELECT",
                ffi::SQLITE_LIMIT_COMPOUND_SELECT,
            ),
            &[1, 2],
        ),
        (
            ("SQLITE_LIMIT_FUNCTION_ARG", ffi::SQLITE_LIMIT_FUNCTION_ARG),
            &[1, 2, 3],
        ),
        (("SQLITE_LIMIT_ATTACHED", ffi::SQLITE_LIMIT_ATTACHED), &[0]),
        (
            (
                "SQLITE_LIMIT_LIKE_PATTERN_LENGTH",
                ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
            ),
            &[1],
        ),
        (
            (
                "SQLITE_LIMIT_VARIABLE_NUMBER",
                ffi::SQLITE_LIMIT_VARIABLE_NUMBER,
            ),
            &[1, 2, 3, 5],
        ),
        (
            (
                "SQLITE_LIMIT_TRIGGER_DEPTH",
                ffi::SQLITE_LIMIT_TRIGGER_DEPTH,
            ),
            &[1, 2, 3, 4, 6, 8],
        ),
    ];
    let limits = limits
        .iter()
        .flat_map(|(limit, values)| values.iter().map(move |value| (limit, *value)));
    let limits = each(limits, &BEGINS);
    let mut wrong = Vec::new();
    for (call, ((limit, value), begin)) in sample(module_path!(), each(LOCAL, &limits), 7) {
        let world = copy_of(&base);
        let connection = world.open();
        let what = format!("{} = {value} {begin}", limit.0);
        connection.execute_batch(begin).expect("begin");
        let before = set_limit(&connection, limit.1, value);
        // SQLite treats the last limit as being out of memory, which may roll everything back.
        let mut found = attempt(&connection, call, begin.is_empty(), &what);
        if limit.0 == "SQLITE_LIMIT_VDBE_OP" && connection.is_autocommit() {
            found.retain(|wrong| !wrong.ends_with("autocommit is true"));
        }
        wrong.extend(found);
        set_limit(&connection, limit.1, before);
        wrong.extend(afterwards(&connection, call, begin, &what));
    }
    none(&wrong);
}

#[test]
fn installing_under_a_tiny_limit_leaves_nothing_or_everything() {
    let mut wrong = Vec::new();
    for (limit, values) in [
        (
            ("SQLITE_LIMIT_LENGTH", ffi::SQLITE_LIMIT_LENGTH),
            &[100, 1000, 3000][..],
        ),
        (
            ("SQLITE_LIMIT_SQL_LENGTH", ffi::SQLITE_LIMIT_SQL_LENGTH),
            &[100, 1000, 3000, 6000],
        ),
        (
            ("SQLITE_LIMIT_EXPR_DEPTH", ffi::SQLITE_LIMIT_EXPR_DEPTH),
            &[3, 5, 10],
        ),
        (
            ("SQLITE_LIMIT_COLUMN", ffi::SQLITE_LIMIT_COLUMN),
            &[3, 5, 10],
        ),
        (
            (
                "SQLITE_LIMIT_TRIGGER_DEPTH",
                ffi::SQLITE_LIMIT_TRIGGER_DEPTH,
            ),
            &[1],
        ),
    ] {
        for value in values {
            let world = support::World::new(true);
            let connection = world.open();
            let before = set_limit(&connection, limit.1, *value);
            let what = format!("{} = {value}", limit.0);
            wrong.extend(attempt(&connection, "sync_init()", true, &what));
            set_limit(&connection, limit.1, before);
            wrong.extend(afterwards(&connection, "sync_heartbeat()", "", &what));
        }
    }
    none(&wrong);
}

#[test]
fn whatever_the_authorizer_forbids_is_an_error_and_nothing_stays_open() {
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    // What SQLite asks the authorizer, by name of the action's variant.
    let actions = [
        "CreateIndex",
        "CreateTable",
        "CreateTrigger",
        "Delete",
        "DropIndex",
        "DropTable",
        "DropTrigger",
        "Insert",
        "Pragma",
        "Read",
        "Transaction",
        "Update",
        "AlterTable",
        "Reindex",
        "Analyze",
        "CreateVtable",
        "DropVtable",
        "Function",
        "Savepoint",
        "Recursive",
        "CreateView",
        "CreateTempTable",
        "CreateTempTrigger",
        "Attach",
        "Detach",
        "Select",
    ];
    let actions = each(actions, &BEGINS);
    for (call, (action, begin)) in sample(module_path!(), each(LOCAL, &actions), 5) {
        let world = copy_of(&base);
        let mut connection = world.open();
        connection.execute_batch(begin).expect("begin");
        let name = name_of(call).to_owned();
        connection
            .authorizer(Some(move |context: AuthContext<'_>| {
                let asked = format!("{:?}", context.action);
                // The outermost SELECT and the function itself must get through.
                let outer = matches!(context.action, AuthAction::Function { function_name } if function_name == name);
                let first = action == "Select" && !SEEN.swap(true, Ordering::SeqCst);
                if asked.starts_with(action) && !outer && !first {
                    Authorization::Deny
                } else {
                    Authorization::Allow
                }
            }))
            .expect("authorizer");
        SEEN.store(false, Ordering::SeqCst);
        let what = format!("deny {action} {begin}");
        wrong.extend(attempt(&connection, call, begin.is_empty(), &what));
        connection
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
            .expect("authorizer off");
        wrong.extend(afterwards(&connection, call, begin, &what));
    }
    static SEEN: AtomicBool = AtomicBool::new(false);
    none(&wrong);
}

#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// The progress handler says stop once.
    Once,
    /// It says stop from then on, also to our undoing.
    Always,
    /// Somebody calls sqlite3_interrupt, as another thread would.
    Call,
}

/// Interrupts a call; gives what was wrong, and the operations that were left.
fn interrupted(
    base: &Path,
    call: &str,
    after: i64,
    how: Interruption,
    begin: &str,
) -> (Vec<String>, i64) {
    let world = copy_of(base);
    let mut connection = world.open();
    let before = ask(&connection, "SELECT count(*) FROM t");
    connection.execute_batch(begin).expect("begin");
    let left = Arc::new(AtomicI64::new(after));
    let handle = Handle(unsafe { connection.handle() } as usize);
    let count = Arc::clone(&left);
    connection
        .progress_handler(
            1,
            Some(move || {
                let now = count.fetch_sub(1, Ordering::SeqCst) - 1;
                if now > 0 || (now < 0 && !matches!(how, Interruption::Always)) {
                    return false;
                }
                if matches!(how, Interruption::Call) {
                    // SAFETY: the handler runs inside a call on this open connection.
                    unsafe { ffi::sqlite3_interrupt(handle.0 as *mut ffi::sqlite3) };
                    return false;
                }
                true
            }),
        )
        .expect("progress handler");
    let what = format!("{how:?} after {after} operations {begin}");
    let mut wrong = attempt(&connection, call, true, &what);
    // In the caller's transaction SQLite itself may have rolled everything back (a write was
    // interrupted); else the caller's transaction is still there.
    if !begin.is_empty() {
        wrong.clear();
    }
    connection
        .progress_handler(0, None::<fn() -> bool>)
        .expect("progress handler off");
    let left = left.load(Ordering::SeqCst);
    if !begin.is_empty() && !connection.is_autocommit() {
        // No savepoint of ours is left in the caller's transaction.
        if connection.execute_batch("RELEASE syncscope").is_ok() {
            wrong.push(format!("{what}: {call}: our savepoint is still open"));
        }
    }
    assert_eq!(ask(&connection, "SELECT count(*) FROM t"), before);
    wrong.extend(afterwards(&connection, call, begin, &what));
    (wrong, left)
}

#[derive(Clone, Copy)]
struct Handle(usize);

fn interrupt_everywhere(how: Interruption, begin: &str) {
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    let (mut cases, mut happened) = (0, 0);
    for (place, call) in LOCAL.iter().enumerate() {
        let (found, left) = interrupted(&base, call, i64::MAX, how, begin);
        wrong.extend(found);
        let total = i64::MAX.abs_diff(left);
        for after in steps(module_path!(), total, place, 6) {
            let (found, left) = interrupted(&base, call, after as i64 + 1, how, begin);
            wrong.extend(found);
            cases += 1;
            happened += usize::from(left <= 0);
        }
    }
    assert!(
        happened > cases / 2,
        "{happened} of {cases} interruptions happened"
    );
    none(&wrong);
}

#[test]
fn a_progress_handler_that_stops_once_leaves_no_transaction() {
    interrupt_everywhere(Interruption::Once, "");
}

#[test]
fn a_progress_handler_that_goes_on_stopping_leaves_no_transaction() {
    interrupt_everywhere(Interruption::Always, "");
}

#[test]
fn sqlite3_interrupt_at_any_moment_leaves_no_transaction() {
    interrupt_everywhere(Interruption::Call, "");
}

#[test]
fn a_progress_handler_that_stops_once_inside_begin_leaves_no_savepoint() {
    interrupt_everywhere(Interruption::Once, "BEGIN");
}

#[test]
fn a_progress_handler_that_goes_on_stopping_inside_begin_leaves_no_savepoint() {
    interrupt_everywhere(Interruption::Always, "BEGIN");
}

#[test]
fn sqlite3_interrupt_at_any_moment_inside_begin_leaves_no_savepoint() {
    interrupt_everywhere(Interruption::Call, "BEGIN");
}

#[test]
fn an_interruption_reaches_the_host_as_interrupt() {
    let (_keep, base) = furnished_file();
    let world = copy_of(&base);
    let mut connection = world.open();
    connection
        .progress_handler(30, Some(|| true))
        .expect("progress handler");
    let error = try_ask(&connection, r#"SELECT sync_start_scope('new', '["a"]')"#)
        .err()
        .map(|error| failure(&error));
    connection
        .progress_handler(0, None::<fn() -> bool>)
        .expect("off");
    let (code, text) = error.expect("interrupted");
    assert_eq!(code, INTERRUPT, "{text}");
    assert!(text.contains("interrupted"), "{text}");
}

#[test]
fn a_full_disk_is_an_error_and_nothing_stays_open() {
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    let spares = each(BEGINS, &[0, 1, 2, 3]);
    for (call, (begin, spare)) in sample(module_path!(), each(LOCAL, &spares), 3) {
        let world = copy_of(&base);
        let connection = world.open();
        // Fill the free pages, so that every new page makes the file grow.
        let big = "x".repeat(500);
        ask(
            &connection,
            &format!(r#"SELECT sync_start_scope('{big}', '["{big}"]')"#),
        );
        connection.execute_batch("VACUUM").expect("vacuum");
        let pages: i64 = ask(&connection, "PRAGMA page_count")
            .parse()
            .expect("number");
        ask(
            &connection,
            &format!("PRAGMA max_page_count = {}", pages + spare),
        );
        connection.execute_batch(begin).expect("begin");
        let call = call
            .replace(r#"["a","b"]"#, &format!(r#"["{}"]"#, "long".repeat(4000)))
            .replace("'why'", &format!("'{}'", "long".repeat(4000)));
        let what = format!("{spare} spare pages {begin}");
        let found = attempt(&connection, &call, true, &what);
        if begin.is_empty() {
            wrong.extend(found);
        }
        ask(&connection, "PRAGMA max_page_count = 100000");
        wrong.extend(afterwards(&connection, &call, begin, &what));
    }
    none(&wrong);
}

#[test]
fn a_file_that_has_no_room_for_the_installation_stays_empty() {
    for pages in [1, 2, 5, 10, 20, 40] {
        let world = support::World::new(true);
        let connection = world.open();
        connection
            .execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
            .expect("mine");
        ask(&connection, &format!("PRAGMA max_page_count = {pages}"));
        let error = try_ask(&connection, "SELECT sync_init()")
            .err()
            .map(|error| failure(&error));
        settled(&connection, true, "full");
        if let Some((code, text)) = error {
            assert_eq!(code & 0xff, 13, "{text}");
            assert!(text.starts_with("sync_init: "), "{text}");
            assert_eq!(
                ask(&connection, "SELECT group_concat(name) FROM sqlite_master"),
                "mine"
            );
        }
        consistent(&connection, "full");
        ask(&connection, "PRAGMA max_page_count = 100000");
        ask(&connection, "SELECT sync_init()");
        consistent(&connection, "room again");
    }
}

#[test]
fn a_trigger_of_the_application_that_refuses_is_an_error_with_its_own_text() {
    let (_keep, base) = furnished_file();
    let world = copy_of(&base);
    let connection = world.open();
    connection
        .execute_batch(
            "CREATE TRIGGER no_scopes BEFORE INSERT ON _syncScope
             BEGIN SELECT RAISE(ABORT, 'no %s%n scopes here'); END;
             CREATE TRIGGER no_end AFTER DELETE ON _syncScope
             BEGIN SELECT RAISE(ROLLBACK, 'all is lost'); END;",
        )
        .expect("triggers");
    for (call, expected) in [
        (
            r#"sync_start_scope('new', '["a"]')"#,
            "sync_start_scope: no %s%n scopes here",
        ),
        ("sync_delete_scope('old')", "sync_delete_scope: all is lost"),
    ] {
        for begin in ["", "BEGIN"] {
            connection.execute_batch(begin).expect("begin");
            let error = try_ask(&connection, &format!("SELECT {call}")).expect_err("refused");
            let (code, text) = failure(&error);
            assert_eq!((code & 0xff, text.as_str()), (19, expected));
            let _ = connection.execute_batch("ROLLBACK");
            settled(&connection, true, call);
        }
    }
    consistent(&connection, "refusing triggers");
}
