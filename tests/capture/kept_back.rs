//! What is excluded stays in the file whatever it is renamed to (M6): where no record can tell which column it has become,
//! nothing of the table goes on before somebody says what is to stay.

use rusqlite::Connection;
use support::capture::{elsewhere, pending, run, track};
use support::{World, ask, both, refused};

use crate::notes::codes;

const TABLE: &str = "CREATE TABLE notes (id TEXT PRIMARY KEY, secret TEXT, n TEXT, m TEXT);
    INSERT INTO notes VALUES ('k1', 'TOP', 'x', 'y');";

/// `secret` becomes `pin`, `n` becomes `secret`.
const PASSED_ON: &str =
    "ALTER TABLE notes RENAME secret TO pin; ALTER TABLE notes RENAME n TO secret";

/// Made again with the columns that it has.
const REBUILD: &str = "CREATE TABLE new (id TEXT PRIMARY KEY, secret TEXT, m TEXT, pin TEXT);
    INSERT INTO new SELECT id, secret, m, pin FROM notes; DROP TABLE notes; ALTER TABLE new RENAME TO notes";

const PAYLOAD: &str = "SELECT payload FROM sync_pending WHERE key = 'k1'";

/// Rows in a file of which some columns stay here: as options of the table, or of the provider.
fn excluding(world: &World, options: &str) -> Connection {
    let c = world.open();
    run(&c, TABLE);
    if options.starts_with("{\"excludeColumns\"") {
        let config = format!(
            "{{\"kind\":\"watermelon\",\"url\":\"http://localhost:1\",{}",
            &options[1..]
        );
        ask(&c, &format!("SELECT sync_provider('api', '{config}')"));
        track(&c, "notes", "{}");
        run(&c, "UPDATE _syncTable SET provider = 'api'");
    } else {
        track(&c, "notes", options);
    }
    c
}

/// Everything that would send, or begins to capture without being told, is refused by words that lead to no leak.
fn refuses(c: &Connection, names: &[&str]) {
    for call in [
        "sync_track('notes')",
        "sync_track('notes', '{\"existing\":\"skip\"}')",
        "sync_capture_existing('notes')",
    ] {
        let error = refused(c, &format!("SELECT {call}"));
        assert!(error.contains("\"secret\""), "{call}: {error}");
        assert!(
            error.contains("call sync_track with options"),
            "{call}: {error}"
        );
        for name in names {
            assert!(error.contains(name), "{call}, {name}: {error}");
        }
    }
}

