//! What triggers and foreign keys of the application do while remote rows are applied.

use serde_json::{Value, json};
use support::{Canned, Device, all_settings, enforced, everywhere};

use super::pull;

const TOUCH: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT, updated_at TEXT);
    CREATE TRIGGER touch AFTER UPDATE OF x ON t BEGIN UPDATE t SET updated_at = 'here' WHERE id = NEW.id; END;
    CREATE TRIGGER born AFTER INSERT ON t BEGIN UPDATE t SET updated_at = 'here' WHERE id = NEW.id; END;";

#[test]
fn t1_an_applied_row_holds_what_was_applied_though_a_trigger_stamps_it() {
    for pragma in all_settings() {
        let server = Canned::start();
        let device = Device::with(TOUCH, &["t"], &server.url());
        device.exec(&pragma);
        let row = |x: &str, at: &str| json!({"id": "1", "x": x, "updated_at": at});
        pull(&server, json!({"t": {"created": [row("a", "T0")]}}));
        device.synced();
        assert_eq!(device.ask("SELECT x, updated_at FROM t"), "a|T0");
        pull(&server, json!({"t": {"updated": [row("b", "T1")]}}));
        device.synced();
        assert_eq!(device.ask("SELECT x, updated_at FROM t"), "b|T1");
        // A row that says nothing of the column leaves it as it was.
        pull(&server, json!({"t": {"updated": [{"id": "1", "x": "c"}]}}));
        device.synced();
        assert_eq!(device.pending(), "", "{pragma}");
        assert!(server.pushed().is_empty(), "{pragma}");
        // An edit here takes the stamp along, also where the server's row meets it.
        device.exec("UPDATE t SET x = 'mine'");
        pull(&server, json!({"t": {"updated": [row("theirs", "T2")]}}));
        device.synced();
        let pushed = &server.pushed()[0]["t"]["updated"][0];
        assert_eq!(
            (&pushed["x"], &pushed["updated_at"]),
            (&json!("mine"), &json!("here"))
        );
    }
}

#[test]
fn t1_other_rows_that_a_trigger_changes_are_edits_unless_the_answer_names_them() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, list TEXT);
        CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, n INTEGER);
        CREATE VIRTUAL TABLE words USING fts5(list);
        CREATE TRIGGER count AFTER INSERT ON t BEGIN UPDATE list SET n = n + 1 WHERE id = NEW.list; END;
        CREATE TRIGGER fts AFTER INSERT ON t BEGIN INSERT INTO words (list) VALUES (NEW.list); END;";
    for pragma in all_settings() {
        let server = Canned::start();
        let device = Device::with(ddl, &["list", "t"], &server.url());
        device.exec(&pragma);
        pull(
            &server,
            json!({"list": {"created": [{"id": "a", "n": 0}, {"id": "b", "n": 0}]}}),
        );
        device.synced();
        // The server has counted the row of list a, not that of b.
        pull(
            &server,
            json!({"list": {"updated": [{"id": "a", "n": 1}]},
                "t": {"created": [{"id": "1", "list": "a"}, {"id": "2", "list": "b"}]}}),
        );
        device.synced();
        assert_eq!(
            device.ask("SELECT id, n FROM list ORDER BY id"),
            "a|1\nb|1",
            "{pragma}"
        );
        let updated = &server.pushed()[0]["list"]["updated"];
        assert_eq!(updated.as_array().map(Vec::len), Some(1), "{updated}");
        assert_eq!(
            (&updated[0]["id"], &updated[0]["_changed"]),
            (&json!("b"), &json!("n"))
        );
        assert_eq!(
            device.ask("SELECT count(*) FROM words WHERE words MATCH 'a OR b'"),
            "2"
        );
    }
}

#[test]
fn t1_many_rows_hold_what_was_applied() {
    let server = Canned::start();
    let device = Device::with(TOUCH, &["t"], &server.url());
    let rows = |x: &str| -> Value {
        let rows = (0..2500).map(|n| json!({"id": n.to_string(), "x": x, "updated_at": "there"}));
        rows.collect()
    };
    for x in ["a", "b"] {
        pull(&server, json!({"t": {"updated": rows(x)}}));
        device.synced();
        let wrong = format!("SELECT count(*) FROM t WHERE x <> '{x}' OR updated_at <> 'there'");
        assert_eq!(device.ask(&wrong), "0");
        assert_eq!(device.log(), "0");
    }
}

