//! A hostile file: any value in any column of our tables. An error or an answer, never a crash, never a
//! transaction left open, and nothing of it run as SQL.

mod hostile_common;

use hostile_common::{Victim, ask, furnished_file};

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

/// Each column meets a few of the values; with `HOSTILE_ALL` set, all of them, which takes minutes.
#[test]
fn any_value_in_any_column_of_our_tables_is_an_error_or_nothing() {
    let (_keep, base) = furnished_file();
    let columns = ask(
        &base.plain(),
        "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name LIKE '\\_sync%' ESCAPE '\\'",
    );
    assert!(columns.lines().count() > 100);
    let mut wrong = Vec::new();
    let all = std::env::var_os("HOSTILE_ALL").is_some();
    for (number, line) in columns.lines().enumerate() {
        let (table, column) = line.split_once('|').expect("two");
        for (place, (what, value)) in VALUES.iter().enumerate() {
            if !all && (place + number) % 4 != 0 {
                continue;
            }
            let mut script = String::from("PRAGMA ignore_check_constraints = ON;");
            for trigger in base.triggers().lines() {
                script.push_str(&format!("DROP TRIGGER \"{trigger}\";"));
            }
            script.push_str(&format!(
                "UPDATE OR IGNORE \"{table}\" SET \"{column}\" = {value};"
            ));
            let victim = Victim::of(&base);
            if victim.attack(&script).is_err() {
                continue;
            }
            let found = victim.exercise();
            wrong.extend(
                found
                    .into_iter()
                    .map(|found| format!("{table}.{column} = {what}: {found}")),
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
