//! Line 23 of "What is tested" in docs/scopes.md: what a response does to the tables of an entity.

use rusqlite::Connection;
use support::scopes::{scope, status};
use support::{World, ask, both, refused};

/// A connection with a host provider and an instance in a scope.
fn ready(world: &World) -> Connection {
    let db = world.open();
    ask(&db, r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
    ask(&db, r#"SELECT sync_start_scope('s', '["i"]')"#);
    db
}

/// Opens one operation; its status id.
fn open(db: &Connection, entity: &str, options: &str) -> i64 {
    let sql = "SELECT json_extract(sync_entities('i', 'app', json_array(?1), ?2), \
               '$.operations[0].statusId')";
    db.query_row(sql, (entity, options), |row| row.get(0))
        .expect("opens")
}

fn apply(db: &Connection, id: i64, response: &str, page: Option<i64>) -> String {
    db.query_row(
        "SELECT sync_apply(?1, ?2, ?3)",
        (id, response, page),
        |row| row.get(0),
    )
    .expect("answers")
}

/// Opens, applies the whole response, and gives state and counts.
fn sync(db: &Connection, entity: &str, options: &str, response: &str) -> String {
    let id = open(db, entity, options);
    summary(db, &apply(db, id, response, None))
}

fn summary(db: &Connection, answer: &str) -> String {
    db.query_row(
        "SELECT (?1 ->> 'state') || ' -' || (?1 ->> 'deleted') || ' +' || (?1 ->> 'inserted') \
         || ' ~' || (?1 ->> 'updated') || coalesce(' ' || (?1 ->> '$.error.message'), '')",
        [answer],
        |row| row.get(0),
    )
    .expect("a summary")
}

fn rows(db: &Connection, table: &str) -> String {
    let sql = format!(
        "SELECT coalesce(group_concat(id || '=' || data, ' '), '') \
         FROM (SELECT * FROM \"{table}\" ORDER BY id)"
    );
    ask(db, &sql)
}

const TWO: &str = r#"[{"id":"a","n":1},{"id":"b","n":2}]"#;

#[test]
fn line_23_without_settings_all_rows_are_replaced() {
    both(|world| {
        let db = ready(world);
        assert_eq!(sync(&db, "local/books-x", "{}", TWO), "synced -0 +2 ~0");
        assert_eq!(
            sync(&db, "local/books-x", "{}", r#"[{"id":"b","n":3}]"#),
            "synced -1 +0 ~1"
        );
        assert_eq!(rows(&db, "local/books-x"), r#"b={"id":"b","n":3}"#);
        assert!(scope(&db, "s").contains("synced"), "{}", scope(&db, "s"));
        assert_eq!(sync(&db, "local/books-x", "{}", "[]"), "synced -1 +0 ~0");
    });
}

#[test]
fn line_23_tables_have_id_data_and_timestamp() {
    both(|world| {
        let db = ready(world);
        sync(
            &db,
            "local/books-x",
            "{}",
            r#" {"id":"only","deep":{"x":[1]}} "#,
        );
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(name || ' ' || type, ',') FROM pragma_table_info('local/books-x')"
            ),
            "id TEXT,data TEXT,timestamp INTEGER"
        );
        assert_eq!(
            rows(&db, "local/books-x"),
            r#"only={"id":"only","deep":{"x":[1]}}"#
        );
        let recent =
            "SELECT abs(timestamp - unixepoch('now') * 1000) < 100000 FROM [local/books-x]";
        assert_eq!(ask(&db, recent), "1");
    });
}

#[test]
fn line_23_matching_ids_are_merged_and_others_kept() {
    both(|world| {
        let db = ready(world);
        sync(
            &db,
            "t",
            "{}",
            r#"[{"id":"a","n":1,"x":{"y":1}},{"id":"b","n":2}]"#,
        );
        let answer = sync(
            &db,
            "t",
            r#"{"forRowsWithMatchingIds":true}"#,
            r#"[{"id":"a","x":{"z":null}},{"id":"c"}]"#,
        );
        assert_eq!(answer, "synced -0 +1 ~1");
        assert_eq!(
            rows(&db, "t"),
            r#"a={"id":"a","n":1,"x":{"z":null}} b={"id":"b","n":2} c={"id":"c"}"#
        );
        let answer = sync(
            &db,
            "t",
            r#"{"forRowsWithMatchingIds":true}"#,
            r#"[{"n":1}]"#,
        );
        assert!(
            answer.starts_with("failed") && answer.contains("no id"),
            "{answer}"
        );
    });
}

#[test]
fn line_23_rows_with_values_are_replaced() {
    both(|world| {
        let db = ready(world);
        let all = r#"[{"id":1,"p":"x","ok":true},{"id":2,"p":"x","ok":1},{"id":3,"p":"y","ok":true},
                      {"id":4,"p":"X","ok":true},{"id":5,"ok":true}]"#;
        sync(&db, "t", "{}", all);
        let settings = r#"{"forRowsWithValues":{"p":"x","ok":true}}"#;
        assert_eq!(
            sync(&db, "t", settings, r#"[{"id":9,"p":"x"}]"#),
            "synced -1 +1 ~0"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY id)"
            ),
            "2,3,4,5,9"
        );
        let missing = r#"{"forRowsWithValues":{"p":null}}"#;
        assert_eq!(sync(&db, "t", missing, "[]"), "synced -1 +0 ~0");
        assert_eq!(ask(&db, "SELECT count(*) FROM t WHERE id = 5"), "0");
        // A row of the response may take the place of one outside the condition.
        assert_eq!(
            sync(&db, "t", settings, r#"[{"id":3,"new":1}]"#),
            "synced -0 +0 ~1"
        );
    });
}

#[test]
fn line_23_rows_in_a_range_are_replaced() {
    both(|world| {
        let db = ready(world);
        let all = r#"[{"id":"a","n":1,"p":"x"},{"id":"b","n":2,"p":"x"},{"id":"c","n":3.5,"p":"y"},
                      {"id":"d","n":"2","p":"x"},{"id":"e"}]"#;
        let again = || sync(&db, "t", "{}", all);
        again();
        let both_ends = r#"{"forRowsInRange":{"n":{"from":1,"to":2}}}"#;
        assert_eq!(
            sync(&db, "t", both_ends, "[]"),
            "synced -2 +0 ~0",
            "inclusive; text is no number"
        );
        again();
        let open_end = r#"{"forRowsInRange":{"n":{"from":2}}}"#;
        assert_eq!(sync(&db, "t", open_end, "[]"), "synced -2 +0 ~0");
        again();
        let text = r#"{"forRowsInRange":{"n":{"from":"1","to":"3"}}}"#;
        assert_eq!(sync(&db, "t", text, "[]"), "synced -1 +0 ~0");
        again();
        let joined = r#"{"forRowsInRange":{"n":{"from":1,"to":9}},"forRowsWithValues":{"p":"y"}}"#;
        assert_eq!(sync(&db, "t", joined, "[]"), "synced -1 +0 ~0");
        assert_eq!(ask(&db, "SELECT count(*) FROM t WHERE id = 'c'"), "0");
    });
}

