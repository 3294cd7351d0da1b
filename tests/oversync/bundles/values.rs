//! Values on their way up, back, and down.

use serde_json::json;
use support::backend::oversync::B;
use support::backend::oversync::b::{Defects, Options};

use super::{full, server, server_with};
use crate::client::{Device, USER, id};

const TYPED: &str = "SELECT ltrim(substr(id, 25), '0'), name, typeof(note), note, typeof(count_value), count_value, \
                     enabled_flag, typeof(rating), rating, typeof(data), hex(data) FROM typed_rows ORDER BY id";

fn typed(device: &Device, number: u32, values: &str) {
    device.exec(&format!(
        "INSERT INTO typed_rows (id, name, note, count_value, enabled_flag, rating, data) VALUES ('{}', {values})",
        id(number)
    ));
}

/// Two devices that see the same.
fn pair(server: &B) -> [Device; 2] {
    ["phone", "tablet"].map(|name| full(server, name))
}

#[test]
fn b63_the_hash_of_rows_with_signs_that_html_would_read() {
    let server = server();
    let [first, second] = pair(&server);
    let texts = [
        "<b>&amp;</b>",
        "a\u{2028}b\u{2029}c",
        "\u{1}\u{7f}\t\"\\/",
        "é😀\u{fffd}",
        "",
    ];
    for (number, text) in texts.iter().enumerate() {
        first.person(number as u32 + 1, text);
    }
    first.sync();
    first.assert_settled();
    assert_eq!(first.ask("SELECT count(*) FROM users"), "5");
    second.sync();
    let all = "SELECT id, hex(name) FROM users ORDER BY id";
    assert_eq!(first.ask(all), second.ask(all));
    let there = server.rows(USER, "users");
    for (row, text) in there.iter().zip(texts) {
        assert_eq!(row["name"], text);
    }
}

#[test]
fn b5_null_differs_from_an_empty_blob_and_an_empty_text() {
    let server = server();
    let [first, second] = pair(&server);
    typed(&first, 1, "'n', NULL, NULL, 0, NULL, NULL");
    typed(&first, 2, "'n', '', 0, 1, 0.0, x''");
    typed(&first, 3, "'n', 'x', -1, 1, -0.5, x'00ff'");
    first.sync();
    second.sync();
    let here = first.ask(TYPED);
    assert_eq!(
        here,
        "1|n|null|NULL|null|NULL|0|null|NULL|null|\n2|n|text||integer|0|1|real|0|blob|\n3|n|text|x|integer|-1|1|real|-0.5|blob|00FF"
    );
    assert_eq!(second.ask(TYPED), here);
    first.assert_settled();
    second.assert_settled();
}

#[test]
fn r12_integers_beyond_2_53_stay_exact_here() {
    let server = server();
    let [first, second] = pair(&server);
    for (number, value) in [
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "9007199254740992",
    ]
    .iter()
    .enumerate()
    {
        typed(
            &first,
            number as u32 + 1,
            &format!("'n', NULL, {value}, 0, NULL, NULL"),
        );
    }
    let before = first.ask(TYPED);
    first.sync();
    assert_eq!(
        first.ask(TYPED),
        before,
        "what comes back rounded is what is here"
    );
    first.assert_settled();
    // The server has them exactly, and a snapshot says so.
    assert_eq!(
        server.rows(USER, "typed_rows")[0]["count_value"],
        json!(9_007_199_254_740_993_i64)
    );
    second.sync();
    assert_eq!(second.ask(TYPED), before);
    for device in [&first, &second] {
        device.sync();
        assert_eq!(device.ask(TYPED), before);
        device.assert_settled();
    }
}

#[test]
fn r12_pulls_of_rounded_integers_beyond_64_bits_apply() {
    let server = server();
    let [first, second] = pair(&server);
    second.sync();
    typed(&first, 1, "'n', NULL, 9223372036854775807, 0, NULL, NULL");
    typed(&first, 2, "'n', NULL, -9223372036854775808, 0, NULL, NULL");
    first.sync();
    // It comes as 9223372036854775808.
    second.sync();
    assert_eq!(
        second.rows("typed_rows", "typeof(count_value)"),
        "1|integer\n2|integer"
    );
    assert_eq!(
        second.rows("typed_rows", "count_value = 9223372036854775807"),
        "1|1\n2|0"
    );
    second.exec("UPDATE typed_rows SET note = 'edited'");
    second.sync();
    second.assert_settled();
    first.sync();
    assert_eq!(
        first.rows("typed_rows", "note, count_value"),
        "1|edited|9223372036854775807\n2|edited|-9223372036854775808"
    );
}

#[test]
fn r12_an_edit_beside_a_rounded_integer_does_not_lose_it() {
    let server = server();
    let [first, second] = pair(&server);
    typed(&first, 1, "'n', NULL, 9007199254740993, 0, NULL, x'01'");
    first.sync();
    second.sync();
    // The second one may have it rounded: a blob stands beside it. Its edit is of another column.
    second.exec("UPDATE typed_rows SET note = 'theirs'");
    second.sync();
    first.sync();
    assert_eq!(first.rows("typed_rows", "note"), "1|theirs");
    first.exec("UPDATE typed_rows SET note = 'mine'");
    first.sync();
    second.sync();
    assert_eq!(second.rows("typed_rows", "note"), "1|mine");
    first.assert_settled();
}