/// Parents with children of three kinds, `triggers` on top.
fn family(triggers: &str) -> String {
    format!(
        "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, x TEXT);
         CREATE TABLE goes (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent ON DELETE CASCADE, x TEXT);
         CREATE TABLE deeper (id TEXT PRIMARY KEY NOT NULL, goes TEXT REFERENCES goes ON DELETE CASCADE);
         CREATE TABLE stays (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent ON DELETE SET NULL, x TEXT);
         CREATE TABLE falls (id TEXT PRIMARY KEY NOT NULL, parent TEXT DEFAULT 'none' REFERENCES parent ON DELETE SET DEFAULT);
         {triggers}"
    )
}

const TABLES: &[&str] = &["parent", "goes", "deeper", "stays", "falls"];

fn rows() -> Value {
    json!({"parent": {"created": [{"id": "p", "x": ""}, {"id": "none", "x": ""}, {"id": "q", "x": ""}]},
        "goes": {"created": [{"id": "g", "parent": "p", "x": ""}, {"id": "other", "parent": "q", "x": ""}]},
        "deeper": {"created": [{"id": "d", "goes": "g"}]},
        "stays": {"created": [{"id": "s", "parent": "p", "x": ""}]},
        "falls": {"created": [{"id": "f", "parent": "p"}]}})
}

#[test]
fn t2_what_a_remote_delete_takes_along_is_not_sent() {
    let log = "CREATE TABLE seen (id); \
               CREATE TRIGGER seen AFTER DELETE ON parent BEGIN INSERT INTO seen VALUES (OLD.id); END;";
    for triggers in ["", log] {
        for send in [false, true] {
            let server = Canned::start();
            let keys = json!({"sendCascades": send});
            let device = Device::configured(&family(triggers), TABLES, &server.url(), keys);
            device.exec("PRAGMA foreign_keys = ON");
            pull(&server, rows());
            device.synced();
            pull(&server, json!({"parent": {"deleted": ["p"]}}));
            device.synced();
            assert_eq!(
                device.ask(
                    "SELECT (SELECT group_concat(id) FROM goes), (SELECT count(*) FROM deeper), \
                     (SELECT parent IS NULL FROM stays), (SELECT parent FROM falls)"
                ),
                "other|0|1|none"
            );
            assert_eq!(device.pending(), "");
            match send {
                false => assert!(server.pushed().is_empty(), "{triggers}"),
                true => {
                    let push = &server.pushed()[0];
                    assert_eq!(push["goes"]["deleted"], json!(["g"]));
                    assert_eq!(push["deeper"]["deleted"], json!(["d"]));
                    assert_eq!(push["stays"]["updated"][0]["parent"], Value::Null);
                    assert_eq!(push["falls"]["updated"][0]["parent"], "none");
                }
            }
            // What is deleted here is sent as ever, with all that goes with it.
            server.reset();
            device.exec("DELETE FROM parent WHERE id = 'q'");
            device.synced();
            let push = &server.pushed()[0];
            assert_eq!(
                (&push["parent"]["deleted"], &push["goes"]["deleted"]),
                (&json!(["q"]), &json!(["other"]))
            );
        }
    }
}

