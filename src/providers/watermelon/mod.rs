//! The WatermelonDB sync protocol: pull, then push, with per-column client-wins on conflicts.
//!
//! | step | request, unless the configuration says otherwise |
//! |---|---|
//! | pull | `GET url?last_pulled_at=…&schema_version=…&migration=…[&tables=…]` |
//! | push | `POST url?last_pulled_at=…`, body `{table:{created,updated,deleted}}` |
//!
//! The rules come from WatermelonDB's documentation and from running its client (0.28).
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the state machine |
//! | `keys`, `preset`, `options` | the configuration: its keys, well-known shapes of backends, how it is used |
//! | `cursors` | what is pulled together, and from where |
//! | `migration` | telling the backend of changes in the schema |
//! | `pull`, `push`, `row` | answers, bodies, rows |

mod answer;
mod cursors;
mod keys;
mod migration;
mod options;
mod preset;
mod pull;
mod push;
mod row;
mod strategy;

use std::io::{self, Read, Write};

use serde_json::Value as Json;

use super::kind::{Kind, Settings, Transport};
use super::protocol::{Outbox, Protocol, PullEnd, PushAnswer, Request, Step};
use super::sink::Sink;
use super::wire::Entity;
use crate::ground::{Class, SyncError};
use crate::store::ValueRef;

use super::template::{self, Values};
use super::{http_keys, table_keys};
use cursors::{Group, groups, is_lower, lowest, step_back};
use migration::{Present, Told};

pub use migration::LastSchema;
pub use options::Options;

pub static KIND: Kind = Kind {
    name: "watermelon",
    transport: Transport::Http,
    keys: &[http_keys::KEYS, table_keys::KEYS, keys::KEYS],
    fill: preset::fill,
    check: options::check,
};

/// One sync with a WatermelonDB backend.
pub struct Watermelon {
    options: Options,
    entities: Vec<Entity>,
    schema_version: i64,
    /// Pulls that are still due. What was never pulled is asked for on its own: an answer from the
    /// beginning names no deleted rows, which the other entities need.
    due: Vec<Group>,
    /// Cursor of each entity; none when it was never pulled.
    cursors: Vec<Option<String>>,
    /// What was known of each entity's schema when it was last pulled.
    last_schemas: Vec<LastSchema>,
    /// Which entities the backend has not heard of: those without a cursor, until the others' pull.
    unheard: Vec<bool>,
    /// The cursor that the first pull of this round brought.
    first_cursor: Option<String>,
    /// The migration told last.
    told: Json,
    step: Position,
    /// Whether a refused push may still be answered by another pull and push.
    second_chance: bool,
    /// Why this sync can't be made.
    obstacle: Option<SyncError>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Position {
    Pull,
    Freeze,
    Push,
    Done,
}

impl Watermelon {
    /// `last_schemas` are those of the entities that have a cursor.
    ///
    /// # Errors
    /// A configuration that `sync_provider` would not take.
    pub fn new(
        settings: &Settings,
        entities: Vec<Entity>,
        schema_version: i64,
        cursors: Vec<Option<String>>,
        last_schemas: Vec<LastSchema>,
    ) -> Result<Self, String> {
        let options = Options::resolve(settings)?;
        let known: Vec<Option<i64>> = cursors
            .iter()
            .zip(&last_schemas)
            .filter(|(cursor, _)| cursor.is_some())
            .map(|(_, last)| last.version)
            .collect();
        let obstacle = options
            .migrations
            .check(schema_version, &known)
            .err()
            .map(|problem| SyncError::new(Class::Data, "SYNC_ERROR_MIGRATION", problem, false));
        Ok(Self {
            due: groups(&cursors, options.opaque),
            entities,
            schema_version,
            unheard: cursors.iter().map(Option::is_none).collect(),
            cursors,
            last_schemas,
            first_cursor: None,
            told: Json::Null,
            step: Position::Pull,
            second_chance: options.retry_once,
            obstacle,
            options,
        })
    }

    /// Reads the first pull as a bulk load: rows only, nothing deleted, nothing unknown.
    pub fn with_turbo(&mut self) {
        self.options.reading.turbo = true;
    }

    /// What the pull of a group tells of the schema.
    fn tell(&self, group: &Group) -> Told {
        if group.cursor.is_none() {
            return Told::at_first();
        }
        let present: Vec<Present<'_>> = self
            .entities
            .iter()
            .enumerate()
            .map(|(place, entity)| Present {
                name: &entity.name,
                columns: entity
                    .columns
                    .iter()
                    .map(|column| column.name.as_str())
                    .collect(),
                last: (!self.unheard[place]).then(|| &self.last_schemas[place]),
            })
            .collect();
        let migrations = &self.options.migrations;
        migrations.tell(self.schema_version, &present, &group.entities)
    }

