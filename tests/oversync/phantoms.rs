//! R3 and R8: changes that were refused, and stay in the server's log all the same.

use serde_json::{Value, json};
use support::backend::oversync::A;
use support::client::{agent, answered};
use support::root;

use crate::client::{Device, USER, held, id, server, sums};

/// A recorded conversation: its steps, each with the device and the request.
fn recorded(file: &str) -> Vec<(u64, String, Value)> {
    let path = root().join("tests/fixtures/oversync/a").join(file);
    let text = std::fs::read_to_string(path).expect("a recording");
    let steps = text.lines().map(|line| {
        let step: Value = serde_json::from_str(line).expect("JSON");
        let device = step["device"].as_str().unwrap_or_default().to_owned();
        (
            step["step"].as_u64().expect("a number"),
            device,
            step["request"].clone(),
        )
    });
    steps.filter(|(.., request)| !request.is_null()).collect()
}

/// Sends an upload as it was recorded.
fn replay(server: &A, device: &str, body: &Value) {
    let url = format!("{}/sync/upload", server.url());
    let token = format!("Bearer {}", server.token(USER, device));
    let request = agent().post(&url).header("Authorization", &token);
    let request = request.header("Content-Type", "application/json");
    let reply = answered(request.send(body.to_string()));
    assert_eq!(reply.status, 200, "{:?}", reply.body);
}

/// Id and name of the users that the server has, and of those that are here.
fn there(server: &A) -> String {
    let rows = server.rows(USER, "users").into_iter();
    let rows = rows.map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        format!("{}|{}", text("id"), text("name"))
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn here(device: &Device) -> String {
    device.ask("SELECT id, name FROM users ORDER BY id")
}

/// What a device has sent: how many changes in each request, and the version of a change that was alone.
fn shape(server: &A) -> Vec<String> {
    let uploads = server.uploads().into_iter();
    uploads
        .map(|changes| match changes.as_slice() {
            [one] => format!("{} {}", one.op, one.server_version),
            more => more.len().to_string(),
        })
        .collect()
}

/// Steps 10, 12 and 22 of the recording put rows, and deletes of rows, into the log that the server does not have; others
/// are there under a version that something else has.
#[test]
fn r3_13_a_device_that_reads_phantoms_has_what_the_server_has() {
    let server = server();
    let device = Device::new(&server, "reader");
    let mut compared = 0;
    for (step, name, request) in recorded("13-phantoms.jsonl") {
        if request["method"] == "POST" {
            replay(&server, &name, &request["body"]);
        } else if name == "d3" {
            device.sync();
            assert_eq!(here(&device), there(&server), "step {step}");
            compared += 1;
        }
    }
    assert_eq!(compared, 4);
    // A device that comes later finds the same.
    let late = Device::new(&server, "late");
    late.sync();
    assert_eq!(here(&late), there(&server));
    // And nobody has anything to say about it.
    for device in [&device, &late] {
        assert_eq!(device.pending(), "");
        assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
    }
}

/// Row 3 of the recording has a phantom under version 3 in the log, and later the real version 3.
#[test]
fn r3_12_a_phantom_above_the_real_version_gives_way_to_that() {
    let server = server();
    let device = Device::new(&server, "reader");
    for (step, name, request) in recorded("12-same-row-twice.jsonl") {
        match request["method"] == "POST" {
            true if step <= 18 => replay(&server, &name, &request["body"]),
            false => drop(device.sync()),
            true => {}
        }
    }
    let row = |number: u32| format!("a000000c-0000-4000-8000-{number:012x}");
    let name = |number: u32| {
        let sql = format!("SELECT name FROM users WHERE id = '{}'", row(number));
        device.ask(&sql)
    };
    assert_eq!(name(3), "The real version 3");
    // What is one version above the real one looks like the next one, until that is there.
    assert_eq!(name(1), "UPDATE base 1 id 2");
    let stored = |number: u32| server.stored(USER, "users", &row(number));
    assert_eq!(stored(1).map(|row| row.version), Some(1));
    server.put(
        USER,
        "users",
        &[
            json!({"id": row(1), "name": "real"}),
            json!({"id": row(10), "name": "real"}),
        ],
    );
    device.sync();
    assert_eq!(here(&device), there(&server));
}

#[test]
fn r8_rows_that_were_refused_in_a_batch_are_read_one_by_one() {
    let server = server();
    let devices = ["phone", "tablet"].map(|name| Device::new(&server, name));
    for number in 1..=3 {
        devices[0].user(number, "a");
    }
    devices.iter().for_each(|device| drop(device.sync()));
    server.put(USER, "users", &[json!({"id": id(1), "name": "theirs"})]);
    server.remove(USER, "users", &[&id(2)]);
    for number in 1..=4 {
        devices[1].user(number, "mine");
    }
    let log = devices[0].done("sync_download_all", "{}")["nextSeq"].clone();
    server.clear_requests();
    assert_eq!(sums(&devices[1].upload()), json!([4, 2, 2, 0, 0]));
    assert_eq!(shape(&server), ["4", "UPDATE -1", "UPDATE -1"]);
    // Each under a number of its own, and with nothing but the key.
    let uploads = server.uploads();
    let sent: Vec<_> = uploads.iter().flatten().collect();
    let mut numbers: Vec<i64> = sent.iter().map(|change| change.source_change_id).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), sent.len());
    for change in &sent[4..] {
        assert_eq!(change.values(), json!({"id": change.pk}));
    }
    // Two that were taken, two phantoms, and nothing of the reading.
    let read = devices[0].done("sync_download_all", "{}")["nextSeq"].clone();
    assert_eq!(
        read.as_i64().expect("a number") - log.as_i64().expect("a number"),
        4
    );
    // Nothing was decided twice.
    assert_eq!(devices[1].ask("SELECT count(*) FROM sync_conflict"), "2");
    for device in &devices {
        device.sync();
        assert_eq!(here(device), there(&server));
    }
    assert_eq!(held(&server, 1), Some((2, Some("theirs".into()))));
}

