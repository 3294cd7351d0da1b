//! Conflict policies and what is kept of conflicts (WatermelonDB checklist, line 9).

use serde_json::{Value, json};
use support::{Canned, Device, status_answer};

const SCHEMA: &str = "
    CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, name TEXT, n INTEGER, ok BOOLEAN, updated_at INTEGER);
    CREATE TABLE other (id TEXT PRIMARY KEY NOT NULL, name TEXT);";

/// A device with the synced row x (name 'old', n 1, ok 1, updated_at 10).
fn with_a_row(server: &Canned) -> Device {
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    let row = json!({"id": "x", "name": "old", "n": 1, "ok": true, "updated_at": 10});
    server.changes(json!({"thing": {"created": [row]}}));
    device.synced();
    server.clear();
    device
}

/// What the row and its pending changes are after `remote` came over the local edits.
fn meet(device: &Device, server: &Canned, remote: Value) -> (String, String) {
    server.changes(json!({"thing": {"updated": [remote]}}));
    server.push_raw(|_| status_answer(500, &[], "no"));
    let answer = device.sync();
    assert_ne!(answer["error"]["class"], "data", "{answer}");
    (
        device.ask("SELECT name, n, ok, updated_at FROM thing"),
        device.ask("SELECT op, changed FROM sync_pending"),
    )
}

const EDIT: &str = "UPDATE thing SET name = 'mine', updated_at = 20";

fn remote(updated_at: i64) -> Value {
    json!({"id": "x", "name": "theirs", "n": 2, "ok": false, "updated_at": updated_at})
}

#[test]
fn line_09_each_policy_decides_and_says_what_stays_pending() {
    let cases: &[(&str, Value, &str, &str)] = &[
        (
            "'columns'",
            remote(30),
            "mine|2|0|20",
            r#"updated|["name","updated_at"]"#,
        ),
        ("'serverWins'", remote(30), "theirs|2|0|30", ""),
        (
            "'clientWins'",
            remote(30),
            "mine|1|1|20",
            r#"updated|["name","n","ok","updated_at"]"#,
        ),
        ("'lastWriteWins'", remote(30), "theirs|2|0|30", ""),
        ("'lastWriteWins'", remote(20), "theirs|2|0|20", ""),
        (
            "'lastWriteWins'",
            remote(15),
            "mine|1|1|20",
            r#"updated|["name","n","ok","updated_at"]"#,
        ),
        (
            "'lastWriteWins', 'updated_at'",
            json!({"id": "x", "name": "theirs"}),
            "theirs|1|1|20",
            r#"updated|["updated_at"]"#,
        ),
        ("'lastWriteWins', 'name'", remote(99), "theirs|2|0|99", ""),
        ("'sql2', ':remote'", remote(30), "theirs|2|0|30", ""),
        (
            "'sql2', ':local'",
            remote(30),
            "mine|1|1|20",
            r#"updated|["name","n","ok","updated_at"]"#,
        ),
        (
            "'sql2', 'json_object(''name'', (:local ->> ''name'') || ''+'' || (:remote ->> ''name''), ''n'', 7, ''id'', ''evil'', ''stranger'', 1)'",
            remote(30),
            "mine+theirs|7|0|20",
            r#"updated|["name","n","updated_at"]"#,
        ),
        (
            "'sql4', ':resolved'",
            remote(30),
            "mine|2|0|20",
            r#"updated|["name","updated_at"]"#,
        ),
        (
            "'sql4', ':remote'",
            remote(30),
            "theirs|2|0|30",
            r#"updated|["name","updated_at"]"#,
        ),
        (
            "'sql4', 'json_set(:remote, ''$._status'', ''synced'')'",
            remote(30),
            "theirs|2|0|30",
            "",
        ),
        (
            "'sql4', 'json_set(:resolved, ''$._changed'', ''n'', ''$.n'', 5)'",
            remote(30),
            "mine|5|0|20",
            r#"updated|["n"]"#,
        ),
        (
            "'sql4', 'json_set(:resolved, ''$._status'', ''deleted'')'",
            remote(30),
            "",
            "deleted|NULL",
        ),
    ];
    for (policy, remote, row, pending) in cases {
        let server = Canned::start();
        let device = with_a_row(&server);
        assert_eq!(
            device.ask(&format!("SELECT sync_resolver('thing', {policy})")),
            "1"
        );
        device.exec(EDIT);
        let got = meet(&device, &server, remote.clone());
        assert_eq!(
            got,
            ((*row).to_owned(), (*pending).to_owned()),
            "{policy} {remote}"
        );
        assert_eq!(
            device.ask("SELECT count(*) FROM sync_conflict"),
            "1",
            "{policy}"
        );
    }
}