#[test]
fn t2_edits_of_rows_that_go_along_are_kept_as_conflicts() {
    let noise = "CREATE TRIGGER noise AFTER INSERT ON parent BEGIN SELECT 1; END;";
    for triggers in ["", noise] {
        let server = Canned::start();
        let device = Device::with(&family(triggers), TABLES, &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        pull(&server, rows());
        device.synced();
        device.exec(
            "UPDATE goes SET x = 'mine' WHERE id = 'g'; INSERT INTO goes VALUES ('new', 'p', 'mine');
             UPDATE stays SET x = 'mine'",
        );
        pull(&server, json!({"parent": {"deleted": ["p"]}}));
        device.synced();
        assert_eq!(
            device.ask(
                "SELECT entity, rowKey, kind, local ->> 'x' FROM sync_conflict ORDER BY rowKey"
            ),
            "goes|g|deletedRemotely|mine\ngoes|new|deletedRemotely|mine"
        );
        let push = &server.pushed()[0];
        assert_eq!(
            push["goes"],
            json!({"created": [], "updated": [], "deleted": []})
        );
        assert_eq!(push["stays"]["updated"][0]["x"], "mine");
        assert_eq!(push["stays"]["updated"][0]["_changed"], "x");
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
    }
}

/// A row that was moved here to a parent which is deleted there goes with it. The server was never told of the move, so it
/// keeps the row: it comes again, as it is there.
#[test]
fn t2_an_edited_row_that_goes_along_comes_again_where_the_server_keeps_it() {
    for entities in [&["parent", "goes"] as &[&str], &["parent"]] {
        let server = Canned::start();
        let device = Device::with(&family(""), TABLES, &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        pull(&server, rows());
        device.synced();
        device.exec("UPDATE goes SET parent = 'p' WHERE id = 'other'");
        pull(&server, json!({"parent": {"deleted": ["p"]}}));
        let answer = device.sync_only(entities);
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(device.ask("SELECT count(*) FROM goes"), "0");
        assert_eq!(
            device.ask("SELECT rowKey, kind, local ->> 'parent' FROM sync_conflict"),
            "other|deletedRemotely|p"
        );
        assert_eq!(
            device.ask(
                "SELECT group_concat(entity) FROM (SELECT entity FROM _syncCursor WHERE NOT again ORDER BY entity)"
            ),
            "falls,parent,stays"
        );
        // The other entities' pull names what changed, that of these two what is there.
        pull(
            &server,
            json!({"goes": {"created": [{"id": "other", "parent": "q", "x": ""}]}}),
        );
        device.synced();
        assert_eq!(device.ask("SELECT * FROM goes"), "other|q|");
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
        assert!(server.pushed().is_empty());
    }
}

/// Whatever a foreign key would do to such rows, it did not do it to these.
#[test]
fn t2_rows_that_a_trigger_deletes_on_a_remote_delete_are_deleted_here() {
    for (trigger, gone) in [
        // A row that goes along takes others with it.
        (
            "CREATE TRIGGER clean AFTER DELETE ON goes BEGIN DELETE FROM deeper WHERE goes <> OLD.id; END",
            [json!([]), json!([]), json!(["e"])],
        ),
        (
            "CREATE TRIGGER clean AFTER DELETE ON goes BEGIN DELETE FROM goes WHERE parent <> OLD.parent; END",
            [json!([]), json!(["other"]), json!(["e"])],
        ),
        // With another parent goes what refers to that.
        (
            "CREATE TRIGGER clean AFTER DELETE ON parent BEGIN DELETE FROM parent WHERE id = 'q'; END",
            [json!(["q"]), json!(["other"]), json!(["e"])],
        ),
        (
            "CREATE TRIGGER clean BEFORE DELETE ON goes BEGIN DELETE FROM deeper WHERE goes = OLD.id; END",
            [json!([]), json!([]), json!([])],
        ),
    ] {
        enforced(|settings| {
            let server = Canned::start();
            let device = Device::with(&family(trigger), TABLES, &server.url());
            let mut all = rows();
            all["deeper"]["created"] =
                json!([{"id": "d", "goes": "g"}, {"id": "e", "goes": "other"}]);
            pull(&server, all);
            device.synced();
            pull(&server, json!({"parent": {"deleted": ["p"]}}));
            device.synced();
            let pushed = server.pushed();
            let deleted = |table: &str| match pushed.first() {
                Some(push) => push[table]["deleted"].clone(),
                None => json!([]),
            };
            assert_eq!(
                ["parent", "goes", "deeper"].map(deleted),
                gone,
                "{trigger} {settings}"
            );
            assert_eq!(
                (device.pending(), device.log()),
                (String::new(), "0".into())
            );
        });
    }
}

#[test]
fn t2_what_a_trigger_does_on_a_remote_delete_is_an_edit() {
    let moves = "CREATE TRIGGER moves BEFORE DELETE ON parent BEGIN
           UPDATE stays SET parent = 'q' WHERE parent = OLD.id;
           UPDATE goes SET x = 'orphan of ' || OLD.id WHERE parent <> OLD.id; END;";
    let server = Canned::start();
    let device = Device::with(&family(moves), TABLES, &server.url());
    device.exec("PRAGMA foreign_keys = ON");
    pull(&server, rows());
    device.synced();
    pull(&server, json!({"parent": {"deleted": ["p"]}}));
    device.synced();
    let push = &server.pushed()[0];
    assert_eq!(push["stays"]["updated"][0]["parent"], "q");
    assert_eq!(push["goes"]["updated"][0]["x"], "orphan of p");
    assert_eq!(push["goes"]["deleted"], json!([]));
    assert_eq!(device.ask("SELECT group_concat(id) FROM goes"), "other");
}

#[test]
fn t2_edits_that_go_along_are_kept_and_not_sent_though_the_call_is_not_about_their_table() {
    let noise = "CREATE TRIGGER noise AFTER INSERT ON parent BEGIN SELECT 1; END;";
    for triggers in ["", noise] {
        let server = Canned::start();
        let device = Device::with(&family(triggers), TABLES, &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        pull(&server, rows());
        device.synced();
        device.exec(
            "UPDATE goes SET x = 'mine' WHERE id = 'g'; INSERT INTO goes VALUES ('new', 'p', 'mine')",
        );
        pull(&server, json!({"parent": {"deleted": ["p"]}}));
        let answer = device.sync_only(&["parent"]);
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(
            device.ask(
                "SELECT entity, rowKey, kind, local ->> 'x', local ->> '_status' FROM sync_conflict ORDER BY rowKey"
            ),
            "goes|g|deletedRemotely|mine|updated\ngoes|new|deletedRemotely|mine|created",
            "{triggers}"
        );
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into()),
            "{triggers}"
        );
    }
}

#[test]
fn t2_what_goes_along_is_told_by_its_column_though_others_were_dropped() {
    let ddl = "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE stays (id TEXT PRIMARY KEY NOT NULL, old TEXT, parent TEXT REFERENCES parent ON DELETE SET NULL, x TEXT);
        CREATE TRIGGER noise AFTER INSERT ON parent BEGIN SELECT 1; END;";
    let server = Canned::start();
    let device = Device::with(ddl, &["parent", "stays"], &server.url());
    device.exec("PRAGMA foreign_keys = ON");
    device.ask("SELECT sync_alter('stays', 'ALTER TABLE stays DROP COLUMN old')");
    pull(
        &server,
        json!({"parent": {"created": [{"id": "p"}]},
            "stays": {"created": [{"id": "s", "parent": "p", "x": ""}]}}),
    );
    device.synced();
    pull(&server, json!({"parent": {"deleted": ["p"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT parent FROM stays"), "NULL");
    assert!(server.pushed().is_empty());
    assert_eq!(device.pending(), "");
}

const KEYS: &str = "CREATE TABLE note (id INTEGER PRIMARY KEY, x TEXT, u TEXT UNIQUE, at TEXT);
    CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, note INTEGER REFERENCES note (id), n INTEGER);";

/// A full-text index, and a list, of tables whose rows take other keys.
const BESIDE: &str = "CREATE VIRTUAL TABLE words USING fts5(x);
    CREATE TABLE list (note INTEGER, line TEXT);
    CREATE TRIGGER note_i AFTER INSERT ON note BEGIN
      INSERT INTO words (rowid, x) VALUES (NEW.id, NEW.x); END;
    CREATE TRIGGER note_u AFTER UPDATE ON note BEGIN
      DELETE FROM words WHERE rowid = OLD.id; INSERT INTO words (rowid, x) VALUES (NEW.id, NEW.x);
      UPDATE note SET at = 'stamped' WHERE id = NEW.id AND OLD.id <> NEW.id; END;
    CREATE TRIGGER line_i AFTER INSERT ON line BEGIN INSERT INTO list VALUES (NEW.note, NEW.id); END;
    CREATE TRIGGER line_u AFTER UPDATE ON line BEGIN
      UPDATE list SET note = NEW.note, line = NEW.id WHERE line = OLD.id; END;";

/// A device with a row that gives its number to one of the server, and one that takes the key of another for its UNIQUE
/// value.
fn two_keys_change(triggers: &str, pragma: &str) -> Device {
    let server = Canned::start();
    let options = json!({"idAs": "number", "onClash": {"note": "adopt"}});
    let ddl = format!("{KEYS}{triggers}");
    let device = Device::configured(&ddl, &["note", "line"], &server.url(), options);
    device.exec(pragma);
    device.exec(
        "INSERT INTO note VALUES (1, 'here', 'a', NULL), (5, 'clashes', 'b', NULL);
         INSERT INTO line VALUES ('l', 1, 0), ('m', 5, 0)",
    );
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "there", "u": "c", "at": "T"},
            {"id": 7, "x": "theirs", "u": "b", "at": "T"}]}}),
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT id, x, iif(id = 8, at, '') FROM note ORDER BY id"),
        "1|there|\n7|clashes|\n8|here|NULL",
        "{pragma}"
    );
    assert_eq!(
        device.ask("SELECT id, note, n FROM line ORDER BY id"),
        "l|8|0\nm|7|0"
    );
    let push = &server.pushed()[0];
    let created = &push["note"]["created"];
    assert_eq!(created.as_array().map(Vec::len), Some(1), "{push}");
    assert_eq!(created[0]["id"], 8);
    assert_eq!(push["line"]["updated"], json!([]), "{push}");
    assert_eq!(
        (device.pending(), device.log()),
        (String::new(), "0".into())
    );
    device
}

