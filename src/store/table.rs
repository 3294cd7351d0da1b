//! Eponymous virtual tables: a safe face over SQLite's module interface.
//!
//! Every table is eponymous-only (no xCreate), so nothing in a database file ever names us. Objects
//! handed to SQLite are `#[repr(C)]` with SQLite's struct first; each is owned by SQLite from the
//! call that makes it (xConnect, xOpen) to the call that ends it (xDisconnect, xClose).
//!
//! idxNum: bit *i* is set when the *i*-th entry of [`Table::keys`] is constrained by `=`; the values
//! arrive in xFilter in that order. The bits above say which columns the statement reads, where they fit.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use sqlite_loadable::ext::{
    sqlite3, sqlite3_context, sqlite3_index_info, sqlite3_module, sqlite3_value, sqlite3_vtab,
    sqlite3_vtab_cursor,
};

use super::api::{c_text, sq};
use super::border::{fail, give, read_value};
use super::error::{Error, Result, guarded, told};
use super::session::Session;
use super::turn;
use super::value::{Value, ValueRef};

/// Who may use a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Also in triggers and views of untrusted schemas: reads our own state, reveals nothing more
    /// than the tables behind it.
    Innocuous,
    /// Reads, only directly from the caller's SQL.
    DirectRead,
    /// Takes INSERT, UPDATE and DELETE, only directly from the caller's SQL.
    DirectWrite,
}

/// Starts a scan; see [`Table::open`].
pub type Open = fn(&Arc<Session>, &[Option<Value>]) -> Result<Box<dyn Rows>>;

/// Carries out a write; the answer is the rowid of an inserted row.
pub type Write = fn(&Arc<Session>, Change) -> Result<Option<i64>>;

/// One virtual table as the table of contents in `lib.rs` lists it.
#[derive(Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    /// `CREATE TABLE x(…)` for `sqlite3_declare_vtab`; HIDDEN columns are arguments.
    pub declaration: &'static str,
    /// Columns (0-based) for which `column = value` is pushed down to `open`. At most 31.
    pub keys: &'static [i32],
    pub access: Access,
    /// Starts a scan. The slice holds, for each entry of `keys`, the value it is compared with, or
    /// none. Rows that don't match may be returned: SQLite checks again.
    pub open: Open,
    pub write: Option<Write>,
    /// Called when the connection lets go of the table.
    pub disconnected: Option<fn(&Session)>,
    /// One sentence for `sync_help` and the reference.
    pub summary: &'static str,
    /// One statement that can be typed as it is.
    pub example: &'static str,
}

/// The rows of one scan.
pub trait Rows {
    /// Called before the first row: bit *i* is set when column *i* is read. Others may be left NULL.
    fn reads(&mut self, _columns: u64) {}

    /// The next row: its rowid, and a value for each declared column (missing ones read as NULL).
    ///
    /// # Errors
    /// Anything; the statement that scans fails with it.
    fn next(&mut self) -> Result<Option<(i64, Vec<Value>)>>;
}

/// Rows that are all there already.
pub struct Ready(std::vec::IntoIter<(i64, Vec<Value>)>);

impl Ready {
    pub fn new(rows: Vec<(i64, Vec<Value>)>) -> Self {
        Self(rows.into_iter())
    }
}

impl Rows for Ready {
    fn next(&mut self) -> Result<Option<(i64, Vec<Value>)>> {
        Ok(self.0.next())
    }
}

/// A write to a table that takes them.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Insert {
        values: Vec<Value>,
    },
    /// `unchanged[i]` says that column `i` was not assigned to.
    Update {
        rowid: i64,
        values: Vec<Value>,
        unchanged: Vec<bool>,
    },
    Delete {
        rowid: i64,
    },
}

struct Registered {
    table: Table,
    session: Arc<Session>,
}

#[repr(C)]
struct Vtab {
    base: sqlite3_vtab,
    table: Table,
    session: Arc<Session>,
}

#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    rows: Option<Box<dyn Rows>>,
    current: Option<(i64, Vec<Value>)>,
}

/// Registers a table on the session's connection.
///
/// # Errors
/// SQLite's.
pub(super) fn register(session: &Arc<Session>, table: &Table) -> Result<()> {
    let module = if table.write.is_some() {
        &WRITABLE
    } else {
        &READ_ONLY
    };
    let connection = session.connection();
    let registered = Box::new(Registered {
        table: *table,
        session: Arc::clone(session),
    });
    let name = c_text(table.name);
    // SAFETY: the module is static; the box is handed over and released once by SQLite, also when
    // the registration fails.
    let code = unsafe {
        sq!(create_module_v2(
            connection.raw(),
            name.as_ptr(),
            &module.0,
            Box::into_raw(registered).cast(),
            Some(release)
        ))
    };
    if code == 0 {
        Ok(())
    } else {
        Err(connection.error(code))
    }
}

