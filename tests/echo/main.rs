//! A throwaway third kind, whole in this file: what a new protocol needs is a value of `Kind` and nothing
//! else. Its server is in memory, and the test hands requests and answers to and fro.
//!
//! | | |
//! |---|---|
//! | pull | `POST /pull {"after":n,"limit":page}` gives `{"rows":[{entity,id,version,row}],"next":n,"more":bool}`; `row` null: deleted |
//! | push | `POST /push {"changes":[{change,entity,kind,id,base,row}]}` gives `{"verdicts":[{change,…}],"rows":[…]}` |
//! | verdicts | `taken` with a version and perhaps an `id` of the server's; `refused` with a reason; `conflict`; `unsure` |

use std::io::{self, Write};
use std::os::raw::{c_char, c_int};
use std::sync::Once;

use rusqlite::{Connection, ffi};
use serde_json::{Map, Value, json};
use support::ask;
use syncscope::ground::SyncError;
use syncscope::ground::key::{Key, Takes, Usual, key};
use syncscope::providers::conversation::{
    AboutParcel, Answer, Ask, AskBody, Conversation, Event, Goal, Known, Manners, ParcelRow,
    ParcelRows, Provider, Read, Refusal, RowToSend, Step,
};
use syncscope::providers::fit::sanitise;
use syncscope::providers::sink::{Announced, Rejection, RemoteRow, Sent, Sink, Verdict};
use syncscope::providers::values::{write_column, write_json, write_value};
use syncscope::providers::wire::{ChangeKind, Entity, KeyType, Slot, WireId, WireType};
use syncscope::providers::{Kind, Settings, Transport, kinds};

// ------------------------------------------------------------------------------------------- the kind

static ECHO: Kind = Kind {
    name: "echo",
    transport: Transport::Http,
    keys: &[KEYS],
    fill: |_| Map::new(),
    check: |_| Ok(()),
    functions: None,
    open: Some(|settings: &Settings, _| Ok(Box::new(Echo::new(settings)))),
};

const KEYS: &[Key] = &[
    key(
        "page",
        Takes::Number(1, 100),
        Usual::Json("2"),
        "rows of one page",
        r#"{"page":2}"#,
    ),
    key(
        "batch",
        Takes::Number(0, 100),
        Usual::Json("0"),
        "most rows of one push; 0: no limit",
        r#"{"batch":1}"#,
    ),
    key(
        "careful",
        Takes::Switch,
        Usual::Json("false"),
        "changes have numbers, and go out again as they were; all tables have one cursor",
        r#"{"careful":true}"#,
    ),
    key(
        "fickle",
        Takes::Switch,
        Usual::Json("false"),
        "the server is another one each time",
        r#"{"fickle":true}"#,
    ),
];

struct Echo {
    page: u64,
    fickle: bool,
    manners: Manners,
}

impl Echo {
    fn new(settings: &Settings) -> Self {
        Self {
            page: settings.number("page"),
            fickle: settings.flag("fickle"),
            manners: Manners {
                batch: settings.number("batch"),
                journal_pulls: 1,
                versions: true,
                numbered: settings.flag("careful"),
                resends: settings.flag("careful"),
                one_cursor: settings.flag("careful"),
                ..Manners::default()
            },
        }
    }
}

impl Provider for Echo {
    fn manners(&self) -> &Manners {
        &self.manners
    }

    fn admit(&self, entity: &Entity) -> Result<(), String> {
        match entity.key_type {
            KeyType::Text => Ok(()),
            _ => Err("an echo has text keys; declare the key TEXT".into()),
        }
    }

