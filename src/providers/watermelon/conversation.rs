//! One run with a WatermelonDB backend: pulls, then one push for each parcel.

use std::io::{self, Write};

use serde_json::Value as Json;

use super::answer::read_answer;
use super::cursors::{Group, groups, is_lower, lowest, step_back};
use super::migration::{Present, Told};
use super::options::Options;
use super::pull::read_pull;
use super::push::write_changes;
use crate::ground::{Class, SyncError, Warning};
use crate::providers::conversation::{
    Answer, Ask, AskBody, Conversation, Event, Goal, Known, KnownEntity, LastSchema, ParcelRows,
    Read, Refusal, Step,
};
use crate::providers::sink::{Sent, Sink, Verdict};
use crate::providers::template::{self, Values};
use crate::providers::wire::Entity;

/// Bytes of an answer to a push, which is read as a whole.
const LARGEST_PUSH_ANSWER: u64 = 16 << 20;

pub struct Talk {
    options: Options,
    goal: Goal,
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
    step: Position,
    /// Whether a refused push may still be answered by another pull and push.
    second_chance: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Position {
    Pull,
    Freeze,
    Push,
    Done,
    Failed(SyncError),
}

impl Talk {
    /// `bulk`: the first pull brings rows only, nothing deleted, nothing unknown.
    ///
    /// # Errors
    /// Migrations that can't be reported to the backend.
    pub fn begin(
        mut options: Options,
        goal: Goal,
        known: Known,
        bulk: bool,
    ) -> Result<Self, Refusal> {
        options.reading.turbo = bulk;
        let versions: Vec<Option<i64>> = known
            .entities
            .iter()
            .filter(|known| known.cursor.is_some())
            .map(|known| known.schema.version)
            .collect();
        // A configured version takes the place of the file's.
        let schema_version = options.schema_version.unwrap_or(known.schema_version);
        options
            .migrations
            .check(schema_version, &versions)
            .map_err(|problem| {
                Refusal::Sync(SyncError::new(
                    Class::Data,
                    "SYNC_ERROR_MIGRATION",
                    problem,
                    false,
                ))
            })?;
        let mut talk = Self {
            entities: Vec::with_capacity(known.entities.len()),
            cursors: Vec::with_capacity(known.entities.len()),
            last_schemas: Vec::with_capacity(known.entities.len()),
            goal,
            schema_version,
            due: Vec::new(),
            unheard: Vec::new(),
            first_cursor: None,
            step: Position::Pull,
            second_chance: options.retry_once,
            options,
        };
        for KnownEntity {
            entity,
            cursor,
            schema,
        } in known.entities
        {
            talk.entities.push(entity);
            talk.cursors.push(cursor);
            talk.last_schemas.push(schema);
        }
        talk.unheard = talk.cursors.iter().map(Option::is_none).collect();
        talk.pull_again();
        Ok(talk)
    }

    /// Makes the pulls of all entities due.
    fn pull_again(&mut self) {
        self.due = groups(&self.cursors, self.options.opaque);
        self.first_cursor = None;
        self.step = match self.due.is_empty() {
            true => Position::Done,
            false => Position::Pull,
        };
    }

    /// What the pull of a group reports of the schema.
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

