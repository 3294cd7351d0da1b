//! The applier whole, on a database in memory: what no protocol of today says yet.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use super::{Applier, Setting};
use crate::capture::shared::Counting;
use crate::capture::{Tracked, track};
use crate::providers::conversation::ApplyRules;
use crate::providers::sink::{Announced, RemoteRow, Scope, Sink};
use crate::providers::wire::{Entity, KeyType, Slot, WireId};
use crate::store::testing::{Memory, in_memory};
use crate::store::{Value, ensure_schema};
use crate::transfer::binding::{Binding, OnClash, travelling, wire_columns};
use crate::transfer::counts::Counts;
use crate::transfer::held::Refusals;
use crate::transfer::send::settle::Acknowledged;
use crate::transfer::send::unacknowledged::Unacknowledged;

/// A file with the tracked table `t`: columns `id` and `name`.
fn file() -> (Memory, [Binding; 1]) {
    let memory = in_memory();
    let database = &memory.database;
    ensure_schema(database).expect("the schema");
    run(&memory, "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT)");
    track::track(database, "t", None).expect("tracked");
    let table = Tracked::open(database, "t").expect("a table");
    let columns = travelling(&table, None);
    let binding = Binding {
        entity: "t".into(),
        wire: Entity {
            name: "t".into(),
            columns: wire_columns(&table, &columns),
            key: "id".into(),
            references: Vec::new(),
            key_type: KeyType::Text,
        },
        columns,
        awaited: Vec::new(),
        rules: ApplyRules::default(),
        replacement_where: None,
        stamp: None,
        on_clash: OnClash::Hold,
        counting: Counting::Not,
        qualified: database.qualified("t"),
        table,
    };
    (memory, [binding])
}

fn run(memory: &Memory, sql: &str) {
    let connection = memory.session.connection();
    connection.execute_script(sql).expect(sql);
}

/// Applies one answer.
fn apply(memory: &Memory, bindings: &[Binding; 1], say: impl FnOnce(&mut dyn Sink)) -> Counts {
    let (unacknowledged, cancel) = (Unacknowledged::default(), AtomicBool::new(false));
    let refusals = Refusals::default();
    let setting = Setting {
        session: &memory.session,
        database: &memory.database,
        provider: "p",
        run: 1,
        bytes: 0,
        cancel: &cancel,
        again: Vec::new(),
        part: None,
        refusals: &refusals,
    };
    run(memory, "BEGIN");
    let mut applier = Applier::new(&setting, bindings, &unacknowledged, Acknowledged::default())
        .expect("prepared");
    say(&mut applier);
    let mut counts = applier.finish(&[]).expect("applied").counts;
    run(memory, "COMMIT");
    counts.remove(0)
}

fn id(id: &'static str) -> WireId<'static> {
    WireId::Text(Cow::Borrowed(id))
}

fn row(sink: &mut dyn Sink, key: &'static str, name: &'static str, version: Option<i64>) {
    let row = RemoteRow {
        entity: 0,
        announced: Announced::Updated,
        id: &id(key),
        slots: &[Slot::Text(Cow::Borrowed(name))],
        version,
    };
    sink.row(&row).expect("a row");
}

fn text(memory: &Memory, sql: &str) -> String {
    let value = memory.database.query_value(sql, &[]).expect(sql);
    value.as_str().unwrap_or_default().to_owned()
}

fn rows(memory: &Memory) -> String {
    text(
        memory,
        "SELECT group_concat(id || name, ' ') FROM (SELECT * FROM t ORDER BY id)",
    )
}

#[test]
fn what_comes_late_is_old_news() {
    let (memory, bindings) = file();
    let put = |key, name, version| {
        apply(&memory, &bindings, |sink| {
            row(sink, key, name, Some(version))
        });
        rows(&memory)
    };
    let delete = |key, version| {
        apply(&memory, &bindings, |sink| {
            sink.gone(0, &id(key), Some(version)).expect("goes")
        });
        rows(&memory)
    };
    assert_eq!(put("a", "5", 5), "a5");
    assert_eq!(put("a", "4", 4), "a5", "older");
    assert_eq!(put("a", "again", 5), "a5", "known");
    assert_eq!(delete("a", 5), "a5", "a delete that the row came after");
    assert_eq!(put("a", "6", 6), "a6");
    assert_eq!(delete("a", 7), "");
    assert_eq!(put("a", "6", 6), "", "a row that was deleted since");
    assert_eq!(delete("b", 3), "");
    assert_eq!(put("b", "2", 2), "", "a row whose delete came first");
    assert_eq!(put("b", "4", 4), "b4");
    let stored = "SELECT group_concat(pk || version || deleted, ' ') FROM (SELECT * FROM _syncVersion ORDER BY pk)";
    assert_eq!(text(&memory, stored), "a71 b40");
}

#[test]
fn of_several_states_in_one_answer_the_newest_stays_in_any_order() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let (memory, bindings) = file();
        apply(&memory, &bindings, |sink| {
            for version in order {
                row(
                    sink,
                    "a",
                    ["one", "two", "three"][version as usize - 1],
                    Some(version),
                );
            }
        });
        assert_eq!(rows(&memory), "athree", "{order:?}");
    }
}

