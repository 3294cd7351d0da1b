//! Responses that are applied to a tracked document table: the server's rows are no edits made here, and edits
//! made here survive them.

use rusqlite::Connection;
use serde_json::Value;
use support::{World, ask, both, enforced, everywhere, refused};

/// A connection whose table `note` was filled by a response and is tracked.
fn ready(world: &World) -> Connection {
    let db = world.open();
    ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
    sync(
        &db,
        "{}",
        r#"[{"id":"a","n":1},{"id":"b","n":2},{"id":"c","n":3}]"#,
    );
    ask(&db, r#"SELECT sync_track('note', '{"existing":"skip"}')"#);
    assert_eq!(pending(&db), "");
    db
}

fn open(db: &Connection, options: &str) -> i64 {
    let sql = "SELECT json_extract(sync_entities('i', 'app', '[\"note\"]', ?1), '$.operations[0].statusId')";
    db.query_row(sql, [options], |row| row.get(0))
        .expect("opens")
}

/// Applies a whole response; state and counts.
fn sync(db: &Connection, options: &str, response: &str) -> String {
    let id = open(db, options);
    let sql = "SELECT (answer ->> 'state') || ' -' || (answer ->> 'deleted') || ' +' || (answer ->> 'inserted') \
               || ' ~' || (answer ->> 'updated') || ' !' || (answer ->> 'conflicts') \
               || coalesce(' ' || (answer ->> '$.error.message'), '') \
               FROM (SELECT sync_apply(?1, ?2) AS answer)";
    db.query_row(sql, (id, response), |row| row.get(0))
        .expect("answers")
}

fn rows(db: &Connection) -> String {
    ask(
        db,
        "SELECT coalesce(group_concat(id || (data ->> 'n'), ' '), '') FROM (SELECT * FROM note ORDER BY id)",
    )
}

fn pending(db: &Connection) -> String {
    let sql = "SELECT coalesce(group_concat(key || ' ' || op || coalesce(' ' || changed, ''), '; '), '') \
               FROM (SELECT * FROM sync_pending ORDER BY key)";
    ask(db, sql)
}

fn conflicts(db: &Connection) -> String {
    ask(
        db,
        "SELECT coalesce(group_concat(rowKey || ' ' || kind, '; '), '') FROM (SELECT * FROM sync_conflict ORDER BY id)",
    )
}

const OTHERS: &str = r#"[{"id":"a","n":10},{"id":"d","n":40}]"#;

#[test]
fn what_a_response_writes_is_no_edit() {
    both(|world| {
        let db = ready(world);
        assert_eq!(sync(&db, "{}", OTHERS), "synced -2 +1 ~1 !0");
        assert_eq!((rows(&db), pending(&db)), ("a10 d40".into(), String::new()));
        let merge = r#"{"forRowsWithMatchingIds":true}"#;
        assert_eq!(
            sync(&db, merge, r#"[{"id":"a","m":1},{"id":"e","n":5}]"#),
            "synced -0 +1 ~1 !0"
        );
        assert_eq!(
            ask(&db, "SELECT data FROM note WHERE id = 'a'"),
            r#"{"id":"a","m":1,"n":10}"#
        );
        let some = r#"{"forRowsWithValues":{"n":40}}"#;
        assert_eq!(
            sync(&db, some, r#"[{"id":"f","n":6}]"#),
            "synced -1 +1 ~0 !0"
        );
        let operations = r#"{"operations":[
            {"type":"upsert-replace","records":[{"id":"a","n":11}]},
            {"type":"upsert-merge","records":[{"id":"e","n":7}]},
            {"type":"delete-insert","records":[{"id":"g","n":8}],"forRowsInRange":{"n":{"to":6}}}]}"#;
        assert_eq!(sync(&db, operations, "{}"), "synced -1 +1 ~2 !0");
        assert_eq!(rows(&db), "a11 e7 g8");
        assert_eq!((pending(&db).as_str(), conflicts(&db).as_str()), ("", ""));
        assert_eq!(
            ask(&db, "SELECT count(*) FROM _syncChange WHERE tbl <> 0"),
            "0"
        );
    });
}

#[test]
fn a_replaced_table_keeps_what_waits_to_be_sent() {
    both(|world| {
        let db = ready(world);
        db.execute_batch(
            r#"UPDATE note SET data = '{"id":"b","n":20}' WHERE id = 'b';
               DELETE FROM note WHERE id = 'c';
               INSERT INTO note VALUES ('mine', '{"id":"mine","n":0}', 1);"#,
        )
        .expect("edits");
        let waiting = r#"b updated ["data"]; c deleted; mine created []"#;
        assert_eq!(pending(&db), waiting);
        // Neither the edited row nor the deleted one is named.
        assert_eq!(sync(&db, "{}", OTHERS), "synced -0 +1 ~1 !0");
        assert_eq!(
            (rows(&db).as_str(), pending(&db).as_str()),
            ("a10 b20 d40 mine0", waiting)
        );
        // Each of them is. What was not changed of them since they were made is the server's.
        let all = r#"[{"id":"a","n":10},{"id":"b","n":21},{"id":"c","n":31},{"id":"mine","n":9}]"#;
        assert_eq!(sync(&db, "{}", all), "synced -1 +0 ~2 !3");
        assert_eq!(
            (rows(&db).as_str(), pending(&db).as_str()),
            ("a10 b20 mine9", waiting)
        );
        assert_eq!(conflicts(&db), "b edited; c deletedHere; mine edited");
        // A response of some rows takes none along that waits either.
        let some = r#"{"forRowsInRange":{"n":{"from":0,"to":20}}}"#;
        assert_eq!(sync(&db, some, "[]"), "synced -1 +0 ~0 !0");
        assert_eq!(
            (rows(&db).as_str(), pending(&db).as_str()),
            ("b20 mine9", waiting)
        );
        let told = "SELECT provider, runId, local ->> '$.data', remote ->> '$.data' FROM sync_conflict WHERE rowKey = 'b'";
        assert_eq!(
            ask(&db, told),
            r#"app|0|{"id":"b","n":20}|{"id":"b","n":21}"#
        );
    });
}

#[test]
fn an_edited_row_meets_the_servers_by_the_policy_of_its_entity() {
    for (policy, row, waiting) in [
        ("'columns'", "n1", r#"a updated ["data"]"#),
        ("'clientWins'", "n1", r#"a updated ["data","timestamp"]"#),
        ("'serverWins'", "n2", ""),
        ("'lastWriteWins', 'timestamp'", "n2", ""),
        (
            "'sql4', 'json_set(:remote, ''$.data'', ''{\"n\":\"n3\"}'')'",
            "n3",
            r#"a updated ["data"]"#,
        ),
    ] {
        let world = World::new(false);
        let db = ready(&world);
        ask(&db, &format!("SELECT sync_resolver('note', {policy})"));
        db.execute_batch(r#"UPDATE note SET data = '{"n":"n1"}' WHERE id = 'a'"#)
            .expect("an edit");
        let stamped = r#"{"operations":[{"type":"upsert-replace","timeStamp":"at"}]}"#;
        let remote = r#"[{"id":"a","n":"n2","at":99999999999999},{"id":"b","n":"same","at":5}]"#;
        let answer = sync(&db, stamped, remote);
        assert!(answer.ends_with(" !1"), "{policy}: {answer}");
        assert_eq!(
            ask(&db, "SELECT data ->> 'n' FROM note WHERE id = 'a'"),
            row,
            "{policy}"
        );
        assert_eq!(pending(&db), waiting, "{policy}");
        assert_eq!(conflicts(&db), "a edited", "{policy}");
    }
}

/// What was sent by the program and comes back says nothing against the row.
#[test]
fn a_row_that_comes_as_it_is_here_is_no_conflict() {
    let world = World::new(false);
    let db = ready(&world);
    db.execute_batch(r#"UPDATE note SET data = '{"id":"a","n":7}' WHERE id = 'a'"#)
        .expect("an edit");
    let merge = r#"{"forRowsWithMatchingIds":true}"#;
    assert_eq!(
        sync(&db, merge, r#"[{"id":"a","n":7}]"#),
        "synced -0 +0 ~0 !0"
    );
    assert_eq!(
        (pending(&db).as_str(), conflicts(&db).as_str()),
        (r#"a updated ["data"]"#, "")
    );
    ask(&db, "SELECT sync_resolver('note', 'serverWins')");
    assert_eq!(
        sync(&db, merge, r#"[{"id":"a","n":7}]"#),
        "synced -0 +0 ~0 !0"
    );
    assert_eq!(pending(&db), "", "the server has it");
}

fn replacing(find: &str, replace: &str) -> String {
    format!(r#"{{"operations":[{{"type":"find-replace","find":"{find}","replace":"{replace}"}}]}}"#)
}

#[test]
fn an_id_that_the_server_gives_is_no_edit_and_what_waits_goes_on_under_it() {
    both(|world| {
        let db = ready(world);
        db.execute_batch(
            r#"INSERT INTO note VALUES ('TEMP-1', '{"id":"TEMP-1","n":1}', 1);
               INSERT INTO note VALUES ('TEMP-2', '{"id":"TEMP-2","n":2}', 1);
               UPDATE note SET data = '{"id":"TEMP-2","n":22}' WHERE id = 'TEMP-2';
               INSERT INTO note VALUES ('TEMP-3', '{"id":"TEMP-3","n":3}', 1);
               DELETE FROM note WHERE id = 'TEMP-3';
               UPDATE note SET data = '{"n":5,"ref":"TEMP-1"}' WHERE id = 'b';
               INSERT INTO note VALUES ('own', '{"n":6,"ref":"TEMP-1"}', 1);"#,
        )
        .expect("edits");
        sync(&db, &replacing("TEMP-1", "k1"), "{}");
        sync(&db, &replacing("TEMP-2", "k2"), "{}");
        sync(&db, &replacing("TEMP-3", "k3"), "{}");
        // The server has the rows now: none is created there again, later edits and the delete go up.
        assert_eq!(
            pending(&db),
            r#"b updated ["data"]; k2 updated ["data"]; k3 deleted; own created []"#
        );
        assert_eq!(rows(&db), "a1 b5 c3 k11 k222 own6");
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(data ->> 'ref') FROM note WHERE id IN ('b', 'own')"
            ),
            "k1,k1"
        );
        assert_eq!(
            ask(&db, "SELECT data FROM note WHERE id = 'k1'"),
            r#"{"id":"k1","n":1}"#
        );
        assert_eq!(conflicts(&db), "");
        // A row that came under its new id already takes the place of the one made here.
        db.execute_batch(r#"INSERT INTO note VALUES ('TEMP-4', '{"n":4}', 1)"#)
            .expect("a row");
        let merge = r#"{"forRowsWithMatchingIds":true}"#;
        sync(&db, merge, r#"[{"id":"k4","n":44}]"#);
        assert_eq!(
            sync(&db, &replacing("TEMP-4", "k4"), "{}"),
            "synced -1 +0 ~0 !1"
        );
        assert_eq!(conflicts(&db), "TEMP-4 deletedRemotely");
        assert!(
            !pending(&db).contains("TEMP") && !pending(&db).contains("k4"),
            "{}",
            pending(&db)
        );
    });
}

/// Triggers of the application stay on: what they write elsewhere is an edit, what the response writes is not.
#[test]
fn beside_triggers_of_the_application_a_response_is_no_edit_either() {
    both(|world| {
        let db = ready(world);
        db.execute_batch(
            "CREATE TABLE seen (id TEXT PRIMARY KEY, times INTEGER);
             CREATE TRIGGER saw AFTER INSERT ON note BEGIN
               INSERT INTO seen VALUES (NEW.id, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1; END;
             CREATE TRIGGER changed AFTER UPDATE OF data ON note BEGIN
               INSERT INTO seen VALUES (NEW.id, 0); END;",
        )
        .expect("triggers");
        ask(&db, r#"SELECT sync_track('seen', '{"existing":"skip"}')"#);
        sync(&db, "{}", OTHERS);
        sync(&db, &replacing("d", "dd"), "{}");
        assert_eq!(rows(&db), "a10 dd40");
        assert_eq!(
            ask(
                &db,
                r#"SELECT group_concat("table" || ' ' || key) FROM sync_pending ORDER BY key"#
            ),
            "seen a,seen d,seen dd"
        );
    });
}

#[test]
fn sql_of_the_program_is_captured_as_ever() {
    let world = World::new(false);
    let db = ready(&world);
    let settings = r#"{"operations":[
        {"type":"upsert-replace","records":[{"id":"a","n":9}]},
        {"type":"execute-sql","statements":["UPDATE note SET data = '{}' WHERE id = 'b'","DELETE FROM note WHERE id = 'c'"]},
        {"type":"upsert-replace","records":[{"id":"z","n":9}]}]}"#;
    assert_eq!(sync(&db, settings, "{}"), "synced -0 +1 ~1 !0");
    assert_eq!(pending(&db), r#"b updated ["data"]; c deleted"#);
}

#[test]
fn columns_of_the_program_in_the_table_are_its_own() {
    let world = World::new(false);
    let db = ready(&world);
    db.execute_batch(
        "ALTER TABLE note ADD COLUMN starred BOOLEAN NOT NULL DEFAULT 0; ALTER TABLE note ADD COLUMN local TEXT;",
    )
    .expect("columns");
    ask(
        &db,
        r#"SELECT sync_track('note', '{"exclude":["local","timestamp"]}')"#,
    );
    db.execute_batch("UPDATE note SET starred = 1, local = 'l' WHERE id = 'a'; UPDATE note SET local = 'l' WHERE id = 'b'")
        .expect("edits");
    assert_eq!(pending(&db), r#"a updated ["starred"]"#);
    // The starred row waits; the other was only changed in what is not synced.
    assert_eq!(
        sync(&db, "{}", r#"[{"id":"a","n":10},{"id":"b","n":20}]"#),
        "synced -1 +0 ~2 !1"
    );
    assert_eq!(
        ask(
            &db,
            "SELECT id, data ->> 'n', starred, local, timestamp > 1000 FROM note ORDER BY id"
        ),
        "a|10|1|l|1\nb|20|0|l|1"
    );
    assert_eq!(pending(&db), r#"a updated ["starred"]"#);
}

#[test]
fn a_page_that_fails_changes_nothing_and_the_callers_transaction_is_joined() {
    let world = World::new(false);
    let db = ready(&world);
    db.execute_batch("DELETE FROM note WHERE id = 'c'")
        .expect("deleted");
    let said = sync(&db, MERGE, r#"[{"id":"a","n":9},{"n":99}]"#);
    assert!(said.starts_with("failed -0 +0 ~0 !0"), "{said}");
    assert!(said.contains("record 2"), "{said}");
    assert_eq!(
        (rows(&db).as_str(), pending(&db).as_str()),
        ("a1 b2", "c deleted")
    );
    let id = open(&db, "{}");
    db.execute_batch("BEGIN; INSERT INTO note VALUES ('n', '{\"n\":5}', 1)")
        .expect("begins");
    ask(
        &db,
        &format!("SELECT sync_apply({id}, '[{{\"id\":\"q\",\"n\":4}}]')"),
    );
    assert_eq!(
        (rows(&db).as_str(), pending(&db).as_str()),
        ("n5 q4", "c deleted; n created []")
    );
    db.execute_batch("ROLLBACK").expect("ends");
    assert_eq!(
        (rows(&db).as_str(), pending(&db).as_str()),
        ("a1 b2", "c deleted")
    );
}

/// The rows of a response are matched by id: a tracked table must have it as its key.
#[test]
fn a_tracked_table_with_another_key_is_refused() {
    let world = World::new(false);
    let db = world.open();
    ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
    db.execute_batch(
        "CREATE TABLE note (number INTEGER PRIMARY KEY, id TEXT, data TEXT, timestamp INTEGER)",
    )
    .expect("a table");
    assert_eq!(
        sync(&db, "{}", r#"[{"id":"a","n":1}]"#),
        "synced -0 +1 ~0 !0"
    );
    ask(&db, r#"SELECT sync_track('note', '{"existing":"skip"}')"#);
    let said = sync(&db, "{}", r#"[{"id":"a","n":1}]"#);
    assert!(
        said.contains("make id its PRIMARY KEY, or call sync_untrack"),
        "{said}"
    );
    ask(&db, "SELECT sync_untrack('note')");
    assert_eq!(
        sync(&db, "{}", r#"[{"id":"a","n":2}]"#),
        "synced -0 +0 ~1 !0"
    );
}

#[test]
fn keys_of_every_type_a_table_may_have_are_matched() {
    for (key, first, other) in [
        ("INTEGER", "7", "\"7\""),
        ("TEXT", "\"7\"", "7"),
        ("TEXT", "1.5", "\"1.5\""),
    ] {
        let world = World::new(false);
        let db = world.open();
        ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
        db.execute_batch(&format!(
            "CREATE TABLE note (id {key} PRIMARY KEY, data TEXT, timestamp INTEGER)"
        ))
        .expect("a table");
        ask(&db, r#"SELECT sync_track('note', '{"existing":"skip"}')"#);
        let merge = r#"{"forRowsWithMatchingIds":true}"#;
        assert_eq!(
            sync(&db, merge, &format!(r#"[{{"id":{first},"n":1}}]"#)),
            "synced -0 +1 ~0 !0"
        );
        assert_eq!(
            sync(&db, merge, &format!(r#"[{{"id":{other},"n":2}}]"#)),
            "synced -0 +0 ~1 !0",
            "{key}"
        );
        assert_eq!(
            (ask(&db, "SELECT data ->> 'n' FROM note"), pending(&db)),
            ("2".into(), String::new())
        );
    }
}

#[test]
fn a_resolver_from_the_file_alone_is_not_run_for_a_response() {
    let world = World::new(false);
    let db = ready(&world);
    ask(&db, "SELECT sync_resolver('note', 'sql2', ':local')");
    let id = open(&db, "{}");
    let other = world.open();
    let said = refused(&other, &format!("SELECT sync_apply({id}, '[]')"));
    assert!(
        said.contains("unless this connection declared it"),
        "{said}"
    );
    assert_eq!(rows(&db), "a1 b2 c3");
}

/// What is held of a table, and the warnings and the count of an answer.
fn held(db: &Connection) -> String {
    let sql = "SELECT coalesce(group_concat(key || ' ' || op || ' ' || reason, '; '), '') \
               FROM (SELECT * FROM sync_held ORDER BY key)";
    ask(db, sql)
}

const MERGE: &str = r#"{"forRowsWithMatchingIds":true}"#;

fn guard(db: &Connection, word: &str) {
    db.execute_batch(&format!(
        "CREATE TRIGGER no BEFORE INSERT ON note WHEN (new.data ->> 'n') < 0 BEGIN SELECT RAISE({word}, 'no'); END"
    ))
    .expect("a trigger");
}

#[test]
fn h1_a_row_that_the_table_refuses_is_held_and_the_rest_is_applied() {
    everywhere(|_| {
        for word in ["ABORT", "FAIL", "ROLLBACK"] {
            let world = World::new(false);
            let db = ready(&world);
            guard(&db, word);
            let id = open(&db, MERGE);
            let sql = "SELECT sync_apply(?1, ?2)";
            let response = r#"[{"id":"a","n":10},{"id":"bad","n":-1},{"id":"z","n":26}]"#;
            let answer: String = db
                .query_row(sql, (id, response), |row| row.get(0))
                .expect("answers");
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!(answer["state"], "synced", "{word}: {answer}");
            assert_eq!(answer["held"], 1, "{word}: {answer}");
            assert_eq!(answer["warnings"][0]["code"], "rowsHeld", "{word}");
            assert_eq!(rows(&db), "a10 b2 c3 z26", "{word}");
            assert_eq!(held(&db), "bad row trigger", "{word}");
            assert_eq!(pending(&db), "", "{word}");
            // Held rows are tried again with every response, and newer states take their place.
            db.execute_batch("DROP TRIGGER no").expect("dropped");
            assert_eq!(sync(&db, MERGE, "[]"), "synced -0 +1 ~0 !0", "{word}");
            assert_eq!(held(&db), "", "{word}");
            assert_eq!(rows(&db), "a10 b2 bad-1 c3 z26", "{word}");
        }
    });
}

#[test]
fn h1_a_response_inside_the_programs_own_transaction_holds_its_rows_too() {
    everywhere(|_| {
        let world = World::new(false);
        let db = ready(&world);
        guard(&db, "ABORT");
        db.execute_batch("BEGIN").expect("begins");
        sync(&db, MERGE, r#"[{"id":"bad","n":-1},{"id":"z","n":26}]"#);
        db.execute_batch("COMMIT").expect("commits");
        assert_eq!(
            (rows(&db).as_str(), held(&db).as_str()),
            ("a1 b2 c3 z26", "bad row trigger")
        );
        // A trigger that ends the program's transaction ends the call.
        db.execute_batch("DROP TRIGGER no").expect("dropped");
        guard(&db, "ROLLBACK");
        let id = open(&db, MERGE);
        db.execute_batch("BEGIN; CREATE TABLE of_mine (x)")
            .expect("begins");
        refused(
            &db,
            &format!("SELECT sync_apply({id}, '[{{\"id\":\"worse\",\"n\":-2}}]')"),
        );
        assert!(db.is_autocommit());
        assert_eq!(rows(&db), "a1 b2 c3 z26");
    });
}

#[test]
fn h1_a_reference_that_is_broken_at_the_end_of_a_response_holds_its_row() {
    enforced(|_| {
        let world = World::new(false);
        let db = world.open();
        db.execute_batch(
            "CREATE TABLE kind (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER);
             CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER,
                kind TEXT GENERATED ALWAYS AS (data ->> 'kind') STORED REFERENCES kind (id))",
        )
        .expect("tables");
        ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
        ask(&db, "SELECT sync_track('note'), sync_track('kind')");
        let answer = sync(
            &db,
            MERGE,
            r#"[{"id":"a","n":1,"kind":"k"},{"id":"b","n":2}]"#,
        );
        assert_eq!(answer, "synced -0 +1 ~0 !0");
        assert_eq!(held(&db), "a row foreignKey");
        // The parent comes with another entity.
        let id: i64 = db
            .query_row(
                "SELECT json_extract(sync_entities('k', 'app', '[\"kind\"]', ?1), '$.operations[0].statusId')",
                [MERGE],
                |row| row.get(0),
            )
            .expect("opens");
        ask(
            &db,
            &format!("SELECT sync_apply({id}, '[{{\"id\":\"k\"}}]')"),
        );
        assert_eq!((rows(&db).as_str(), held(&db).as_str()), ("a1 b2", ""));
        assert_eq!(pending(&db), "");
    });
}

#[test]
fn h8_rows_that_a_set_still_has_keep_what_refers_to_them() {
    const SAME: &str = r#"[{"id":"a","n":10},{"id":"b","n":2}]"#;
    enforced(|settings| {
        for action in ["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"] {
            for tracked in [true, false] {
                for options in [
                    "{}",
                    r#"{"forRowsWithValues":{"n":1}}"#,
                    r#"{"operations":[{"type":"delete-insert"}]}"#,
                ] {
                    let context = format!("{settings} {action} {tracked} {options}");
                    let world = World::new(false);
                    let db = world.open();
                    ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
                    sync(&db, "{}", r#"[{"id":"a","n":1},{"id":"b","n":2}]"#);
                    if tracked {
                        ask(&db, r#"SELECT sync_track('note', '{"existing":"skip"}')"#);
                    }
                    db.execute_batch(&format!(
                        "CREATE TABLE child (id TEXT PRIMARY KEY, note TEXT REFERENCES note ON DELETE {action});
                         INSERT INTO child VALUES ('x', 'a')"
                    ))
                    .expect("a child");
                    let answer = sync(&db, options, SAME);
                    assert!(answer.starts_with("synced -0 "), "{context}: {answer}");
                    assert_eq!(rows(&db), "a10 b2", "{context}");
                    assert_eq!(ask(&db, "SELECT note FROM child"), "a", "{context}");
                }
            }
        }
    });
}

/// A connection with documents that refer to others by `kind`, both tracked.
fn related(world: &World) -> Connection {
    let db = world.open();
    db.execute_batch(
        "CREATE TABLE kind (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER);
         CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER,
            kind TEXT GENERATED ALWAYS AS (data ->> 'kind') STORED REFERENCES kind (id));
         CREATE INDEX note_kind ON note (kind)",
    )
    .expect("tables");
    ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
    ask(&db, "SELECT sync_track('note'), sync_track('kind')");
    db
}

/// Applies a whole response for `kind`; its state, or why it failed.
fn kinds(db: &Connection, options: &str, response: &str) -> String {
    let sql = "SELECT json_extract(sync_entities('k', 'app', '[\"kind\"]', ?1), '$.operations[0].statusId')";
    let id: i64 = db
        .query_row(sql, [options], |row| row.get(0))
        .expect("opens");
    let sql = "SELECT coalesce(answer ->> '$.error.message', answer ->> 'state') FROM (SELECT sync_apply(?1, ?2) AS answer)";
    db.query_row(sql, (id, response), |row| row.get(0))
        .expect("answers")
}

/// The rows and what is held of them.
fn notes(db: &Connection) -> (String, String) {
    let sql = "SELECT coalesce(group_concat(data, ' '), '') FROM (SELECT * FROM note ORDER BY id)";
    (ask(db, sql), held(db))
}

#[test]
fn h5_a_held_document_is_what_a_record_is_merged_with() {
    enforced(|_| {
        for merge in [MERGE, r#"{"operations":[{"type":"upsert-merge"}]}"#] {
            let world = World::new(false);
            let db = related(&world);
            sync(&db, "{}", r#"[{"id":"a","kind":"k","n":1}]"#);
            sync(&db, merge, r#"[{"id":"a","done":1}]"#);
            assert_eq!(notes(&db), (String::new(), "a row foreignKey".into()));
            assert_eq!(kinds(&db, "{}", r#"[{"id":"k"}]"#), "synced");
            assert_eq!(
                notes(&db),
                (
                    r#"{"done":1,"id":"a","kind":"k","n":1}"#.into(),
                    String::new()
                )
            );
            assert_eq!((pending(&db), conflicts(&db)), Default::default());
        }
    });
}

#[test]
fn h2_a_response_of_some_rows_takes_held_ones_along() {
    enforced(|_| {
        for some in [
            r#"{"forRowsWithValues":{"n":1}}"#,
            r#"{"forRowsInRange":{"n":{"from":1,"to":1}}}"#,
        ] {
            let world = World::new(false);
            let db = related(&world);
            let first = r#"[{"id":"a","kind":"k","n":1},{"id":"b","kind":"k","n":2},{"id":"c","n":1},{"id":"d","n":3}]"#;
            sync(&db, "{}", first);
            assert_eq!(held(&db), "a row foreignKey; b row foreignKey");
            // By what came last: one that is here enters the set, another leaves it.
            let moved = r#"[{"id":"c","n":4,"kind":"k"},{"id":"d","n":1,"kind":"k"}]"#;
            sync(&db, MERGE, moved);
            sync(&db, some, "[]");
            assert_eq!(held(&db), "b row foreignKey; c row foreignKey", "{some}");
            kinds(&db, "{}", r#"[{"id":"k"}]"#);
            assert_eq!(rows(&db), "b2 c4", "{some}");
            assert_eq!((held(&db), pending(&db)), Default::default());
        }
    });
}

#[test]
fn h2_an_id_that_the_server_gives_is_put_into_held_documents_too() {
    enforced(|_| {
        let world = World::new(false);
        let db = related(&world);
        sync(
            &db,
            "{}",
            r#"[{"id":"temp-1","kind":"temp-k","n":1},{"id":"b","kind":"x","of":"temp-1"}]"#,
        );
        sync(&db, &replacing("temp-1", "c9"), "{}");
        assert_eq!(held(&db), "b row foreignKey; c9 row foreignKey");
        sync(&db, &replacing("temp-k", "k"), "{}");
        kinds(&db, "{}", r#"[{"id":"k"},{"id":"x"}]"#);
        assert_eq!(
            notes(&db),
            (
                r#"{"id":"b","kind":"x","of":"c9"} {"id":"c9","kind":"k","n":1}"#.into(),
                String::new()
            )
        );
        // Where a row with the new id is held already, the old one goes.
        sync(
            &db,
            MERGE,
            r#"[{"id":"temp-2","kind":"z"},{"id":"d","kind":"z","n":5}]"#,
        );
        sync(&db, &replacing("temp-2", "d"), "{}");
        assert_eq!(held(&db), "d row foreignKey");
        // What an id makes fit comes at once.
        sync(&db, &replacing("z", "k"), "{}");
        assert_eq!((held(&db), pending(&db)), Default::default());
        assert_eq!(ask(&db, "SELECT kind FROM note WHERE id = 'd'"), "k");
    });
}

#[test]
fn h4_a_replaced_set_keeps_the_parent_of_a_row_made_here() {
    enforced(|_| {
        for action in ["", "ON DELETE RESTRICT"] {
            let world = World::new(false);
            let db = world.open();
            db.execute_batch(&format!(
                "CREATE TABLE kind (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER);
                 CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, kind TEXT REFERENCES kind (id) {action})"
            ))
            .expect("tables");
            ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
            ask(&db, "SELECT sync_track('kind'), sync_track('item')");
            let here = || {
                ask(
                    &db,
                    "SELECT group_concat(id || coalesce(data ->> 'n', ''), ' ') FROM kind",
                )
            };
            kinds(&db, "{}", r#"[{"id":"p1","n":1},{"id":"p2","n":1}]"#);
            db.execute_batch("INSERT INTO item VALUES ('mine', 'p1')")
                .expect("a row");
            for n in 2..4 {
                let set = format!(r#"[{{"id":"p2","n":{n}}},{{"id":"q{n}"}}]"#);
                assert_eq!(kinds(&db, "{}", &set), "synced", "{action}");
                assert_eq!(held(&db), "p1 delete foreignKey", "{action}");
                assert_eq!(here(), format!("p11 p2{n} q{n}"), "{action}");
            }
            assert_eq!(pending(&db), "mine created []", "{action}");
            // It comes again.
            assert_eq!(kinds(&db, "{}", r#"[{"id":"p1","n":5}]"#), "synced");
            assert_eq!(
                (here().as_str(), held(&db).as_str()),
                ("p15", ""),
                "{action}"
            );
            // It may go at last.
            kinds(&db, "{}", r#"[{"id":"p3"}]"#);
            assert_eq!(held(&db), "p1 delete foreignKey", "{action}");
            db.execute_batch("DELETE FROM item").expect("deleted");
            kinds(&db, MERGE, "[]");
            assert_eq!(
                (here().as_str(), held(&db).as_str()),
                ("p3", ""),
                "{action}"
            );
            assert_eq!((pending(&db), conflicts(&db)), Default::default());
        }
    });
}

/// A generated column can't be written: it follows what it is computed from.
#[test]
fn t3_an_id_is_replaced_though_a_generated_column_refers_to_it() {
    everywhere(|settings| {
        let world = World::new(true);
        let db = world.open();
        db.execute_batch(settings).expect("sets");
        db.execute_batch(
            "CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER);
             CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, data TEXT, timestamp INTEGER,
               note TEXT AS (json_extract(data, '$.note')) STORED REFERENCES note (id))",
        )
        .expect("creates");
        ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
        ask(&db, "SELECT sync_track('note'), sync_track('line')");
        db.execute_batch(
            r#"INSERT INTO note (id, data) VALUES ('temp', '{}');
               INSERT INTO line (id, data) VALUES ('l', '{"note":"temp"}')"#,
        )
        .expect("inserts");
        let options = r#"{"operations":[{"type":"find-replace","find":"temp","replace":"p9","tables":["note","line"]}]}"#;
        assert_eq!(sync(&db, options, "[]"), "synced -0 +0 ~1 !0", "{settings}");
        assert_eq!(ask(&db, "SELECT id FROM note"), "p9", "{settings}");
        assert_eq!(ask(&db, "SELECT note FROM line"), "p9", "{settings}");
    });
}