    fn pull(&self, group: &Group) -> Ask {
        let told = self.tell(group);
        let cursor = group
            .cursor
            .as_deref()
            .map(|cursor| step_back(cursor, self.options.overlap));
        let migration = told.migration.as_ref().map(Json::to_string);
        let values = Values {
            migration: migration.as_deref(),
            ..self.values(cursor.as_deref())
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
        let body = call.body.as_ref().map_or(AskBody::None, |body| {
            let mut out = Vec::new();
            // Neither the template nor a Vec can fail here.
            let _ = body.write(&values, &mut |_| Ok(()), &mut out);
            AskBody::Bytes(out)
        });
        let comes_again = |place: &usize| {
            group.cursor.is_some()
                && (self.options.overlap > 0 || group.cursor != self.cursors[*place])
        };
        Ask {
            label: "pull",
            method: call.method,
            url,
            headers: self.headers(&values),
            body,
            again: group.entities.iter().copied().filter(comes_again).collect(),
            migration: told.migration.unwrap_or_default(),
        }
    }

    fn push(&self) -> Ask {
        let values = self.values(self.push_cursor());
        let call = &self.options.push;
        Ask {
            label: "push",
            method: call.method,
            url: call.url.fill(&values),
            headers: self.headers(&values),
            body: AskBody::Parcel,
            again: Vec::new(),
            migration: Json::Null,
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

    fn values<'a>(&self, cursor: Option<&'a str>) -> Values<'a> {
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

    fn read_pulled(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        if answer.status == 204 {
            return Err(SyncError::protocol(
                "the backend answered the pull with 204 and no body; nothing was applied",
            ));
        }
        let Some(group) = self.due.first() else {
            return Err(SyncError::protocol("no pull was due"));
        };
        let (layout, reading) = (&self.options.layout, self.options.reading);
        let wanted = &group.entities;
        let mut pulled = read_pull(
            &mut *answer.body,
            layout,
            reading,
            &self.entities,
            wanted,
            sink,
        )?;
        if !self.options.opaque && is_lower(&pulled.cursor, group.cursor.as_deref()) {
            let before = group.cursor.as_deref().unwrap_or_default();
            pulled.warnings.push(Warning::new(
                "timestampWentBack",
                format!(
                    "the backend's timestamp went back from {before} to {}",
                    pulled.cursor
                ),
            ));
        }
        let told = self.tell(group);
        pulled.warnings.extend(told.warning);
        let cursors = wanted.iter().map(|place| (*place, pulled.cursor.clone()));
        Ok(Read {
            cursors: cursors.collect(),
            schema_version: told.store.then_some(self.schema_version),
            memory: None,
            rest: pulled.rest,
            warnings: pulled.warnings,
        })
    }

    fn read_pushed(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        if answer.length > LARGEST_PUSH_ANSWER {
            return Err(SyncError::protocol(format!(
                "the answer to the push is larger than {} MiB",
                LARGEST_PUSH_ANSWER >> 20
            )));
        }
        let mut body = Vec::new();
        answer
            .body
            .read_to_end(&mut body)
            .map_err(|error| SyncError::network(format!("the answer was lost: {error}")))?;
        let said = read_answer(&self.options, &self.entities, answer.status, &body)?;
        for (place, rejected) in said.rejected.iter().enumerate() {
            for (id, reason) in rejected {
                sink.verdict(Sent::Row(place, id), Verdict::Refused(reason.as_deref()))?;
            }
        }
        let taken = Verdict::Taken {
            version: None,
            new_id: None,
        };
        sink.verdict(Sent::Rest, taken)?;
        Ok(Read {
            warnings: said.warnings,
            ..Read::default()
        })
    }

    fn adopt_read(&mut self, read: &Read) {
        if self.step == Position::Push {
            self.step = Position::Done;
            return;
        }
        for (place, cursor) in &read.cursors {
            self.cursors[*place] = Some(cursor.clone());
            if read.schema_version.is_some() {
                let columns = &self.entities[*place].columns;
                self.last_schemas[*place] = LastSchema {
                    version: read.schema_version,
                    columns: Some(columns.iter().map(|column| column.name.clone()).collect()),
                };
            }
        }
        // What comes after a refused push is no bulk load any more.
        self.options.reading.turbo = false;
        if let Some((_, cursor)) = read.cursors.first() {
            self.first_cursor.get_or_insert_with(|| cursor.clone());
        }
        let is_known = |group: &Group| group.cursor.is_some();
        let done = (!self.due.is_empty()).then(|| self.due.remove(0));
        // New entities are reported with the first pull of the others, where there are others.
        if done.as_ref().is_some_and(is_known) || !self.due.iter().any(is_known) {
            self.unheard.fill(false);
        }
        if self.due.is_empty() {
            self.step = match self.goal {
                Goal::Sync => Position::Freeze,
                Goal::Check => Position::Done,
            };
        }
    }

    /// A backend that refuses a push may take it after another pull, once. One that does not know us, or
    /// that the HTTP room has asked several times already, is not asked again.
    fn adopt_refusal(&mut self, status: u16, error: &SyncError) {
        let hopeless = matches!(status, 401 | 403 | 408 | 425 | 429 | 500..);
        if self.step != Position::Push || hopeless || !self.second_chance {
            self.step = Position::Failed(error.clone());
            return;
        }
        self.second_chance = false;
        self.pull_again();
    }
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.step {
            Position::Pull => self
                .due
                .first()
                .map_or(Step::Done, |group| Step::Ask(self.pull(group))),
            Position::Freeze => Step::Freeze,
            Position::Push => Step::Ask(self.push()),
            Position::Done => Step::Done,
            Position::Failed(error) => Step::Fail(error.clone()),
        }
    }

    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()> {
        let with_empty = self.options.send_empty_tables;
        let mut changes =
            |out: &mut dyn Write| write_changes(&self.entities, with_empty, parcel, out);
        match &self.options.push.body {
            Some(body) => body.write(&self.values(self.push_cursor()), &mut changes, out),
            None => changes(out),
        }
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        match self.step {
            Position::Push => self.read_pushed(answer, sink),
            _ => self.read_pulled(answer, sink),
        }
    }

    fn adopt(&mut self, event: Event<'_>) {
        match event {
            Event::Frozen(0) => self.step = Position::Done,
            Event::Frozen(_) => self.step = Position::Push,
            Event::Read(read) => self.adopt_read(read),
            Event::Refused { status, error } => self.adopt_refusal(status, error),
            Event::Lost(error) => self.step = Position::Failed(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conversation::ParcelRow;
    use crate::providers::kinds;
    use crate::providers::sink::{RemoteRow, Scope};
    use crate::providers::wire::{ChangeKind, WireId};

    fn machine(cursor: Option<&str>) -> Talk {
        configured("", 3, &[("a b", cursor)])
    }

    /// `keys`: further ones of the configuration, each with a comma before it.
    fn configured(keys: &str, version: i64, entities: &[(&str, Option<&str>)]) -> Talk {
        begun(keys, version, entities).unwrap()
    }

    fn begun(keys: &str, version: i64, entities: &[(&str, Option<&str>)]) -> Result<Talk, Refusal> {
        let text = format!(r#"{{"kind":"watermelon","url":"http://h/sync?app=1"{keys}}}"#);
        let config = kinds::parse(&text).unwrap();
        let known = |(name, cursor): &(&str, Option<&str>)| KnownEntity {
            entity: Entity {
                name: (*name).into(),
                columns: Vec::new(),
                integer_key: false,
            },
            cursor: cursor.map(String::from),
            schema: LastSchema {
                version: Some(2),
                columns: Some(Vec::new()),
            },
        };
        let known = Known {
            entities: entities.iter().map(known).collect(),
            schema_version: version,
            memory: Json::Null,
            options: Default::default(),
        };
        let options = Options::resolve(&config).unwrap();
        Talk::begin(options, Goal::Sync, known, false)
    }

    struct Nowhere;

    impl Sink for Nowhere {
        fn row(&mut self, _: &RemoteRow<'_>) -> Result<(), SyncError> {
            Ok(())
        }

        fn gone(&mut self, _: usize, _: &WireId<'_>, _: Option<i64>) -> Result<(), SyncError> {
            Ok(())
        }

        fn scope(&mut self, _: usize, _: &Scope<'_>) -> Result<(), SyncError> {
            Ok(())
        }

        fn verdict(&mut self, _: Sent<'_>, _: Verdict<'_>) -> Result<(), SyncError> {
            Ok(())
        }
    }

    fn ask(machine: &Talk) -> Ask {
        match machine.due() {
            Step::Ask(ask) => ask,
            other => panic!("{other:?}"),
        }
    }

    fn answer(machine: &mut Talk, status: u16, body: &str) -> Read {
        let mut answer = Answer {
            status,
            headers: &[],
            body: &mut body.as_bytes(),
            length: body.len() as u64,
        };
        let read = machine.read(&mut answer, &mut Nowhere).unwrap();
        machine.adopt(Event::Read(&read));
        read
    }

    fn pull(machine: &mut Talk) {
        pull_to(machine, "20");
    }

    fn pull_to(machine: &mut Talk, timestamp: &str) -> Read {
        let body = format!(r#"{{"changes":{{}},"timestamp":{timestamp}}}"#);
        answer(machine, 200, &body)
    }

    fn pull_url(machine: &Talk) -> String {
        let ask = ask(machine);
        assert_eq!(ask.label, "pull");
        ask.url
    }

    /// Whether the conversation goes on after a refusal.
    fn refuse(machine: &mut Talk, status: u16) -> bool {
        let error = SyncError::protocol("no");
        machine.adopt(Event::Refused {
            status,
            error: &error,
        });
        machine.due() != Step::Fail(error)
    }

    struct NoRows;

    impl ParcelRows for NoRows {
        fn rows(
            &self,
            _: usize,
            _: Option<ChangeKind>,
            _: &mut dyn FnMut(&ParcelRow<'_>) -> io::Result<()>,
        ) -> io::Result<()> {
            Ok(())
        }
    }

    fn push(machine: &mut Talk) -> (String, String, String) {
        machine.adopt(Event::Frozen(1));
        let ask = ask(machine);
        assert_eq!((ask.label, ask.body), ("push", AskBody::Parcel));
        let mut body = Vec::new();
        machine.write_body(&NoRows, &mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        (ask.method.into(), ask.url, body)
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
            let request = ask(&machine);
            let body = match request.body {
                AskBody::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
                _ => String::new(),
            };
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
            let url = pull_url(&machine);
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
        assert!(pull_url(&machine).contains("last_pulled_at=b%2Fc&"));
        assert!(pull_to(&mut machine, "\"y\"").warnings.is_empty());
        assert!(pull_url(&machine).contains("last_pulled_at=a&"));
        assert!(pull_to(&mut machine, "\"x\"").warnings.is_empty());
        // The one that came first: nothing that was written since can be missed.
        let (_, url, body) = push(&mut machine);
        assert!(url.ends_with("last_pulled_at=y"), "{url}");
        assert!(body.starts_with(r#"{"at":"y","changes":"#), "{body}");
    }

    #[test]
    fn headers_have_placeholders_too() {
        let keys = r#","params":{"who":"me"},"headers":{"X-Who":"{param:who} {schemaVersion} {lastPulledAt}"}"#;
        let machine = configured(keys, 3, &[("t", None)]);
        assert_eq!(
            ask(&machine).headers,
            [("X-Who".into(), "me 3 null".into())]
        );
    }

    const MIGRATIONS: &str = r#","migrationsEnabledAtVersion":2,"migrations":[
        {"toVersion":3,"steps":[{"type":"create_table","name":"z"}]}]"#;

    #[test]
    fn a_migration_is_told_once_and_not_to_what_was_never_pulled() {
        let mut machine = configured(MIGRATIONS, 3, &[("t", Some("5")), ("z", None)]);
        assert!(pull_url(&machine).contains("migration=null"));
        assert_eq!(ask(&machine).migration, Json::Null);
        assert_eq!(pull_to(&mut machine, "6").schema_version, Some(3));
        let told = r#"{"from":2,"tables":["z"],"columns":[]}"#;
        let mut encoded = String::new();
        template::percent_encode(told, &mut encoded);
        let url = pull_url(&machine);
        assert!(url.contains(&format!("&migration={encoded}&")), "{url}");
        assert_eq!(ask(&machine).migration.to_string(), told);
        assert_eq!(pull_to(&mut machine, "7").schema_version, Some(3));
        machine.adopt(Event::Frozen(1));
        assert!(refuse(&mut machine, 409));
        assert!(pull_url(&machine).contains("migration=null"));
        assert_eq!(pull_to(&mut machine, "8").schema_version, None);
    }

    #[test]
    fn a_second_round_after_the_first_pull_has_nothing_to_tell() {
        for keys in [MIGRATIONS, r#","migrations":"auto""#] {
            let mut machine = configured(keys, 3, &[("t", None), ("z", None)]);
            pull(&mut machine);
            machine.adopt(Event::Frozen(1));
            assert!(refuse(&mut machine, 409));
            assert!(pull_url(&machine).contains("migration=null"), "{keys}");
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
            let refusal = begun(MIGRATIONS, version, &[("t", Some("5"))]).err();
            let Some(Refusal::Sync(error)) = refusal else {
                panic!()
            };
            assert_eq!((error.class, error.retryable), (Class::Data, false));
            assert!(error.message.contains(said), "{}", error.message);
        }
    }

    #[test]
    fn requests_have_the_documented_shape() {
        let mut machine = machine(None);
        assert_eq!(
            ask(&machine).url,
            "http://h/sync?app=1&last_pulled_at=null&schema_version=3&migration=null&tables=a%20b"
        );
        pull(&mut machine);
        assert_eq!(machine.due(), Step::Freeze);
        machine.adopt(Event::Frozen(2));
        assert_eq!(ask(&machine).url, "http://h/sync?app=1&last_pulled_at=20");
        answer(&mut machine, 204, "");
        assert_eq!(machine.due(), Step::Done);
    }

    #[test]
    fn nothing_pending_means_no_push() {
        let mut machine = machine(Some("5"));
        pull(&mut machine);
        machine.adopt(Event::Frozen(0));
        assert_eq!(machine.due(), Step::Done);
    }

    #[test]
    fn a_refused_push_is_repeated_once_but_not_after_401() {
        for (status, goes_on) in [(401, false), (403, false), (409, true), (503, false)] {
            let mut machine = machine(None);
            pull(&mut machine);
            machine.adopt(Event::Frozen(1));
            assert_eq!(refuse(&mut machine, status), goes_on, "{status}");
        }
        let mut machine = machine(None);
        pull(&mut machine);
        machine.adopt(Event::Frozen(1));
        assert!(refuse(&mut machine, 409));
        assert_eq!(ask(&machine).label, "pull");
        pull(&mut machine);
        machine.adopt(Event::Frozen(1));
        assert!(!refuse(&mut machine, 409));
    }

    #[test]
    fn a_refused_pull_ends_the_sync() {
        assert!(!refuse(&mut machine(None), 409));
    }

    #[test]
    fn a_check_pulls_and_sends_nothing() {
        let mut machine = machine(None);
        machine.goal = Goal::Check;
        pull(&mut machine);
        assert_eq!(machine.due(), Step::Done);
    }

    #[test]
    fn a_timestamp_that_goes_back_is_told() {
        let mut machine = machine(Some("30"));
        assert_eq!(pull_to(&mut machine, "20").warnings.len(), 1);
    }
}
