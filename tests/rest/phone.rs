//! A database that reads from the server.

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{PATIENCE, World, ask, refused};

use crate::server::Api;

pub struct Phone {
    pub world: World,
    pub db: Connection,
}

impl Phone {
    /// With provider `api`, which asks once.
    pub fn new(api: &Api) -> Phone {
        Phone::with(api, json!({}))
    }

    /// `more`: further options of `sync_provider`.
    pub fn with(api: &Api, more: Value) -> Phone {
        let world = World::new(false);
        let db = world.open();
        let phone = Phone { world, db };
        phone.provider(&api.url(), more);
        phone
    }

    pub fn provider(&self, url: &str, more: Value) {
        let patience = PATIENCE.as_millis() as u64;
        let mut config = json!({"kind": "rest", "url": url, "attempts": 1, "backoffMs": 1, "maxBackoffMs": 5,
            "timeoutMs": patience, "connectTimeoutMs": patience, "busyTimeoutMs": patience});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        self.call("sync_provider", &["api", &config.to_string()]);
    }

    fn sql(name: &str, count: usize) -> String {
        let places: Vec<String> = (1..=count).map(|place| format!("?{place}")).collect();
        format!("SELECT {name}({})", places.join(", "))
    }

    /// Calls a function with texts; its answer as text.
    pub fn call(&self, name: &str, arguments: &[&str]) -> String {
        self.try_call(name, arguments)
            .unwrap_or_else(|error| panic!("{name} {arguments:?}: {error}"))
    }

    pub fn try_call(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let sql = Phone::sql(name, arguments.len());
        let given = rusqlite::params_from_iter(arguments);
        let answer = self
            .db
            .query_row(&sql, given, |row| row.get::<_, rusqlite::types::Value>(0));
        match answer {
            Ok(rusqlite::types::Value::Text(text)) => Ok(text),
            Ok(other) => Ok(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn function(&self, id: &str, definition: Value) {
        self.call("sync_function", &["api", id, &definition.to_string()]);
    }

    /// The text with which a definition is refused.
    pub fn bad_function(&self, definition: &str) -> String {
        match self.try_call("sync_function", &["api", "bad", definition]) {
            Ok(answer) => panic!("{definition}: not refused, but {answer}"),
            Err(error) => error,
        }
    }

    /// Runs the operations; the answer.
    pub fn run(&self, operations: Value, options: Value) -> Value {
        let text = self.call(
            "sync_entities",
            &[
                "screen",
                "api",
                &operations.to_string(),
                &options.to_string(),
            ],
        );
        serde_json::from_str(&text).expect("JSON")
    }

    pub fn read(&self, entity: &str, function: &str) -> Value {
        self.run(json!([{"entity": entity, "function": function}]), json!({}))
    }

    pub fn read_with(&self, entity: &str, function: &str, parameters: Value) -> Value {
        let operation = json!({"entity": entity, "function": function, "parameters": parameters});
        self.run(json!([operation]), json!({}))
    }

    pub fn forced(&self, entity: &str, function: &str) -> Value {
        let operations = json!([{"entity": entity, "function": function}]);
        self.run(operations, json!({"force": true}))
    }

    /// Reads; it must succeed.
    #[track_caller]
    pub fn done(&self, entity: &str, function: &str) -> Value {
        let answer = self.read(entity, function);
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    /// Reads; it must fail. The error of the operation, which its status has too.
    #[track_caller]
    pub fn failed(&self, entity: &str, function: &str) -> Value {
        let answer = self.read(entity, function);
        assert_eq!(answer["state"], "failed", "{answer}");
        error(&answer)
    }

    pub fn ask(&self, sql: &str) -> String {
        ask(&self.db, sql)
    }

    pub fn refused(&self, sql: &str) -> String {
        refused(&self.db, sql)
    }

    #[track_caller]
    pub fn exec(&self, sql: &str) {
        self.db
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A table of columns, tracked.
    pub fn table(&self, sql: &str, name: &str) {
        self.exec(sql);
        self.call("sync_track", &[name]);
    }

    /// The ids of a table, in the order of their length and text.
    pub fn ids(&self, table: &str) -> String {
        self.ask(&format!(
            "SELECT coalesce(group_concat(id, ' '), '') FROM (SELECT id FROM \"{table}\" ORDER BY length(id), id)"
        ))
    }

    pub fn count(&self, table: &str) -> usize {
        let sql = format!("SELECT count(*) FROM \"{table}\"");
        self.ask(&sql).parse().expect("a number")
    }

    /// `key op` of what is pending.
    pub fn pending(&self) -> String {
        self.ask("SELECT coalesce(group_concat(key || ' ' || op, ', '), '') FROM (SELECT * FROM sync_pending ORDER BY key)")
    }

    /// The state of each status row of an entity.
    pub fn status(&self, entity: &str) -> String {
        self.ask(&format!(
            "SELECT state FROM _syncStatus WHERE entity = '{entity}' ORDER BY id"
        ))
    }
}

/// The error of an answer, or of its first operation.
pub fn error(answer: &Value) -> Value {
    let own = &answer["error"];
    if !own.is_null() {
        return own.clone();
    }
    let operations = answer["operations"].as_array().expect("operations");
    let failed = operations
        .iter()
        .find(|operation| !operation["error"].is_null());
    failed.expect("an operation that failed")["error"].clone()
}

/// Rows `1` to `count`, with a number, a name and a time.
pub fn numbered(count: usize) -> Vec<Value> {
    (1..=count).map(row).collect()
}

pub fn row(number: usize) -> Value {
    json!({"id": number.to_string(), "n": number, "name": format!("n{number}"), "updated": 1000 + number})
}

/// Their ids, as [`Phone::ids`] gives them.
pub fn ids(count: usize) -> String {
    (1..=count)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}