unsafe extern "C" fn release(pointer: *mut c_void) {
    // SAFETY: the pointer came from `Box::into_raw` in `register` and is released once.
    let registered = unsafe { Box::from_raw(pointer.cast::<Registered>()) };
    let _ = guarded(|| {
        drop(registered);
        Ok(())
    });
}

/// Runs an x-method: errors and panics become a code and a text in `*message`.
///
/// # Safety
/// `message` is null or points to a text slot that SQLite frees with `sqlite3_free`.
unsafe fn method(message: *mut *mut c_char, body: impl FnOnce() -> Result<()>) -> c_int {
    let Err(error) = guarded(body) else { return 0 };
    // SAFETY: the old text is freed with SQLite's allocator before the new one takes its place;
    // "%s" keeps a percent sign in the text from being mistaken for a format.
    unsafe {
        if !message.is_null() {
            if !(*message).is_null() {
                sq!(free((*message).cast()));
            }
            let text = c_text(&told(&error));
            *message = sq!(mprintf(c"%s".as_ptr(), text.as_ptr()));
        }
    }
    error.code()
}

unsafe extern "C" fn connect(
    db: *mut sqlite3,
    aux: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    out: *mut *mut sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: `aux` is the `Registered` of this module and outlives the table made here; `arguments` holds
    // `count` C strings.
    unsafe {
        let registered = &*aux.cast::<Registered>();
        method(message, || {
            // The third is the table's name. A file whose schema was edited may name one of its own.
            let is_module = count >= 3
                && std::ffi::CStr::from_ptr(*arguments.add(2)).to_bytes()
                    == registered.table.name.as_bytes();
            if !is_module {
                return Err(Error::misuse(format!(
                    "{} exists without CREATE VIRTUAL TABLE; use it under its own name",
                    registered.table.name
                )));
            }
            let declaration = c_text(registered.table.declaration);
            let connection = registered.session.connection();
            let code = sq!(declare_vtab(db, declaration.as_ptr()));
            if code != 0 {
                return Err(connection.error(code));
            }
            const INNOCUOUS: c_int = 2;
            const DIRECTONLY: c_int = 3;
            let access = match registered.table.access {
                Access::Innocuous => INNOCUOUS,
                Access::DirectRead | Access::DirectWrite => DIRECTONLY,
            };
            sq!(vtab_config(db, access));
            let vtab = Box::new(Vtab {
                base: std::mem::zeroed(),
                table: registered.table,
                session: Arc::clone(&registered.session),
            });
            *out = Box::into_raw(vtab).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn disconnect(vtab: *mut sqlite3_vtab) -> c_int {
    let _turn = turn::begin();
    // SAFETY: `vtab` is the box made by `connect`, given back once. SQLite has freed or will free
    // zErrMsg itself.
    let vtab = unsafe { Box::from_raw(vtab.cast::<Vtab>()) };
    let _ = guarded(|| {
        if let Some(disconnected) = vtab.table.disconnected {
            disconnected(&vtab.session);
        }
        drop(vtab);
        Ok(())
    });
    0
}

unsafe extern "C" fn best_index(vtab: *mut sqlite3_vtab, info: *mut sqlite3_index_info) -> c_int {
    const EQ: u8 = 2;
    const CONSTRAINT: c_int = 19;
    // SAFETY: both pointers are SQLite's, alive for the call; the arrays have nConstraint entries.
    unsafe {
        let keys = (*vtab.cast::<Vtab>()).table.keys;
        let count = (*info).nConstraint.max(0) as usize;
        let mut chosen = vec![None; keys.len()];
        let mut unusable = false;
        for position in 0..count {
            let constraint = &*(*info).aConstraint.add(position);
            if constraint.op != EQ {
                continue;
            }
            let Some(key) = keys.iter().position(|key| *key == constraint.iColumn) else {
                continue;
            };
            if !compares_bytes(info, position) {
                continue;
            }
            if constraint.usable == 0 {
                unusable = true;
            } else {
                chosen[key] = Some(position);
            }
        }
        let mut argument = 0;
        let mut bits = 0;
        for (key, position) in chosen.iter().enumerate() {
            let Some(position) = position else { continue };
            argument += 1;
            bits |= 1 << key;
            (*(*info).aConstraintUsage.add(*position)).argvIndex = argument;
        }
        if unusable && argument == 0 {
            // A join order in which the value is not known yet: let the planner find a better one.
            (*info).estimatedCost = 1e12;
        } else {
            (*info).estimatedCost = 1e6 / 10f64.powi(argument);
        }
        (*info).estimatedRows = if argument == 0 { 100_000 } else { 100 };
        (*info).idxNum = bits | columns_read((*info).colUsed, keys.len());
        if count > 10_000 {
            return CONSTRAINT;
        }
        0
    }
}

/// Bits of `idxNum` that are there for keys and columns.
const PLAN_BITS: usize = 31;

/// The columns that are read, behind the bits of the keys; all of them when one does not fit.
fn columns_read(used: u64, keys: usize) -> c_int {
    let room = PLAN_BITS.saturating_sub(keys);
    let all = (1u64 << room) - 1;
    let shown = if used > all { all } else { used };
    (shown << keys) as c_int
}

/// The other way around.
fn columns_told(plan: c_int, keys: usize) -> u64 {
    let room = PLAN_BITS.saturating_sub(keys);
    match (plan as u32 as u64) >> keys {
        shown if shown == (1u64 << room) - 1 => u64::MAX,
        shown => shown,
    }
}

/// Whether a constraint compares text byte by byte. `id = 'A' COLLATE NOCASE` must see all rows.
///
/// # Safety
/// `info` is the one of the running xBestIndex, `position` one of its constraints.
unsafe fn compares_bytes(info: *mut sqlite3_index_info, position: usize) -> bool {
    // SAFETY: the caller vouches for both; SQLite owns the name.
    unsafe {
        let name = sq!(vtab_collation(info, position as c_int));
        name.is_null()
            || std::ffi::CStr::from_ptr(name)
                .to_bytes()
                .eq_ignore_ascii_case(b"BINARY")
    }
}

unsafe extern "C" fn open(_vtab: *mut sqlite3_vtab, out: *mut *mut sqlite3_vtab_cursor) -> c_int {
    // SAFETY: SQLite owns the box until `close`; it fills in `base.pVtab` itself.
    unsafe {
        let cursor = Box::new(Cursor {
            base: std::mem::zeroed(),
            rows: None,
            current: None,
        });
        *out = Box::into_raw(cursor).cast();
    }
    0
}

unsafe extern "C" fn close(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    let _turn = turn::begin();
    // SAFETY: the box made by `open`, given back once.
    let cursor = unsafe { Box::from_raw(cursor.cast::<Cursor>()) };
    let _ = guarded(|| {
        drop(cursor);
        Ok(())
    });
    0
}

unsafe extern "C" fn filter(
    cursor: *mut sqlite3_vtab_cursor,
    bits: c_int,
    _text: *const c_char,
    count: c_int,
    values: *mut *mut sqlite3_value,
) -> c_int {
    let _turn = turn::begin();
    // SAFETY: `cursor` is ours, `pVtab` the table it was opened on, `values` holds `count` entries.
    unsafe {
        let vtab = (*cursor).pVtab.cast::<Vtab>();
        let cursor = &mut *cursor.cast::<Cursor>();
        method(&mut (*vtab).base.zErrMsg, || {
            cursor.rows = None;
            cursor.current = None;
            let mut next = 0;
            let mut given = Vec::new();
            let keys = (*vtab).table.keys;
            for key in 0..keys.len() {
                if bits & (1 << key) == 0 || next >= count {
                    given.push(None);
                    continue;
                }
                given.push(Some(read_value(*values.add(next as usize)).to_owned()));
                next += 1;
            }
            let mut rows = ((*vtab).table.open)(&(*vtab).session, &given)?;
            rows.reads(columns_told(bits, keys.len()));
            cursor.current = rows.next()?;
            cursor.rows = Some(rows);
            Ok(())
        })
    }
}

unsafe extern "C" fn next(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    let _turn = turn::begin();
    // SAFETY: as in `filter`.
    unsafe {
        let vtab = (*cursor).pVtab.cast::<Vtab>();
        let cursor = &mut *cursor.cast::<Cursor>();
        method(&mut (*vtab).base.zErrMsg, || {
            cursor.current = match cursor.rows.as_mut() {
                Some(rows) => rows.next()?,
                None => None,
            };
            if cursor.current.is_none() {
                // The statement behind the rows ends with them, not with the host's statement.
                cursor.rows = None;
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn eof(cursor: *mut sqlite3_vtab_cursor) -> c_int {
    // SAFETY: as in `filter`.
    c_int::from(unsafe { (*cursor.cast::<Cursor>()).current.is_none() })
}

unsafe extern "C" fn column(
    cursor: *mut sqlite3_vtab_cursor,
    context: *mut sqlite3_context,
    index: c_int,
) -> c_int {
    const NOCHANGE_FLAG: c_int = 1;
    // SAFETY: as in `filter`; `context` is the one of this call.
    unsafe {
        if sq!(vtab_nochange(context)) == NOCHANGE_FLAG {
            // An UPDATE that does not assign this column: leave it unset, so that xUpdate can notice.
            return 0;
        }
        let cursor = &*cursor.cast::<Cursor>();
        let outcome = guarded(|| {
            let value = cursor
                .current
                .as_ref()
                .and_then(|(_, values)| values.get(index.max(0) as usize))
                .map_or(ValueRef::Null, Value::borrow);
            give(context, value);
            Ok(())
        });
        if let Err(error) = outcome {
            fail(context, &error);
            return error.code();
        }
        0
    }
}

unsafe extern "C" fn rowid(cursor: *mut sqlite3_vtab_cursor, out: *mut i64) -> c_int {
    // SAFETY: as in `filter`; `out` is writable.
    unsafe {
        *out = (*cursor.cast::<Cursor>())
            .current
            .as_ref()
            .map_or(0, |(rowid, _)| *rowid);
    }
    0
}

unsafe extern "C" fn update(
    vtab: *mut sqlite3_vtab,
    count: c_int,
    values: *mut *mut sqlite3_value,
    out: *mut i64,
) -> c_int {
    let _turn = turn::begin();
    // SAFETY: SQLite's calling convention for xUpdate: `values[0]` is the old rowid or NULL,
    // `values[1]` the new rowid, the columns follow; one value alone is a delete.
    unsafe {
        let vtab = vtab.cast::<Vtab>();
        method(&mut (*vtab).base.zErrMsg, || {
            let all = std::slice::from_raw_parts(values, count.max(0) as usize);
            let (Some(write), Some(old)) = ((*vtab).table.write, all.first()) else {
                return Err(Error::misuse("this table is read-only"));
            };
            let old = read_value(*old).as_i64();
            let columns = all.get(2..).unwrap_or_default();
            let owned: Vec<Value> = columns
                .iter()
                .map(|value| read_value(*value).to_owned())
                .collect();
            let change = match (all.len(), old) {
                (1, Some(rowid)) => Change::Delete { rowid },
                (_, Some(rowid)) => Change::Update {
                    rowid,
                    values: owned,
                    unchanged: columns
                        .iter()
                        .map(|value| sq!(value_nochange(*value)) != 0)
                        .collect(),
                },
                _ => Change::Insert { values: owned },
            };
            let name = (*vtab).table.name;
            let written = write(&(*vtab).session, change).map_err(|error| match error {
                Error::Sqlite { .. } => error,
                ours => ours.prefixed(name),
            })?;
            if let Some(rowid) = written {
                *out = rowid;
            }
            Ok(())
        })
    }
}

/// SQLite keeps pointers into the module for as long as it is registered, hence statics. The struct
/// holds function pointers only.
struct Module(sqlite3_module);

// SAFETY: never written after initialisation, and function pointers are shareable.
unsafe impl Sync for Module {}

const fn module(writable: bool) -> Module {
    Module(sqlite3_module {
        iVersion: 0,
        xCreate: None,
        xConnect: Some(connect),
        xBestIndex: Some(best_index),
        xDisconnect: Some(disconnect),
        xDestroy: None,
        xOpen: Some(open),
        xClose: Some(close),
        xFilter: Some(filter),
        xNext: Some(next),
        xEof: Some(eof),
        xColumn: Some(column),
        xRowid: Some(rowid),
        xUpdate: if writable { Some(update) } else { None },
        xBegin: None,
        xSync: None,
        xCommit: None,
        xRollback: None,
        xFindFunction: None,
        xRename: None,
        xSavepoint: None,
        xRelease: None,
        xRollbackTo: None,
        xShadowName: None,
    })
}

static READ_ONLY: Module = module(false);
static WRITABLE: Module = module(true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_s_structs_come_first() {
        assert_eq!(std::mem::offset_of!(Vtab, base), 0);
        assert_eq!(std::mem::offset_of!(Cursor, base), 0);
    }

    #[test]
    fn columns_that_are_read_travel_in_the_plan() {
        for keys in [0, 2, 5] {
            for used in [0, 1, 0b1001_0000] {
                let plan = columns_read(used, keys) | ((1 << keys) - 1);
                assert!(plan >= 0);
                assert_eq!(columns_told(plan, keys), used, "{keys} keys");
            }
            for too_many in [1 << 31, 1 << 63, u64::MAX] {
                assert_eq!(columns_told(columns_read(too_many, keys), keys), u64::MAX);
            }
        }
    }
}
