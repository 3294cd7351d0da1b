//! UNIQUE values that others refer to pass between rows of one answer. A foreign key's action finds what refers to a value,
//! whoever has it by then: what the answer says of a reference counts, and the others follow the row that they referred to.

use serde_json::{Value, json};
use support::{Canned, Device, enforced};

use super::pull;

const TRIGGERS: &[&str] = &[
    "",
    "CREATE TABLE seen (id TEXT, was TEXT, is_now TEXT);
     CREATE TRIGGER seen_p AFTER UPDATE OF code ON p BEGIN INSERT INTO seen VALUES (OLD.id, OLD.code, NEW.code); END;
     CREATE TRIGGER seen_c AFTER UPDATE OF pc ON c BEGIN INSERT INTO seen VALUES (OLD.id, OLD.pc, NEW.pc); END;",
];

fn family(action: &str, triggers: &str, options: &str) -> String {
    format!(
        "CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL, code TEXT NOT NULL UNIQUE CHECK (length(code) < 6));
         CREATE TABLE c (id TEXT PRIMARY KEY NOT NULL, pc TEXT {options} REFERENCES p (code) {action}, y TEXT);{triggers}"
    )
}

fn codes(codes: &[(&str, &str)]) -> Value {
    let code = |(id, code): &(&str, &str)| json!({"id": id, "code": code});
    codes.iter().map(code).collect()
}

fn children(children: &[(&str, &str)]) -> Value {
    let child = |(id, code): &(&str, &str)| json!({"id": id, "pc": code, "y": "there"});
    children.iter().map(child).collect()
}

/// Parents 1 and 2 with codes A and B, children a and b that refer to them.
fn two(ddl: &str, settings: &str, order: &[&str]) -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::with(ddl, order, &server.url());
    device.exec(settings);
    pull(
        &server,
        json!({"p": {"created": codes(&[("1", "A"), ("2", "B")])},
            "c": {"created": children(&[("a", "A"), ("b", "B")])}}),
    );
    device.synced();
    (server, device)
}

/// What triggers were told of, in order of the rows.
fn seen(device: &Device) -> String {
    device.ask("SELECT * FROM seen ORDER BY id, rowid")
}

#[test]
fn h8_references_that_the_answer_names_are_as_it_says_when_codes_pass_on() {
    for action in ["CASCADE", "SET NULL", "SET DEFAULT"] {
        for triggers in TRIGGERS {
            for order in [["p", "c"], ["c", "p"]] {
                for new in [["B", "A"], ["B", "C"], ["C", "A"]] {
                    let what = format!("{action} {triggers} {order:?} {new:?}");
                    let ddl = family(&format!("ON UPDATE {action}"), triggers, "");
                    let (server, device) = two(&ddl, "PRAGMA foreign_keys = ON", &order);
                    let [one, two] = new;
                    pull(
                        &server,
                        json!({"p": {"updated": codes(&[("1", one), ("2", two)])},
                            "c": {"updated": children(&[("a", one), ("b", two)])}}),
                    );
                    device.synced();
                    assert_eq!(
                        device.ask("SELECT id, code FROM p UNION ALL SELECT id, pc FROM c"),
                        format!("1|{one}\n2|{two}\na|{one}\nb|{two}"),
                        "{what}"
                    );
                    let left = (device.pending(), device.log());
                    assert_eq!(left, (String::new(), "0".into()), "{what}");
                    assert!(server.pushed().is_empty(), "{what}");
                }
            }
        }
    }
}

#[test]
fn h8_references_that_nobody_names_follow_their_row_through_a_swap() {
    for triggers in TRIGGERS {
        for options in ["", "NOT NULL", "UNIQUE", "CHECK (length(pc) < 6)"] {
            enforced(|settings| {
                let ddl = family("ON UPDATE CASCADE", triggers, options);
                let (server, device) = two(&ddl, settings, &["p", "c"]);
                pull(
                    &server,
                    json!({"p": {"updated": codes(&[("1", "B"), ("2", "A")])}}),
                );
                device.synced();
                let what = format!("{triggers} {options} {settings}");
                assert_eq!(device.ask("SELECT id, pc FROM c"), "a|B\nb|A", "{what}");
                // As with any other code that changes, the reference is an edit: a backend need not have a foreign key.
                let pushed = server.pushed();
                let updated = &pushed[0]["c"]["updated"];
                let sent: Vec<Value> = updated
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|row| json!([row["id"], row["pc"], row["_changed"]]))
                    .collect();
                assert_eq!(json!(sent), json!([["a", "B", "pc"], ["b", "A", "pc"]]));
                if !triggers.is_empty() {
                    assert_eq!(seen(&device), "1|A|B\n2|B|A\na|A|B\nb|B|A", "{what}");
                }
            });
        }
    }
}