    fn pull_request(&self, group: &Group, told: &Told) -> Request {
        let cursor = group
            .cursor
            .as_deref()
            .map(|cursor| step_back(cursor, self.options.overlap));
        let migration = told.migration.as_ref().map(Json::to_string);
        let values = Values {
            cursor: cursor.as_deref(),
            first: self.options.first,
            schema_version: self.schema_version,
            migration: migration.as_deref(),
        };
        let call = &self.options.pull;
        let mut url = call.url.fill(&values);
        if self.options.send_tables {
            let names: Vec<&str> = group
                .entities
                .iter()
                .map(|place| self.entities[*place].name.as_str())
                .collect();
            let mut pair = String::from("tables=");
            template::percent_encode(&names.join(","), &mut pair);
            template::add_parameter(&mut url, &pair);
        }
        let body = call.body.as_ref().map(|body| {
            let mut out = Vec::new();
            // Neither the template nor a Vec can fail here.
            let _ = body.write(&values, &mut |_| Ok(()), &mut out);
            out
        });
        Request {
            method: call.method,
            url,
            headers: self.headers(&values),
            body,
        }
    }

    fn push_request(&self) -> Request {
        let cursor = self.push_cursor();
        let values = self.push_values(cursor);
        let call = &self.options.push;
        Request {
            method: call.method,
            url: call.url.fill(&values),
            headers: self.headers(&values),
            body: None,
        }
    }

    /// The cursor that the backend compares a push with: the lowest, or of those that can't be compared
    /// the one that came first.
    fn push_cursor(&self) -> Option<&str> {
        let cursors: Option<Vec<&String>> = self.cursors.iter().map(Option::as_ref).collect();
        lowest(cursors?.into_iter(), self.options.opaque)
            .or(self.first_cursor.as_ref())
            .map(String::as_str)
    }

    fn push_values<'a>(&self, cursor: Option<&'a str>) -> Values<'a> {
        Values {
            cursor,
            first: self.options.first,
            schema_version: self.schema_version,
            migration: None,
        }
    }

    fn headers(&self, values: &Values<'_>) -> Vec<(String, String)> {
        let headers = self.options.headers.iter();
        headers
            .map(|(name, value)| (name.clone(), value.plain(values)))
            .collect()
    }
}

impl Protocol for Watermelon {
    fn next(&mut self) -> Step {
        if let Some(obstacle) = &self.obstacle {
            return Step::Fail(obstacle.clone());
        }
        match self.step {
            Position::Pull => match self.due.first() {
                Some(group) => {
                    let told = self.tell(group);
                    let request = self.pull_request(group, &told);
                    if let Some(migration) = told.migration {
                        self.told = migration;
                    }
                    Step::Pull(request)
                }
                None => Step::Freeze,
            },
            Position::Freeze => Step::Freeze,
            Position::Push => Step::Push(self.push_request()),
            Position::Done => Step::Done,
        }
    }

    fn entities(&self) -> &[Entity] {
        &self.entities
    }

    fn pulled(
        &mut self,
        status: u16,
        body: &mut dyn Read,
        sink: &mut dyn Sink,
    ) -> Result<PullEnd, SyncError> {
        if status == 204 {
            return Err(SyncError::protocol(
                "the backend answered the pull with 204 and no body; nothing was applied",
            ));
        }
        let Some(group) = self.due.first() else {
            return Err(SyncError::protocol("no pull was due"));
        };
        let (layout, reading) = (&self.options.layout, self.options.reading);
        let mut end =
            pull::read_pull(body, layout, reading, &self.entities, &group.entities, sink)?;
        if !self.options.opaque && is_lower(&end.cursor, group.cursor.as_deref()) {
            end.warnings.push(format!(
                "the backend's timestamp went back from {} to {}",
                group.cursor.as_deref().unwrap_or_default(),
                end.cursor
            ));
        }
        let told = self.tell(group);
        end.schema_version = told.store.then_some(self.schema_version);
        end.warnings.extend(told.warning);
        Ok(end)
    }

    fn redelivers(&self, entity: usize) -> bool {
        let group = self.due.first().filter(|group| group.cursor.is_some());
        group.is_some_and(|group| {
            group.entities.contains(&entity)
                && (self.options.overlap > 0 || group.cursor != self.cursors[entity])
        })
    }