    fn encode(
        &self,
        entity: &Entity,
        row: &RowToSend<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let version = row.version.unwrap_or(0);
        write!(out, r#""base":{version},"id":"#).map_err(|error| error.to_string())?;
        write_value(out, WireType::Any, row.id)?;
        if row.kind == ChangeKind::Deleted {
            out.extend_from_slice(b",\"row\":null");
            return Ok(());
        }
        out.extend_from_slice(b",\"row\":{");
        for (place, (column, value)) in entity.columns.iter().zip(row.values).enumerate() {
            out.extend_from_slice(if place > 0 { b"," } else { b"" });
            write_json(out, &column.name)?;
            out.push(b':');
            write_column(out, column, column.kind, *value, row.kept(place))?;
        }
        out.push(b'}');
        Ok(())
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        let after = known.memory["after"].as_u64().unwrap_or(0);
        Ok(Box::new(Talk {
            ordered: self.manners.numbered,
            page: self.page,
            after: match goal {
                Goal::Check => 0,
                _ => after,
            },
            goal,
            entities: known
                .entities
                .into_iter()
                .map(|known| known.entity)
                .collect(),
            step: match self.fickle {
                true => At::Anew,
                false => At::Pull,
            },
        }))
    }
}

#[derive(Clone, PartialEq)]
enum At {
    Anew,
    Pull,
    Freeze,
    Push,
    Done,
    Failed(SyncError),
}

struct Talk {
    ordered: bool,
    page: u64,
    after: u64,
    goal: Goal,
    entities: Vec<Entity>,
    step: At,
}

impl Talk {
    fn ask(&self, label: &'static str, body: AskBody) -> Step {
        Step::Ask(Ask {
            parcel: (body == AskBody::Parcel).then(|| AboutParcel::whole(&[])),
            body,
            ..Ask::new(label, "POST", format!("echo://memory/{label}"))
        })
    }

    fn rows(&self, rows: &Value, sink: &mut dyn Sink) -> Result<(), SyncError> {
        for row in rows.as_array().into_iter().flatten() {
            let name = row["entity"].as_str().unwrap_or_default();
            let Some(entity) = self.entities.iter().position(|known| known.name == name) else {
                continue;
            };
            let id = WireId::Text(row["id"].as_str().unwrap_or_default().into());
            let version = row["version"].as_i64();
            let Some(values) = row["row"].as_object() else {
                sink.gone(entity, &id, version)?;
                continue;
            };
            let columns = self.entities[entity].columns.iter();
            let slots: Vec<Slot<'_>> = columns
                .map(|column| match values.get(&column.name) {
                    None => Slot::Missing,
                    Some(value) => sanitise(column, &value.to_string()),
                })
                .collect();
            sink.row(&RemoteRow {
                entity,
                announced: Announced::Updated,
                id: &id,
                slots: &slots,
                version,
            })?;
        }
        Ok(())
    }
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.step {
            At::Pull => {
                let body = json!({"after": self.after, "limit": self.page});
                self.ask("pull", AskBody::Bytes(body.to_string().into_bytes()))
            }
            At::Anew => Step::BeginAnew,
            At::Freeze => Step::Freeze,
            At::Push => self.ask("push", AskBody::Parcel),
            At::Done => Step::Done,
            At::Failed(error) => Step::Fail(error.clone()),
        }
    }

    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\"changes\":[")?;
        let mut first = true;
        let mut write_row = |place: usize, row: &ParcelRow<'_>| {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            let name = Value::from(self.entities[place].name.as_str());
            let (change, kind) = (row.change, row.kind.as_str());
            write!(
                out,
                r#"{comma}{{"change":{change},"entity":{name},"kind":"{kind}",{}}}"#,
                row.content
            )
        };
        if self.ordered {
            parcel.in_order(&mut write_row)?;
        } else {
            for place in 0..self.entities.len() {
                parcel.rows(place, None, &mut |row| write_row(place, row))?;
            }
        }
        write!(out, "]}}")
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let said: Value = serde_json::from_reader(&mut *answer.body)
            .map_err(|_| SyncError::protocol("the echo is no JSON; nothing was applied"))?;
        for verdict in said["verdicts"].as_array().into_iter().flatten() {
            let id = verdict["taken"]["id"].as_str();
            let new_id = id.map(|id| WireId::Text(id.into()));
            let made = match verdict {
                verdict if verdict.get("taken").is_some() => Verdict::Taken {
                    version: verdict["taken"]["version"].as_i64(),
                    new_id: new_id.as_ref(),
                    image: None,
                },
                verdict if verdict.get("refused").is_some() => {
                    let message = verdict["refused"].as_str();
                    Verdict::Refused(Rejection {
                        for_good: message.is_some_and(|said| said.starts_with("never")),
                        ..Rejection::saying(message)
                    })
                }
                verdict if verdict.get("conflict").is_some() => Verdict::Conflict(None),
                _ => Verdict::Unsure,
            };
            let change = verdict["change"].as_i64().unwrap_or_default();
            sink.verdict(Sent::Change(change), made)?;
        }
        self.rows(&said["rows"], sink)?;
        let next = said["next"].as_u64();
        Ok(Read {
            cursors: match next {
                Some(next) => (0..self.entities.len())
                    .map(|entity| (entity, next.to_string()))
                    .collect(),
                None => Vec::new(),
            },
            memory: next.map(|next| json!({"after": next})),
            rest: match said["more"].as_bool() {
                Some(more) => Map::from_iter([("more".to_owned(), more.into())]),
                None => Map::new(),
            },
            ..Read::default()
        })
    }

    fn adopt(&mut self, event: Event<'_>) {
        self.step = match event {
            Event::Frozen(0) => At::Done,
            Event::Frozen(_) | Event::Resent(_) => At::Push,
            Event::Read(_) if self.step == At::Push => At::Done,
            Event::Read(read) => {
                let memory = read.memory.as_ref();
                let next = memory.and_then(|memory| memory["after"].as_u64());
                self.after = next.unwrap_or(self.after);
                match (read.rest.get("more"), self.goal) {
                    (Some(Value::Bool(true)), goal) if goal != Goal::Download => At::Pull,
                    (_, goal) if goal.sends() => At::Freeze,
                    _ => At::Done,
                }
            }
            Event::Refused { error, .. } | Event::Lost(error) => At::Failed(error.clone()),
        };
    }
}

