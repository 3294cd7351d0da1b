//! Runs a case with the extension: the tables as an application has them, edits by plain SQL, syncs
//! against a server with canned answers.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, params_from_iter};
use serde_json::{Map, Number, Value, json};
use tempfile::TempDir;

use super::case::{Case, Column, Edit, Kind, Op, PullFailure, PushKind, Step, Sync, Table};
use support::{Canned, closing, json_answer, load, query, status_answer, sync_on};

/// Runs cases one after the other. Databases with the same tables are copies of one file.
pub struct Devices {
    server: Canned,
    folder: TempDir,
    templates: HashMap<String, PathBuf>,
    count: usize,
}

struct Device<'a> {
    case: &'a Case,
    server: &'a Canned,
    db: Connection,
    path: PathBuf,
    /// A configuration that was refused: there is no sync then.
    refused: bool,
}

impl Devices {
    pub fn new() -> Devices {
        Devices {
            server: Canned::start(),
            folder: TempDir::new().expect("a temporary folder"),
            templates: HashMap::new(),
            count: 0,
        }
    }

    /// What was seen after each step. What panics on the way is something seen, too.
    pub fn run(&mut self, case: &Case) -> Vec<Value> {
        let run = AssertUnwindSafe(|| self.steps(case));
        catch_unwind(run).unwrap_or_else(|_| vec!["a panic, see above".into()])
    }

    fn steps(&mut self, case: &Case) -> Vec<Value> {
        let path = self.copy(case);
        let db = open(&path);
        load(&db);
        // SQL is run on connections only that were given it.
        if !case.replacement_where.is_empty() {
            configure(&db, &config(&self.server, case)).expect("provider");
        }
        if let Some(resolver) = &case.resolver {
            let sql = "SELECT sync_resolver('*', 'sql4', ?1)";
            call(&db, sql, &[&resolver.sql]).expect("resolver");
        }
        let mut device = Device {
            case,
            server: &self.server,
            db,
            path: path.clone(),
            refused: false,
        };
        let seen = case.steps.iter().map(|step| device.step(step)).collect();
        drop(device);
        std::fs::remove_file(path).expect("removed");
        seen
    }

    fn copy(&mut self, case: &Case) -> PathBuf {
        let kind = template_key(&self.server, case);
        if !self.templates.contains_key(&kind) {
            let path = self
                .folder
                .path()
                .join(format!("t{}.db", self.templates.len()));
            self.prepare(case, &path);
            self.templates.insert(kind.clone(), path);
        }
        self.count += 1;
        let path = self.folder.path().join(format!("{}.db", self.count));
        std::fs::copy(&self.templates[&kind], &path).expect("copied");
        path
    }

    fn prepare(&self, case: &Case, path: &PathBuf) {
        let db = open(path);
        load(&db);
        for table in &case.tables {
            db.execute_batch(&create_table(table)).expect("table");
        }
        configure(&db, &config(&self.server, case)).expect("provider");
        for table in &case.tables {
            let mut options = track_options(table);
            // To the client ids are texts that nobody counts.
            options["counted"] = "same".into();
            let options = options.to_string();
            call(&db, "SELECT sync_track(?1, ?2)", &[&table.name, &options]).expect("tracked");
        }
    }
}

fn open(path: &PathBuf) -> Connection {
    let db = Connection::open(path).expect("open");
    db.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
        .expect("quick");
    db
}

fn call(db: &Connection, sql: &str, arguments: &[&str]) -> rusqlite::Result<()> {
    db.query_row(sql, params_from_iter(arguments), |_| Ok(()))
}

fn configure(db: &Connection, config: &Value) -> rusqlite::Result<()> {
    call(
        db,
        "SELECT sync_provider('api', ?1)",
        &[&config.to_string()],
    )
}

/// Whatever a database is prepared by.
fn template_key(server: &Canned, case: &Case) -> String {
    json!([case.tables, config(server, case)]).to_string()
}