#[test]
fn m6_a_column_that_may_be_the_excluded_one_is_not_sent_until_somebody_says() {
    for (options, names) in [
        (
            r#"{"exclude":["secret"]}"#,
            [
                r#"new: "pin"; gone: "n""#,
                r#"{"exclude":["secret","pin"]}"#,
            ],
        ),
        (
            r#"{"columns":["n","m"]}"#,
            [r#"new: "pin"; gone: "n""#, r#"{"columns":[]}"#],
        ),
        (
            r#"{"excludeColumns":{"notes":["secret"]}}"#,
            ["correct excludeColumns", "\"pin\""],
        ),
    ] {
        both(|world| {
            let c = excluding(world, options);
            elsewhere(world, &format!("BEGIN; {PASSED_ON}; {REBUILD}; COMMIT"));
            refuses(&c, &names);
            // The options that the error gives keep the value here, and what waits goes on.
            track(&c, "notes", r#"{"exclude":["secret","pin"]}"#);
            assert_eq!(ask(&c, PAYLOAD), r#"{"id":"k1","m":"y"}"#);
            track(&c, "notes", r#"{"exclude":["pin"]}"#);
            let sent = ask(&c, PAYLOAD);
            assert!(!sent.contains("TOP"), "{options}: {sent}");
            run(&c, "UPDATE notes SET m = 'z'");
            assert_eq!(pending(&c), "created k1 [\"m\"]");
        });
    }
}

#[test]
fn m6_names_that_were_passed_on_while_capture_was_off_are_asked_about() {
    both(|world| {
        let c = excluding(world, r#"{"exclude":["secret"]}"#);
        run(&c, "SELECT sync_capture_off()");
        elsewhere(world, PASSED_ON);
        let error = refused(&c, "SELECT sync_capture_on()");
        assert!(error.contains("\"pin\""), "{error}");
        let error = refused(&c, "SELECT sync_track('notes')");
        assert!(error.contains("\"pin\""), "{error}");
        track(&c, "notes", r#"{"exclude":["pin"]}"#);
        assert_eq!(
            ask(&c, PAYLOAD),
            r#"{"id":"k1","secret":"x","m":"y"}"#,
            "capture is on"
        );
    });
}

#[test]
fn m6_two_names_that_were_swapped_unseen_show_in_the_order_of_the_columns() {
    both(|world| {
        let c = excluding(world, r#"{"exclude":["secret"]}"#);
        elsewhere(
            world,
            "BEGIN; CREATE TABLE new (id TEXT PRIMARY KEY, n TEXT, secret TEXT, m TEXT);
             INSERT INTO new SELECT * FROM notes; DROP TABLE notes; ALTER TABLE new RENAME TO notes; COMMIT",
        );
        refuses(&c, &["another order"]);
        track(&c, "notes", r#"{"exclude":["n"]}"#);
        assert_eq!(ask(&c, PAYLOAD), r#"{"id":"k1","secret":"x","m":"y"}"#);
    });
}

/// Saved triggers that a tool puts back have the names of when it saved them.
#[test]
fn m6_triggers_that_a_tool_puts_back_are_no_record_of_what_was_passed_on() {
    let world = World::new(false);
    let c = excluding(&world, r#"{"exclude":["secret"]}"#);
    let saved = ask(
        &c,
        "SELECT group_concat(sql, ';') FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'notes'",
    );
    elsewhere(
        &world,
        &format!("BEGIN; {PASSED_ON}; {REBUILD}; {saved}; COMMIT"),
    );
    refuses(&c, &["\"pin\""]);
    let answer = track(&c, "notes", r#"{"exclude":["pin"]}"#);
    assert!(codes(&answer).contains(&"captureRestored".to_owned()));
    assert!(!ask(&c, PAYLOAD).contains("TOP"));
}

#[test]
fn m6_a_table_with_another_name_and_other_columns_is_asked_about_too() {
    let world = World::new(false);
    let c = excluding(&world, r#"{"exclude":["secret"]}"#);
    elsewhere(
        &world,
        &format!(
            "BEGIN; {PASSED_ON}; {REBUILD}; ALTER TABLE notes RENAME TO place; DROP TRIGGER IF EXISTS x; COMMIT"
        ),
    );
    let error = refused(&c, r#"SELECT sync_track('place', '{"was":"notes"}')"#);
    assert!(error.contains("\"pin\""), "{error}");
    track(&c, "place", r#"{"was":"notes","exclude":["pin"]}"#);
    assert_eq!(ask(&c, PAYLOAD), r#"{"id":"k1","secret":"x","m":"y"}"#);
}

/// Nothing waits, so that the rows don't show which table it is.
#[test]
fn m6_a_table_is_not_taken_for_a_new_one_that_excludes_nothing() {
    let world = World::new(false);
    let c = world.open();
    run(&c, TABLE);
    track(&c, "notes", r#"{"existing":"skip","exclude":["secret"]}"#);
    elsewhere(
        &world,
        "BEGIN; CREATE TABLE place (id TEXT PRIMARY KEY, secret TEXT, n TEXT, m TEXT);
         INSERT INTO place SELECT * FROM notes; DROP TABLE notes; COMMIT",
    );
    let error = refused(&c, "SELECT sync_track('place')");
    assert!(error.contains(r#"{"was":"notes"}"#), "{error}");
    let answer = track(&c, "place", r#"{"exclude":["secret"]}"#);
    assert_eq!(codes(&answer), ["tableGone"]);
    assert!(!ask(&c, PAYLOAD).contains("TOP"));
}

/// The names tell, so nobody is asked.
#[test]
fn m6_columns_that_come_or_go_leave_the_excluded_one_where_it_is() {
    for (columns, copied) in [
        (
            "id TEXT PRIMARY KEY, secret TEXT, n TEXT, m TEXT, late TEXT",
            "id, secret, n, m",
        ),
        (
            "id TEXT PRIMARY KEY, late TEXT, secret TEXT, n TEXT, m TEXT",
            "id, secret, n, m",
        ),
        (
            "id TEXT PRIMARY KEY, secret TEXT, n TEXT, m TEXT, UNIQUE (n, secret)",
            "id, secret, n, m",
        ),
    ] {
        both(|world| {
            let c = excluding(world, r#"{"exclude":["secret"]}"#);
            elsewhere(
                world,
                &format!(
                    "BEGIN; CREATE TABLE new ({columns}); INSERT INTO new ({copied}) SELECT {copied} FROM notes;
                     DROP TABLE notes; ALTER TABLE new RENAME TO notes; COMMIT"
                ),
            );
            ask(&c, "SELECT sync_track('notes')");
            let sent = ask(&c, PAYLOAD);
            assert!(
                sent.contains("\"n\":\"x\"") && !sent.contains("TOP"),
                "{sent}"
            );
        });
    }
}