#[test]
fn r8_one_upsert_and_one_delete_leave_nothing_and_are_not_read() {
    let server = server();
    let device = Device::new(&server, "phone");
    for number in 1..=2 {
        device.user(number, "a");
    }
    device.sync();
    for number in 1..=2 {
        server.put(
            USER,
            "users",
            &[json!({"id": id(number), "name": "theirs"})],
        );
    }
    device.user(1, "mine");
    device.delete("users", 2);
    server.clear_requests();
    assert_eq!(sums(&device.upload()), json!([2, 0, 2, 0, 0]));
    assert_eq!(shape(&server), ["2"]);
}

/// A device that believes in version 3 of user 10, which the server does not have: a phantom that an earlier version of
/// this program took for a row.
fn misled(server: &A) -> Device {
    let device = Device::new(server, "phone");
    // It is not at the beginning of the log, where it would read its own changes too.
    server.put(USER, "users", &[json!({"id": id(99), "name": "first"})]);
    device.sync();
    device.user(10, "phantom");
    device.exec(&format!(
        "DELETE FROM _syncChange; INSERT INTO _syncVersion (provider, tbl, pk, version) \
         SELECT 'api', id, '{}', 3 FROM _syncTable WHERE name = 'users'",
        id(10)
    ));
    device
}

#[test]
fn r3_13_10_a_row_that_the_server_does_not_have_is_for_the_policy() {
    for (policy, there_is) in [("'serverWins'", None), ("'clientWins'", Some("mine"))] {
        let server = server();
        let device = misled(&server);
        let reader = Device::new(&server, "reader");
        device.ask(&format!("SELECT sync_resolver('users', {policy})"));
        device.user(10, "mine");
        device.user(11, "new");
        let answer = device.upload();
        assert_eq!(answer["invalidReasons"], json!({"internal_error": 1}));
        assert_eq!(shape(&server), ["2", "UPDATE -1"]);
        assert_eq!(device.version(10), "");
        // The phantom of version 4 is in the log, and nobody takes it for a row.
        reader.sync();
        assert_eq!(here(&reader), there(&server), "{policy}");
        assert_eq!(held(&server, 10), None);
        for _ in 0..2 {
            device.sync();
            reader.sync();
        }
        let expected = there_is.map(|name| (1, Some(name.to_owned())));
        assert_eq!(held(&server, 10), expected, "{policy}");
        assert_eq!(here(&device), there(&server), "{policy}");
        assert_eq!(here(&reader), there(&server), "{policy}");
        assert_eq!(device.pending(), "", "{policy}");
        assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
        // What comes later is not below the phantom for anybody.
        device.user(10, "later");
        device.sync();
        reader.sync();
        assert_eq!(here(&reader), there(&server), "{policy}");
    }
}

#[test]
fn r3_13_23_deletes_of_rows_that_the_server_does_not_have_hide_no_later_row() {
    let server = server();
    let device = misled(&server);
    let reader = Device::new(&server, "reader");
    device.user(1, "a");
    device.upload();
    assert_eq!(device.version(10), "3|0");
    device.delete("users", 10);
    device.delete("users", 1);
    // Both are applied, one without a version: its tombstone of version 4 is only in the log.
    assert_eq!(sums(&device.upload()), json!([2, 2, 0, 0, 0]));
    reader.sync();
    server.put(USER, "users", &[json!({"id": id(10), "name": "real"})]);
    for device in [&reader, &device] {
        device.sync();
        assert_eq!(here(device), there(&server));
        assert_eq!(device.version(10), "1|0");
    }
}

#[test]
fn r8_where_a_row_can_not_be_read_the_call_goes_on_and_the_next_one_reads_it() {
    let server = server();
    let device = misled(&server);
    device.ask("SELECT sync_resolver('users', 'clientWins')");
    device.user(10, "mine");
    device.user(11, "new");
    server
        .faults()
        .add(json!({"on": "push", "skip": 1, "times": 1, "status": 503}));
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([2, 1, 0, 1, 0]), "{answer}");
    assert_eq!(device.version(10), "3|0");
    server.clear_requests();
    // Alone this time, so that nothing is left in the log; the row is read all the same.
    device.upload();
    assert_eq!(shape(&server), ["UPDATE 3", "UPDATE -1"]);
    device.upload();
    assert_eq!(held(&server, 10), Some((1, Some("mine".into()))));
    assert_eq!(device.pending(), "");
}

#[test]
fn r3_what_the_server_itself_has_said_is_not_doubted() {
    let server = server();
    let devices = ["phone", "tablet"].map(|name| Device::new(&server, name));
    for number in 1..=3 {
        devices[0].user(number, "a");
    }
    devices.iter().for_each(|device| drop(device.sync()));
    for (device, name) in devices.iter().zip(["first", "second"]) {
        for number in 1..=3 {
            device.user(number, name);
        }
        device.upload();
    }
    // Three phantoms of the second one; the first one was told its versions.
    server.clear_requests();
    devices[0].sync();
    assert_eq!(shape(&server), Vec::<String>::new());
    // A third one has only the log, and asks for each.
    let third = Device::new(&server, "third");
    third.sync();
    assert_eq!(shape(&server), ["UPDATE -1"; 3]);
    for device in devices.iter().chain([&third]) {
        assert_eq!(here(device), there(&server));
    }
    server.clear_requests();
    third.sync();
    assert_eq!(shape(&server), Vec::<String>::new());
}