/// A refused push is not repeated here: the client leaves that to its caller.
fn config(server: &Canned, case: &Case) -> Value {
    let mut config = json!({"kind": "watermelon", "url": server.url(), "attempts": 1,
        "retryOnce": false, "splitRefused": false, "schemaVersion": case.schema_version});
    if case.send_created_as_updated {
        config["sendCreatedAsUpdated"] = true.into();
    }
    for condition in &case.replacement_where {
        let value = literal(&condition.value);
        config["replacementWhere"][&condition.table] =
            format!("{} = {value}", quoted(&condition.column)).into();
    }
    config
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Bool(truth) => i64::from(*truth).to_string(),
        other => other.to_string(),
    }
}

fn create_table(table: &Table) -> String {
    let key = if table.integer_key { "INTEGER" } else { "TEXT" };
    let mut terms = vec![format!("id {key} PRIMARY KEY NOT NULL")];
    for column in &table.columns {
        let mut term = format!("{} {}", quoted(&column.name), column.declared);
        if !column.optional {
            term += " NOT NULL";
        }
        if !column.default.is_null() {
            term += &format!(" DEFAULT {}", literal(&column.default));
        }
        terms.push(term);
    }
    format!(
        "CREATE TABLE {} ({})",
        quoted(&table.name),
        terms.join(", ")
    )
}

/// The kind a declared type stands for, where it says any.
fn declared_kind(declared: &str) -> Option<Kind> {
    match declared {
        "TEXT" | "VARCHAR(40)" | "CLOB" => Some(Kind::String),
        "INTEGER" | "REAL" => Some(Kind::Number),
        "BOOLEAN" => Some(Kind::Boolean),
        _ => None,
    }
}

fn track_options(table: &Table) -> Value {
    let types: Map<String, Value> = table
        .columns
        .iter()
        .filter(|column| declared_kind(&column.declared) != Some(column.kind))
        .map(|column| (column.name.clone(), json!(column.kind)))
        .collect();
    json!({ "types": types })
}

