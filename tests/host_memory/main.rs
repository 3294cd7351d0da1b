//! Out of memory at any allocation of SQLite's: an error, no crash, no transaction left open. SQLite's
//! allocator belongs to the whole process, hence a test program of its own. By default a sample of the
//! allocations fails, with `SYNCSCOPE_WHOLE=1` many more.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};

use rusqlite::{Connection, ffi};
use support::host::{LOCAL, consistent, copy_of, failure, furnished_file, settled};
use support::sample::steps;
use support::{World, ask, try_ask};

/// Allocations until one fails; negative: none fails.
static LEFT: AtomicI64 = AtomicI64::new(-1);
/// Whether those after it fail too.
static STAYS: AtomicBool = AtomicBool::new(false);
static FAILED: AtomicI64 = AtomicI64::new(0);

struct Methods(ffi::sqlite3_mem_methods);
// SAFETY: function pointers, and an argument that SQLite's own allocator does not use.
unsafe impl Send for Methods {}
// SAFETY: as above.
unsafe impl Sync for Methods {}
static REAL: OnceLock<Methods> = OnceLock::new();
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn fails_now() -> bool {
    let left = LEFT.load(Ordering::SeqCst);
    if left < 0 {
        return false;
    }
    if left > 0 {
        LEFT.store(left - 1, Ordering::SeqCst);
        return false;
    }
    FAILED.fetch_add(1, Ordering::SeqCst);
    if !STAYS.load(Ordering::SeqCst) {
        LEFT.store(-1, Ordering::SeqCst);
    }
    true
}

unsafe extern "C" fn allocate(size: c_int) -> *mut c_void {
    match REAL.get().and_then(|real| real.0.xMalloc) {
        // SAFETY: SQLite's own allocator, called as SQLite calls it.
        Some(real) if !fails_now() => unsafe { real(size) },
        _ => std::ptr::null_mut(),
    }
}

unsafe extern "C" fn reallocate(memory: *mut c_void, size: c_int) -> *mut c_void {
    match REAL.get().and_then(|real| real.0.xRealloc) {
        // SAFETY: as above.
        Some(real) if !fails_now() => unsafe { real(memory, size) },
        _ => std::ptr::null_mut(),
    }
}

/// Puts the failing allocator in front of SQLite's, before SQLite starts.
fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: no connection is open yet; the struct is plain data that SQLite copies.
        unsafe {
            ffi::sqlite3_shutdown();
            let mut methods: ffi::sqlite3_mem_methods = std::mem::zeroed();
            // Fills in the default methods where none were configured.
            assert_eq!(ffi::sqlite3_initialize(), 0);
            assert_eq!(ffi::sqlite3_shutdown(), 0);
            assert_eq!(
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods),
                0
            );
            assert!(methods.xMalloc.is_some());
            assert!(REAL.set(Methods(methods)).is_ok());
            methods.xMalloc = Some(allocate);
            methods.xRealloc = Some(reallocate);
            assert_eq!(
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw mut methods),
                0
            );
            assert_eq!(ffi::sqlite3_initialize(), 0);
        }
    });
}

/// How many allocations something makes.
fn allocations(mut made: impl FnMut()) -> u64 {
    LEFT.store(i64::MAX, Ordering::SeqCst);
    made();
    i64::MAX.abs_diff(LEFT.swap(-1, Ordering::SeqCst))
}

/// A connection to a copy of `base`, in the state in which a call is tried.
fn begun(base: &Path, begin: &str) -> (World, Connection) {
    let world = copy_of(base);
    let connection = world.open();
    connection
        .execute_batch("PRAGMA synchronous = OFF")
        .expect("speed");
    connection.execute_batch(begin).expect("begin");
    (world, connection)
}

