//! Write modes: which rows a reading replaces. Named by the lines of the settings of Jigx.

use serde_json::{Value, json};

use crate::phone::{Phone, row};
use crate::server::Api;

fn project(id: usize, project: &str, year: i64) -> Value {
    let mut row = row(id);
    row["project"] = json!(project);
    row["year"] = json!(year);
    row
}

const TABLE: &str = "CREATE TABLE typed (id TEXT PRIMARY KEY NOT NULL, project TEXT, year INTEGER)";

/// For a table of documents and one with columns: eight rows are there, then only two come of project p.
fn each(mode: Value, left: &str) {
    each_with(mode, json!({}), left);
}

fn each_with(mode: Value, parameters: Value, left: &str) {
    for entity in ["book", "typed"] {
        let api = Api::start();
        let phone = Phone::new(&api);
        phone.table(TABLE, "typed");
        let rows = (1..=4).map(|n| project(n, "p", 2000 + n as i64));
        let rows = rows.chain((5..=8).map(|n| project(n, "q", 2000 + n as i64)));
        api.set(rows.collect());
        phone.function("all", json!({"path": "/rows", "records": "$.items"}));
        phone.done(entity, "all");
        let mut function = json!({"path": "/rows", "records": "$.items", "mode": mode, "guard": {"allowEmpty": true}});
        if !parameters.as_object().expect("an object").is_empty() {
            function["parameters"] = json!({"p": {"required": true}});
            // What was brought before belongs to the other function: this reads the whole of it first.
            phone.function("list", function.clone());
            phone.read_with(entity, "list", parameters.clone());
        }
        phone.function("list", function);
        api.set(vec![project(1, "p", 2001), project(9, "p", 2009)]);
        let answer = match parameters.as_object().is_some_and(|given| given.is_empty()) {
            true => phone.read(entity, "list"),
            false => phone.read_with(entity, "list", parameters.clone()),
        };
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(phone.ids(entity), left, "{entity} {mode}: {answer}");
        assert_eq!(phone.pending(), "");
    }
}

#[test]
fn none_replaces_all_rows() {
    each(json!({}), "1 9");
}

#[test]
fn for_rows_with_matching_ids_keeps_the_others() {
    each(json!({"forRowsWithMatchingIds": true}), "1 2 3 4 5 6 7 8 9");
}

#[test]
fn for_rows_with_values_replaces_those_that_have_them() {
    each(
        json!({"forRowsWithValues": {"project": "p"}}),
        "1 5 6 7 8 9",
    );
    each(
        json!({"forRowsWithValues": {"project": "q", "year": 2006}}),
        "1 2 3 4 5 7 8 9",
    );
    each(
        json!({"forRowsWithValues": {"project": null}}),
        "1 2 3 4 5 6 7 8 9",
    );
}

#[test]
fn for_rows_in_range_replaces_those_that_are_in_it() {
    each(
        json!({"forRowsInRange": {"year": {"from": 2003, "to": 2005}}}),
        "1 2 6 7 8 9",
    );
    each(
        json!({"forRowsInRange": {"year": {"from": 2007}}}),
        "1 2 3 4 5 6 9",
    );
    let both =
        json!({"forRowsInRange": {"year": {"to": 2006}}, "forRowsWithValues": {"project": "q"}});
    each(both, "1 2 3 4 7 8 9");
}

#[test]
fn keep_temp_ids_keeps_rows_with_temporary_ids() {
    for (keep, left) in [
        (json!(true), "temp-1"),
        (json!("x*"), "x1"),
        (json!(false), ""),
    ] {
        let api = Api::start();
        let phone = Phone::new(&api);
        phone.function("all", json!({"path": "/rows", "records": "$.items"}));
        let mut rows = vec![row(1), row(2)];
        rows[0]["id"] = json!("temp-1");
        rows[1]["id"] = json!("x1");
        api.set(rows);
        phone.done("book", "all");
        let mode = json!({"keepTempIds": keep});
        phone.function("all", json!({"path": "/rows", "records": "$.items", "mode": mode, "guard": {"allowEmpty": true}}));
        api.set(vec![]);
        phone.done("book", "all");
        assert_eq!(phone.ids("book"), left, "{keep}");
    }
}

