//! Rows that were changed on both sides: every row of the table of situations, with every policy.

use serde_json::json;
use support::backend::oversync::A;

use crate::client::{Device, USER, held, id, server, sums};

/// A device with user 1, which another device has changed since.
fn met(theirs: Option<&str>) -> (A, Device) {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec(&format!("INSERT INTO users VALUES ('{}', 'a', 'e')", id(1)));
    device.sync();
    match theirs {
        Some(name) => server.put(USER, "users", &[json!({"id": id(1), "name": name})]),
        None => server.remove(USER, "users", &[&id(1)]),
    }
    (server, device)
}

fn policy(device: &Device, policy: &str) {
    device.ask(&format!("SELECT sync_resolver('users', {policy})"));
}

fn conflicts(device: &Device) -> String {
    device.ask("SELECT kind, policy, local ->> 'name', remote ->> 'name', resolved ->> 'name' FROM sync_conflict")
}

#[test]
fn upload_conflict_the_server_wins_where_nobody_said_otherwise() {
    let (server, device) = met(Some("theirs"));
    device.user(1, "mine");
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([1, 0, 1, 0, 0]), "{answer}");
    assert_eq!(device.rows("users", "name"), "1|theirs");
    assert_eq!(
        (device.pending(), device.version(1)),
        (String::new(), "2|0".into())
    );
    assert_eq!(conflicts(&device), "edited|serverWins|mine|theirs|theirs");
    assert_eq!(held(&server, 1), Some((2, Some("theirs".into()))));
}

#[test]
fn upload_conflict_kept_rows_go_up_with_the_next_call_under_a_new_number() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'clientWins'");
    device.user(1, "mine");
    device.upload();
    assert_eq!(device.pending(), "users|1|updated");
    assert_eq!(device.version(1), "2|0");
    device.upload();
    assert_eq!(held(&server, 1), Some((3, Some("mine".into()))));
    let numbers: Vec<i64> = server
        .uploads()
        .iter()
        .flatten()
        .map(|change| change.source_change_id)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let other = Device::new(&server, "tablet");
    other.sync();
    assert_eq!(other.rows("users", "name"), "1|mine");
}

#[test]
fn upload_conflict_columns_changed_here_stay() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'columns'");
    device.exec("UPDATE users SET email = 'mine'");
    device.upload();
    assert_eq!(device.rows("users", "name || email"), "1|theirsmine");
    device.upload();
    assert_eq!(held(&server, 1), Some((3, Some("theirs".into()))));
    assert_eq!(device.pending(), "");
}

#[test]
fn s6_a_conflict_with_what_was_sent_is_an_acknowledgement() {
    let (server, device) = met(Some("same"));
    // It would fail if it were asked.
    policy(&device, "'sql2', 'json(''no'')'");
    device.user(1, "same");
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([1, 1, 0, 0, 0]), "{answer}");
    assert_eq!(
        (device.pending(), device.version(1)),
        (String::new(), "2|0".into())
    );
    assert_eq!(conflicts(&device), "");
    assert_eq!(held(&server, 1), Some((2, Some("same".into()))));
}

#[test]
fn s6_both_sides_deleted_is_an_acknowledgement() {
    let (_server, device) = met(None);
    device.delete("users", 1);
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([1, 1, 0, 0, 0]), "{answer}");
    assert_eq!(
        (device.pending(), device.version(1)),
        (String::new(), "2|1".into())
    );
}

#[test]
fn upload_conflict_a_delete_wins_over_a_living_row() {
    let (server, device) = met(Some("theirs"));
    device.delete("users", 1);
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([1, 0, 1, 0, 0]), "{answer}");
    assert_eq!(device.rows("users", "name"), "");
    assert_eq!(device.pending(), "users|1|deleted");
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(held(&server, 1), Some((3, None)));
}

