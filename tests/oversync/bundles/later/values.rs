//! Values on their way up, back, and down.

use serde_json::json;
use support::backend::oversync::b::{Column, Kind, Options, Revision, Table};

use super::super::{full, server_with};
use super::{TYPED, bodies, later, typed};
use crate::client::{Device, USER, id};

const INTEGERS: &[&str] = &[
    "-9223372036854775808",
    "9223372036854775807",
    "9007199254740993",
    "-1",
    "0",
    "NULL",
];

const REALS: &[&str] = &[
    "5e-324",
    "1.7976931348623157e308",
    "-0.0",
    "1.0",
    "1e21",
    "NULL",
];

#[test]
fn line_14_numbers_travel_as_text_and_arrive_to_the_last_digit() {
    let server = later();
    let [first, reader, late] = ["phone", "tablet", "late"].map(|name| full(&server, name));
    reader.sync();
    for (number, (whole, real)) in INTEGERS.iter().zip(REALS).enumerate() {
        typed(&first, number as u32 + 1, whole, real);
    }
    first.exec("UPDATE typed_rows SET note = '42', data = x'00ff' WHERE count_value = 0");
    let before = first.ask(TYPED);
    first.sync();
    first.assert_settled();
    assert_eq!(first.ask(TYPED), before);
    let chunk = &bodies(&server, "/chunks")[0];
    let sent = |place: usize| &chunk["rows"][place]["payload"];
    assert_eq!(chunk["rows"][0]["base_row_version"], 0);
    assert_eq!(sent(0)["count_value"], "-9223372036854775808");
    assert_eq!(sent(0)["enabled_flag"], "1");
    assert_eq!(sent(0)["rating"], "5e-324");
    assert_eq!(sent(1)["rating"], "1.7976931348623157e+308");
    assert_eq!(sent(2)["count_value"], "9007199254740993");
    assert_eq!(sent(2)["rating"], "0");
    assert_eq!(sent(3)["rating"], "1");
    assert_eq!(sent(4)["note"], "42");
    assert_eq!(sent(4)["rating"], "1e+21");
    assert_eq!(sent(5)["count_value"], json!(null));
    // One reads bundles, and one a snapshot.
    for device in [&reader, &late] {
        device.sync();
        device.assert_settled();
        assert_eq!(device.ask(TYPED), before.replace("-0.0", "0.0"));
        assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0");
    }
    // What was rounded in the earlier revision is a change in this one.
    first.exec(
        "UPDATE typed_rows SET count_value = 9007199254740992 WHERE count_value = 9007199254740993",
    );
    first.sync();
    reader.sync();
    assert_eq!(reader.ask("SELECT max(count_value) FROM typed_rows WHERE name = 'n' AND count_value < 9223372036854775807"), "9007199254740992");
    let check = reader.call("sync_check", "{}");
    assert_eq!(check["state"], "equal", "{check}");
}

#[test]
fn line_14_booleans_go_up_as_0_and_1_and_come_as_true_and_false() {
    let server = server_with(Options {
        revision: Revision::Later,
        tables: vec![
            Table::new("flags", "id", Kind::Text).with(Column::new("done", Kind::Boolean)),
        ],
        ..Options::default()
    });
    // The column may say that it holds booleans, or whole numbers.
    let devices = ["BOOLEAN", "INTEGER"].map(|declared| {
        let schema = format!("CREATE TABLE flags (id TEXT PRIMARY KEY NOT NULL, done {declared})");
        Device::of(&server, declared, (&schema, &["flags"]), json!({}))
    });
    let all = "SELECT id, typeof(done), done FROM flags ORDER BY id";
    devices[0].exec("INSERT INTO flags VALUES ('a', 1), ('b', 0), ('c', NULL)");
    devices[0].sync();
    assert_eq!(
        bodies(&server, "/chunks")[0]["rows"][0]["payload"]["done"],
        "1"
    );
    for device in &devices {
        device.sync();
        device.assert_settled();
        assert_eq!(device.ask(all), "a|integer|1\nb|integer|0\nc|null|NULL");
    }
    devices[1].exec("UPDATE flags SET done = NOT done");
    devices[1].sync();
    devices[0].sync();
    assert_eq!(devices[0].ask(all), "a|integer|0\nb|integer|1\nc|null|NULL");
    assert_eq!(server.rows(USER, "flags")[0]["done"], json!(false));
}

#[test]
fn line_14_decimals_come_as_they_are_where_the_column_can_hold_them() {
    let server = server_with(Options {
        revision: Revision::Later,
        // As a server with a type for decimals shows them.
        tables: vec![
            Table::new("sums", "id", Kind::Text)
                .with(Column::new("amount", Kind::Text))
                .with(Column::new("note", Kind::Text)),
        ],
        ..Options::default()
    });
    let devices = ["NUMERIC", "TEXT"].map(|declared| {
        let schema = format!(
            "CREATE TABLE sums (id TEXT PRIMARY KEY NOT NULL, amount {declared}, note TEXT)"
        );
        Device::of(&server, declared, (&schema, &["sums"]), json!({}))
    });
    let row = |key: &str, amount: &str| json!({"id": key, "amount": amount});
    server.put(
        USER,
        "sums",
        &[
            row("a", "12.3000"),
            row("b", "1234567890.1234567891"),
            row("c", "7"),
        ],
    );
    for device in &devices {
        device.sync();
    }
    let all = "SELECT id, typeof(amount), amount FROM sums ORDER BY id";
    assert_eq!(
        devices[0].ask(all),
        "a|real|12.3\nb|real|1234567890.1234567\nc|integer|7"
    );
    assert_eq!(
        devices[1].ask(all),
        "a|text|12.3000\nb|text|1234567890.1234567891\nc|text|7"
    );
    // What the column can't hold in full goes up as it came.
    devices[0].exec("UPDATE sums SET note = 'edited'; INSERT INTO sums VALUES ('d', 0.5, NULL)");
    devices[0].sync();
    let amounts: Vec<_> = server
        .rows(USER, "sums")
        .into_iter()
        .map(|row| row["amount"].clone())
        .collect();
    assert_eq!(amounts, ["12.3", "1234567890.1234567891", "7", "0.5"]);
    for device in &devices {
        device.sync();
        device.assert_settled();
    }
}

#[test]
fn line_14_keys_may_look_like_numbers() {
    let server = server_with(Options {
        revision: Revision::Later,
        tables: vec![Table::new("t", "id", Kind::Text).with(Column::new("n", Kind::BigInt))],
        ..Options::default()
    });
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER)";
    let devices =
        ["phone", "tablet"].map(|name| Device::of(&server, name, (schema, &["t"]), json!({})));
    devices[0].exec("INSERT INTO t VALUES ('007', 7), ('1e3', 1000), ('<&>', -1)");
    devices[0].sync();
    devices[0].assert_settled();
    devices[1].sync();
    let all = "SELECT id, typeof(id), n FROM t ORDER BY id";
    assert_eq!(
        devices[1].ask(all),
        "007|text|7\n1e3|text|1000\n<&>|text|-1"
    );
    devices[1].exec("DELETE FROM t WHERE id = '007'; UPDATE t SET n = n + 1");
    devices[1].sync();
    devices[0].sync();
    assert_eq!(devices[0].ask(all), "1e3|text|1001\n<&>|text|0");
    let id = id(1);
    assert_eq!(
        devices[0].ask(&format!("SELECT count(*) FROM t WHERE id = '{id}'")),
        "0"
    );
}
