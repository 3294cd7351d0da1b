//! Conversations with literal answers, those of the recordings where there is one.

use serde_json::Value as Json;

use super::*;
use crate::providers::conversation::{KnownEntity, ParcelRow};
use crate::providers::kinds;
use crate::providers::sink::{Image, KnownVersion, RemoteRow, Scope, Sent, Verdict};
use crate::providers::wire::{ChangeKind, Entity, KeyType, WireColumn, WireId, WireType};
use crate::store::ValueRef;

const ONE: &str = "a0000006-0000-4000-8000-000000000001";
const TWO: &str = "a0000006-0000-4000-8000-000000000002";

fn entity(name: &str) -> Entity {
    let column = |name: &str| WireColumn::of(name, WireType::String, "TEXT");
    Entity {
        name: name.into(),
        key: "id".into(),
        references: Vec::new(),
        columns: vec![column("name"), column("email")],
        key_type: KeyType::Text,
    }
}

/// A conversation about `Users` and `posts`. `keys`: further ones of the configuration, each with a comma before it.
fn begun(
    goal: Goal,
    keys: &str,
    cursors: [Option<i64>; 2],
    options: &str,
) -> Result<Talk, Refusal> {
    let text = format!(
        r#"{{"kind":"oversync","url":"http://h/api/?app=1","serverSchema":"business","sourceId":"me"{keys}}}"#
    );
    let settings = kinds::parse(&text).unwrap();
    let names = ["Users", "posts"].into_iter().zip(cursors);
    let known = Known {
        operations: Vec::new(),
        now: 0,
        entities: names
            .map(|(name, cursor)| KnownEntity {
                entity: entity(name),
                cursor: cursor.map(|cursor| cursor.to_string()),
                before: None,
                schema: Default::default(),
            })
            .collect(),
        schema_version: 1,
        memory: Json::Null,
        options: serde_json::from_str(options).unwrap(),
        pulls: true,
        pending: true,
    };
    Talk::begin(Arc::new(Options::of(&settings)), goal, known)
}

fn talk(goal: Goal, cursor: i64) -> Talk {
    begun(goal, "", [Some(cursor); 2], "{}").unwrap()
}

/// Notes what it is told. Rows of the first entity are known in version 2, those of the second in version 3.
#[derive(Default)]
struct Noted(Vec<String>);

impl Sink for Noted {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let name = format!("{:?}", row.slots[0]);
        self.0.push(format!(
            "row {} {} {:?} {name}",
            row.entity, row.id, row.version
        ));
        Ok(())
    }

    fn gone(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError> {
        self.0.push(format!("gone {entity} {id} {version:?}"));
        Ok(())
    }

    fn scope(&mut self, _: usize, _: &Scope<'_>) -> Result<(), SyncError> {
        Err(SyncError::bug())
    }

    fn known(&mut self, entity: usize, _: &WireId<'_>) -> Result<Option<KnownVersion>, SyncError> {
        Ok([2, 3].get(entity).map(|number| KnownVersion {
            number: *number,
            told: true,
        }))
    }

    fn told(&mut self, id: &WireId<'_>, image: &Image<'_>) -> Result<(), SyncError> {
        let name = image.slots.map(|slots| slots[0].clone());
        self.0.push(format!(
            "told {} {id} {name:?} {:?}",
            image.entity, image.version
        ));
        Ok(())
    }

    fn verdict(&mut self, sent: Sent<'_>, verdict: Verdict<'_>) -> Result<(), SyncError> {
        let Sent::Change(change) = sent else {
            return Err(SyncError::bug());
        };
        self.0.push(match verdict {
            Verdict::Taken { version, .. } => format!("{change} taken {version:?}"),
            Verdict::Refused(no) => {
                format!(
                    "{change} refused {:?} {:?} {}",
                    no.reason, no.message, no.for_good
                )
            }
            Verdict::Conflict(Some(image)) => {
                let name = image.slots.map(|slots| slots[0].clone());
                format!(
                    "{change} conflict {} {name:?} {:?}",
                    image.entity, image.version
                )
            }
            Verdict::Conflict(None) => format!("{change} conflict"),
            Verdict::Untouched => format!("{change} untouched"),
            Verdict::Unsure => format!("{change} unsure"),
        });
        Ok(())
    }
}