#[test]
fn values_of_a_mode_may_be_parameters() {
    let mode = json!({"forRowsWithValues": {"project": "{param:p}"}});
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.table(TABLE, "typed");
    let list = json!({"path": "/rows", "records": "$.items", "mode": mode, "guard": {"allowEmpty": true},
        "parameters": {"p": {"required": true}}});
    phone.function("list", list);
    api.set(vec![
        project(1, "p", 1),
        project(2, "q", 1),
        project(3, "p", 1),
    ]);
    phone.read_with("typed", "list", json!({"p": "p"}));
    api.set(vec![]);
    phone.read_with("typed", "list", json!({"p": "p"}));
    assert_eq!(phone.ids("typed"), "2");
}

#[test]
fn rows_that_were_edited_here_stay_whatever_the_mode() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.table(TABLE, "typed");
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "guard": {"allowEmpty": true},
        "mode": {"forRowsWithValues": {"project": "p"}}}),
    );
    api.set(vec![project(1, "p", 1), project(2, "p", 1)]);
    phone.done("typed", "list");
    phone.exec("UPDATE typed SET year = 7 WHERE id = 2; INSERT INTO typed VALUES ('new', 'p', 1)");
    api.set(vec![]);
    phone.done("typed", "list");
    assert_eq!(phone.ids("typed"), "2 new");
}

#[test]
fn g1_the_guard_is_about_the_rows_that_would_be_replaced() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.table(TABLE, "typed");
    phone.function("list", json!({"path": "/rows", "records": "$.items", "mode": {"forRowsWithValues": {"project": "p"}}}));
    api.set(vec![
        project(1, "p", 1),
        project(2, "q", 1),
        project(3, "q", 1),
    ]);
    phone.done("typed", "list");
    api.set(vec![]);
    let error = phone.failed("typed", "list");
    assert_eq!(error["code"], "SYNC_ERROR_SHRINK", "{error}");
    assert_eq!(phone.ids("typed"), "1 2 3");
}

#[test]
fn two_pages_clear_once_and_at_the_end() {
    let api = Api::start();
    let phone = Phone::new(&api);
    phone.table(TABLE, "typed");
    let paging = json!({"kind": "page", "size": 2});
    phone.function("list", json!({"path": "/rows", "records": "$.items", "paging": paging, "mode": {"forRowsWithValues": {"project": "p"}}}));
    api.paging(crate::server::Paging::Page);
    api.set((1..=5).map(|n| project(n, "p", 1)).collect());
    phone.done("typed", "list");
    api.set((3..=7).map(|n| project(n, "p", 1)).collect());
    phone.done("typed", "list");
    assert_eq!(phone.ids("typed"), "3 4 5 6 7");
    // The last page fails: what came is kept, and nothing is removed.
    api.set((6..=9).map(|n| project(n, "p", 1)).collect());
    api.fault(crate::server::Fault::Broken(2));
    phone.failed("typed", "list");
    assert_eq!(phone.ids("typed"), "3 4 5 6 7 8 9");
}

#[test]
fn what_is_wrong_with_a_mode_is_named() {
    let api = Api::start();
    let phone = Phone::new(&api);
    for (mode, said) in [
        (
            r#"{"forRowsWithMatchingIds":true,"forRowsWithValues":{"a":1}}"#,
            "excludes",
        ),
        (
            r#"{"forRowsWithValues":{"a":[1]}}"#,
            "mode.forRowsWithValues.a must be",
        ),
        (
            r#"{"forRowsInRange":{"a":{}}}"#,
            "mode.forRowsInRange.a needs from or to",
        ),
        (r#"{"forRowsWithValue":{"a":1}}"#, "forRowsWithValues"),
        (
            r#"{"forRowsWithValues":{"a":"{param:x}"}}"#,
            "parameters has no",
        ),
    ] {
        let refused = phone.bad_function(&format!(r#"{{"path":"/rows","mode":{mode}}}"#));
        assert!(refused.contains(said), "{mode}: {refused}");
    }
    phone.table(TABLE, "typed");
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "mode": {"forRowsWithValues": {"state": 1}}}),
    );
    let refused = phone.try_call(
        "sync_entities",
        &["s", "api", r#"[{"entity":"typed","function":"list"}]"#],
    );
    assert!(
        refused
            .expect_err("refused")
            .contains("mode names column \"state\"")
    );
}
