//! Replacement and bulk load (WatermelonDB checklist, line 10).

use serde_json::{Value, json};
use support::{Canned, Device, status_answer};

const SCHEMA: &str = "
    CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL, name TEXT, project TEXT);
    CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT);";

/// Rows of every status in both tables: synced, created, updated, deleted.
fn with_edits(server: &Canned, more: Value) -> Device {
    let device = Device::configured(SCHEMA, &["p", "t"], &server.url(), more);
    let row = |id: &str, project: &str| json!({"id": id, "name": "there", "project": project});
    server.changes(json!({
        "p": {"created": [row("synced", "one"), row("updated", "one"), row("deleted", "one"), row("other", "two")]},
        "t": {"created": [{"id": "synced"}, {"id": "updated"}, {"id": "deleted"}]}}));
    device.synced();
    for table in ["p", "t"] {
        device.exec(&format!(
            "INSERT INTO {table} (id, name) VALUES ('created', 'here');
             UPDATE {table} SET name = 'here' WHERE id = 'updated';
             DELETE FROM {table} WHERE id = 'deleted';"
        ));
    }
    device.exec("UPDATE p SET project = 'one' WHERE id = 'created'");
    server.clear();
    server.push_raw(|_| status_answer(500, &[], "no"));
    device
}

fn answer(server: &Canned, changes: Value, strategy: Value) {
    let body = json!({"changes": changes, "timestamp": 900, "experimentalStrategy": strategy});
    server.pull(&body.to_string());
}

fn ids(device: &Device, table: &str) -> String {
    device.ask(&format!(
        "SELECT group_concat(id) FROM (SELECT id FROM {table} ORDER BY id)"
    ))
}

fn left_of(device: &Device, table: &str) -> String {
    device.ask(&format!(
        "SELECT group_concat(key || ':' || op, ' ') FROM (SELECT * FROM sync_pending WHERE \"table\" = '{table}' ORDER BY key)"
    ))
}

#[test]
fn line_10_an_empty_set_leaves_only_created_rows() {
    let server = Canned::start();
    let device = with_edits(&server, json!({}));
    answer(
        &server,
        json!({"p": {}, "t": {"created": [], "updated": [], "deleted": []}}),
        json!("replacement"),
    );
    device.sync();
    for table in ["p", "t"] {
        assert_eq!(ids(&device, table), "created");
        assert_eq!(left_of(&device, table), "created:created");
    }
    // What was changed here and went is kept.
    assert_eq!(
        device.ask("SELECT group_concat(entity || rowKey || kind) FROM (SELECT * FROM sync_conflict ORDER BY entity)"),
        "pupdateddeletedRemotely,tupdateddeletedRemotely"
    );
}

#[test]
fn line_10_rows_that_were_sent_are_met_as_ever() {
    let server = Canned::start();
    let device = with_edits(&server, json!({}));
    let set = json!([{"id": "updated", "name": "there 2", "project": "p2"}, {"id": "new"}]);
    answer(
        &server,
        json!({"p": {"updated": set}}),
        json!("replacement"),
    );
    device.sync();
    assert_eq!(ids(&device, "p"), "created,new,updated");
    assert_eq!(
        device.ask("SELECT name, project FROM p WHERE id = 'updated'"),
        "here|p2"
    );
    assert_eq!(left_of(&device, "p"), "created:created updated:updated");
    // The other table was not in the answer.
    assert_eq!(ids(&device, "t"), "created,synced,updated");
    assert_eq!(
        left_of(&device, "t"),
        "created:created deleted:deleted updated:updated"
    );
}

#[test]
fn line_10_a_pending_delete_in_the_set_stays_when_updated_and_revives_when_created() {
    for (kind, there) in [("updated", ""), ("created", "deleted")] {
        let server = Canned::start();
        let device = with_edits(&server, json!({}));
        answer(
            &server,
            json!({"t": {kind: [{"id": "deleted", "name": "new"}]}}),
            json!("replacement"),
        );
        device.sync();
        let left = device.ask("SELECT coalesce(group_concat(id), '') FROM t WHERE id <> 'created'");
        assert_eq!(left, there, "{kind}");
    }
}