#[test]
fn old_news_is_no_conflict_with_an_edit() {
    let (memory, bindings) = file();
    apply(&memory, &bindings, |sink| row(sink, "a", "5", Some(5)));
    run(&memory, "UPDATE t SET name = 'mine'");
    for say in [
        |sink: &mut dyn Sink| row(sink, "a", "4", Some(4)),
        |sink: &mut dyn Sink| sink.gone(0, &id("a"), Some(4)).expect("goes"),
    ] {
        assert_eq!(apply(&memory, &bindings, say), Counts::default());
        assert_eq!(rows(&memory), "amine");
    }
    let counts = apply(&memory, &bindings, |sink| row(sink, "a", "6", Some(6)));
    assert_eq!((counts.conflicts, rows(&memory).as_str()), (1, "amine"));
    let logged = memory
        .database
        .query_value("SELECT count(*) FROM _syncChange WHERE tbl <> 0", &[]);
    assert_eq!(logged, Ok(Value::Integer(1)));
}

#[test]
fn a_server_without_versions_leaves_none() {
    let (memory, bindings) = file();
    apply(&memory, &bindings, |sink| {
        row(sink, "a", "1", None);
        row(sink, "b", "1", None);
        sink.gone(0, &id("a"), None).expect("goes");
    });
    assert_eq!(rows(&memory), "b1");
    let stored = memory
        .database
        .query_value("SELECT count(*) FROM _syncVersion", &[]);
    assert_eq!(stored, Ok(Value::Integer(0)));
}

#[test]
fn rows_that_go_before_others_come_leave_what_waits() {
    let (memory, bindings) = file();
    apply(&memory, &bindings, |sink| {
        for key in ["a", "b", "c"] {
            row(sink, key, "1", None);
        }
    });
    run(&memory, "UPDATE t SET name = 'mine' WHERE id = 'b'");
    let counts = apply(&memory, &bindings, |sink| {
        let values = [Value::from("c")];
        sink.scope(0, &Scope::Where("id = ?1", &values))
            .expect("cleared");
    });
    assert_eq!((counts.deleted, rows(&memory).as_str()), (1, "a1 bmine"));
    let counts = apply(&memory, &bindings, |sink| {
        sink.scope(0, &Scope::Wipe).expect("cleared");
        row(sink, "c", "2", None);
    });
    assert_eq!((counts.deleted, rows(&memory).as_str()), (1, "bmine c2"));
}

#[test]
fn old_news_does_not_void_a_row_that_waits_for_another() {
    let (memory, bindings) = file();
    run(&memory, "CREATE UNIQUE INDEX one_name ON t (name)");
    apply(&memory, &bindings, |sink| row(sink, "b", "taken", Some(1)));
    apply(&memory, &bindings, |sink| {
        row(sink, "a", "taken", Some(3));
        row(sink, "a", "late", Some(2));
        sink.gone(0, &id("a"), Some(1)).expect("passes");
        row(sink, "b", "free", Some(2));
    });
    assert_eq!(rows(&memory), "ataken bfree");
}
