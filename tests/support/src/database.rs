//! The built library, databases, and a short way to ask.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::settings;
use crate::waiting::PATIENCE;

/// The folder of the repository.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("the tests are one below")
}

/// Path of the built loadable library. `SYNCSCOPE_LIBRARY` names another one.
pub fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("SYNCSCOPE_LIBRARY") {
        return path.into();
    }
    let name = format!(
        "{}syncscope{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let executable = std::env::current_exe().expect("a test has a path");
    // target/<profile>/deps/<test>: cargo leaves the library in deps, and copies it up on `build`.
    let built = executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(&name))
        .filter(|path| path.exists())
        .max_by_key(|path| {
            std::fs::metadata(path)
                .and_then(|data| data.modified())
                .ok()
        });
    built.unwrap_or_else(|| panic!("{name} is not built; run cargo build"))
}

/// A database file in a directory of its own.
pub struct World {
    directory: TempDir,
    recursive: bool,
}

impl World {
    /// `recursive` is the setting of recursive_triggers of every connection.
    pub fn new(recursive: bool) -> Self {
        Self {
            directory: TempDir::new().expect("a temporary directory"),
            recursive,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("app.db")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A connection with the extension.
    pub fn open(&self) -> Connection {
        let connection = self.plain();
        load(&connection);
        connection
    }

    /// A connection that never heard of the extension.
    pub fn plain(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("open");
        connection.busy_timeout(PATIENCE).expect("timeout");
        connection
            .pragma_update(None, "recursive_triggers", self.recursive)
            .expect("recursive_triggers");
        settings::apply(&connection);
        connection
    }

    /// A connection with the extension, the tables and a provider `host` of kind host.
    pub fn ready(&self) -> Connection {
        let connection = self.open();
        ask(&connection, "SELECT sync_init()");
        ask(
            &connection,
            r#"SELECT sync_provider('host', '{"kind":"host"}')"#,
        );
        connection
    }
}

/// Runs a test with recursive_triggers ON and OFF.
pub fn both(test: impl Fn(&World)) {
    for recursive in [true, false] {
        test(&World::new(recursive));
    }
}

/// The same under all settings of a connection that matter.
pub fn every_world(test: impl Fn(&World)) {
    settings::everywhere(|settings| {
        test(&World::new(settings.contains("recursive_triggers = ON")));
    });
}

pub fn load(connection: &Connection) {
    load_from(connection, &library());
}

pub fn load_from(connection: &Connection, library: &Path) {
    // SAFETY: the library is the one under test.
    unsafe {
        connection.load_extension_enable().expect("loading allowed");
        connection
            .load_extension(library, None::<&str>)
            .expect("load");
    }
    connection
        .load_extension_disable()
        .expect("loading forbidden again");
}

/// The rows of a query: columns joined by `|`, rows by a line feed, NULL as `NULL`.
pub fn ask(connection: &Connection, sql: &str) -> String {
    try_ask(connection, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The error text of a statement that must fail.
pub fn refused(connection: &Connection, sql: &str) -> String {
    match try_ask(connection, sql) {
        Ok(rows) => panic!("{sql}: not refused, but {rows}"),
        Err(error) => error.to_string(),
    }
}

pub fn try_ask(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(sql)?;
    let count = statement.column_count();
    let mut rows = statement.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Vec::new();
        for index in 0..count {
            columns.push(match row.get_ref(index)? {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => format!("{bytes:?}"),
            });
        }
        lines.push(columns.join("|"));
    }
    Ok(lines.join("\n"))
}

/// Whether some bytes stand in a database file or the files beside it.
pub fn file_holds(path: &Path, needle: &str) -> bool {
    let directory = path.parent().expect("a directory");
    std::fs::read_dir(directory).expect("list").any(|entry| {
        let bytes = std::fs::read(entry.expect("entry").path()).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    })
}
