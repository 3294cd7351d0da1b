//! A backend that keeps every value exactly as it was written, to the last digit, and gives out all it has.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use support::{Canned, json_answer, query};

/// A row: the JSON text of each column.
pub type Row = BTreeMap<String, String>;

pub struct Server {
    pub canned: Canned,
    /// By table and id.
    pub rows: BTreeMap<String, BTreeMap<String, Row>>,
    clock: i64,
}

impl Server {
    pub fn start() -> Self {
        Self {
            canned: Canned::start(),
            rows: BTreeMap::new(),
            clock: 1000,
        }
    }

    pub fn put(&mut self, table: &str, id: &str, columns: &[(&str, &str)]) {
        let row = self.rows.entry(table.into()).or_default();
        let row = row.entry(id.into()).or_default();
        for (name, json) in columns {
            row.insert((*name).into(), (*json).into());
        }
    }

    pub fn value(&self, table: &str, id: &str, column: &str) -> &str {
        &self.rows[table][id][column]
    }

    /// The next pull brings every row, and takes what the one before it has pushed.
    pub fn answers(&mut self) {
        let everything = self.everything();
        self.canned.pull(&everything);
    }

    /// The pulls of the next sync bring every row where they are from the beginning, else none.
    pub fn answers_from_the_beginning(&mut self) {
        let everything = self.everything();
        let nothing = format!("{{\"changes\":{{}},\"timestamp\":{}}}", self.clock);
        // One that is from the beginning may be followed by one from where the entity was.
        for _ in 0..2 {
            let (everything, nothing) = (everything.clone(), nothing.clone());
            self.canned.pull_raw(move |seen| {
                let since = query(&seen.path, "last_pulled_at");
                json_answer(match since.as_deref() {
                    Some("null") => &everything,
                    _ => &nothing,
                })
            });
        }
    }

    fn everything(&mut self) -> String {
        self.clock += 1;
        let tables: Vec<String> = self
            .rows
            .iter()
            .map(|(table, rows)| {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|(id, row)| {
                        let columns = row.iter().map(|(name, json)| format!(",{name:?}:{json}"));
                        format!("{{\"id\":{id:?}{}}}", columns.collect::<String>())
                    })
                    .collect();
                format!(
                    "{table:?}:{{\"created\":[],\"updated\":[{}],\"deleted\":[]}}",
                    rows.join(",")
                )
            })
            .collect();
        format!(
            "{{\"changes\":{{{}}},\"timestamp\":{}}}",
            tables.join(","),
            self.clock
        )
    }

    /// Takes what was pushed since it was last asked; the ids of the rows that came.
    pub fn take(&mut self) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        for seen in self.canned.seen().iter().filter(|seen| seen.is_push()) {
            type Lists = BTreeMap<String, Vec<Box<RawValue>>>;
            let tables: BTreeMap<String, Lists> = serde_json::from_str(&seen.body).expect("a push");
            for (table, lists) in tables {
                for (kind, rows) in lists {
                    for row in rows {
                        let id = self.take_row(&table, &kind, row.get());
                        taken.push((table.clone(), id));
                    }
                }
            }
        }
        self.canned.reset();
        taken
    }

    fn take_row(&mut self, table: &str, kind: &str, row: &str) -> String {
        let rows = self.rows.entry(table.into()).or_default();
        if kind == "deleted" {
            let id: String = serde_json::from_str(row).expect("an id");
            rows.remove(&id);
            return id;
        }
        let columns: BTreeMap<String, Box<RawValue>> = serde_json::from_str(row).expect("a row");
        let id: String = serde_json::from_str(columns["id"].get()).expect("an id");
        let kept = rows.entry(id.clone()).or_default();
        for (name, json) in columns {
            if name != "id" && !name.starts_with('_') {
                kept.insert(name, json.get().to_owned());
            }
        }
        id
    }
}

/// Whether two JSON texts are the same value: whole numbers to the last digit, others as doubles.
pub fn same(one: &str, two: &str) -> bool {
    let is_whole = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if one == two {
        return true;
    }
    if is_whole(one) && is_whole(two) {
        return false;
    }
    if let (Ok(one), Ok(two)) = (one.parse::<f64>(), two.parse::<f64>()) {
        return one == two;
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    matches!((read(one), read(two)), (Some(one), Some(two)) if one == two)
}