/// A reference that would be emptied stays as long as something has the value, and else is emptied.
#[test]
fn h8_a_swap_empties_no_reference_to_a_value_that_stays() {
    for triggers in TRIGGERS {
        let ddl = family("ON UPDATE SET NULL", triggers, "");
        let (server, device) = two(&ddl, "PRAGMA foreign_keys = ON", &["p", "c"]);
        pull(
            &server,
            json!({"p": {"updated": codes(&[("1", "B"), ("2", "A")])}}),
        );
        device.synced();
        assert_eq!(device.ask("SELECT id, pc FROM c"), "a|A\nb|B", "{triggers}");
        assert!(server.pushed().is_empty(), "{triggers}");
        assert_eq!(device.log(), "0", "{triggers}");
    }
}

#[test]
fn h8_rows_that_refer_to_each_other_by_codes_swap_them() {
    for trigger in [
        "",
        "CREATE TRIGGER seen AFTER UPDATE ON node WHEN length(OLD.up) > 1 BEGIN SELECT RAISE(ABORT, 'never'); END;",
    ] {
        for named in [false, true] {
            if !named && !trigger.is_empty() {
                continue;
            }
            let ddl = format!(
                "CREATE TABLE node (id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE,
                   up TEXT REFERENCES node (code) ON UPDATE CASCADE);{trigger}"
            );
            let server = Canned::start();
            let device = Device::with(&ddl, &["node"], &server.url());
            device.exec("PRAGMA foreign_keys = ON");
            let node = |id: &str, code: &str, up: &str| json!({"id": id, "code": code, "up": up});
            let before = [
                node("1", "A", "B"),
                node("2", "B", "A"),
                node("3", "C", "A"),
            ];
            pull(&server, json!({"node": {"created": before}}));
            device.synced();
            let after = match named {
                true => json!([node("1", "B", "A"), node("2", "A", "B")]),
                false => json!([{"id": "1", "code": "B"}, {"id": "2", "code": "A"}]),
            };
            pull(&server, json!({"node": {"updated": after}}));
            device.synced();
            assert_eq!(
                device.ask("SELECT * FROM node ORDER BY id"),
                "1|B|A\n2|A|B\n3|C|B",
                "{trigger} {named}"
            );
            let held = device.ask("SELECT count(*) FROM sync_held");
            assert_eq!(held, "0", "{trigger} {named}");
            assert_eq!(server.pushed()[0]["node"]["updated"][0]["id"], "3");
        }
    }
}

/// What waits for a row that goes only when all others are in.
#[test]
fn h8_codes_pass_on_from_a_row_that_goes() {
    for triggers in TRIGGERS {
        let ddl = family("ON UPDATE CASCADE ON DELETE CASCADE", triggers, "");
        let (server, device) = two(&ddl, "PRAGMA foreign_keys = ON", &["p", "c"]);
        pull(
            &server,
            json!({"p": {"created": codes(&[("3", "C")])}, "c": {"created": children(&[("c", "C")])}}),
        );
        device.synced();
        pull(
            &server,
            json!({"p": {"updated": codes(&[("1", "B"), ("2", "C")]), "deleted": ["3"]}, "c": {"deleted": ["c"]}}),
        );
        device.synced();
        assert_eq!(
            device.ask("SELECT id, code FROM p UNION ALL SELECT id, pc FROM c"),
            "1|B\n2|C\na|B\nb|C",
            "{triggers}"
        );
        if !triggers.is_empty() {
            assert_eq!(seen(&device), "1|A|B\n2|B|C\na|A|B\nb|B|C");
        }
    }
}