#[test]
fn upload_conflict_with_a_tombstone_is_for_the_policy() {
    for (policy_name, name, pending) in [
        ("'serverWins'", "", ""),
        ("'clientWins'", "1|mine", "users|1|created"),
    ] {
        let (server, device) = met(None);
        policy(&device, policy_name);
        device.user(1, "mine");
        device.upload();
        assert_eq!(device.rows("users", "name"), name, "{policy_name}");
        assert_eq!(
            device.pending().is_empty(),
            pending.is_empty(),
            "{policy_name}"
        );
        device.upload();
        let last = match pending.is_empty() {
            true => (2, None),
            false => (3, Some("mine".to_owned())),
        };
        assert_eq!(held(&server, 1), Some(last), "{policy_name}");
        assert_eq!(device.pending(), "");
    }
}

#[test]
fn download_upsert_over_a_pending_upsert_is_for_the_policy() {
    for (policy_name, name) in [("'serverWins'", "theirs"), ("'clientWins'", "mine")] {
        let (server, device) = met(Some("theirs"));
        policy(&device, policy_name);
        device.user(1, "mine");
        device.download();
        assert_eq!(device.rows("users", "name"), format!("1|{name}"));
        device.upload();
        assert_eq!(device.pending(), "");
        let stored = held(&server, 1).expect("a row");
        assert_eq!(stored.1.as_deref(), Some(name));
    }
}

#[test]
fn download_upsert_that_equals_the_pending_one_is_an_acknowledgement() {
    let (server, device) = met(Some("same"));
    policy(&device, "'clientWins'");
    device.user(1, "same");
    device.download();
    assert_eq!(
        (device.pending(), conflicts(&device)),
        (String::new(), String::new())
    );
    assert_eq!(sums(&device.upload()), json!([0, 0, 0, 0, 0]));
    assert_eq!(held(&server, 1).map(|held| held.0), Some(2));
}

#[test]
fn download_upsert_over_a_pending_delete_stays_deleted_on_the_new_base() {
    let (server, device) = met(Some("theirs"));
    device.delete("users", 1);
    device.download();
    assert_eq!(device.rows("users", "name"), "");
    assert_eq!(
        (device.pending(), device.version(1)),
        ("users|1|deleted".into(), "2|0".into())
    );
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(held(&server, 1), Some((3, None)));
}

#[test]
fn download_delete_over_a_pending_upsert_is_for_the_policy() {
    let resolver =
        "'sql2', 'CASE WHEN :remote IS NULL THEN json_set(:local, ''$.name'', ''both'') END'";
    for (policy_name, name) in [
        ("'serverWins'", None),
        ("'clientWins'", Some("mine")),
        (resolver, Some("both")),
        ("'sql2', 'NULL'", None),
    ] {
        let (server, device) = met(None);
        policy(&device, policy_name);
        device.user(1, "mine");
        device.download();
        let rows = name.map(|name| format!("1|{name}")).unwrap_or_default();
        assert_eq!(device.rows("users", "name"), rows, "{policy_name}");
        assert_eq!(device.version(1), "2|1");
        assert!(conflicts(&device).starts_with("deletedRemotely|"));
        device.upload();
        assert_eq!(device.pending(), "", "{policy_name}");
        let stored = held(&server, 1).expect("a row");
        assert_eq!(stored.1.as_deref(), name, "{policy_name}");
    }
}

/// Three users, changed here and there; the resolver fails for the second one.
fn three_met() -> (A, Device) {
    let server = server();
    let device = Device::new(&server, "phone");
    for number in 1..=3 {
        device.user(number, "a");
    }
    device.sync();
    for number in 1..=3 {
        server.put(
            USER,
            "users",
            &[json!({"id": id(number), "name": "theirs"})],
        );
        device.user(number, "mine");
    }
    let fails = format!(
        "'sql2', 'CASE :local ->> ''id'' WHEN ''{}'' THEN abs(-9223372036854775808) ELSE :local END'",
        id(2)
    );
    policy(&device, &fails);
    (server, device)
}

fn resolver_warnings(answer: &serde_json::Value) -> Vec<i64> {
    let warnings = answer["warnings"].as_array().expect("warnings").iter();
    let failed = warnings.filter(|warning| warning["code"] == "resolverFailed");
    failed
        .filter_map(|warning| warning["count"].as_i64())
        .collect()
}