impl Device<'_> {
    fn step(&mut self, step: &Step) -> Value {
        match step {
            Step::Edit(edits) => {
                edit(&self.db, &self.case.tables, edits);
                self.look()
            }
            Step::Upgrade(upgrade) => {
                let mut config = config(self.server, self.case);
                config["schemaVersion"] = upgrade.schema_version.into();
                config["migrations"] = upgrade.migrations.clone();
                if let Some(version) = upgrade.enabled_at {
                    config["migrationsEnabledAtVersion"] = version.into();
                }
                self.refused = configure(&self.db, &config).is_err();
                self.look()
            }
            Step::Sync(sync) => self.sync(sync),
        }
    }

    fn sync(&self, sync: &Sync) -> Value {
        self.server.reset();
        let answer = pull_answer(sync);
        let during = self.edits(&sync.during_pull);
        self.server.pull_raw(move |_| {
            during();
            answer.clone()
        });
        let answer = push_answer(sync);
        let during = self.edits(&sync.during_push);
        self.server.push_raw(move |_| {
            during();
            answer.clone()
        });
        let failed = self.refused || {
            let names: Vec<&str> = self
                .case
                .tables
                .iter()
                .map(|table| table.name.as_str())
                .collect();
            sync_on(&self.db, "all", &names)["state"] == "failed"
        };
        let requests = self.server.seen();
        let (pushes, pulls): (Vec<_>, Vec<_>) = requests
            .iter()
            .partition(|request| request.method == "POST");
        let error = match (failed, pushes.is_empty()) {
            (false, _) => Value::Null,
            (true, true) => "pull".into(),
            (true, false) => "push".into(),
        };
        let mut seen = self.look();
        seen["error"] = error;
        seen["pulls"] = pulls
            .iter()
            .map(|pull| {
                json!({
                    "lastPulledAt": parameter(&pull.path, "last_pulled_at"),
                    "schemaVersion": parameter(&pull.path, "schema_version"),
                    "migration": parameter(&pull.path, "migration"),
                })
            })
            .collect();
        seen["pushes"] = pushes
            .iter()
            .map(|push| {
                json!({
                    "lastPulledAt": parameter(&push.path, "last_pulled_at"),
                    "changes": serde_json::from_str::<Value>(&readable(&push.body)).expect("JSON"),
                })
            })
            .collect();
        seen
    }

    /// Edits to be made while a request is under way, by a program that never heard of the extension.
    fn edits(&self, edits: &[Edit]) -> impl Fn() + Send + 'static {
        let (path, tables) = (self.path.clone(), self.case.tables.clone());
        let edits = edits.to_vec();
        move || {
            if !edits.is_empty() {
                edit(&open(&path), &tables, &edits);
            }
        }
    }

    /// The rows with their status, as the client shows them, and the cursor.
    fn look(&self) -> Value {
        let mut rows = Map::new();
        for table in &self.case.tables {
            rows.insert(table.name.clone(), self.rows(table));
        }
        let sql = "SELECT \"table\", CAST(key AS TEXT), op, changed FROM sync_pending";
        let mut pending = self.db.prepare(sql).expect("sync_pending");
        let mut pending = pending.query([]).expect("sync_pending");
        while let Some(row) = pending.next().expect("a row") {
            let text = |column| row.get::<_, Option<String>>(column).expect("text");
            let (Some(table), Some(id), Some(op)) = (text(0), text(1), text(2)) else {
                panic!("sync_pending has a row without a table, key or op");
            };
            let changed = text(3).unwrap_or_else(|| "[]".into());
            let changed: Value = serde_json::from_str(&changed).expect("a list");
            if op == "deleted" {
                rows[&table][&id] = json!({"status": op, "changed": [], "values": null});
                continue;
            }
            rows[&table][&id]["status"] = op.into();
            rows[&table][&id]["changed"] = changed;
        }
        json!({"rows": rows, "cursor": self.cursor()})
    }

    fn rows(&self, table: &Table) -> Value {
        let sql = format!("SELECT * FROM {}", quoted(&table.name));
        let mut statement = self.db.prepare(&sql).expect("table");
        let mut found = statement.query([]).expect("rows");
        let mut rows = Map::new();
        while let Some(row) = found.next().expect("a row") {
            let id = match row.get_ref(0).expect("id") {
                ValueRef::Integer(number) => number.to_string(),
                other => other.as_str().expect("text").to_owned(),
            };
            let values: Map<String, Value> = table
                .columns
                .iter()
                .enumerate()
                .map(|(place, column)| {
                    let value = row.get_ref(place + 1).expect("column");
                    (column.name.clone(), json_of(value))
                })
                .collect();
            rows.insert(
                id,
                json!({"status": "synced", "changed": [], "values": values}),
            );
        }
        Value::Object(rows)
    }

    /// All entities are synced together, so theirs is one.
    fn cursor(&self) -> Value {
        let mut statement = self
            .db
            .prepare("SELECT DISTINCT cursor FROM _syncCursor")
            .expect("_syncCursor");
        let cursors: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .expect("cursors")
            .collect::<rusqlite::Result<_>>()
            .expect("text");
        match cursors.as_slice() {
            [] => Value::Null,
            [cursor] => serde_json::from_str(cursor).expect("a number"),
            several => json!(several),
        }
    }
}

fn json_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => Number::from_f64(number).map_or("infinite".into(), Value::from),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => format!("blob {bytes:?}").into(),
    }
}

fn pull_answer(sync: &Sync) -> Vec<u8> {
    let text = sync.answer_text();
    match &sync.pull_fails {
        None => json_answer(&text),
        Some(PullFailure::Status(status)) => status_answer(*status, &[], "no"),
        Some(PullFailure::CutOff) => closing(&text, text.len() + 9),
        Some(PullFailure::Text(text)) => json_answer(text),
    }
}