fn url(talk: &Talk) -> String {
    match talk.due() {
        Step::Ask(ask) => format!("{} {}", ask.method, ask.url),
        other => panic!("{other:?}"),
    }
}

fn read(talk: &Talk, body: &str) -> Result<(Read, Vec<String>), SyncError> {
    let mut noted = Noted::default();
    let mut answer = Answer {
        status: 200,
        headers: &[],
        body: &mut body.as_bytes(),
        length: body.len() as u64,
        parcel: None,
    };
    let read = talk.read(&mut answer, &mut noted)?;
    Ok((read, noted.0))
}

/// Answers, and goes on; what was told.
fn answer(talk: &mut Talk, body: &str) -> Vec<String> {
    let (read, noted) = read(talk, body).unwrap();
    talk.adopt(Event::Read(&read));
    noted
}

fn empty(next: i64, more: bool) -> String {
    format!(r#"{{"changes":[],"has_more":{more},"next_after":{next},"window_until":900}}"#)
}

/// One parcel with an insert and a delete.
struct Parcel;

impl ParcelRows for Parcel {
    fn rows(
        &self,
        _: usize,
        _: Option<ChangeKind>,
        _: &mut dyn FnMut(&ParcelRow<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn in_order(
        &self,
        each: &mut dyn FnMut(usize, &ParcelRow<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        each(
            0,
            &ParcelRow {
                change: 7,
                kind: ChangeKind::Created,
                id: ValueRef::Text(ONE),
                base: None,
                content: r#"{"id":"x"}"#,
            },
        )?;
        each(
            1,
            &ParcelRow {
                change: 8,
                kind: ChangeKind::Deleted,
                id: ValueRef::Text(TWO),
                base: Some(3),
                content: "null",
            },
        )
    }
}

#[test]
fn an_upload_has_the_changes_in_order_and_a_delete_no_payload() {
    let mut talk = talk(Goal::Upload, 5);
    assert_eq!(talk.due(), Step::Freeze);
    talk.adopt(Event::Frozen(2));
    assert_eq!(url(&talk), "POST http://h/api/sync/upload?app=1");
    let mut out = Vec::new();
    talk.write_body(&Parcel, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!(
            r#"{{"last_server_seq_seen":5,"changes":[{{"source_change_id":7,"schema":"business","table":"users","op":"INSERT","pk":"{ONE}","server_version":0,"payload":{{"id":"x"}}}},{{"source_change_id":8,"schema":"business","table":"posts","op":"DELETE","pk":"{TWO}","server_version":3}}]}}"#
        )
    );
}

#[test]
fn r1_every_status_of_an_upload_has_its_verdict() {
    let mut talk = talk(Goal::Upload, 0);
    talk.adopt(Event::Frozen(5));
    let body = format!(
        r#"{{"accepted":true,"highest_server_seq":6,"statuses":[
        {{"source_change_id":1,"status":"applied","new_server_version":2}},
        {{"source_change_id":2,"status":"applied"}},
        {{"source_change_id":3,"status":"conflict","server_row":{{"id":"{ONE}","deleted":false,"payload":{{"id":"{ONE}","name":"Otto"}},"table_name":"users","schema_name":"business","server_version":3}}}},
        {{"source_change_id":4,"status":"conflict","server_row":{{"id":"{TWO}","deleted":true,"payload":null,"table_name":"posts","schema_name":"business","server_version":4}}}},
        {{"source_change_id":5,"status":"invalid","message":"no parent","invalid":{{"reason":"fk_missing","details":{{"missing":["business.users:x"]}}}}}},
        {{"source_change_id":6,"status":"invalid","invalid":{{"reason":"bad_payload"}}}},
        {{"source_change_id":7,"status":"materialize_error","message":"m"}}]}}"#
    );
    assert_eq!(
        answer(&mut talk, &body),
        [
            "1 taken Some(2)",
            "2 taken None",
            r#"3 conflict 0 Some(Text("Otto")) Some(3)"#,
            "4 conflict 1 None Some(4)",
            r#"5 refused Some("fk_missing") Some("no parent") false"#,
            r#"6 refused Some("bad_payload") None true"#,
            r#"7 refused Some("materialize_error") Some("m") false"#,
        ]
    );
}

#[test]
fn what_breaks_the_protocol_settles_nothing() {
    let mut talk = talk(Goal::Upload, 0);
    talk.adopt(Event::Frozen(1));
    for (body, said) in [
        ("<html>", "can't be read"),
        ("{}", "says nothing of the changes"),
        (
            r#"{"statuses":[{"source_change_id":1,"status":"perhaps"}]}"#,
            "a status that this version does not know",
        ),
        (
            r#"{"statuses":[{"source_change_id":1,"status":"invalid","invalid":{"reason":"mood"}}]}"#,
            "a reason that this version does not know",
        ),
        (
            r#"{"statuses":[{"source_change_id":1,"status":"conflict"}]}"#,
            "without the backend's row",
        ),
        (
            r#"{"statuses":[{"source_change_id":1,"status":"conflict","server_row":{"table_name":"cars","server_version":1,"payload":{}}}]}"#,
            "table \"cars\"",
        ),
        (
            r#"{"statuses":[{"source_change_id":1,"status":"conflict","server_row":{"table_name":"users","server_version":1,"payload":null}}]}"#,
            "without its content",
        ),
    ] {
        let error = read(&talk, body).unwrap_err();
        assert!(error.message.contains(said), "{body}: {error:?}");
    }
    let too_large = r#"{"accepted":false,"highest_server_seq":0,"statuses":[{"source_change_id":1,"status":"invalid","invalid":{"reason":"batch_too_large"}}]}"#;
    assert_eq!(read(&talk, too_large).unwrap_err().status, Some(413));
}

#[test]
fn r10_a_page_is_told_row_by_row() {
    let talk = talk(Goal::Download, 2);
    assert_eq!(
        url(&talk),
        "GET http://h/api/sync/download?app=1&after=2&limit=1000&include_self=false&until=0&schema=business"
    );
    let change = |number: i64, table: &str, deleted: bool, source: &str| {
        let payload = if deleted {
            ""
        } else {
            r#""payload":{"id":"other","name":"n"},"#
        };
        format!(
            r#"{{"server_id":{number},"schema":"business","table":"{table}","op":"UPDATE","pk":"{}",{payload}"server_version":{number},"deleted":{deleted},"source_id":"{source}","source_change_id":1,"ts":"2026-11-28T14:10:59.771699Z"}}"#,
            ONE.to_uppercase()
        )
    };
    let body = format!(
        r#"{{"changes":[{},{},{},{}],"has_more":false,"next_after":8,"window_until":9}}"#,
        change(3, "users", false, "they"),
        change(4, "posts", true, "they"),
        change(5, "users", false, "me"),
        change(8, "cars", false, "they"),
    );
    let (read, noted) = read(&talk, &body).unwrap();
    assert_eq!(
        noted,
        [
            format!(r#"row 0 {ONE} Some(3) Text("n")"#),
            format!("gone 1 {ONE} Some(4)")
        ]
    );
    let page = read.page.unwrap();
    assert_eq!((page.next, page.window, page.skipped), (8, Some(9), 2));
    assert_eq!(read.cursors, [(0, "8".to_owned()), (1, "8".to_owned())]);
}

/// A page with the ninth version of a user whose second one is known, and the next version of a post.
fn page_with_a_jump() -> String {
    format!(
        r#"{{"changes":[
        {{"server_id":3,"table":"users","pk":"{ONE}","server_version":9,"payload":{{"id":"{ONE}","name":"phantom"}}}},
        {{"server_id":4,"table":"posts","pk":"{TWO}","server_version":4,"deleted":true}}],
        "has_more":false,"next_after":4,"window_until":4}}"#
    )
}

