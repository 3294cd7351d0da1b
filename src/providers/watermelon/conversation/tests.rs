//! Conversations with literal answers.

use super::*;
use crate::providers::conversation::ParcelRow;
use crate::providers::kinds;
use crate::providers::sink::{RemoteRow, Scope};
use crate::providers::wire::{ChangeKind, KeyType, WireId};

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
            key: "id".into(),
            references: Vec::new(),
            key_type: KeyType::Text,
        },
        cursor: cursor.map(String::from),
        before: None,
        schema: LastSchema {
            version: Some(2),
            columns: Some(Vec::new()),
        },
    };
    let known = Known {
        operations: Vec::new(),
        now: 0,
        entities: entities.iter().map(known).collect(),
        schema_version: version,
        memory: Json::Null,
        options: Default::default(),
        pulls: true,
        pending: true,
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
        parcel: None,
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
        body: "",
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
        if cursor.is_some_and(|cursor| cursor != asked) {
            // What the second question brings is not where the next pull starts.
            assert!(pull_url(&machine).contains("last_pulled_at=30&"), "{keys}");
            assert_eq!(pull_to(&mut machine, "41").cursors, [(0, "40".to_owned())]);
        }
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
    let migration = r#"{"from":2,"tables":["z"],"columns":[]}"#;
    let mut encoded = String::new();
    crate::ground::percent_encode(migration, &mut encoded);
    let url = pull_url(&machine);
    assert!(url.contains(&format!("&migration={encoded}&")), "{url}");
    assert_eq!(ask(&machine).migration.to_string(), migration);
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