// ----------------------------------------------------------------------------------------- the server

/// What the server has: rows in the order of their last change.
#[derive(Default)]
struct Server {
    rows: Vec<(u64, Value)>,
    clock: u64,
    minted: u64,
    /// Ids that are refused.
    refuses: Vec<String>,
    /// Of the next changes, whether the answer is unsure although they are taken.
    unsure: bool,
    pulls: usize,
    /// The changes of each push.
    pushes: Vec<Vec<Value>>,
}

impl Server {
    fn put(&mut self, entity: &str, id: &str, row: Value) -> i64 {
        let version = self.version(entity, id) + 1;
        self.rows
            .retain(|(_, known)| known["entity"] != entity || known["id"] != id);
        self.clock += 1;
        let row = json!({"entity": entity, "id": id, "version": version, "row": row});
        self.rows.push((self.clock, row));
        version
    }

    fn get(&self, entity: &str, id: &str) -> Option<&Value> {
        let mut rows = self.rows.iter().map(|(_, row)| row);
        rows.find(|row| row["entity"] == entity && row["id"] == id)
    }

    fn version(&self, entity: &str, id: &str) -> i64 {
        let row = self.get(entity, id);
        row.and_then(|row| row["version"].as_i64()).unwrap_or(0)
    }

    fn answer(&mut self, url: &str, body: &Value) -> Value {
        match url {
            "echo://memory/pull" => self.pull(body),
            "echo://memory/push" => self.push(body),
            other => panic!("{other}"),
        }
    }

    fn pull(&mut self, body: &Value) -> Value {
        self.pulls += 1;
        let after = body["after"].as_u64().expect("a number");
        let limit = body["limit"].as_u64().expect("a number") as usize;
        let due: Vec<&(u64, Value)> = self.rows.iter().filter(|(at, _)| *at > after).collect();
        let page = &due[..limit.min(due.len())];
        json!({
            "rows": page.iter().map(|(_, row)| row).collect::<Vec<_>>(),
            "next": page.last().map_or(after, |(at, _)| *at),
            "more": due.len() > page.len(),
        })
    }

    fn push(&mut self, body: &Value) -> Value {
        let changes = body["changes"].as_array().expect("changes").clone();
        self.pushes.push(changes.clone());
        let mut rows = Vec::new();
        let verdicts: Vec<Value> = changes
            .iter()
            .map(|change| self.judge(change, &mut rows))
            .collect();
        json!({"verdicts": verdicts, "rows": rows})
    }

    fn judge(&mut self, change: &Value, rows: &mut Vec<Value>) -> Value {
        let number = &change["change"];
        let (entity, id) = (
            change["entity"].as_str().expect("an entity"),
            change["id"].as_str().expect("an id"),
        );
        if self.refuses.iter().any(|refused| refused == id) {
            return json!({"change": number, "refused": format!("{id} is not wanted")});
        }
        if change["base"].as_i64() != Some(self.version(entity, id)) {
            rows.extend(self.get(entity, id).cloned());
            return json!({"change": number, "conflict": true});
        }
        let new_id = id.starts_with("temp-").then(|| {
            self.minted += 1;
            format!("srv-{}", self.minted)
        });
        let name = new_id.as_deref().unwrap_or(id).to_owned();
        let version = self.put(entity, &name, change["row"].clone());
        if std::mem::take(&mut self.unsure) {
            return json!({"change": number});
        }
        json!({"change": number, "taken": {"version": version, "id": new_id}})
    }
}