#[test]
fn line_23_temporary_ids_survive() {
    both(|world| {
        let db = ready(world);
        let all = r#"[{"id":"TEMP-1"},{"id":"temp_2"},{"id":"template"},{"id":"mine:3"}]"#;
        sync(&db, "t", "{}", all);
        sync(&db, "t", r#"{"keepTempIds":true}"#, r#"[{"id":"s"}]"#);
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY id)"
            ),
            "TEMP-1,s,temp_2"
        );
        sync(&db, "t", "{}", all);
        sync(&db, "t", r#"{"keepTempIds":"mine:*"}"#, r#"[{"id":"s"}]"#);
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY id)"
            ),
            "mine:3,s"
        );
        sync(&db, "t", r#"{"keepTempIds":false}"#, "[]");
        assert_eq!(rows(&db, "t"), "");
    });
}

#[test]
fn line_23_operations_run_in_order() {
    both(|world| {
        let db = ready(world);
        sync(
            &db,
            "customers",
            "{}",
            r#"[{"id":"TEMP-7","name":"Ann","seen":1},{"id":"k","ref":"TEMP-7"}]"#,
        );
        let settings = r#"{"operations":[
            {"type":"operation.find-replace","find":"TEMP-7","replace":"$.customer.id"},
            {"type":"operation.upsert-merge","records":"$.customer"},
            {"type":"operation.delete-insert","table":"local-flags","records":"$.flags","primaryKey":"code","timeStamp":"at"},
            {"type":"operation.upsert-replace","table":"local-counts",
             "records":"SELECT json_object('id', 'all', 'count', count(*)) FROM json_each(:response, '$.flags')"},
            {"type":"operation.upsert-merge","records":[{"id":"never"}],"when":false},
            {"type":"operation.upsert-merge","records":[{"id":"page one"}],"when":":page = 1"},
            {"type":"operation.upsert-merge","records":[{"id":"page two"}],"when":":page = 2"},
            {"type":"execute_sql","statements":["DELETE FROM [local-flags] WHERE id = :gone",
             {"statement":"UPDATE [local-counts] SET data = json_set(data, '$.entity', :entity)"}],
             "parameters":{"gone":"no"}}]}"#;
        let response = r#"{"customer":{"id":12,"name":"Anne"},
            "flags":[{"code":"ch","at":5},{"code":"no","at":6}]}"#;
        assert_eq!(
            sync(&db, "customers", settings, response),
            "synced -0 +4 ~3"
        );
        assert_eq!(
            rows(&db, "customers"),
            r#"12={"id":12,"name":"Anne","seen":1} k={"id":"k","ref":12} page one={"id":"page one"}"#
        );
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(id || timestamp) FROM [local-flags]"
            ),
            "ch5"
        );
        assert_eq!(
            rows(&db, "local-counts"),
            r#"all={"id":"all","count":2,"entity":"customers"}"#
        );
    });
}

