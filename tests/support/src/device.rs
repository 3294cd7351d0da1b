//! Databases that sync, and what is compared with the backend.

use rusqlite::Connection;
use serde_json::{Value, json};
use syncscope_backend::Backend;

use crate::database::{World, ask, refused};
use crate::waiting::PATIENCE;

/// Tables of most tests, for devices and backend alike.
pub const SCHEMA: &str = "
    CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT);
    CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, done BOOLEAN NOT NULL DEFAULT 0,
                       n INTEGER, note TEXT);";

/// A database that syncs all its tables with provider `api`.
pub struct Device {
    pub world: World,
    pub db: Connection,
    pub entities: Vec<String>,
}

impl Device {
    /// With [`SCHEMA`].
    pub fn new(url: &str) -> Device {
        Device::with(SCHEMA, &["list", "task"], url)
    }

    /// With [`SCHEMA`], and further options of `sync_provider`.
    pub fn with_options(url: &str, more: Value) -> Device {
        Device::configured(SCHEMA, &["list", "task"], url, more)
    }

    pub fn with(schema: &str, tables: &[&str], url: &str) -> Device {
        Device::configured(schema, tables, url, json!({}))
    }

    /// `more`: further options of `sync_provider`.
    pub fn configured(schema: &str, tables: &[&str], url: &str, more: Value) -> Device {
        let world = World::new(false);
        let db = world.open();
        db.execute_batch(schema).expect("schema");
        let device = Device {
            world,
            db,
            entities: tables.iter().map(|name| name.to_string()).collect(),
        };
        device.provider(url, more);
        for table in tables {
            device.ask(&format!(
                "SELECT sync_track('{}')",
                table.replace('\'', "''")
            ));
        }
        device
    }

    /// Declares provider `api`, with a single attempt unless `more` says otherwise.
    pub fn provider(&self, url: &str, more: Value) {
        let patience = PATIENCE.as_millis() as u64;
        let mut config = json!({"kind": "watermelon", "url": url, "attempts": 1, "backoffMs": 1,
            "maxBackoffMs": 5, "timeoutMs": patience, "connectTimeoutMs": patience,
            "busyTimeoutMs": patience});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        self.db
            .query_row(
                "SELECT sync_provider('api', ?1, '{\"keepCursor\":true}')",
                [config.to_string()],
                |_| Ok(()),
            )
            .expect("provider");
    }

    /// A second connection to the same file.
    pub fn second(&self) -> Connection {
        self.world.open()
    }

    pub fn ask(&self, sql: &str) -> String {
        ask(&self.db, sql)
    }

    pub fn refused(&self, sql: &str) -> String {
        refused(&self.db, sql)
    }

    pub fn exec(&self, sql: &str) {
        self.db
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Syncs all entities; the summary.
    pub fn sync(&self) -> Value {
        let entities: Vec<&str> = self.entities.iter().map(String::as_str).collect();
        self.sync_only(&entities)
    }

    pub fn sync_only(&self, entities: &[&str]) -> Value {
        sync_on(&self.db, "all", entities)
    }

    /// Syncs; it must succeed.
    pub fn synced(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    /// Syncs; it must fail. Gives the error object, which must be the same in the answer, the run
    /// and every status.
    pub fn failed(&self) -> Value {
        let answer = self.sync();
        assert_eq!(answer["state"], "failed", "{answer}");
        let error = answer["error"].clone();
        let run = self.ask("SELECT error FROM _syncRun ORDER BY id DESC LIMIT 1");
        assert_eq!(serde_json::from_str::<Value>(&run).expect(&run), error);
        for status in self
            .ask("SELECT error FROM _syncStatus WHERE provider = 'api'")
            .lines()
        {
            assert_eq!(serde_json::from_str::<Value>(status).expect(status), error);
        }
        let states = self.ask("SELECT DISTINCT state FROM _syncStatus WHERE provider = 'api'");
        assert_eq!(states, "failed");
        error
    }

    /// `table|key|op|changed` of what is pending.
    pub fn pending(&self) -> String {
        self.ask("SELECT \"table\", key, op, changed FROM sync_pending ORDER BY 1, 2")
    }

    pub fn cursor(&self, entity: &str) -> String {
        self.ask(&format!(
            "SELECT cursor FROM _syncCursor WHERE entity = '{entity}'"
        ))
    }

    /// Entries of the change log, the placeholder left out.
    pub fn log(&self) -> String {
        self.ask("SELECT count(*) FROM _syncChange WHERE tbl <> 0")
    }

    /// All rows of a table in the form of the backend's dump.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        rows_of(&self.db, table)
    }
}

/// Syncs on a connection of its own; the summary.
pub fn sync_on(db: &Connection, instance: &str, entities: &[&str]) -> Value {
    let list = json!(entities).to_string();
    let text: String = db
        .query_row(
            "SELECT sync_entities(?1, 'api', ?2)",
            [instance, &list],
            |row| row.get(0),
        )
        .unwrap_or_else(|error| panic!("sync_entities: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

/// The rows of a table as JSON, booleans as the backend shows them, sorted by key.
pub fn rows_of(db: &Connection, table: &str) -> Vec<Value> {
    let listed = ask(
        db,
        &format!("SELECT name, type FROM pragma_table_info('{table}')"),
    );
    let columns: Vec<(&str, bool)> = listed
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(name, declared)| (name, declared.starts_with("BOOL")))
        .collect();
    let mut statement = db
        .prepare(&format!("SELECT * FROM \"{table}\" ORDER BY 1"))
        .expect("table");
    let mut rows = statement.query([]).expect("rows");
    let mut all = Vec::new();
    while let Some(row) = rows.next().expect("row") {
        let mut object = serde_json::Map::new();
        for (place, (name, boolean)) in columns.iter().enumerate() {
            use rusqlite::types::ValueRef;
            let value = match row.get_ref(place).expect("column") {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) if *boolean => Value::from(number != 0),
                ValueRef::Integer(number) => Value::from(number),
                ValueRef::Real(number) => Value::from(number),
                ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text)),
                ValueRef::Blob(bytes) => Value::from(format!("{bytes:?}")),
            };
            object.insert((*name).to_owned(), value);
        }
        all.push(Value::Object(object));
    }
    all
}

/// The rows of the backend.
pub fn backend_rows(backend: &Backend, table: &str) -> Vec<Value> {
    serde_json::from_str(&backend.dump(table)).expect("a dump is JSON")
}

/// Device and backend hold the same.
pub fn assert_equal(device: &Device, backend: &Backend, tables: &[&str]) {
    for table in tables {
        assert_eq!(device.rows(table), backend_rows(backend, table), "{table}");
    }
}

/// Method and path of the requests the backend saw, in short: `GET 5`, `POST 7`.
pub fn seen(backend: &Backend) -> Vec<String> {
    backend
        .requests()
        .iter()
        .map(|request| {
            let cursor = query(&request.path, "last_pulled_at").unwrap_or_default();
            format!("{} {cursor}", request.method)
        })
        .collect()
}

/// The bodies of the pushes the backend saw.
pub fn pushes(backend: &Backend) -> Vec<Value> {
    backend
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .map(|request| serde_json::from_str(&request.body).expect("JSON"))
        .collect()
}

/// A parameter of a URL, as sent.
pub fn query(path: &str, name: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}