// ------------------------------------------------------------------------------------------ the device

type Entry = unsafe extern "C" fn(
    *mut ffi::sqlite3,
    *mut *mut c_char,
    *const ffi::sqlite3_api_routines,
) -> c_int;

/// A connection that the library is linked into, with two tables.
fn device(config: &str) -> Connection {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        kinds::add(&ECHO);
        let entry = syncscope::sqlite3_syncscope_static_init as *const ();
        // SAFETY: the same C signature; only the names of the opaque structs differ.
        let entry = unsafe { std::mem::transmute::<*const (), Entry>(entry) };
        // SAFETY: the entry point has the signature SQLite calls.
        assert_eq!(
            unsafe { ffi::sqlite3_auto_extension(Some(entry)) },
            ffi::SQLITE_OK
        );
    });
    let db = Connection::open_in_memory().expect("open");
    db.execute_batch(
        "PRAGMA foreign_keys = ON;
         CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT);
         CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, list TEXT REFERENCES list (id));",
    )
    .expect("schema");
    ask(&db, &format!("SELECT sync_provider('echo', '{config}')"));
    ask(&db, "SELECT sync_track('list'), sync_track('task')");
    db
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// One call for some entities, its requests answered by the server; the final answer. `meanwhile` is called
/// before each answer.
fn drive(
    db: &Connection,
    server: &mut Server,
    entities: &str,
    mut meanwhile: impl FnMut(&mut Server, &str),
) -> Value {
    ask(
        db,
        &format!(r#"SELECT sync_entities('all', 'echo', '{entities}', '{{"transport":"host"}}')"#),
    );
    let mut turn = json(&ask(db, "SELECT sync_next_request()"));
    while turn["finishedAt"].is_null() {
        let url = turn["url"].as_str().expect("a URL");
        meanwhile(server, url);
        let answer = server.answer(url, &json(turn["body"].as_str().expect("a body")));
        db.query_row(
            "SELECT sync_put_response(NULL, 200, '{}', ?1)",
            [answer.to_string()],
            |_| Ok(()),
        )
        .expect("an answer");
        turn = json(&ask(db, "SELECT sync_next_request()"));
    }
    turn
}

fn synced(db: &Connection, server: &mut Server) -> Value {
    let answer = drive(db, server, BOTH, |_, _| {});
    assert_eq!(answer["state"], "synced", "{answer}");
    answer
}

const BOTH: &str = r#"["list","task"]"#;
const PENDING: &str = r#"SELECT "table", key, op FROM sync_pending ORDER BY 1, 2"#;
const ECHO_CONFIG: &str = r#"{"kind":"echo"}"#;

#[test]
fn pages_are_pulled_one_after_the_other_and_the_memory_is_kept() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    for number in 0..5 {
        server.put("list", &format!("l{number}"), json!({"name": "a"}));
    }
    assert_eq!(synced(&db, &mut server)["inserted"], 5);
    assert_eq!(server.pulls, 3);
    assert_eq!(ask(&db, "SELECT memory FROM _syncPeer"), r#"{"after":5}"#);
    server.put("list", "l1", Value::Null);
    let answer = synced(&db, &mut server);
    assert_eq!((&answer["deleted"], server.pulls), (&json!(1), 4));
    let versions = "SELECT group_concat(pk || version || deleted, ' ') FROM _syncVersion";
    assert_eq!(ask(&db, versions), "l010 l121 l210 l310 l410");
}

/// A child on the first page, its parent on the last; another that stays without one, with a version that is known.
#[test]
fn h2_held_rows_are_tried_again_with_each_page_of_a_kind_with_versions() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    server.put("task", "t1", json!({"title": "a", "list": "late"}));
    server.put("task", "t2", json!({"title": "b", "list": "never"}));
    for number in 0..3 {
        server.put("list", &format!("l{number}"), json!({"name": "a"}));
    }
    server.put("list", "late", json!({"name": "late"}));
    let answer = synced(&db, &mut server);
    assert_eq!(answer["held"], 1);
    assert!(answer["warnings"].to_string().contains("rowsHeld"));
    assert_eq!(ask(&db, "SELECT id FROM task"), "t1");
    assert_eq!(
        ask(&db, "SELECT key, reason FROM sync_held"),
        "t2|foreignKey"
    );
    assert_eq!(ask(&db, PENDING), "");
    // A newer state takes its place, in the middle of a run.
    server.put("task", "t2", json!({"title": "c", "list": "l1"}));
    assert_eq!(synced(&db, &mut server)["held"], 0);
    assert_eq!(ask(&db, "SELECT title FROM task WHERE id = 't2'"), "c");
    // The delete of a parent waits for its children.
    server.put("list", "l1", Value::Null);
    synced(&db, &mut server);
    assert_eq!(ask(&db, "SELECT key, op FROM sync_held"), "l1|delete");
    server.put("task", "t2", Value::Null);
    assert_eq!(synced(&db, &mut server)["held"], 0);
    assert_eq!(ask(&db, "SELECT count(*) FROM list WHERE id = 'l1'"), "0");
    assert_eq!(ask(&db, PENDING), "");
}