#[test]
fn t1_what_triggers_keep_beside_a_table_goes_along_when_a_row_takes_another_key() {
    everywhere(|pragma| {
        let device = two_keys_change(BESIDE, pragma);
        assert_eq!(
            device.ask("SELECT rowid, x FROM words ORDER BY rowid"),
            "1|there\n7|clashes\n8|here",
            "{pragma}"
        );
        let list = device.ask("SELECT line, note FROM list ORDER BY line");
        assert_eq!(list, "l|8\nm|7", "{pragma}");
    });
}

#[test]
fn t3_a_trigger_that_refuses_other_keys_does_not_stop_a_sync() {
    let guard =
        "CREATE TRIGGER guard BEFORE UPDATE OF id ON note BEGIN SELECT RAISE(ABORT, 'no'); END;";
    everywhere(|pragma| {
        two_keys_change(guard, pragma);
    });
}

/// A temporary trigger can't be switched off: it fires again when a row is put right.
#[test]
fn t1_an_applied_row_holds_what_was_applied_though_a_temporary_trigger_writes_into_it() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT, n INTEGER);
        CREATE TEMP TRIGGER touch AFTER UPDATE OF x ON main.t BEGIN UPDATE t SET n = n + 1 WHERE id = NEW.id; END;
        CREATE TEMP TRIGGER born AFTER INSERT ON main.t BEGIN UPDATE t SET n = n + 1 WHERE id = NEW.id; END;";
    for pragma in all_settings() {
        let server = Canned::start();
        let device = Device::with(ddl, &["t"], &server.url());
        device.exec(&pragma);
        for (x, n) in [("a", 0), ("b", 0), ("c", 9)] {
            pull(
                &server,
                json!({"t": {"updated": [{"id": "1", "x": x, "n": n}]}}),
            );
            device.synced();
            assert_eq!(
                device.ask("SELECT x, n FROM t"),
                format!("{x}|{n}"),
                "{pragma}"
            );
            assert_eq!(
                (device.pending(), device.log()),
                (String::new(), "0".into()),
                "{pragma}"
            );
        }
    }
}