#[test]
fn line_09_what_stays_pending_is_pushed_and_settled() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.ask("SELECT sync_resolver('thing', 'clientWins')");
    device.exec(EDIT);
    server.changes(json!({"thing": {"updated": [remote(30)]}}));
    device.synced();
    let push = &server.pushed()[0]["thing"]["updated"][0];
    assert_eq!(push["_changed"], "name,n,ok,updated_at", "{push}");
    assert_eq!((&push["name"], &push["n"]), (&json!("mine"), &json!(1)));
    assert_eq!(
        (device.pending().as_str(), device.log().as_str()),
        ("", "0")
    );
}

#[test]
fn line_09_a_created_row_stays_created_unless_it_is_all_the_servers() {
    for (policy, op) in [("clientWins", r#"created|["name"]"#), ("serverWins", "")] {
        let server = Canned::start();
        let device = Device::with(SCHEMA, &["thing"], &server.url());
        device.synced();
        device.exec("INSERT INTO thing VALUES ('x', 'mine', 1, 1, 1)");
        device.ask(&format!("SELECT sync_resolver('*', '{policy}')"));
        let remote = json!({"id": "x", "name": "theirs", "n": 1, "ok": true, "updated_at": 1});
        assert_eq!(meet(&device, &server, remote).1, op, "{policy}");
    }
}

/// The server's row lacks what only this device can know of a row it has created.
#[test]
fn line_09_columns_of_a_created_row_that_the_server_did_not_name_are_still_sent() {
    for policy in ["clientWins", "serverWins", "lastWriteWins", "sql2"] {
        let server = Canned::start();
        let device = Device::with(SCHEMA, &["thing"], &server.url());
        device.synced();
        device.exec("INSERT INTO thing VALUES ('x', 'mine', 7, NULL, 1)");
        let argument = if policy == "sql2" { ", ':remote'" } else { "" };
        device.ask(&format!("SELECT sync_resolver('*', '{policy}'{argument})"));
        let remote = json!({"id": "x", "name": "mine"});
        assert_eq!(
            meet(&device, &server, remote),
            (
                "mine|7|NULL|1".into(),
                r#"created|["n","updated_at"]"#.into()
            ),
            "{policy}"
        );
        server.clear();
        device.synced();
        assert_eq!(server.pushed()[0]["thing"]["created"][0]["n"], 7);
    }
}

#[test]
fn line_09_the_policy_of_an_entity_goes_before_that_of_all() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.ask("SELECT sync_resolver('*', 'serverWins')");
    device.ask("SELECT sync_resolver('thing', 'clientWins')");
    device.exec(EDIT);
    assert_eq!(meet(&device, &server, remote(30)).0, "mine|1|1|20");
    device.ask("SELECT sync_resolver('thing', NULL)");
    assert_eq!(meet(&device, &server, remote(30)).0, "theirs|2|0|30");
}

/// The seed page's resolver: `(local, remote)`, the newer row is kept.
#[test]
fn line_09_a_resolver_of_local_and_remote_keeps_what_its_page_promises() {
    let newer = "CASE WHEN :local ->> ''updated_at'' > :remote ->> ''updated_at'' THEN :local ELSE :remote END";
    for (stamp, row) in [(30, "theirs|2|0|30"), (15, "mine|1|1|20")] {
        let server = Canned::start();
        let device = with_a_row(&server);
        device.ask(&format!("SELECT sync_resolver('thing', 'sql2', '{newer}')"));
        device.exec(EDIT);
        assert_eq!(meet(&device, &server, remote(stamp)).0, row);
    }
}