#[test]
fn each_row_has_its_own_verdict() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    server.put("list", "theirs", json!({"name": "first"}));
    synced(&db, &mut server);
    server.refuses.push("bad".into());
    db.execute_batch(
        "INSERT INTO list VALUES ('good', 'g'), ('bad', 'b');
         UPDATE list SET name = 'mine' WHERE id = 'theirs'",
    )
    .expect("edits");
    let answer = synced(&db, &mut server);
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(2), &json!(1)),
        "{answer}"
    );
    assert_eq!(ask(&db, PENDING), "list|bad|created");
    assert_eq!(
        ask(&db, "SELECT pk, reason FROM _syncRejected"),
        "bad|bad is not wanted"
    );
    assert_eq!(server.version("list", "theirs"), 2);
    let version = "SELECT version FROM _syncVersion WHERE pk = 'theirs'";
    assert_eq!(ask(&db, version), "2");
}

#[test]
fn a_version_that_is_not_the_servers_is_a_conflict_and_goes_up_on_its_base() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    server.put("task", "t", json!({"title": "first", "list": null}));
    synced(&db, &mut server);
    db.execute_batch("UPDATE task SET title = 'mine'")
        .expect("an edit");
    // Somebody else comes between our pull and our push.
    let turn = drive(&db, &mut server, BOTH, |server, url| {
        if url.ends_with("push") {
            server.put(
                "task",
                "t",
                json!({"title": "first", "list": null, "extra": 1}),
            );
        }
    });
    assert_eq!(turn["state"], "synced", "{turn}");
    assert_eq!(ask(&db, PENDING), "task|t|updated");
    assert_eq!(ask(&db, "SELECT title FROM task"), "mine");
    synced(&db, &mut server);
    assert_eq!(ask(&db, PENDING), "");
    let last = server.pushes.last().expect("a push");
    assert_eq!((&last[0]["base"], last.len()), (&json!(2), 1));
    assert_eq!(
        server.get("task", "t").expect("a row")["row"]["title"],
        "mine"
    );
}

#[test]
fn minted_ids_take_the_place_of_ours_with_all_that_refers_to_them() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    db.execute_batch(
        "INSERT INTO list VALUES ('temp-1', 'mine');
         INSERT INTO task VALUES ('t', 'first', 'temp-1')",
    )
    .expect("edits");
    // What is edited while the push is under way stays pending, under the new key.
    let turn = drive(&db, &mut server, r#"["list"]"#, |_, url| {
        if url.ends_with("push") {
            db.execute_batch("UPDATE list SET name = 'later'")
                .expect("an edit");
        }
    });
    assert_eq!(turn["state"], "synced", "{turn}");
    assert_eq!(ask(&db, "SELECT id, name FROM list"), "srv-1|later");
    assert_eq!(ask(&db, "SELECT list FROM task"), "srv-1");
    assert_eq!(ask(&db, PENDING), "list|srv-1|updated\ntask|t|created");
    synced(&db, &mut server);
    assert_eq!(ask(&db, PENDING), "");
    let task = &server.get("task", "t").expect("a row")["row"];
    assert_eq!(task["list"], "srv-1");
    assert_eq!(server.get("list", "temp-1"), None);
    assert_eq!(ask(&db, "PRAGMA foreign_key_check"), "");
}

