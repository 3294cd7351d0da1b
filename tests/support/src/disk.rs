//! A disk that fails on request: SQLite's own VFS, with a switch for each directory.
//!
//! Writes to a database, its journal or its write-ahead log can be made to fail with any result code,
//! and so can the making of a journal, as it does in a directory without write permission. (Permissions
//! themselves would prove nothing where tests run as root.)

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use rusqlite::{Connection, OpenFlags, ffi};

const NAME: &CStr = c"failing";

/// What fails on a disk.
#[derive(Default)]
pub struct Disk {
    /// Result code of a write that fails.
    code: AtomicI32,
    /// So many writes to come fail.
    writes: AtomicI64,
    /// Result code of making a journal that fails.
    journal_code: AtomicI32,
    /// So many journals to come can't be made.
    journals: AtomicI64,
}

impl Disk {
    /// The disk that a directory is on. Connections to it must be opened by [`Disk::open`].
    pub fn of(directory: &Path) -> &'static Disk {
        register();
        let disk: &'static Disk = Box::leak(Box::default());
        disks().insert(directory.to_owned(), disk);
        disk
    }

    pub fn open(file: &Path) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Connection::open_with_flags_and_vfs(file, flags, NAME).expect("open")
    }

    /// The next `number` writes fail with this code.
    pub fn fail(&self, code: i32, number: i64) {
        self.code.store(code, Ordering::SeqCst);
        self.writes.store(number, Ordering::SeqCst);
    }

    /// The next `number` journals can't be made.
    pub fn no_journal(&self, code: i32, number: i64) {
        self.journal_code.store(code, Ordering::SeqCst);
        self.journals.store(number, Ordering::SeqCst);
    }

    /// Works again; gives how many failures were left.
    pub fn mend(&self) -> i64 {
        self.journals.swap(0, Ordering::SeqCst) + self.writes.swap(0, Ordering::SeqCst)
    }
}

/// The code, as long as failures are left.
fn due(left: &AtomicI64, code: &AtomicI32) -> c_int {
    if left.load(Ordering::SeqCst) <= 0 {
        return ffi::SQLITE_OK;
    }
    left.fetch_sub(1, Ordering::SeqCst);
    code.load(Ordering::SeqCst)
}

fn disks() -> MutexGuard<'static, HashMap<PathBuf, &'static Disk>> {
    static DISKS: OnceLock<Mutex<HashMap<PathBuf, &'static Disk>>> = OnceLock::new();
    DISKS.get_or_init(Mutex::default).lock().expect("lock")
}

/// What we keep of a file, behind what SQLite's own VFS keeps of it.
#[derive(Clone, Copy)]
struct Behind {
    disk: *const Disk,
    /// The methods it had at first.
    usual: *const ffi::sqlite3_io_methods,
}

/// SQLite's own VFS.
struct Own(*mut ffi::sqlite3_vfs);

// SAFETY: a registered VFS is never changed or freed.
unsafe impl Send for Own {}
unsafe impl Sync for Own {}

static OWN: OnceLock<Own> = OnceLock::new();

fn register() {
    OWN.get_or_init(|| {
        // SAFETY: the default VFS lives for ever, and so does our copy of it, which differs in the size of
        // a file and in xOpen.
        unsafe {
            let own = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut ours = Box::new(*own);
            ours.zName = NAME.as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.szOsFile += size_of::<Behind>() as c_int;
            ours.xOpen = Some(open);
            assert_eq!(ffi::sqlite3_vfs_register(Box::leak(ours), 0), 0);
            Own(own)
        }
    });
}

fn own() -> *mut ffi::sqlite3_vfs {
    OWN.get().expect("registered").0
}

unsafe fn behind(file: *mut ffi::sqlite3_file) -> *mut Behind {
    // SAFETY: our szOsFile leaves room for it, and SQLite's own is a multiple of 8.
    unsafe { file.byte_add((*own()).szOsFile as usize).cast() }
}

/// The methods of a kind of file with our `xWrite`.
unsafe fn with_our_write(usual: *const ffi::sqlite3_io_methods) -> *const ffi::sqlite3_io_methods {
    static KINDS: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);
    let mut kinds = KINDS.lock().expect("lock");
    let ours = kinds
        .get_or_insert_default()
        .entry(usual as usize)
        .or_insert_with(|| {
            // SAFETY: the methods of a VFS are constants.
            let mut methods = Box::new(unsafe { *usual });
            methods.xWrite = Some(write);
            Box::leak(methods) as *const ffi::sqlite3_io_methods as usize
        });
    *ours as *const ffi::sqlite3_io_methods
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    const OURS: c_int =
        ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;
    // SAFETY: SQLite calls this as it would call its own.
    unsafe {
        let disk = (!name.is_null() && flags & OURS != 0)
            .then(|| PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned()))
            .and_then(|path| disks().get(path.parent()?).copied());
        if let Some(disk) = disk
            && flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0
        {
            let code = due(&disk.journals, &disk.journal_code);
            if code != 0 {
                (*file).pMethods = std::ptr::null();
                return code;
            }
        }
        let code = (*own()).xOpen.expect("xOpen")(own(), name, file, flags, out);
        if let Some(disk) = disk.filter(|_| code == 0) {
            let usual = (*file).pMethods;
            *behind(file) = Behind { disk, usual };
            (*file).pMethods = with_our_write(usual);
        }
        code
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    number: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: `open` gave this method to files with a disk, and kept their usual ones.
    unsafe {
        let Behind { disk, usual } = *behind(file);
        match due(&(*disk).writes, &(*disk).code) {
            ffi::SQLITE_OK => (*usual).xWrite.expect("xWrite")(file, bytes, number, at),
            code => code,
        }
    }
}