#[test]
fn line_09_sql2_is_not_asked_about_rows_nobody_changed_but_sql4_is() {
    for (policy, row) in [
        ("sql2", "theirs|2|0|30"),
        ("sql4", "asked thing theirs|2|0|30"),
    ] {
        let server = Canned::start();
        let device = with_a_row(&server);
        let table = if policy == "sql4" { ":table" } else { "''?''" };
        device.ask(&format!(
            "SELECT sync_resolver('thing', '{policy}', 'json_set(:remote, ''$.name'', \
             ''asked '' || {table} || '' '' || (:remote ->> ''name''))')"
        ));
        assert_eq!(
            meet(&device, &server, remote(30)),
            (row.to_owned(), String::new()),
            "{policy}"
        );
        // Equal rows are not asked about, and nothing here is a conflict.
        let same = json!({"id": "x", "name": device.ask("SELECT name FROM thing"), "n": 2, "ok": false, "updated_at": 30});
        let before = device.ask("SELECT name FROM thing");
        meet(&device, &server, same);
        assert_eq!(device.ask("SELECT name FROM thing"), before, "{policy}");
        assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
    }
}

#[test]
fn line_09_a_function_of_the_program_can_decide() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device
        .db
        .create_scalar_function(
            "pick",
            2,
            rusqlite::functions::FunctionFlags::SQLITE_UTF8,
            |call| {
                let (local, remote): (String, String) = (call.get(0)?, call.get(1)?);
                let mut row: Value = serde_json::from_str(&remote).unwrap();
                let local: Value = serde_json::from_str(&local).unwrap();
                row["name"] = json!(format!(
                    "{}&{}",
                    local["name"].as_str().unwrap(),
                    row["name"].as_str().unwrap()
                ));
                Ok(row.to_string())
            },
        )
        .unwrap();
    device.ask("SELECT sync_resolver('thing', 'sql2', 'pick(:local, :remote)')");
    device.exec(EDIT);
    let got = meet(&device, &server, remote(30));
    assert_eq!(
        got,
        ("mine&theirs|2|0|30".into(), r#"updated|["name"]"#.into())
    );
}

#[test]
fn line_09_a_resolver_that_fails_leaves_its_row_and_the_rest_is_applied() {
    for (expression, said) in [
        ("NULL", "null, not a JSON object"),
        ("5", "integer, not a JSON object"),
        ("''text''", "no JSON object"),
        ("''[1]''", "no JSON object"),
        ("abs(-9223372036854775808)", "overflow"),
    ] {
        let server = Canned::start();
        let device = with_a_row(&server);
        device.ask(&format!(
            "SELECT sync_resolver('thing', 'sql2', '{expression}')"
        ));
        device.exec(EDIT);
        let cursor = device.cursor("thing");
        server.changes(json!({"thing": {"created": [{"id": "new"}], "updated": [remote(30)]}}));
        let answer = device.synced();
        let warning = &answer["warnings"][0];
        assert_eq!(
            (&warning["code"], &warning["entity"], &warning["count"]),
            (&json!("resolverFailed"), &json!("thing"), &json!(1)),
            "{answer}"
        );
        let message = warning["message"].as_str().unwrap();
        assert!(message.contains(said), "{message}");
        assert_ne!(device.cursor("thing"), cursor);
        assert_eq!(
            device.ask("SELECT id, name FROM thing ORDER BY id"),
            "new|NULL\nx|mine"
        );
        assert_eq!(device.pending(), r#"thing|x|updated|["name","updated_at"]"#);
        assert_eq!(server.pushed().len(), 0);
    }
}

#[test]
fn line_09_wrong_policies_are_refused() {
    let server = Canned::start();
    let device = with_a_row(&server);
    for (call, said) in [
        ("sync_resolver('thing', 'newest')", "known are columns"),
        ("sync_resolver('thing', 'sql2')", "needs an SQL expression"),
        (
            "sync_resolver('thing', 'serverWins', 'x')",
            "takes no argument",
        ),
        (
            "sync_resolver('thing', 'sql2', 'nofunction(:local)')",
            "nofunction",
        ),
        (
            "sync_resolver('thing', 'sql2', ':resolved')",
            "sql2 has :local, :remote",
        ),
        ("sync_resolver('thing', 'sql4', ':other')", ":other"),
        (
            "sync_resolver('thing', 'sql2', '1); DELETE FROM thing; SELECT (1')",
            "one statement",
        ),
        ("sync_resolver('', 'columns')", "entity is empty"),
        ("sync_resolver(5, 'columns')", "entity must be text"),
    ] {
        let text = device.refused(&format!("SELECT {call}"));
        assert!(text.contains(said), "{call}: {text}");
    }
    assert_eq!(device.ask("SELECT count(*) FROM _syncResolver"), "0");
}

#[test]
fn line_09_sql_from_the_file_alone_is_not_run() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.exec("INSERT INTO _syncResolver VALUES ('thing', 'sql2', ':remote')");
    server.clear();
    let text = device.refused("SELECT sync_entities('i', 'api', '[\"thing\"]')");
    assert!(text.contains("call sync_resolver"), "{text}");
    assert_eq!(server.seen().len(), 0);
    // A connection that was given the text by another function is no better than this one.
    device.ask("SELECT sync_resolver('other', 'sql2', ':remote')");
    assert_eq!(device.sync()["state"], "synced");
}