#[test]
fn an_unsure_row_stays_with_its_push_and_the_next_pull_shows_what_became_of_it() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    db.execute_batch("INSERT INTO list VALUES ('a', 'x'), ('b', 'x')")
        .expect("edits");
    server.unsure = true;
    synced(&db, &mut server);
    assert_eq!(
        ask(&db, "SELECT state FROM _syncPush ORDER BY 1"),
        "acknowledged\nunknown"
    );
    assert_eq!(ask(&db, PENDING), "list|a|created");
    synced(&db, &mut server);
    assert_eq!(ask(&db, PENDING), "");
    assert_eq!(server.pushes.len(), 1, "it was not sent again");
}

#[test]
fn an_answer_that_leaves_rows_out_settles_nothing() {
    let (db, mut server) = (device(ECHO_CONFIG), Server::default());
    db.execute_batch("INSERT INTO list VALUES ('a', 'x')")
        .expect("an edit");
    ask(
        &db,
        r#"SELECT sync_entities('all', 'echo', '["list","task"]', '{"transport":"host"}')"#,
    );
    ask(&db, "SELECT sync_next_request()");
    ask(
        &db,
        r#"SELECT sync_put_response(NULL, 200, '{}', '{"rows":[],"next":0,"more":false}')"#,
    );
    ask(&db, "SELECT sync_next_request()");
    let end = ask(
        &db,
        r#"SELECT sync_put_response(NULL, 200, '{}', '{"verdicts":[]}')"#,
    );
    assert!(end.contains("does not mention 1 of the rows"), "{end}");
    assert_eq!(ask(&db, PENDING), "list|a|created");
    assert_eq!(ask(&db, "SELECT state FROM _syncPush"), "unknown");
    synced(&db, &mut server);
    assert_eq!(ask(&db, PENDING), "");
}

#[test]
fn parts_go_up_one_after_the_other() {
    let config = r#"{"kind":"echo","batch":1}"#;
    let (db, mut server) = (device(config), Server::default());
    db.execute_batch(
        "INSERT INTO list VALUES ('l', 'x'); INSERT INTO task VALUES ('t', 'x', 'l'), ('u', 'x', 'l')",
    )
    .expect("edits");
    assert_eq!(synced(&db, &mut server)["pushed"], 3);
    let sizes: Vec<usize> = server.pushes.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 1]);
    assert_eq!(server.pushes[0][0]["entity"], "list", "parents first");
    assert_eq!(ask(&db, PENDING), "");
}

const CAREFUL: &str = r#"{"kind":"echo","careful":true}"#;

