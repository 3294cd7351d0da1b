//! A hostile file: any value in any column of our tables. An error or an answer, never a crash, never a
//! transaction left open, and nothing of it run as SQL.

use std::sync::atomic::{AtomicUsize, Ordering};

use support::ask;
use support::hostile::{Base, Victim, all_well};
use support::sample::is_whole;

/// Values that no column of ours expects.
const VALUES: &[(&str, &str)] = &[
    ("the largest integer", "9223372036854775807"),
    ("almost the smallest integer", "-9223372036854775807"),
    ("minus one", "-1"),
    ("a real", "1e308"),
    ("a blob", "x'00ff'"),
    ("a call", "'canary()'"),
    ("JSON cut off", "'{\"a\":['"),
    ("JSON of another type", "'[{\"a\":1}]'"),
    (
        "JSON too deep",
        "replace(hex(zeroblob(5000)), '0', '[') || replace(hex(zeroblob(5000)), '0', ']')",
    ),
    ("a megabyte", "hex(zeroblob(500000))"),
];

/// Each column meets one or two of the values; with `SYNCSCOPE_WHOLE=1`, all of them, which takes minutes.
#[test]
fn any_value_in_any_column_of_our_tables_is_an_error_or_nothing() {
    let base = Base::furnished();
    let columns = ask(
        &base.plain(),
        "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name LIKE '\\_sync%' ESCAPE '\\'",
    );
    assert!(columns.lines().count() > 100);
    let mut drops = String::from("PRAGMA ignore_check_constraints = ON;");
    for trigger in base.triggers().lines() {
        drops.push_str(&format!("DROP TRIGGER \"{trigger}\";"));
    }
    let all = is_whole(module_path!());
    let mut attacks = Vec::new();
    for (number, line) in columns.lines().enumerate() {
        let (table, column) = line.split_once('|').expect("two");
        for (place, (what, value)) in VALUES.iter().enumerate() {
            if !all && (place + number) % 8 != 0 {
                continue;
            }
            let update = format!("UPDATE OR IGNORE \"{table}\" SET \"{column}\" = {value};");
            attacks.push((format!("{table}.{column} = {what}"), update));
        }
    }
    let made = AtomicUsize::new(0);
    all_well(&attacks, |(what, update)| {
        let victim = Victim::of(&base);
        // Some values SQLite itself keeps out.
        if victim.attack(&format!("{drops}{update}")).is_err() {
            return Vec::new();
        }
        made.fetch_add(1, Ordering::Relaxed);
        let found = victim.exercise();
        found
            .into_iter()
            .map(|found| format!("{what}: {found}"))
            .collect()
    });
    assert!(made.into_inner() > attacks.len() / 2);
}