#[test]
fn line_10_per_table_by_override() {
    let empty = json!({"p": {"created": []}, "t": {"created": []}});
    for strategy in [
        json!({"default": "incremental", "override": {"p": "replacement"}}),
        json!({"default": "replacement", "override": {"t": "incremental"}}),
        json!({"override": {"p": "replacement"}}),
    ] {
        let server = Canned::start();
        let device = with_edits(&server, json!({}));
        answer(&server, empty.clone(), strategy.clone());
        device.sync();
        assert_eq!(ids(&device, "p"), "created", "{strategy}");
        assert_eq!(left_of(&device, "p"), "created:created", "{strategy}");
        assert_eq!(ids(&device, "t"), "created,synced,updated", "{strategy}");
        assert_eq!(
            left_of(&device, "t"),
            "created:created deleted:deleted updated:updated",
            "{strategy}"
        );
    }
}

#[test]
fn line_10_an_explicit_delete_takes_a_created_row() {
    let server = Canned::start();
    let device = with_edits(&server, json!({}));
    answer(
        &server,
        json!({"p": {"deleted": ["created"]}}),
        json!("replacement"),
    );
    device.sync();
    assert_eq!(ids(&device, "p"), "NULL");
    assert_eq!(left_of(&device, "p"), "NULL");
}

#[test]
fn line_10_by_predicate() {
    let server = Canned::start();
    let device = with_edits(
        &server,
        json!({"replacementWhere": {"p": "project = 'one'"}}),
    );
    answer(&server, json!({"p": {"created": []}}), json!("replacement"));
    device.sync();
    assert_eq!(ids(&device, "p"), "created,other");
    // The condition can't be asked of a row that is gone: its delete still goes up.
    assert_eq!(left_of(&device, "p"), "created:created deleted:deleted");
}

#[test]
fn line_10_predicates_are_sql_and_only_run_where_they_were_declared() {
    let server = Canned::start();
    let device = with_edits(&server, json!({}));
    device.provider(
        &server.url(),
        json!({"replacementWhere": {"p": "nocolumn = 1"}}),
    );
    let text = device.refused("SELECT sync_entities('i', 'api', '[\"p\"]')");
    assert!(
        text.contains("replacementWhere") && text.contains("nocolumn"),
        "{text}"
    );
    device.provider(
        &server.url(),
        json!({"replacementWhere": {"p": "1) OR (1"}}),
    );
    answer(&server, json!({"p": {"created": []}}), json!("replacement"));
    device.sync();
    assert_eq!(ids(&device, "p"), "created");
    let other = device.second();
    support::load(&other);
    let text = support::refused(&other, "SELECT sync_entities('i', 'api', '[\"p\"]')");
    assert!(text.contains("call sync_provider"), "{text}");
}

#[test]
fn line_10_without_pending_changes_it_equals_a_first_sync() {
    let server = Canned::start();
    let rows = json!({"p": {"created": [{"id": "a", "name": "1"}, {"id": "b"}], "updated": [{"id": "c", "project": "x"}]}});
    let old = Device::with(SCHEMA, &["p"], &server.url());
    server.changes(
        json!({"p": {"created": [{"id": "a", "name": "old", "project": "old"}, {"id": "z"}]}}),
    );
    old.synced();
    answer(&server, rows.clone(), json!("replacement"));
    old.synced();
    let fresh = Device::with(SCHEMA, &["p"], &server.url());
    answer(&server, rows, json!("incremental"));
    fresh.synced();
    // A column that is not sent keeps its value here, and has its default there.
    old.exec("UPDATE p SET project = NULL WHERE id = 'a'");
    assert_eq!(old.rows("p"), fresh.rows("p"));
}

