//! The host's SQLite API table: the only way this library talks to SQLite.
//!
//! A loadable extension must call the SQLite that loaded it, through the table of function pointers
//! handed to its entry point. The table is stored once; a second SQLite library in the same process
//! (Python's `sqlite3` next to `apsw`, say) shares our statics but not our table, so it is refused.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

pub use sqlite_loadable::ext::{sqlite3, sqlite3_api_routines};

use super::error::Error;

/// The oldest SQLite that is served: 3.38.0. It is the first with always-present JSON functions,
/// which the triggers in `sql/` use; `txn_state`, which the transaction rules need, is older.
pub const OLDEST_SQLITE: c_int = 3_038_000;

static API: AtomicPtr<sqlite3_api_routines> = AtomicPtr::new(null_mut());

/// The stored table. Null only before the entry point ran.
pub(super) fn table() -> *mut sqlite3_api_routines {
    API.load(Ordering::Acquire)
}

/// Calls one routine of the host's table: `sq!(step(statement))`.
///
/// Reads the single field through the raw pointer; a reference to the whole struct is never formed,
/// because an older host's table is shorter than our type of it.
macro_rules! sq {
    ($routine:ident($($argument:expr),* $(,)?)) => {
        match (*$crate::store::api::table()).$routine {
            Some(routine) => routine($($argument),*),
            None => panic!(concat!("the host's SQLite lacks ", stringify!($routine))),
        }
    };
}
pub(super) use sq;

/// Stores the table of the host that loads us.
///
/// # Errors
/// A host older than [`OLDEST_SQLITE`], and a second SQLite library in the same process.
///
/// # Safety
/// `api` must be the table SQLite handed to the entry point.
pub(super) unsafe fn adopt(api: *mut sqlite3_api_routines) -> Result<(), Error> {
    // SAFETY: the caller vouches for `api`; libversion_number is among the oldest fields.
    let version = unsafe { (*api).libversion_number.map_or(0, |routine| routine()) };
    if version < OLDEST_SQLITE {
        return Err(Error::Misuse(format!(
            "syncscope {} needs SQLite {} or newer, this program has {}; update SQLite",
            env!("CARGO_PKG_VERSION"),
            version_text(OLDEST_SQLITE),
            version_text(version),
        )));
    }
    let adopted = API.compare_exchange(null_mut(), api, Ordering::AcqRel, Ordering::Acquire);
    match adopted {
        Err(other) if other != api => Err(Error::Misuse(
            "syncscope is already loaded by another SQLite library in this process; \
             use one SQLite per process, or a second copy of the syncscope file"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Puts an error text where the loader looks for it, through the table the caller brought (which
/// may not be the stored one).
///
/// # Safety
/// `api` as for [`adopt`]; `out` null or writable.
pub(super) unsafe fn refuse(
    api: *mut sqlite3_api_routines,
    out: *mut *mut c_char,
    text: &str,
) -> c_int {
    let text = c_text(text);
    // SAFETY: the caller vouches for both pointers; "%s" takes exactly one C string.
    unsafe {
        if !out.is_null()
            && let Some(mprintf) = (*api).mprintf
        {
            *out = mprintf(c"%s".as_ptr(), text.as_ptr());
        }
    }
    1
}

/// A C string of `text`, NUL bytes removed: SQLite's error texts end at the first NUL.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// The version of the host's SQLite, such as `3.40.1`.
pub fn host_version() -> String {
    // SAFETY: the table is stored before anything else can call us; the text is static.
    unsafe {
        CStr::from_ptr(sq!(libversion()))
            .to_string_lossy()
            .into_owned()
    }
}

/// Whether the host's SQLite may be used from several threads (`sqlite3_threadsafe`).
pub fn threads_allowed() -> bool {
    // SAFETY: as above.
    unsafe { sq!(xthreadsafe()) != 0 }
}

fn version_text(number: c_int) -> String {
    format!(
        "{}.{}.{}",
        number / 1_000_000,
        number / 1_000 % 1_000,
        number % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_write_them() {
        assert_eq!(version_text(3_040_001), "3.40.1");
        assert_eq!(version_text(OLDEST_SQLITE), "3.38.0");
    }

    #[test]
    fn an_old_host_is_refused_naming_both_versions() {
        unsafe extern "C" fn old() -> c_int {
            3_030_001
        }
        // SAFETY: the struct holds nothing but optional function pointers, for which zero is none.
        let mut routines: sqlite3_api_routines = unsafe { std::mem::zeroed() };
        routines.libversion_number = Some(old);
        // SAFETY: only `libversion_number` is looked at before the refusal.
        let refusal = unsafe { adopt(&mut routines) }.map_err(|error| error.to_string());
        let text = refusal.err().unwrap_or_default();
        assert!(text.contains("3.38.0") && text.contains("3.30.1"), "{text}");
    }

    #[test]
    fn error_texts_lose_their_nul_bytes() {
        assert_eq!(c_text("a\0b").as_bytes(), b"ab");
    }
}