/// Whatever column is written, it writes another value: that is a change of this device.
#[test]
fn t1_what_a_temporary_trigger_insists_on_is_an_edit() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT, n INTEGER);
        CREATE TEMP TRIGGER touch AFTER UPDATE ON main.t WHEN NEW.n <> 7
          BEGIN UPDATE t SET n = 7 WHERE id = NEW.id; END;";
    let server = Canned::start();
    let device = Device::with(ddl, &["t"], &server.url());
    let row = |x: &str| json!({"id": "1", "x": x, "n": 0});
    pull(&server, json!({"t": {"created": [row("a")]}}));
    device.synced();
    pull(&server, json!({"t": {"updated": [row("b")]}}));
    device.synced();
    assert_eq!(device.ask("SELECT x, n FROM t"), "b|7");
    let pushed = &server.pushed()[0]["t"]["updated"][0];
    assert_eq!(
        (&pushed["x"], &pushed["n"]),
        (&json!("b"), &json!(7)),
        "{pushed}"
    );
}

#[test]
fn h1_what_a_trigger_ignores_is_told_whatever_it_was() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT, y TEXT);
        CREATE TRIGGER ni BEFORE INSERT ON t WHEN NEW.x = 'no' BEGIN SELECT RAISE(IGNORE); END;
        CREATE TRIGGER nu BEFORE UPDATE ON t WHEN NEW.x = 'no' BEGIN SELECT RAISE(IGNORE); END;
        CREATE TRIGGER nd BEFORE DELETE ON t WHEN OLD.x = 'keep' BEGIN SELECT RAISE(IGNORE); END;";
    for pragma in all_settings() {
        let server = Canned::start();
        let device = Device::with(ddl, &["t"], &server.url());
        device.exec(&pragma);
        let row = |id: &str, x: &str| json!({"id": id, "x": x, "y": "there"});
        let sync = |changes: Value| {
            pull(&server, json!({"t": changes}));
            let answer = device.synced();
            let warnings = answer["warnings"].as_array().expect("warnings").clone();
            let mut ignored = warnings
                .iter()
                .filter(|warning| warning["code"] == "ignoredByTrigger");
            let count = ignored.next().map(|warning| warning["count"].clone());
            (count, answer["pulled"].clone())
        };
        sync(json!({"created": [row("1", "keep"), row("2", "ok"), row("3", "ok")]}));
        assert_eq!(
            sync(json!({"created": [row("4", "no")]})),
            (Some(json!(1)), json!(0))
        );
        assert_eq!(
            sync(json!({"updated": [row("2", "no"), row("3", "fine")]})),
            (Some(json!(1)), json!(1)),
            "{pragma}"
        );
        assert_eq!(
            sync(json!({"deleted": ["1", "3", "5"]})),
            (Some(json!(1)), json!(1)),
            "{pragma}"
        );
        assert_eq!(
            device.ask("SELECT id, x FROM t ORDER BY id"),
            "1|keep\n2|ok"
        );
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into()),
            "{pragma}"
        );
        // What the trigger did not let in is the server's still when another column is edited.
        server.reset();
        device.exec("UPDATE t SET y = 'mine' WHERE id = '2'");
        device.synced();
        let pushed = &server.pushed()[0]["t"]["updated"][0];
        assert_eq!(
            (&pushed["x"], &pushed["y"]),
            (&json!("no"), &json!("mine")),
            "{pragma}"
        );
    }
}