#[test]
fn line_9_an_upload_conflict_whose_resolver_fails_is_not_sent_again() {
    let (server, device) = three_met();
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([3, 0, 3, 0, 0]), "{answer}");
    assert_eq!(resolver_warnings(&answer), [1], "{answer}");
    // It is known which version the server has; what of it stays is not.
    assert_eq!(device.rows("users", "name"), "1|mine\n2|mine\n3|mine");
    assert_eq!(device.version(2), "2|0");
    assert_eq!(
        device.ask("SELECT op, reason, payload ->> 'name' FROM sync_held"),
        "row|resolver|theirs"
    );
    for _ in 0..2 {
        device.upload();
        assert_eq!(held(&server, 2), Some((2, Some("theirs".into()))));
    }
    assert_eq!(held(&server, 1), Some((3, Some("mine".into()))));
    assert_eq!(device.pending(), "users|2|updated");
    let requests = server.requests().len();
    assert_eq!(sums(&device.upload()), json!([0, 0, 0, 0, 0]));
    assert_eq!(server.requests().len(), requests, "nothing is due");
    // Mended, both sides come to the same.
    policy(&device, "'clientWins'");
    device.sync();
    device.sync();
    assert_eq!(held(&server, 2), Some((3, Some("mine".into()))));
    assert_eq!(device.pending(), "");
    let other = Device::new(&server, "tablet");
    other.sync();
    assert_eq!(other.rows("users", "name"), "1|mine\n2|mine\n3|mine");
}

#[test]
fn line_9_a_delete_of_the_server_whose_resolver_fails_leaves_the_row_pending() {
    for (mended, name) in [
        ("'clientWins'", Some("mine")),
        ("'serverWins'", None),
        ("'sql2', 'NULL'", None),
    ] {
        for by_upload in [true, false] {
            let (server, device) = met(None);
            policy(&device, "'sql2', 'iif(:remote IS NULL, 5, :local)'");
            device.user(1, "mine");
            device.user(2, "other");
            let answer = match by_upload {
                true => device.upload(),
                false => device.download(),
            };
            assert_eq!(resolver_warnings(&answer), [1], "{answer}");
            device.sync();
            assert_eq!(device.rows("users", "name"), "1|mine\n2|other");
            assert_eq!(device.pending(), "users|1|updated");
            assert_eq!(
                device.ask("SELECT op, reason FROM sync_held"),
                "delete|resolver"
            );
            assert_eq!(held(&server, 1), Some((2, None)));
            assert_eq!(held(&server, 2), Some((1, Some("other".into()))));
            policy(&device, mended);
            device.sync();
            device.sync();
            let stored = held(&server, 1).expect("a row");
            assert_eq!(stored.1.as_deref(), name, "{mended}");
            let rows = name.map_or(String::new(), |name| format!("1|{name}\n"));
            assert_eq!(device.rows("users", "name"), rows + "2|other", "{mended}");
            assert_eq!(device.pending(), "", "{mended}");
            assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0");
        }
    }
}

#[test]
fn line_9_a_delete_that_a_failing_resolver_left_undecided_goes_with_the_devices_own() {
    let (server, device) = met(None);
    policy(&device, "'sql2', '5'");
    device.user(1, "mine");
    device.download();
    assert_eq!(device.rows("users", "name"), "1|mine");
    device.delete("users", 1);
    device.sync();
    assert_eq!(
        (device.rows("users", "name"), device.pending()),
        Default::default()
    );
    assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0");
    assert_eq!(held(&server, 1), Some((2, None)));
}

#[test]
fn line_9_a_parent_that_is_deleted_there_stays_while_nobody_decides() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("PRAGMA foreign_keys = ON");
    device.user(1, "a");
    device.sync();
    server.remove(USER, "users", &[&id(1)]);
    device.user(1, "mine");
    device.post(9, "child", 1);
    policy(&device, "'sql2', '5'");
    device.download();
    assert_eq!(
        device.ask("SELECT op, reason FROM sync_held"),
        "delete|resolver"
    );
    // A row refers to it, and it is kept: that is no reason not to ask.
    policy(&device, "'clientWins'");
    device.sync();
    device.sync();
    assert_eq!(device.pending(), "");
    assert_eq!(held(&server, 1), Some((3, Some("mine".into()))));
    assert_eq!(server.rows(USER, "posts").len(), 1);
}

