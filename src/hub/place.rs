//! Which file is the hub, and opening it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ground::{Class, SyncError, quoted};
use crate::store::{Database, Door, Error, Result, Second, Session};

/// Where a hub is, as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// A path; from the folder of the file that syncs where it is relative.
    pub file: String,
    /// It is the name of one that the caller's connection has attached.
    pub attached: bool,
    /// A file or a table that is not there is made.
    pub create: bool,
    /// Nothing is written there.
    pub read_only: bool,
    /// What is to be done with a copy of the hub that went on by itself.
    pub merges_forks: bool,
    /// How long to wait while somebody else has it locked.
    pub busy: Duration,
}

/// An open hub.
pub struct Home {
    database: Database,
    /// What it is called in messages.
    name: String,
    read_only: bool,
    /// Closed after `database`, which refers to it.
    _second: Option<Second>,
}

/// Memory for pages of the hub, in KiB. What is written goes all over two indexes, the key's and the feed's: with SQLite's usual
/// 2 MB most pages would be written and read again for every row.
const CACHE: &str = "PRAGMA cache_size = -32000";

impl Place {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self.attached {
            true => format!("attached {}", self.file),
            false => self.file.clone(),
        }
    }

    /// Opens it for a sync of the file that `session` has as `schema`.
    ///
    /// # Errors
    /// A file that is missing, is no database, or is the one that syncs; SQLite's.
    pub fn open(&self, session: &Session, schema: &str) -> Result<Home, SyncError> {
        let name = self.name();
        let home = self.found(session, schema);
        let home = home.map_err(|error| trouble(&name, error))?;
        // A file is first read by its first statement.
        let read = home
            .database
            .query_value("SELECT count(*) FROM main.sqlite_master", &[]);
        read.map_err(|error| trouble(&name, error))?;
        Ok(home)
    }

    fn found(&self, session: &Session, schema: &str) -> Result<Home> {
        let name = self.name();
        if self.attached {
            let attached = &self.file;
            if attached.eq_ignore_ascii_case(schema) {
                return Err(Error::argument(
                    "it is the file that syncs itself; name another one",
                ));
            }
            let database = session.database(attached)?;
            let locked = session.connection().read_only(attached) == Some(true);
            return Ok(Home {
                database,
                name,
                read_only: self.read_only || locked,
                _second: None,
            });
        }
        let own = session.connection().file(schema).map(PathBuf::from);
        let path = path(&self.file, own.as_deref())?;
        if !path.exists() && !self.create {
            return Err(Error::argument(
                "there is no such file; correct the path, or let the sync make it with \"create\":true",
            ));
        }
        if path.is_dir() {
            return Err(Error::argument("it is a folder; name the file in it"));
        }
        let is_own = |own: &Path| same_file(own, &path);
        if own.as_deref().is_some_and(is_own) {
            return Err(Error::argument(
                "it is the file that syncs itself; name another one",
            ));
        }
        let text = path
            .to_str()
            .ok_or_else(|| Error::argument("its path is not valid UTF-8; rename it"))?;
        let second = Door::elsewhere(session, text, self.create)?.open(self.busy)?;
        second.session().connection().execute_script(CACHE)?;
        let database = second.session().database("main")?;
        let locked = second.session().connection().read_only("main") == Some(true);
        Ok(Home {
            database,
            name,
            read_only: self.read_only || locked,
            _second: Some(second),
        })
    }
}

impl Home {
    pub fn database(&self) -> &Database {
        &self.database
    }

    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// A failure in it, as the sync ends with it.
    pub fn trouble(&self, error: Error) -> SyncError {
        trouble(&self.name, error)
    }
}

fn path(file: &str, own: Option<&Path>) -> Result<PathBuf> {
    let file = Path::new(file);
    if file.is_absolute() {
        return Ok(file.to_owned());
    }
    match own.and_then(Path::parent) {
        Some(folder) => Ok(folder.join(file)),
        None => Err(Error::argument(
            "its path is relative to the file that syncs, and this database is in memory; write the whole path",
        )),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn trouble(name: &str, error: Error) -> SyncError {
    const CANT_OPEN: i32 = 14;
    const NOT_A_DATABASE: i32 = 26;
    let name = quoted(name);
    let code = error.code();
    let database = |text: String, retryable| {
        SyncError::new(Class::Data, "SYNC_ERROR_DATABASE", text, retryable)
    };
    match &error {
        Error::Argument(text) | Error::Misuse(text) | Error::Corrupt(text) => {
            return database(format!("{name}: {text}"), false);
        }
        _ if error.is_busy() => {
            return SyncError::new(
                Class::Data,
                crate::ground::BUSY,
                format!("{name} is locked by somebody else; sync again, or raise busyTimeoutMs"),
                true,
            )
            .of_database(code);
        }
        _ => {}
    }
    match code & 0xff {
        NOT_A_DATABASE => database(
            format!("{name} is no SQLite database, or is encrypted; attach it with its key, and name it with \"attached\":true"),
            false,
        ),
        CANT_OPEN => database(
            format!("{name} can't be opened; see whether it is there and may be read"),
            true,
        ),
        _ => SyncError::from(error.prefixed(&name)),
    }
    .of_database(code)
}
