//! What a server answers: rows, some of them as they were sent, some hardly fitting.

use serde_json::{Map, Value, json};

use super::super::case::{Column, Kind};
use super::Maker;

impl Maker {
    pub(super) fn changes(&mut self, first: bool) -> Value {
        let mut changes = Map::new();
        for place in 0..self.tables.len() {
            if !first && self.chance(15) {
                continue;
            }
            let set = self.change_set(place, first);
            changes.insert(self.tables[place].name.clone(), set);
        }
        if self.chance(8) {
            let set = json!({"created": [{"id": "x", "_status": "created"}, 5], "updated": [],
                "deleted": ["y"]});
            let name = self.pick(&["nowhere", "TASK", "t3", ""]);
            changes.insert(name.into(), set);
        }
        if self.odd.missing && self.chance(10) {
            return Value::Null;
        }
        if self.chance(1) {
            return json!([]);
        }
        changes.into()
    }

    pub(super) fn change_set(&mut self, place: usize, first: bool) -> Value {
        let mut taken: Vec<String> = Vec::new();
        let mut lists = [Vec::new(), Vec::new(), Vec::new()];
        for (number, list) in lists.iter_mut().enumerate() {
            let most = if first && number == 0 { 5 } else { 3 };
            for _ in 0..self.below(most) {
                let id = self.remote_id(place, first && number == 0);
                if taken.contains(&id) && !(self.odd.repeated && self.chance(70)) {
                    continue;
                }
                taken.push(id.clone());
                list.push(match number {
                    2 => self.wire_id(&id),
                    _ => self.remote_row(place, &id),
                });
            }
        }
        let [mut created, mut updated, mut deleted] = lists;
        if self.odd.sent_as_updated && self.chance(80) {
            updated.append(&mut created);
        }
        if self.odd.other_ids && self.chance(20) {
            self.give_other_ids(&mut created, &mut updated, &mut deleted);
        }
        let mut set = Map::new();
        let start = self.below(3);
        let mut named = vec![
            ("created", created),
            ("updated", updated),
            ("deleted", deleted),
        ];
        named.rotate_left(start);
        for (name, list) in named {
            let missing = self.odd.missing && self.chance(25);
            match (missing, self.chance(50)) {
                (false, _) => set.insert(name.into(), list.into()),
                (true, true) => set.insert(name.into(), Value::Null),
                (true, false) => None,
            };
        }
        if self.odd.missing && self.chance(10) {
            return Value::Null;
        }
        set.into()
    }

    /// An id the answer speaks of: mostly one that is known.
    pub(super) fn remote_id(&mut self, place: usize, new: bool) -> String {
        if self.odd.integer_ids && self.chance(50) {
            return (1 + self.below(4)).to_string();
        }
        let percent = if new { 85 } else { 20 };
        if self.chance(percent) {
            return self.new_id(place);
        }
        match self.known_id(place) {
            Some(id) => id,
            None => self.new_id(place),
        }
    }

    pub(super) fn wire_id(&mut self, id: &str) -> Value {
        match id.parse::<i64>() {
            Ok(number) if self.odd.integer_ids && number.to_string() == id && self.chance(70) => {
                number.into()
            }
            _ => id.into(),
        }
    }

    pub(super) fn remote_row(&mut self, place: usize, id: &str) -> Value {
        let columns = self.tables[place].columns.clone();
        let known = self.known(place, id);
        let (row, sent) = (known.row.clone(), known.sent.clone());
        let before = if self.chance(50) { row } else { sent };
        let echo = self.chance(35) && !before.is_empty();
        let mut row = Map::new();
        row.insert("id".into(), self.wire_id(id));
        for column in &columns {
            let old = before.get(&column.name).filter(|_| echo);
            let value = match (old, self.below(100)) {
                // Servers set these themselves.
                (Some(_), _) if column.name == "updated_at" => self.remote_value(column),
                (Some(_), 0..5) => continue,
                (Some(old), _) => old.clone(),
                (None, 0..25) => continue,
                (None, 25..33) => Value::Null,
                (None, 33..42) => self.unfit(),
                (None, _) => self.remote_value(column),
            };
            row.insert(column.name.clone(), value);
        }
        self.add_strange_keys(&columns, &mut row);
        let known = self.known(place, id);
        for column in &columns {
            let value = row
                .get(&column.name)
                .filter(|_| !known.mask.contains(&column.name));
            if let Some(value) = value {
                known.row.insert(column.name.clone(), column.fitting(value));
            }
        }
        if self.chance(10) {
            // The id last.
            let id = row.shift_remove("id").unwrap_or_default();
            row.insert("id".into(), id);
        }
        row.into()
    }

    pub(super) fn add_strange_keys(&mut self, columns: &[Column], row: &mut Map<String, Value>) {
        if self.chance(10) {
            let name = self.pick(&["zzz", "constructor", "toString", "ID", "Name", "_id", ""]);
            let value = self.unfit();
            row.insert(name.into(), value);
        }
        if self.odd.prototypes && self.chance(30) {
            row.insert("__proto__".into(), json!({"name": "x"}));
        }
        if self.chance(3) {
            let name = columns[self.below(columns.len())].name.clone();
            let value = self.unfit();
            row.insert(format!("again:{name}"), value);
        }
    }

    pub(super) fn remote_value(&mut self, column: &Column) -> Value {
        if self.odd.large_integers && column.kind == Kind::Number && self.chance(50) {
            let numbers = [
                9_007_199_254_740_993,
                -9_007_199_254_740_995,
                i64::MAX,
                i64::MIN,
            ];
            return numbers[self.below(numbers.len())].into();
        }
        match column.kind {
            Kind::Boolean if self.chance(30) => i64::from(self.chance(50)).into(),
            Kind::String if self.chance(4) => self
                .pick(&[
                    r#"raw:"\ud83dx""#,
                    r#"raw:"\udE00\uD83D\uDE00""#,
                    r#"raw:"\u00e9\/""#,
                ])
                .into(),
            _ => self.value(column),
        }
    }

    /// A value of any kind.
    pub(super) fn unfit(&mut self) -> Value {
        let values = [
            Value::Null,
            json!("5"),
            json!(""),
            json!(5),
            json!(0),
            json!(1),
            json!(2),
            json!(1.5),
            json!(true),
            json!(false),
            json!([]),
            json!({}),
            json!({"a": [1, "x"]}),
            json!("yes"),
            json!("raw:-0.0"),
            json!("raw:1.0"),
            json!("raw:1E2"),
            json!("raw:0e5"),
            json!("raw:1e400"),
            json!("raw:123456789012345678901234567890"),
        ];
        values[self.below(values.len())].clone()
    }
}