#[test]
fn line_23_each_operation_alone() {
    both(|world| {
        let db = ready(world);
        let one =
            |kind: &str, more: &str| format!(r#"{{"operations":[{{"type":"{kind}"{more}}}]}}"#);
        sync(
            &db,
            "t",
            "{}",
            r#"[{"id":"a","n":1,"p":"x"},{"id":"b","n":2,"p":"y"}]"#,
        );
        assert_eq!(
            sync(
                &db,
                "t",
                &one("upsert-replace", ""),
                r#"[{"id":"a","m":1},{"id":"c"}]"#
            ),
            "synced -0 +1 ~1"
        );
        assert_eq!(
            rows(&db, "t"),
            r#"a={"id":"a","m":1} b={"id":"b","n":2,"p":"y"} c={"id":"c"}"#
        );
        assert_eq!(
            sync(&db, "t", &one("upsert-merge", ""), r#"{"id":"a","n":3}"#),
            "synced -0 +0 ~1"
        );
        assert_eq!(
            sync(
                &db,
                "t",
                &one(
                    "delete-insert",
                    r#","forRowsWithValues":{"p":"y"},"forRowsInRange":{"n":{"to":9}}"#
                ),
                r#"{"id":"d"}"#
            ),
            "synced -1 +1 ~0"
        );
        assert_eq!(
            rows(&db, "t"),
            r#"a={"id":"a","m":1,"n":3} c={"id":"c"} d={"id":"d"}"#
        );
        // The row that has the new id already is the server's; the temporary one goes.
        assert_eq!(
            sync(
                &db,
                "t",
                &one("find-replace", r#","find":"c","replace":"a""#),
                "{}"
            ),
            "synced -1 +0 ~0"
        );
        assert_eq!(
            sync(&db, "t", &one("delete-insert", ""), "[]"),
            "synced -2 +0 ~0"
        );
        let keys = one("upsert-replace", r#","primaryKey":["x","y"]"#);
        sync(&db, "t", &keys, r#"{"x":"l","y":4}"#);
        assert_eq!(rows(&db, "t"), r#"l-4={"x":"l","y":4}"#);
    });
}

#[test]
fn line_23_rows_go_on_the_first_page_only() {
    both(|world| {
        let db = ready(world);
        sync(&db, "t", "{}", r#"[{"id":"old"}]"#);
        let id = open(&db, "t", "{}");
        assert_eq!(
            summary(&db, &apply(&db, id, TWO, Some(1))),
            "syncing -1 +2 ~0"
        );
        assert!(status(&db, id).contains("syncing"));
        assert_eq!(
            summary(&db, &apply(&db, id, r#"[{"id":"c"}]"#, Some(2))),
            "syncing -0 +1 ~0"
        );
        assert_eq!(
            ask(&db, &format!("SELECT sync_set_status({id}, 'synced')")),
            "1"
        );
        assert_eq!(ask(&db, "SELECT count(*) FROM t"), "3");
    });
}

#[test]
fn line_23_a_failure_on_page_two_keeps_page_one() {
    both(|world| {
        let db = ready(world);
        db.execute_batch(
            "CREATE TABLE t (id TEXT PRIMARY KEY, data TEXT CHECK (json_extract(data, '$.n') < 10), \
             timestamp INTEGER); INSERT INTO t VALUES ('old', '{\"n\":0}', 0)",
        )
        .expect("a table");
        let id = open(&db, "t", "{}");
        apply(&db, id, TWO, Some(1));
        let answer = apply(&db, id, r#"[{"id":"c","n":3},{"id":"d","n":99}]"#, Some(2));
        let said = summary(&db, &answer);
        assert!(
            said.starts_with("failed -0 +0 ~0") && said.contains("record 2"),
            "{said}"
        );
        assert!(answer.contains(r#""class":"data""#), "{answer}");
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY id)"
            ),
            "a,b"
        );
        assert!(status(&db, id).contains("failed"), "{}", status(&db, id));
        assert!(scope(&db, "s").contains("failed"), "{}", scope(&db, "s"));
        let again = refused(&db, &format!("SELECT sync_apply({id}, '[]', 3)"));
        assert!(again.contains("no open operation"), "{again}");
    });
}

#[test]
fn line_23_one_entity_does_not_stop_the_others() {
    both(|world| {
        let db = ready(world);
        ask(&db, r#"SELECT sync_entities('i', 'app', '["x","y"]')"#);
        assert!(apply(&db, 1, "<html>", None).contains("not valid JSON"));
        assert_eq!(summary(&db, &apply(&db, 2, TWO, None)), "synced -0 +2 ~0");
        assert!(status(&db, 1).contains("failed") && status(&db, 2).contains("synced"));
        assert!(scope(&db, "s").contains("failed"));
    });
}

#[test]
fn line_23_responses_that_are_no_records_fail_and_change_nothing() {
    both(|world| {
        let db = ready(world);
        sync(&db, "t", "{}", TWO);
        for response in [
            "",
            "null",
            "5",
            "\"x\"",
            "[1",
            "{\"id\":\"a\"",
            "[{\"id\":true}]",
            "[{\"id\":null}]",
        ] {
            let answer = sync(&db, "t", "{}", response);
            assert!(
                answer.starts_with("failed -0 +0 ~0"),
                "{response}: {answer}"
            );
            assert_eq!(ask(&db, "SELECT count(*) FROM t"), "2", "{response}");
        }
        let wrong_path = r#"{"operations":[{"type":"delete-insert","records":"$.items"}]}"#;
        let answer = sync(&db, "t", wrong_path, r#"{"itmes":[]}"#);
        assert!(answer.contains("nothing at $.items"), "{answer}");
        db.execute_batch("CREATE TABLE plain (id TEXT, title TEXT)")
            .expect("a table");
        let answer = sync(&db, "plain", "{}", TWO);
        assert!(answer.contains("no column data"), "{answer}");
    });
}

#[test]
fn line_23_the_call_joins_the_callers_transaction() {
    both(|world| {
        let db = ready(world);
        let id = open(&db, "t", "{}");
        db.execute_batch("BEGIN").expect("begin");
        assert_eq!(summary(&db, &apply(&db, id, TWO, None)), "synced -0 +2 ~0");
        db.execute_batch("ROLLBACK").expect("rollback");
        assert_eq!(
            ask(&db, "SELECT count(*) FROM sqlite_master WHERE name = 't'"),
            "0"
        );
        assert!(status(&db, id).contains("syncing"));
        assert_eq!(summary(&db, &apply(&db, id, TWO, None)), "synced -0 +2 ~0");
    });
}

#[test]
fn line_23_a_status_deleted_meanwhile_still_takes_its_response() {
    both(|world| {
        let db = ready(world);
        let id = open(&db, "t", r#"{"forRowsWithMatchingIds":true}"#);
        ask(&db, &format!("SELECT sync_delete_status({id})"));
        assert_eq!(summary(&db, &apply(&db, id, TWO, None)), "synced -0 +2 ~0");
        assert!(scope(&db, "s").contains("synced"), "{}", scope(&db, "s"));
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncStatus"), "0");
    });
}

#[test]
fn wrong_calls_are_refused_and_change_nothing() {
    let world = World::new(false);
    let db = ready(&world);
    let id = open(&db, "t", "{}");
    for (sql, said) in [
        (
            "SELECT sync_apply(99, '[]')".to_owned(),
            "status 99 has no open operation",
        ),
        (
            format!("SELECT sync_apply({id}, NULL)"),
            "response must be JSON text",
        ),
        (
            format!("SELECT sync_apply({id}, x'00')"),
            "response must be JSON text",
        ),
        (
            format!("SELECT sync_apply({id}, '[]', 0)"),
            "counted from 1",
        ),
        (
            format!("SELECT sync_apply({id}, '[]', 'x')"),
            "page must be an integer",
        ),
        (
            "SELECT sync_apply('x', '[]')".to_owned(),
            "status id must be an integer",
        ),
        (
            r#"SELECT sync_entities('i', 'app', '["t"]', '{"forRowsInRange":{"n":{}}}')"#
                .to_owned(),
            "forRowsInRange.n",
        ),
        (
            r#"SELECT sync_entities('i', 'app', '["t"]', '{"operations":[{"type":"drop"}]}')"#
                .to_owned(),
            "known are delete-insert",
        ),
    ] {
        let text = refused(&db, &sql);
        assert!(text.contains(said), "{sql}: {text}");
    }
    assert!(status(&db, id).contains("syncing"));
}

#[test]
fn sql_of_a_file_runs_only_where_it_was_declared() {
    let world = World::new(false);
    let db = ready(&world);
    let settings =
        r#"{"operations":[{"type":"execute-sql","statements":["DELETE FROM victims"]}]}"#;
    db.execute_batch("CREATE TABLE victims (x); INSERT INTO victims VALUES (1)")
        .expect("a table");
    let id = open(&db, "t", settings);
    let other = world.open();
    let text = refused(&other, &format!("SELECT sync_apply({id}, '[]')"));
    assert!(
        text.contains("unless this connection declared it"),
        "{text}"
    );
    assert_eq!(ask(&db, "SELECT count(*) FROM victims"), "1");
    assert_eq!(summary(&db, &apply(&db, id, "[]", None)), "synced -0 +0 ~0");
    assert_eq!(ask(&db, "SELECT count(*) FROM victims"), "0");
}

#[test]
fn line_23_ids_beyond_64_bits_are_kept_apart() {
    let world = World::new(false);
    let db = ready(&world);
    let large = r#"[{"id":18446744073709551614,"t":"one"},{"id":18446744073709551615,"t":"two"}]"#;
    assert_eq!(sync(&db, "books", "{}", large), "synced -0 +2 ~0");
    let ids = "SELECT group_concat(id || typeof(id) || (data ->> 't'), ' ') FROM (SELECT * FROM books ORDER BY id)";
    assert_eq!(
        ask(&db, ids),
        "18446744073709551614textone 18446744073709551615texttwo"
    );
    let merging = r#"{"forRowsWithMatchingIds":true}"#;
    assert_eq!(sync(&db, "books", merging, large), "synced -0 +0 ~2");
}

#[test]
fn line_23_an_empty_list_of_operations_does_nothing() {
    let world = World::new(false);
    let db = ready(&world);
    assert_eq!(sync(&db, "books", "{}", TWO), "synced -0 +2 ~0");
    let none = r#"{"operations":[]}"#;
    assert_eq!(sync(&db, "books", none, "[]"), "synced -0 +0 ~0");
    assert_eq!(ask(&db, "SELECT count(*) FROM books"), "2");
}