#[test]
fn a_kind_with_one_cursor_is_always_about_all_its_tables() {
    let (db, mut server) = (device(CAREFUL), Server::default());
    synced(&db, &mut server);
    server.put("list", "l", json!({"name": "a"}));
    server.put("task", "t", json!({"title": "a", "list": "l"}));
    let answer = drive(&db, &mut server, r#"["list"]"#, |_, _| {});
    let operations = answer["operations"].as_array().map(Vec::len);
    assert_eq!(
        (operations, &answer["inserted"]),
        (Some(1), &json!(2)),
        "{answer}"
    );
    assert_eq!(ask(&db, "SELECT id FROM task"), "t");
}

#[test]
fn numbers_grow_in_the_order_of_sending_and_are_never_used_again() {
    let (db, mut server) = (device(CAREFUL), Server::default());
    let numbers = |server: &Server| -> Vec<(i64, String)> {
        let last = server.pushes.last().expect("a push").iter();
        last.map(|change| {
            let number = change["change"].as_i64().expect("a number");
            (number, change["id"].as_str().expect("an id").to_owned())
        })
        .collect()
    };
    db.execute_batch(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO task VALUES ('t', 'x', 'l'); INSERT INTO list VALUES ('l', 'x')",
    )
    .expect("edits");
    synced(&db, &mut server);
    assert_eq!(numbers(&server), [(1, "l".into()), (2, "t".into())]);
    ask(
        &db,
        &format!("SELECT sync_provider('echo', '{CAREFUL}', '{{\"reset\":true}}')"),
    );
    synced(&db, &mut server);
    db.execute_batch("DELETE FROM list; DELETE FROM task")
        .expect("edits");
    synced(&db, &mut server);
    assert_eq!(numbers(&server), [(3, "t".into()), (4, "l".into())]);
}

#[test]
fn what_had_no_answer_goes_out_again_unchanged_and_alone() {
    let (db, mut server) = (device(CAREFUL), Server::default());
    synced(&db, &mut server);
    db.execute_batch("INSERT INTO list VALUES ('a', 'first')")
        .expect("an edit");
    ask(
        &db,
        r#"SELECT sync_entities('all', 'echo', '["list","task"]', '{"transport":"host"}')"#,
    );
    ask(&db, "SELECT sync_next_request()");
    let pulled = json!({"rows": [], "next": 0, "more": false}).to_string();
    db.query_row(
        "SELECT sync_put_response(NULL, 200, '{}', ?1)",
        [pulled],
        |_| Ok(()),
    )
    .expect("an answer");
    let first = json(&ask(&db, "SELECT sync_next_request()"));
    ask(
        &db,
        "SELECT sync_put_response(NULL, 500, '{}', 'out of order')",
    );
    db.execute_batch("UPDATE list SET name = 'second'; INSERT INTO list VALUES ('b', 'new')")
        .expect("edits");
    let mut bodies = Vec::new();
    ask(
        &db,
        r#"SELECT sync_entities('all', 'echo', '["list","task"]', '{"transport":"host"}')"#,
    );
    let mut turn = json(&ask(&db, "SELECT sync_next_request()"));
    while turn["finishedAt"].is_null() {
        let (url, body) = (
            turn["url"].as_str().expect("a URL"),
            turn["body"].as_str().expect("a body"),
        );
        if url.ends_with("push") {
            bodies.push(body.to_owned());
        }
        let answer = server.answer(url, &json(body)).to_string();
        db.query_row(
            "SELECT sync_put_response(NULL, 200, '{}', ?1)",
            [answer],
            |_| Ok(()),
        )
        .expect("an answer");
        turn = json(&ask(&db, "SELECT sync_next_request()"));
    }
    assert_eq!(bodies, [first["body"].as_str().expect("a body")]);
    assert_eq!(ask(&db, PENDING), "list|a|updated\nlist|b|created");
    assert_eq!(ask(&db, "SELECT max(attempts) FROM _syncOutbox"), "2");
}

#[test]
fn what_is_refused_for_good_is_left_out_until_it_is_written_again() {
    let (db, mut server) = (device(CAREFUL), Server::default());
    server.refuses.push("never".into());
    db.execute_batch("INSERT INTO list VALUES ('never', 'x'), ('good', 'x')")
        .expect("edits");
    let answer = synced(&db, &mut server);
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    let pushes = server.pushes.len();
    synced(&db, &mut server);
    assert_eq!(server.pushes.len(), pushes, "it is left out");
    server.refuses.clear();
    db.execute_batch("UPDATE list SET name = 'y' WHERE id = 'never'")
        .expect("an edit");
    synced(&db, &mut server);
    assert_eq!(ask(&db, PENDING), "");
    assert_eq!(ask(&db, "SELECT count(*) FROM _syncRejected"), "0");
}

#[test]
fn a_server_that_is_another_each_time_ends_the_sync() {
    let db = device(r#"{"kind":"echo","fickle":true}"#);
    db.execute_batch("INSERT INTO list VALUES ('a', 'x')")
        .expect("an edit");
    let answer = drive(&db, &mut Server::default(), BOTH, |_, _| {});
    assert_eq!(answer["state"], "failed", "{answer}");
    let said = answer["error"].to_string();
    assert!(said.contains("servers of several versions"), "{answer}");
    assert_eq!(ask(&db, PENDING), "list|a|created");
}

#[test]
fn its_keys_and_its_limits_are_told_like_those_of_any_kind() {
    let db = device(ECHO_CONFIG);
    let refused = |sql: &str| support::refused(&db, sql);
    let typo = refused(r#"SELECT sync_provider('x', '{"kind":"echo","pgae":1}')"#);
    assert!(typo.contains("did you mean \"page\"?"), "{typo}");
    let other = refused(r#"SELECT sync_provider('x', '{"kind":"host","page":1}')"#);
    assert!(other.contains("page is a key of kind echo"), "{other}");
    assert_eq!(
        ask(
            &db,
            "SELECT group_concat(key) FROM sync_help_option WHERE of = 'echo'"
        ),
        "kind,schema,page,batch,careful,fickle"
    );
    db.execute_batch("CREATE TABLE counted (id INTEGER PRIMARY KEY)")
        .expect("a table");
    ask(&db, "SELECT sync_track('counted')");
    let key =
        refused(r#"SELECT sync_entities('n', 'echo', '["counted"]', '{"transport":"host"}')"#);
    assert!(key.contains("an echo has text keys"), "{key}");
}