fn push_answer(sync: &Sync) -> Vec<u8> {
    let push = &sync.push;
    match push.kind {
        PushKind::Taken if push.rejected.is_empty() => status_answer(push.status, &[], ""),
        PushKind::Taken => {
            json_answer(&json!({"experimentalRejectedIds": push.rejected}).to_string())
        }
        PushKind::Lost if push.status == 0 => closing("{", 9),
        PushKind::Refused | PushKind::Lost => status_answer(push.status, &[], "no"),
    }
}

/// A parameter of a URL, percent-encoded JSON; null when there is none.
fn parameter(path: &str, name: &str) -> Value {
    let given = query(path, name).unwrap_or_else(|| "null".into());
    let mut bytes = Vec::new();
    let mut rest = given.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = std::str::from_utf8(after.get(..2).unwrap_or_default()).unwrap_or_default();
        match u8::from_str_radix(code, 16) {
            Ok(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
}

/// Edits as an application makes them. What is not there is passed over, as in `client.js`.
fn edit(db: &Connection, tables: &[Table], edits: &[Edit]) {
    for edit in edits {
        let table = tables
            .iter()
            .find(|table| table.name == edit.table)
            .expect("a table of the case");
        let name = quoted(&table.name);
        let id = Sql::Text(edit.id.clone());
        let result = match edit.op {
            Op::Create => {
                let mut values = vec![id];
                values.extend(table.columns.iter().map(|column| value_of(column, edit)));
                let marks = vec!["?"; values.len()].join(", ");
                let sql = format!("INSERT OR IGNORE INTO {name} VALUES ({marks})");
                db.execute(&sql, params_from_iter(values))
            }
            Op::Update if edit.set.is_empty() => Ok(0),
            Op::Update => {
                let columns = || {
                    table
                        .columns
                        .iter()
                        .filter(|column| edit.set.contains_key(&column.name))
                };
                let set: Vec<String> = columns()
                    .map(|column| format!("{} = ?", quoted(&column.name)))
                    .collect();
                let mut values: Vec<Sql> = columns().map(|column| value_of(column, edit)).collect();
                values.push(id);
                let sql = format!("UPDATE {name} SET {} WHERE id = ?", set.join(", "));
                db.execute(&sql, params_from_iter(values))
            }
            Op::Delete => db.execute(&format!("DELETE FROM {name} WHERE id = ?"), [id]),
        };
        result.unwrap_or_else(|error| panic!("{edit:?}: {error}"));
    }
}

fn value_of(column: &Column, edit: &Edit) -> Sql {
    let empty = column.empty();
    match edit.set.get(&column.name).unwrap_or(&empty) {
        Value::Null => Sql::Null,
        Value::Bool(truth) => Sql::Integer((*truth).into()),
        Value::String(text) => Sql::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Sql::Integer(whole),
            None => Sql::Real(number.as_f64().expect("a number")),
        },
        other => panic!("no value of a column: {other}"),
    }
}

/// A body with U+FFFD for every half of a surrogate pair and null for a number beyond every double: JavaScript reads
/// both, and a value that is kept aside goes up as it came.
fn readable(body: &str) -> String {
    let mut whole = String::with_capacity(body.len());
    let mut rest = body;
    let unit = |text: &str| -> Option<u16> {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        (0xd800..0xe000).contains(&unit).then_some(unit)
    };
    let mut in_string = false;
    while let Some(letter) = rest.chars().next() {
        let (length, shown) = match letter {
            '\\' => match unit(rest) {
                Some(high)
                    if high < 0xdc00 && unit(&rest[6..]).is_some_and(|low| low >= 0xdc00) =>
                {
                    (12, None)
                }
                Some(_) => (6, Some("\\ufffd")),
                None => (2, None),
            },
            '"' => {
                in_string = !in_string;
                (1, None)
            }
            '-' | '0'..='9' if !in_string => {
                let is_part = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
                let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
                let number: f64 = rest[..length].parse().unwrap_or(0.0);
                (length, number.is_infinite().then_some("null"))
            }
            other => (other.len_utf8(), None),
        };
        whole.push_str(shown.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    whole
}