    fn applied(&mut self, end: &PullEnd) {
        for place in &end.entities {
            self.cursors[*place] = Some(end.cursor.clone());
            if end.schema_version.is_some() {
                let columns = &self.entities[*place].columns;
                self.last_schemas[*place] = LastSchema {
                    version: end.schema_version,
                    columns: Some(columns.iter().map(|column| column.name.clone()).collect()),
                };
            }
        }
        // What comes after a refused push is no bulk load any more.
        self.options.reading.turbo = false;
        self.first_cursor.get_or_insert_with(|| end.cursor.clone());
        let is_known = |group: &Group| group.cursor.is_some();
        let done = (!self.due.is_empty()).then(|| self.due.remove(0));
        // New entities are told with the first pull of the others, where there are others.
        if done.as_ref().is_some_and(is_known) || !self.due.iter().any(is_known) {
            self.unheard.fill(false);
        }
        if self.due.is_empty() {
            self.step = Position::Freeze;
        }
    }

    fn told(&self) -> Json {
        self.told.clone()
    }

    fn frozen(&mut self, rows: u64) {
        self.step = if rows == 0 {
            Position::Done
        } else {
            Position::Push
        };
    }

    fn encode(
        &self,
        entity: usize,
        kind: &str,
        id: ValueRef<'_>,
        values: &[ValueRef<'_>],
        changed: &[usize],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let row = push::Row {
            kind,
            id,
            values,
            changed,
        };
        row.write(&self.options, &self.entities[entity], out)
    }

    fn write_push(&self, outbox: &dyn Outbox, out: &mut dyn Write) -> io::Result<()> {
        let with_empty = self.options.send_empty_tables;
        let mut changes =
            |out: &mut dyn Write| push::write_changes(&self.entities, with_empty, outbox, out);
        let cursor = self.push_cursor();
        match &self.options.push.body {
            Some(body) => body.write(&self.push_values(cursor), &mut changes, out),
            None => changes(out),
        }
    }

    fn pushed(&mut self, status: u16, body: &[u8]) -> Result<PushAnswer, SyncError> {
        let answer = answer::read_answer(&self.options, &self.entities, status, body)?;
        self.step = Position::Done;
        Ok(answer)
    }

    fn push_refused(&mut self, status: u16) -> bool {
        let hopeless = matches!(status, 401 | 403);
        if hopeless || !self.second_chance {
            return false;
        }
        self.second_chance = false;
        self.due = groups(&self.cursors, self.options.opaque);
        self.first_cursor = None;
        self.step = Position::Pull;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::kinds;
    use crate::providers::sink::{RemoteRow, Scope};
    use crate::providers::wire::WireId;

    fn machine(cursor: Option<&str>) -> Watermelon {
        configured("", 3, &[("a b", cursor)])
    }

    /// `keys`: further ones of the configuration, each with a comma before it.
    fn configured(keys: &str, version: i64, entities: &[(&str, Option<&str>)]) -> Watermelon {
        let text = format!(r#"{{"kind":"watermelon","url":"http://h/sync?app=1"{keys}}}"#);
        let settings = kinds::parse(&text).unwrap();
        let entity = |(name, _): &(&str, Option<&str>)| Entity {
            name: (*name).into(),
            columns: Vec::new(),
            integer_key: false,
        };
        let cursors = entities.iter().map(|(_, cursor)| cursor.map(String::from));
        let last = LastSchema {
            version: Some(2),
            columns: Some(Vec::new()),
        };
        Watermelon::new(
            &settings,
            entities.iter().map(entity).collect(),
            version,
            cursors.collect(),
            vec![last; entities.len()],
        )
        .unwrap()
    }

    struct NoChanges;

    impl Sink for NoChanges {
        fn row(&mut self, _: &RemoteRow<'_>) -> Result<(), SyncError> {
            Ok(())
        }

        fn gone(&mut self, _: usize, _: &WireId<'_>) -> Result<(), SyncError> {
            Ok(())
        }

        fn scope(&mut self, _: usize, _: &Scope<'_>) -> Result<(), SyncError> {
            Ok(())
        }
    }

    fn pull(machine: &mut Watermelon) {
        pull_to(machine, "20");
    }

    fn pull_to(machine: &mut Watermelon, timestamp: &str) -> PullEnd {
        let body = format!(r#"{{"changes":{{}},"timestamp":{timestamp}}}"#);
        let end = machine
            .pulled(200, &mut body.as_bytes(), &mut NoChanges)
            .unwrap();
        machine.applied(&end);
        end
    }

    fn pull_url(machine: &mut Watermelon) -> String {
        match machine.next() {
            Step::Pull(request) => request.url,
            other => panic!("{other:?}"),
        }
    }

    struct NoRows;

    impl Outbox for NoRows {
        fn rows(
            &self,
            _: usize,
            _: &str,
            _: &mut dyn FnMut(&str) -> io::Result<()>,
        ) -> io::Result<()> {
            Ok(())
        }
    }

    fn push(machine: &mut Watermelon) -> (String, String, String) {
        machine.frozen(1);
        let Step::Push(request) = machine.next() else {
            panic!()
        };
        let mut body = Vec::new();
        machine.write_push(&NoRows, &mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        (request.method.into(), request.url, body)
    }

    const EMPTY: &str = r#"{"t":{"created":[],"updated":[],"deleted":[]}}"#;

    #[test]
    fn the_presets_ask_and_send_as_their_backends_expect() {
        let wrapped = |cursor: &str| format!(r#"{{"changes":{EMPTY},"lastPulledAt":{cursor}}}"#);
        for (preset, pull_method, first_url, first_body, push_url, push_body) in [
            (
                "docs",
                "GET",
                "/sync?app=1&last_pulled_at=null&schema_version=3&migration=null",
                "",
                "/sync?app=1&last_pulled_at=20",
                EMPTY.to_owned(),
            ),
            (
                "seed",
                "POST",
                "/api/sync/pull?app=1",
                r#"{"lastPulledAt":null}"#,
                "/api/sync/push?app=1",
                wrapped("20"),
            ),
            (
                "camel_query",
                "GET",
                "/pull?app=1&lastPulledAt=0&schemaVersion=3",
                "",
                "/push?app=1",
                wrapped("20"),
            ),
            (
                "rpc",
                "POST",
                "/rpc/pull?app=1",
                r#"{"last_pulled_at":0}"#,
                "/rpc/push?app=1",
                format!(r#"{{"changes":{EMPTY}}}"#),
            ),
            (
                "seconds",
                "GET",
                "/sync?app=1&schema_version=3&migration=null",
                "",
                "/sync?app=1&last_pulled_at=20",
                EMPTY.to_owned(),
            ),
        ] {
            let keys = format!(r#","preset":"{preset}""#);
            let mut machine = configured(&keys, 3, &[("t", None)]);
            let Step::Pull(request) = machine.next() else {
                panic!()
            };
            let body = String::from_utf8(request.body.unwrap_or_default()).unwrap();
            assert_eq!(
                (request.method, request.url, body.as_str()),
                (pull_method, format!("http://h/sync{first_url}"), first_body),
                "{preset}"
            );
            pull(&mut machine);
            let expected = ("POST".into(), format!("http://h/sync{push_url}"), push_body);
            assert_eq!(push(&mut machine), expected, "{preset}");
        }
    }

    #[test]
    fn the_overlap_is_for_pulls_after_the_first_only() {
        for (keys, cursor, asked) in [
            ("", Some("30"), "30"),
            (r#","cursorUnit":"s""#, Some("30"), "29"),
            (r#","cursorUnit":"s","overlap":0"#, Some("30"), "30"),
            (r#","overlap":7"#, Some("30"), "23"),
            (r#","overlap":7"#, None, "null"),
        ] {
            let mut machine = configured(keys, 3, &[("t", cursor)]);
            let url = pull_url(&mut machine);
            assert!(
                url.contains(&format!("last_pulled_at={asked}&")),
                "{keys}: {url}"
            );
            pull_to(&mut machine, "40");
            assert!(
                push(&mut machine).1.ends_with("last_pulled_at=40"),
                "{keys}"
            );
        }
    }

    #[test]
    fn opaque_cursors_are_sent_as_they_came() {
        let keys =
            r#","cursorUnit":"opaque","pushBody":"{\"at\":{lastPulledAt},\"changes\":{changes}}""#;
        let entities = [("t", Some("\"b/c\"")), ("u", Some("\"a\""))];
        let mut machine = configured(keys, 3, &entities);
        assert!(pull_url(&mut machine).contains("last_pulled_at=b%2Fc&"));
        assert!(pull_to(&mut machine, "\"y\"").warnings.is_empty());
        assert!(pull_url(&mut machine).contains("last_pulled_at=a&"));
        assert!(pull_to(&mut machine, "\"x\"").warnings.is_empty());
        // The one that came first: nothing that was written since can be missed.
        let (_, url, body) = push(&mut machine);
        assert!(url.ends_with("last_pulled_at=y"), "{url}");
        assert!(body.starts_with(r#"{"at":"y","changes":"#), "{body}");
    }

    #[test]
    fn headers_have_placeholders_too() {
        let keys = r#","params":{"who":"me"},"headers":{"X-Who":"{param:who} {schemaVersion} {lastPulledAt}"}"#;
        let mut machine = configured(keys, 3, &[("t", None)]);
        let Step::Pull(request) = machine.next() else {
            panic!()
        };
        assert_eq!(request.headers, [("X-Who".into(), "me 3 null".into())]);
    }

    const MIGRATIONS: &str = r#","migrationsEnabledAtVersion":2,"migrations":[
        {"toVersion":3,"steps":[{"type":"create_table","name":"z"}]}]"#;

    #[test]
    fn a_migration_is_told_once_and_not_to_what_was_never_pulled() {
        let mut machine = configured(MIGRATIONS, 3, &[("t", Some("5")), ("z", None)]);
        assert!(pull_url(&mut machine).contains("migration=null"));
        assert_eq!(
            (machine.told(), pull_to(&mut machine, "6").schema_version),
            (Json::Null, Some(3))
        );
        let told = r#"{"from":2,"tables":["z"],"columns":[]}"#;
        let mut encoded = String::new();
        template::percent_encode(told, &mut encoded);
        let url = pull_url(&mut machine);
        assert!(url.contains(&format!("&migration={encoded}&")), "{url}");
        assert_eq!(pull_to(&mut machine, "7").schema_version, Some(3));
        assert_eq!(machine.told().to_string(), told);
        machine.frozen(1);
        assert!(machine.push_refused(409));
        assert!(pull_url(&mut machine).contains("migration=null"));
        assert_eq!(pull_to(&mut machine, "8").schema_version, None);
    }

    #[test]
    fn a_second_round_after_the_first_pull_has_nothing_to_tell() {
        for keys in [MIGRATIONS, r#","migrations":"auto""#] {
            let mut machine = configured(keys, 3, &[("t", None), ("z", None)]);
            pull(&mut machine);
            machine.frozen(1);
            assert!(machine.push_refused(409));
            assert!(pull_url(&mut machine).contains("migration=null"), "{keys}");
            let end = pull_to(&mut machine, "30");
            assert_eq!(
                (end.schema_version, end.warnings.len()),
                (None, 0),
                "{keys}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_migrations_ends_the_sync_before_any_request() {
        for (version, said) in [(1, "migrationsEnabledAtVersion is 2"), (4, "from 2 to 4")] {
            let mut machine = configured(MIGRATIONS, version, &[("t", Some("5"))]);
            let Step::Fail(error) = machine.next() else {
                panic!()
            };
            assert_eq!((error.class, error.retryable), (Class::Data, false));
            assert!(error.message.contains(said), "{}", error.message);
        }
    }

    #[test]
    fn requests_have_the_documented_shape() {
        let mut machine = machine(None);
        let Step::Pull(request) = machine.next() else {
            panic!()
        };
        assert_eq!(
            request.url,
            "http://h/sync?app=1&last_pulled_at=null&schema_version=3&migration=null&tables=a%20b"
        );
        pull(&mut machine);
        assert_eq!(machine.next(), Step::Freeze);
        machine.frozen(2);
        let Step::Push(request) = machine.next() else {
            panic!()
        };
        assert_eq!(request.url, "http://h/sync?app=1&last_pulled_at=20");
        machine.pushed(204, b"").unwrap();
        assert_eq!(machine.next(), Step::Done);
    }

    #[test]
    fn nothing_pending_means_no_push() {
        let mut machine = machine(Some("5"));
        pull(&mut machine);
        machine.frozen(0);
        assert_eq!(machine.next(), Step::Done);
    }

    #[test]
    fn a_refused_push_is_repeated_once_but_not_after_401() {
        let mut machine = machine(None);
        pull(&mut machine);
        machine.frozen(1);
        assert!(!machine.push_refused(401));
        assert!(machine.push_refused(409));
        assert!(matches!(machine.next(), Step::Pull(_)));
        assert!(!machine.push_refused(409));
    }

    #[test]
    fn a_timestamp_that_goes_back_is_told() {
        let mut machine = machine(Some("30"));
        assert_eq!(pull_to(&mut machine, "20").warnings.len(), 1);
    }
}