#[test]
fn line_9_a_reference_that_a_resolver_makes_up_leaves_its_row_pending() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("PRAGMA foreign_keys = ON");
    device.user(1, "a");
    device.post(9, "a", 1);
    device.sync();
    server.put(USER, "posts", &[json!({"id": id(9), "title": "theirs"})]);
    device.exec("UPDATE posts SET title = 'mine'");
    device.user(2, "other");
    let missing = id(77);
    device.ask(&format!(
        "SELECT sync_resolver('posts', 'sql2', 'json_set(:local, ''$.author_id'', ''{missing}'')')"
    ));
    for _ in 0..2 {
        let answer = device.sync();
        assert_eq!(resolver_warnings(&answer), [1], "{answer}");
        assert_eq!(device.rows("posts", "title"), "9|mine");
        assert_eq!(device.pending(), "posts|9|updated");
    }
    assert!(
        device
            .ask("SELECT \"constraint\" FROM sync_held")
            .contains(&missing)
    );
    assert_eq!(held(&server, 2), Some((1, Some("other".into()))));
    device.ask("SELECT sync_resolver('posts', 'clientWins')");
    device.sync();
    device.sync();
    assert_eq!(device.pending(), "");
    assert_eq!(server.rows(USER, "posts")[0]["title"], "mine");
}

#[test]
fn a_resolver_that_gives_null_leaves_the_row_to_the_server() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'sql2', 'NULL'");
    device.user(1, "mine");
    device.upload();
    assert_eq!(device.rows("users", "name"), "1|theirs");
    assert_eq!(device.pending(), "");
    assert_eq!(conflicts(&device), "edited|sql2|mine|theirs|theirs");
    assert_eq!(held(&server, 1), Some((2, Some("theirs".into()))));
}

#[test]
fn two_devices_converge() {
    let server = server();
    let devices = [
        Device::new(&server, "phone"),
        Device::new(&server, "tablet"),
    ];
    for round in 0..4 {
        for (place, device) in devices.iter().enumerate() {
            let own = 10 * (place as u32 + 1) + round;
            device.user(own, "own");
            device.user(1, &format!("{place}{round}"));
            device.post(100 + own, "post", own);
            if round == 2 {
                device.exec(
                    "DELETE FROM posts WHERE id IN (SELECT id FROM posts ORDER BY id LIMIT 1)",
                );
            }
            device.sync();
        }
    }
    for _ in 0..2 {
        devices.iter().for_each(|device| drop(device.sync()));
    }
    let all = "SELECT id, name, email FROM users UNION ALL SELECT id, title, author_id FROM posts ORDER BY 1";
    assert_eq!(devices[0].ask(all), devices[1].ask(all));
    assert_eq!(devices[0].pending() + &devices[1].pending(), "");
    let count = devices[0].ask("SELECT count(*) FROM users");
    assert_eq!(count, server.rows(USER, "users").len().to_string());
}

#[test]
fn line_6_g4_g5_phantoms_of_refused_changes_do_not_spread() {
    let server = server();
    let devices = ["phone", "tablet"].map(|name| Device::new(&server, name));
    for number in 1..=3 {
        devices[0].user(number, "a");
    }
    devices[0].sync();
    devices[1].sync();
    for (device, name) in devices.iter().zip(["first", "second"]) {
        for number in 1..=3 {
            device.user(number, name);
        }
    }
    devices[0].upload();
    // All three are refused, and stay in the log under versions that the other's have.
    assert_eq!(sums(&devices[1].upload()), json!([3, 0, 3, 0, 0]));
    let reader = Device::new(&server, "reader");
    // Three inserts, three updates, and what was refused.
    assert_eq!(reader.done("sync_download_all", "{}")["nextSeq"], 9);
    let all = "SELECT id, name FROM users ORDER BY id";
    for device in devices.iter().chain([&reader]) {
        device.sync();
        assert_eq!(device.ask(all).matches("first").count(), 3);
        for number in 1..=3 {
            assert_eq!(device.version(number), "2|0");
        }
    }
    let stored: Vec<_> = (1..=3).map(|number| held(&server, number)).collect();
    assert_eq!(stored, vec![Some((2, Some("first".to_owned()))); 3]);
}