#[test]
fn b5_reals_come_back_to_the_last_digit() {
    let server = server();
    let [first, second] = pair(&server);
    let reals = [
        "0.1",
        "1e300",
        "1.5e-300",
        "5e-324",
        "1.7976931348623157e308",
        "-2.0",
        "123456789.125",
        "1e21",
        "1e-7",
    ];
    for (number, real) in reals.iter().enumerate() {
        typed(
            &first,
            number as u32 + 1,
            &format!("'n', NULL, NULL, 0, {real}, NULL"),
        );
    }
    let exact = "SELECT id, typeof(rating), printf('%!.20g', rating) FROM typed_rows ORDER BY id";
    let before = first.ask(exact);
    first.sync();
    assert_eq!(first.ask(exact), before);
    second.sync();
    assert_eq!(second.ask(exact), before);
    first.assert_settled();
}

#[test]
fn b5_what_can_not_be_carried_is_a_dead_letter_and_the_rest_goes_up() {
    let server = server();
    let device = full(&server, "phone");
    typed(&device, 1, "'n', NULL, NULL, 0, 9e999, NULL");
    typed(
        &device,
        2,
        "'n', 'a' || char(0) || 'b', NULL, 0, NULL, NULL",
    );
    typed(&device, 3, "'fine', NULL, NULL, 0, NULL, NULL");
    let answer = device.sync();
    assert_eq!(server.rows(USER, "typed_rows").len(), 1, "{answer}");
    let reasons = device.ask("SELECT ltrim(substr(pk, 25), '0') FROM _syncRejected ORDER BY 1");
    assert_eq!(reasons, "1\n2");
}

#[test]
fn b63_times_that_come_back_in_other_words_are_written_here_once() {
    let server = server();
    let [first, second] = pair(&server);
    first.exec(&format!(
        "INSERT INTO typed_rows (id, name, created_at) VALUES ('{}', 'n', '2026-03-04T05:06:07.5Z')",
        id(1)
    ));
    first.person(2, "defaults");
    first.sync();
    let here = first.rows("typed_rows", "created_at");
    assert_eq!(here, "1|2026-03-04T05:06:07.5+00:00");
    assert_eq!(
        first.ask("SELECT count(*) FROM users WHERE created_at IS NULL"),
        "1",
        "a null was sent"
    );
    first.assert_settled();
    second.sync();
    assert_eq!(second.rows("typed_rows", "created_at"), here);
    server.forget();
    first.sync();
    second.sync();
    assert!(server.pushes().is_empty(), "nothing goes up again");
}

#[test]
fn b63_defaults_that_the_server_fills_in_come_here() {
    // The device does not know these columns.
    let server = server();
    let narrow = Device::new(&server, "phone");
    narrow.person(1, "a");
    narrow.sync();
    narrow.assert_settled();
    let wide = full(&server, "tablet");
    wide.sync();
    assert_eq!(
        wide.ask("SELECT count(*) FROM users WHERE created_at IS NOT NULL"),
        "1"
    );
    // An edit of a device without the column leaves it.
    let before = wide.rows("users", "created_at");
    narrow.person(1, "b");
    narrow.sync();
    wide.sync();
    assert_eq!(wide.rows("users", "created_at"), before);
    assert_eq!(wide.people(), "1|b");
}

#[test]
fn b5_booleans_of_the_server_are_0_and_1_here() {
    use support::backend::oversync::b::{Column, Kind, Table};
    let server = server_with(Options {
        tables: vec![
            Table::new("flags", "id", Kind::Text).with(Column::new("done", Kind::Boolean)),
        ],
        ..Options::default()
    });
    let schema = "CREATE TABLE flags (id TEXT PRIMARY KEY NOT NULL, done BOOLEAN)";
    let devices =
        ["phone", "tablet"].map(|name| Device::of(&server, name, (schema, &["flags"]), json!({})));
    // Keys are any text here.
    devices[0].exec("INSERT INTO flags VALUES ('a', 1), ('b & <c>', 0), ('ü', NULL)");
    devices[0].sync();
    devices[0].assert_settled();
    devices[1].sync();
    let all = "SELECT id, typeof(done), done FROM flags ORDER BY id";
    assert_eq!(
        devices[0].ask(all),
        "a|integer|1\nb & <c>|integer|0\nü|null|NULL"
    );
    assert_eq!(devices[1].ask(all), devices[0].ask(all));
    devices[1].exec("UPDATE flags SET done = NOT done; DELETE FROM flags WHERE id = 'ü'");
    devices[1].sync();
    devices[0].sync();
    assert_eq!(devices[0].ask(all), "a|integer|0\nb & <c>|integer|1");
}

#[test]
fn a_server_without_defects_is_synced_with_too() {
    let server = server_with(Options {
        defects: Defects::none(),
        ..Options::default()
    });
    let [first, second] = pair(&server);
    typed(&first, 1, "'n', 'x', 9007199254740991, 1, 0.5, x'01'");
    first.sync();
    second.sync();
    assert_eq!(second.ask(TYPED), first.ask(TYPED));
    for number in 1..=3 {
        second.person(number, "a");
        second.sync();
    }
    server.prune(USER, 3);
    first.sync();
    assert_eq!(first.people(), second.people());
    first.assert_settled();
    second.assert_settled();
}