#[test]
fn line_10_invalid_strategies_are_refused() {
    for strategy in [json!("nonsense"), json!(7), json!({"default": "x"})] {
        let server = Canned::start();
        let device = with_edits(&server, json!({}));
        answer(&server, json!({"p": {"created": []}}), strategy.clone());
        let error = device.failed();
        assert_eq!(error["class"], "protocol", "{error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("experimentalStrategy is neither")
        );
        assert_eq!(
            ids(&device, "p"),
            "created,other,synced,updated",
            "{strategy}"
        );
    }
}

#[test]
fn line_10_integer_keys_are_replaced_too() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, name TEXT)",
        &["n"],
        &server.url(),
    );
    server.changes(json!({"n": {"created": [{"id": "1"}, {"id": "2"}, {"id": 3}]}}));
    device.synced();
    answer(
        &server,
        json!({"n": {"updated": [{"id": 2}, {"id": "3"}]}}),
        json!("replacement"),
    );
    device.synced();
    assert_eq!(ids(&device, "n"), "2,3");
    assert_eq!(device.pending(), "");
}

#[test]
fn line_10_bulk_load_equals_normal_load() {
    let server = Canned::start();
    let rows: Vec<Value> = (0..2000)
        .map(|n| json!({"id": format!("r{n}"), "name": format!("name {n}")}))
        .collect();
    let body = json!({"changes": {"p": {"created": rows}}, "timestamp": 5, "note": "kept"});
    server.pull(&body.to_string());
    let turbo = Device::with(SCHEMA, &["p"], &server.url());
    let answer: Value = serde_json::from_str(
        &turbo.ask("SELECT sync_entities('i', 'api', '[\"p\"]', '{\"turbo\":true}')"),
    )
    .unwrap();
    assert_eq!(
        (&answer["state"], &answer["rest"]["note"]),
        (&json!("synced"), &json!("kept"))
    );
    server.pull(&body.to_string());
    let normal = Device::with(SCHEMA, &["p"], &server.url());
    normal.synced();
    assert!(turbo.rows("p") == normal.rows("p") && normal.rows("p").len() == 2000);
    assert_eq!(turbo.cursor("p"), normal.cursor("p"));
    // Only at first.
    let text = turbo.refused("SELECT sync_entities('i', 'api', '[\"p\"]', '{\"turbo\":true}')");
    assert!(text.contains("was pulled before"), "{text}");
    let text = turbo.refused("SELECT sync_entities('i', 'api', '[\"p\"]', '{\"turbo\":1}')");
    assert!(text.contains("turbo must be"), "{text}");
}

#[test]
fn line_10_bulk_load_refuses_what_it_cannot_take() {
    for (changes, strategy) in [
        (json!({"p": {"deleted": ["x"]}}), json!(null)),
        (
            json!({"p": {"created": [{"id": "a"}], "other": []}}),
            json!(null),
        ),
        (
            json!({"p": {"created": [{"id": "a"}]}}),
            json!("replacement"),
        ),
    ] {
        let server = Canned::start();
        answer(&server, changes.clone(), strategy);
        let device = Device::with(SCHEMA, &["p"], &server.url());
        let answer = device.ask(
            "SELECT sync_entities('i', 'api', '[\"p\"]', '{\"turbo\":true}') ->> '$.error.class'",
        );
        assert_eq!(answer, "protocol", "{changes}");
        assert_eq!(device.ask("SELECT count(*) FROM p"), "0");
    }
}

/// Only the first pull is a bulk load: the one after a refused push may bring deletes.
#[test]
fn line_10_a_bulk_load_with_a_refused_push_goes_on_with_an_ordinary_pull() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["p"], &server.url());
    device.exec("INSERT INTO p (id) VALUES ('here')");
    server.changes(json!({"p": {"created": [{"id": "a"}, {"id": "b"}]}}));
    server.push_raw(|_| status_answer(409, &[], "changed meanwhile"));
    server.changes(json!({"p": {"created": [], "updated": [], "deleted": ["a"]}}));
    let state =
        device.ask(r#"SELECT sync_entities('i', 'api', '["p"]', '{"turbo":true}') ->> '$.state'"#);
    assert_eq!(
        (state.as_str(), ids(&device, "p").as_str()),
        ("synced", "b,here")
    );
    assert_eq!(device.pending(), "");
}