#[test]
fn every_conflict_is_kept_with_both_sides() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.exec(EDIT);
    meet(
        &device,
        &server,
        json!({"id": "x", "name": "theirs", "n": 1}),
    );
    assert_eq!(
        device.ask(
            "SELECT provider, runId, entity, rowKey, kind, policy, columns FROM sync_conflict"
        ),
        "api|2|thing|x|edited|columns|name"
    );
    let sides = |name: &str| -> Value {
        let sql =
            format!("SELECT {name} FROM sync_conflict WHERE rowKey = 'x' ORDER BY id DESC LIMIT 1");
        serde_json::from_str(&device.ask(&sql)).unwrap_or_default()
    };
    assert_eq!(
        sides("local"),
        json!({"id": "x", "_status": "updated", "_changed": "name,updated_at", "name": "mine", "n": 1, "ok": true, "updated_at": 20})
    );
    assert_eq!(
        sides("remote"),
        json!({"id": "x", "name": "theirs", "n": 1})
    );
    assert_eq!(
        sides("resolved"),
        json!({"id": "x", "name": "mine", "n": 1, "ok": true, "updated_at": 20})
    );
    // Deleted there, changed here: what goes is kept.
    server.changes(json!({"thing": {"deleted": ["x"]}}));
    device.sync();
    assert_eq!(
        device.ask("SELECT kind, policy FROM sync_conflict ORDER BY id DESC LIMIT 1"),
        "deletedRemotely|NULL"
    );
    assert_eq!(sides("local")["name"], "mine");
    assert_eq!(device.ask("SELECT count(*) FROM thing"), "0");
}

#[test]
fn deletes_here_and_rows_from_there_are_kept_too() {
    for (kind, resolved) in [("updated", false), ("created", true)] {
        let server = Canned::start();
        let device = with_a_row(&server);
        device.exec("DELETE FROM thing");
        server.changes(json!({"thing": {kind: [remote(30)]}}));
        device.sync();
        assert_eq!(
            device.ask("SELECT kind, local IS NULL, remote ->> 'name', resolved IS NOT NULL FROM sync_conflict"),
            format!("deletedHere|1|theirs|{}", i32::from(resolved)),
            "{kind}"
        );
    }
}

#[test]
fn equal_rows_are_no_conflict() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.exec(EDIT);
    let same = json!({"id": "x", "name": "mine", "n": 1, "ok": true, "updated_at": 20});
    assert_eq!(
        meet(&device, &server, same.clone()).1,
        r#"updated|["name","updated_at"]"#
    );
    device.ask("SELECT sync_resolver('thing', 'serverWins')");
    assert_eq!(meet(&device, &server, same).1, "");
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
}