#[test]
fn r8_a_row_that_the_log_jumps_with_is_read_before_the_page_is_believed() {
    let conflict = |row: &str| {
        format!(
            r#"{{"statuses":[{{"source_change_id":77,"status":"conflict","server_row":{{"table_name":"users",{row}}}}}]}}"#
        )
    };
    let invalid = |message: &str| {
        format!(
            r#"{{"statuses":[{{"source_change_id":77,"status":"invalid","message":"{message}","invalid":{{"reason":"internal_error"}}}}]}}"#
        )
    };
    let post = format!("gone 1 {TWO} Some(4)");
    let phantom = format!(r#"row 0 {ONE} Some(9) Text("phantom")"#);
    for (body, told) in [
        (
            conflict(r#""deleted":false,"payload":{"name":"real"},"server_version":3"#),
            Some(format!(r#"told 0 {ONE} Some(Text("real")) Some(3)"#)),
        ),
        (
            conflict(r#""deleted":true,"payload":null,"server_version":3"#),
            Some(format!("told 0 {ONE} None Some(3)")),
        ),
        (
            invalid("conflict without server_row for business.users"),
            Some(format!("told 0 {ONE} None None")),
        ),
        // Another change of it is under way: that says nothing of what is there.
        (
            invalid("apply failed with 40001 but triplet is missing; retry"),
            None,
        ),
        (
            r#"{"statuses":[{"source_change_id":77,"status":"applied"}]}"#.to_owned(),
            None,
        ),
    ] {
        let mut talk = talk(Goal::Download, 2);
        let page = url(&talk);
        assert_eq!(answer(&mut talk, &page_with_a_jump()), Vec::<String>::new());
        let Step::Ask(ask) = talk.due() else {
            panic!("no request");
        };
        let AskBody::Numbered(mut sent, rest) = ask.body else {
            panic!("no number");
        };
        assert_eq!(ask.url, "http://h/api/sync/upload?app=1");
        sent.extend_from_slice(b"77");
        sent.extend_from_slice(&rest);
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            format!(
                r#"{{"last_server_seq_seen":2,"changes":[{{"source_change_id":77,"schema":"business","table":"users","op":"UPDATE","pk":"{ONE}","server_version":-1,"payload":{{"id":"{ONE}"}}}}]}}"#
            )
        );
        let noted = answer(&mut talk, &body);
        assert_eq!(noted, Vec::from_iter(told.clone()), "{body}");
        // The same page once more, without what is known better now.
        assert_eq!(url(&talk), page, "{body}");
        let noted = answer(&mut talk, &page_with_a_jump());
        match told {
            Some(_) => assert_eq!(noted, std::slice::from_ref(&post)),
            None => assert_eq!(noted, [phantom.clone(), post.clone()]),
        }
        assert_eq!(talk.due(), Step::Done);
    }
    // No answer: the log is believed.
    let mut talk = talk(Goal::Download, 2);
    answer(&mut talk, &page_with_a_jump());
    talk.adopt(Event::Lost(&SyncError::network("gone")));
    assert_eq!(answer(&mut talk, &page_with_a_jump()), [phantom, post]);
    assert_eq!(talk.due(), Step::Done);
}

#[test]
fn r3_rows_of_a_batch_that_were_refused_are_doubtful_and_so_is_one_that_should_be_there() {
    let refused = |change, blind| doubt::Refused { change, blind };
    let doubts = |refused: &[doubt::Refused]| {
        let doubts = doubt::of_upload(refused, &Parcel).unwrap();
        let ids = doubts.into_iter().map(|doubt| doubt.id);
        ids.collect::<Vec<_>>()
    };
    // One upsert and one delete leave nothing in the log.
    assert_eq!(doubts(&[refused(7, false), refused(8, false)]), [""; 0]);
    assert_eq!(doubts(&[refused(7, true)]), [""; 0], "it is new");
    assert_eq!(doubts(&[refused(8, true)]), [TWO]);
}

#[test]
fn pages_that_contradict_themselves_are_refused() {
    let talk = talk(Goal::Download, 10);
    for (body, said) in [
        (empty(9, false), "before this one"),
        (empty(10, true), "where this one did"),
        (
            r#"{"changes":[],"has_more":false,"next_after":10,"window_until":0}"#.to_owned(),
            "ends before what was read of it",
        ),
        (
            format!(
                r#"{{"changes":[{{"server_id":12,"table":"users","pk":"{ONE}","server_version":1,"deleted":true}}],"has_more":false,"next_after":11,"window_until":90}}"#
            ),
            "behind the beginning of the next page",
        ),
        (
            r#"{"changes":[{"server_id":11,"table":"users","pk":"7","server_version":1,"deleted":true}],"has_more":false,"next_after":11,"window_until":90}"#
                .to_owned(),
            "whose key is no UUID",
        ),
        ("[]".to_owned(), "can't be read"),
    ] {
        let error = read(&talk, &body).unwrap_err();
        assert!(error.message.contains(said), "{body}: {error:?}");
    }
}

#[test]
fn g3_a_sync_looks_back_and_then_reads_all_pages() {
    let mut talk = talk(Goal::Sync, 150);
    talk.adopt(Event::Frozen(0));
    assert!(url(&talk).contains("after=50&limit=1000&include_self=false&until=150"));
    answer(&mut talk, &empty(120, true));
    assert!(url(&talk).contains("after=120&limit=1000&include_self=false&until=150"));
    answer(&mut talk, &empty(149, false));
    assert!(url(&talk).contains("after=150&limit=1000&include_self=false&until=0"));
    answer(&mut talk, &empty(160, true));
    assert!(url(&talk).contains("after=160&"));
    answer(&mut talk, &empty(160, false));
    assert_eq!(talk.due(), Step::Done);
}

#[test]
fn an_upload_drains_at_most_twenty_pages_and_does_not_mind_a_failure() {
    let mut talk = talk(Goal::Upload, 1);
    talk.adopt(Event::Frozen(1));
    answer(&mut talk, r#"{"statuses":[]}"#);
    for page in 0..20 {
        assert!(url(&talk).starts_with("GET"), "{page}");
        answer(&mut talk, &empty(2 + page, true));
    }
    assert_eq!(talk.due(), Step::Done);
    let mut talk = self::talk(Goal::Upload, 1);
    talk.adopt(Event::Frozen(1));
    answer(&mut talk, r#"{"statuses":[]}"#);
    talk.adopt(Event::Lost(&SyncError::network("gone")));
    assert_eq!(talk.due(), Step::Done);
    let mut talk = self::talk(Goal::Upload, 1);
    talk.adopt(Event::Frozen(0));
    assert_eq!(talk.due(), Step::Done, "nothing was sent");
}

#[test]
fn f1_what_goes_out_again_is_followed_by_the_rest_in_a_sync_alone() {
    for (goal, next) in [(Goal::Sync, true), (Goal::Upload, false)] {
        let mut talk = talk(goal, 0);
        talk.adopt(Event::Resent(1));
        assert!(url(&talk).starts_with("POST"));
        answer(&mut talk, r#"{"statuses":[]}"#);
        assert_eq!(talk.due() == Step::Freeze, next, "{goal:?}");
    }
}

#[test]
fn a_table_that_was_never_read_takes_all_back_to_the_beginning() {
    let talk = begun(Goal::Hydrate, "", [Some(40), None], "{}").unwrap();
    let Step::Ask(ask) = talk.due() else {
        panic!("no request");
    };
    assert!(
        ask.url.contains("after=0&limit=1000&include_self=true"),
        "{}",
        ask.url
    );
    assert_eq!(ask.again, [(0, Again::RowsAndDeletes)]);
    let (read, _) = read(&talk, &empty(30, true)).unwrap();
    assert_eq!(read.cursors, [(0, "40".to_owned()), (1, "30".to_owned())]);
    assert_eq!(read.due, [0, 1]);
}

#[test]
fn the_options_of_a_call_say_how_pages_are_read() {
    let options = r#"{"limit":5,"includeSelf":true,"until":70,"from":3}"#;
    let talk = begun(Goal::Download, "", [Some(40); 2], options).unwrap();
    assert!(url(&talk).contains("after=3&limit=5&include_self=true&until=70"));
    // Later pages go up to where the first one said that the log ends, unless that is not wanted.
    for (options, until) in [("{}", "until=900"), (r#"{"windowed":false}"#, "until=0")] {
        let mut talk = begun(Goal::Hydrate, "", [Some(40); 2], options).unwrap();
        answer(&mut talk, &empty(41, true));
        assert!(url(&talk).contains(until), "{options}");
    }
    let refused = begun(Goal::Download, "", [None; 2], r#"{"limit":1001}"#);
    assert!(matches!(refused, Err(Refusal::Call(problem)) if problem.contains("options.limit")));
}