/// Allocations of every call fail; `stays`: and all after it, until the call is over.
fn run_out(stays: bool, begin: &str) {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    install();
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    let (mut cases, mut failed) = (0, 0);
    for (place, call) in LOCAL.iter().enumerate() {
        let (_world, connection) = begun(&base, begin);
        let total = allocations(|| drop(try_ask(&connection, &format!("SELECT {call}"))));
        assert!(total > 0, "{call} allocates nothing");
        for after in steps(module_path!(), total, place, 8) {
            let (_world, connection) = begun(&base, begin);
            FAILED.store(0, Ordering::SeqCst);
            STAYS.store(stays, Ordering::SeqCst);
            LEFT.store(after as i64, Ordering::SeqCst);
            let outcome = try_ask(&connection, &format!("SELECT {call}"));
            LEFT.store(-1, Ordering::SeqCst);
            let what = format!("allocation {after} of {call} {begin}");
            if let Err(error) = &outcome {
                let (code, text) = failure(error);
                if text.contains("panic") || matches!(code & 0xff, 0 | 11) {
                    wrong.push(format!("{what}: {code} {text}"));
                }
            }
            if begin.is_empty() && !connection.is_autocommit() {
                wrong.push(format!("{what}: a transaction is open: {outcome:?}"));
                connection.execute_batch("ROLLBACK").expect("rollback");
            }
            if !connection.is_autocommit() {
                if connection.execute_batch("RELEASE syncscope").is_ok() {
                    wrong.push(format!("{what}: our savepoint is open: {outcome:?}"));
                }
                connection.execute_batch("COMMIT").expect("commit");
            }
            settled(&connection, true, &what);
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                consistent(&connection, &what);
                ask(&connection, "SELECT sync_heartbeat()");
            }));
            if let Err(panic) = checked {
                wrong.push(panic.downcast_ref::<String>().cloned().unwrap_or(what));
            }
            cases += 1;
            failed += usize::from(FAILED.load(Ordering::SeqCst) > 0);
        }
    }
    assert!(failed > cases / 2, "{failed} of {cases} allocations failed");
    let shown: Vec<_> = wrong.iter().take(20).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} of {cases} cases:\n{}",
        wrong.len(),
        shown.join("\n")
    );
}

#[test]
fn one_allocation_that_fails_leaves_nothing_behind() {
    run_out(false, "");
}

#[test]
fn memory_that_stays_short_leaves_nothing_behind() {
    run_out(true, "");
}

#[test]
fn one_allocation_that_fails_inside_begin_leaves_no_savepoint() {
    run_out(false, "BEGIN");
}

#[test]
fn loading_with_memory_short_is_an_error_or_success_and_no_crash() {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    install();
    let (_keep, base) = furnished_file();
    let path =
        std::ffi::CString::new(support::library().to_string_lossy().into_owned()).expect("path");
    let load = |connection: &Connection| {
        // rusqlite's own call trips over an error without a text.
        // SAFETY: the library is the one under test; the path is a C string.
        unsafe {
            connection.load_extension_enable().expect("enable");
            ffi::sqlite3_load_extension(
                connection.handle(),
                path.as_ptr(),
                c"sqlite3_syncscope_init".as_ptr(),
                std::ptr::null_mut(),
            )
        }
    };
    let world = copy_of(&base);
    let connection = world.plain();
    let total = allocations(|| assert_eq!(load(&connection), 0));
    let mut failed = 0;
    for (place, stays) in [false, true].into_iter().enumerate() {
        for after in steps(module_path!(), total, place, 30) {
            let world = copy_of(&base);
            let connection = world.plain();
            FAILED.store(0, Ordering::SeqCst);
            STAYS.store(stays, Ordering::SeqCst);
            LEFT.store(after as i64, Ordering::SeqCst);
            let code = load(&connection);
            LEFT.store(-1, Ordering::SeqCst);
            settled(&connection, true, "load");
            if code == 0 {
                assert_eq!(ask(&connection, "SELECT sync_init()"), "1");
            }
            support::load(&connection);
            assert_eq!(
                ask(&connection, "SELECT sync_init()"),
                "1",
                "the second try works"
            );
            failed += usize::from(FAILED.load(Ordering::SeqCst) > 0);
        }
    }
    assert!(failed > 10, "{failed} allocations failed");
}