/// J5: the server sends back what we pushed; the row was edited again meanwhile.
#[test]
fn journal_j5_an_echo_is_no_conflict_with_later_edits() {
    for policy in [
        "'serverWins'",
        "'lastWriteWins', 'n'",
        "'sql2', ':remote'",
        "'columns'",
    ] {
        let server = Canned::start();
        let device = with_a_row(&server);
        device.ask(&format!("SELECT sync_resolver('thing', {policy})"));
        device.exec("UPDATE thing SET name = 'pushed'");
        device.synced();
        device.exec("UPDATE thing SET name = 'edited since'");
        // updated_at is the server's own business.
        let echo = json!({"id": "x", "name": "pushed", "n": 1, "ok": true, "updated_at": 999});
        let got = meet(&device, &server, echo);
        assert_eq!(
            got,
            ("edited since|1|1|999".into(), r#"updated|["name"]"#.into()),
            "{policy}"
        );
        assert_eq!(
            device.ask("SELECT count(*) FROM sync_conflict"),
            "0",
            "{policy}"
        );
        // Another's word is a conflict as ever.
        let word = json!({"id": "x", "name": "theirs", "n": 1, "ok": true, "updated_at": 1000});
        meet(&device, &server, word);
        assert_eq!(
            device.ask("SELECT count(*) FROM sync_conflict"),
            "1",
            "{policy}"
        );
    }
}

#[test]
fn the_newest_conflicts_are_kept() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.exec("INSERT INTO _syncMeta VALUES ('conflictLimit', 3)");
    device.exec(EDIT);
    for n in 100..105 {
        meet(
            &device,
            &server,
            json!({"id": "x", "name": format!("theirs {n}")}),
        );
    }
    assert_eq!(
        device.ask("SELECT count(*), min(remote ->> 'name') FROM sync_conflict"),
        "3|theirs 102"
    );
}

#[test]
fn wide_tables_keep_the_right_columns_pending() {
    let columns: Vec<String> = (0..130).map(|n| format!("c{n} INTEGER")).collect();
    let schema = format!(
        "CREATE TABLE wide (id TEXT PRIMARY KEY NOT NULL, {})",
        columns.join(", ")
    );
    let server = Canned::start();
    let device = Device::with(&schema, &["wide"], &server.url());
    let row: serde_json::Map<String, Value> = (0..130)
        .map(|n| (format!("c{n}"), json!(n)))
        .chain([("id".to_owned(), json!("x"))])
        .collect();
    server.changes(json!({"wide": {"created": [row.clone()]}}));
    device.synced();
    device.ask("SELECT sync_resolver('wide', 'clientWins')");
    device.exec("UPDATE wide SET c5 = -5");
    let mut other = row;
    for n in [61, 62, 124, 129] {
        other.insert(format!("c{n}"), json!(-1));
    }
    server.changes(json!({"wide": {"updated": [other]}}));
    server.push_raw(|_| status_answer(500, &[], "no"));
    device.sync();
    assert_eq!(
        device.ask("SELECT changed FROM sync_pending"),
        r#"["c5","c61","c62","c124","c129"]"#
    );
}

/// What is written to a column that is not synced is nothing to the server, so its row is no conflict.
#[test]
fn rows_changed_only_in_columns_that_are_not_synced_take_the_servers_row() {
    for policy in ["clientWins", "lastWriteWins", "columns"] {
        let server = Canned::start();
        let device = Device::configured(
            "CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, name TEXT, updated_at INTEGER, seen INTEGER)",
            &["thing"],
            &server.url(),
            json!({"excludeColumns": {"thing": ["seen"]}}),
        );
        let row = |name: &str| json!({"id": "x", "name": name, "updated_at": 5});
        server.changes(json!({"thing": {"created": [row("old")]}}));
        device.synced();
        device.ask(&format!("SELECT sync_resolver('*', '{policy}')"));
        device.exec("UPDATE thing SET seen = 1");
        server.changes(json!({"thing": {"updated": [row("theirs")]}}));
        server.clear();
        let answer = device.synced();
        assert_eq!(
            device.ask("SELECT name, seen FROM thing"),
            "theirs|1",
            "{policy}"
        );
        assert_eq!(
            (&answer["conflicts"], server.pushed().len()),
            (&json!(0), 0),
            "{policy}"
        );
        // Neither is anything lost when the server deletes it.
        device.exec("UPDATE thing SET seen = 2");
        server.changes(json!({"thing": {"deleted": ["x"]}}));
        device.synced();
        assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
    }
}

