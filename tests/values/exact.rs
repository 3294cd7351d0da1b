//! Numbers and texts in columns of numbers: what goes up unedited is what came, to the last digit.

use serde_json::json;
use support::Device;

use crate::server::Server;

/// What the server has in `v` after an edit of another column.
fn returned(declared: &str, types: &str, v: &str) -> String {
    let mut server = Server::start();
    server.put("t", "a", &[("name", r#""Old""#), ("v", v)]);
    let schema = format!("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT, v {declared})");
    let more = json!({"sendCreatedAsUpdated": true});
    let device = Device::configured(&schema, &["t"], &server.canned.url(), more);
    device.ask(&format!("SELECT sync_track('t', '{types}')"));
    server.answers();
    device.synced();
    device.exec("UPDATE t SET name = 'New'");
    device.synced();
    server.take();
    assert_eq!(server.value("t", "a", "name"), r#""New""#, "{declared} {v}");
    server.value("t", "a", "v").to_owned()
}

#[test]
fn v3_numbers_go_up_to_the_last_digit() {
    for (declared, v) in [
        ("REAL", "144115188075855872"),
        ("REAL", "-9223372036854775808"),
        ("REAL", "1152921504606846976"),
        ("INTEGER", "9223372036854775808"),
        ("NUMERIC", "18446744073709551616"),
        ("JSON", "18446744073709551616"),
        ("", "340282366920938463463374607431768211456"),
        ("REAL", "1e-400"),
        ("INTEGER", "1e-400"),
        ("INTEGER", "1.4411518807585587e17"),
        ("REAL", "4.9e-324"),
        ("REAL", "1.7976931348623158e308"),
        ("REAL", "0.10000000000000001"),
    ] {
        assert_eq!(returned(declared, "{}", v), v, "{declared}");
    }
}

#[test]
fn v3_text_that_a_column_of_numbers_takes_for_a_number_goes_up_as_it_came() {
    for declared in [
        "DECIMAL(10,2)",
        "INTEGER",
        "REAL",
        "JSON",
        "BOOLEAN",
        "DATETIME",
    ] {
        for v in [
            "1.0", "10.0", "1.00", "100000.0", "-0.0", "1.5", "007", "1e3", "10",
        ] {
            let v = format!("{v:?}");
            let types = r#"{"types":{"v":"string"}}"#;
            assert_eq!(returned(declared, types, &v), v, "{declared}");
        }
    }
}