/// The server has no such row any more, whatever is kept of it here.
#[test]
fn h1_what_a_trigger_does_in_place_of_a_remote_delete_of_the_row_is_not_sent() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT, gone INTEGER);
        CREATE TABLE other (id TEXT PRIMARY KEY NOT NULL, n INTEGER);
        CREATE TRIGGER soft BEFORE DELETE ON t BEGIN
          UPDATE t SET gone = 1 WHERE id = OLD.id; UPDATE other SET n = n + 1; SELECT RAISE(IGNORE); END;";
    for pragma in all_settings() {
        let server = Canned::start();
        let device = Device::with(ddl, &["t", "other"], &server.url());
        device.exec(&pragma);
        pull(
            &server,
            json!({"t": {"created": [{"id": "1", "x": "a", "gone": 0}]}, "other": {"created": [{"id": "o", "n": 0}]}}),
        );
        device.synced();
        pull(&server, json!({"t": {"deleted": ["1"]}}));
        let answer = device.synced();
        assert_eq!(
            answer["warnings"][0]["code"], "ignoredByTrigger",
            "{answer}"
        );
        assert_eq!(device.ask("SELECT x, gone FROM t"), "a|1", "{pragma}");
        let push = &server.pushed()[0];
        assert_eq!(push["t"]["updated"], json!([]), "{pragma}");
        assert_eq!(push["other"]["updated"][0]["n"], 1, "{pragma}");
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
    }
}