/// Rows that swap a unique value wait for each other, and let go of their columns meanwhile. They are
/// decided about once, as they were.
#[test]
fn rows_that_wait_for_each_other_are_decided_about_once() {
    let notes =
        "json_set(:remote, ''$.note'', (:local ->> ''note'') || '' + '' || (:remote ->> ''note''))";
    for (policy, edit, rows, conflicts) in [
        (
            format!("'sql4', '{notes}'"),
            "",
            "a|2|na + sa\nb|1|nb + sb",
            0,
        ),
        (
            format!("'sql4', '{notes}'"),
            "mine",
            "a|2|mine + sa\nb|1|mine + sb",
            2,
        ),
        (
            format!("'sql2', '{notes}'"),
            "mine",
            "a|2|mine + sa\nb|1|mine + sb",
            2,
        ),
        ("'serverWins'".into(), "mine", "a|2|sa\nb|1|sb", 2),
        ("'columns'".into(), "mine", "a|2|mine\nb|1|mine", 2),
    ] {
        let server = Canned::start();
        let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE, note TEXT)";
        let device = Device::with(schema, &["t"], &server.url());
        let rows_of = |one: &str, other: &str, by: &str| json!([{"id": "a", "u": one, "note": format!("{by}a")}, {"id": "b", "u": other, "note": format!("{by}b")}]);
        server.changes(json!({"t": {"created": rows_of("1", "2", "n")}}));
        device.synced();
        device.ask(&format!("SELECT sync_resolver('t', {policy})"));
        if !edit.is_empty() {
            device.exec(&format!("UPDATE t SET note = '{edit}'"));
        }
        server.changes(json!({"t": {"updated": rows_of("2", "1", "s")}}));
        server.push_raw(|_| status_answer(500, &[], "no"));
        let answer = device.sync();
        assert_eq!(device.ask("SELECT * FROM t ORDER BY id"), rows, "{policy}");
        assert_eq!(answer["conflicts"], conflicts, "{policy}: {answer}");
        assert_eq!(
            device.ask("SELECT coalesce(group_concat(local ->> 'u'), '') FROM sync_conflict"),
            if conflicts == 0 { "" } else { "1,2" },
            "{policy}"
        );
    }
}

#[test]
fn line_09_a_resolver_may_let_the_row_go_and_that_is_kept() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.ask(
        "SELECT sync_resolver('thing', 'sql4', 'json_set(:resolved, ''$._status'', ''deleted'')')",
    );
    device.exec(EDIT);
    assert_eq!(
        meet(&device, &server, remote(30)),
        (String::new(), "deleted|NULL".into())
    );
    assert_eq!(
        device.ask("SELECT local ->> 'name', remote ->> 'name', resolved FROM sync_conflict"),
        "mine|theirs|NULL"
    );
}

#[test]
fn line_09_last_write_wins_tells_of_a_column_that_is_not_there() {
    let server = Canned::start();
    let device = with_a_row(&server);
    device.ask("SELECT sync_resolver('*', 'lastWriteWins', 'udpated_at')");
    device.exec(EDIT);
    server.changes(json!({"thing": {"updated": [remote(10)]}}));
    let answer = device.synced();
    assert!(
        answer["warnings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("\"udpated_at\""),
        "{answer}"
    );
    assert_eq!(device.ask("SELECT name FROM thing"), "theirs");
}
