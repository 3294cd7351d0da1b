//! Answers that must be refused, and ids that are none.

use serde_json::{Value, json};

use super::Maker;

impl Maker {
    pub(super) fn give_other_ids(
        &mut self,
        created: &mut [Value],
        updated: &mut [Value],
        deleted: &mut [Value],
    ) {
        let ids = [
            Value::Null,
            json!(true),
            json!(1.5),
            json!(["a"]),
            json!({"a": 1}),
        ];
        let id = ids[self.below(ids.len())].clone();
        let lists = [created, updated, deleted];
        let list = self.below(3);
        let Some(item) = lists
            .into_iter()
            .nth(list)
            .and_then(|list| list.first_mut())
        else {
            return;
        };
        match item {
            Value::Object(row) => {
                row.insert("id".into(), id);
            }
            other => *other = id,
        }
    }

    /// Makes an answer one that must be refused.
    pub(super) fn spoil(&mut self, answer: &mut Value) {
        if self.chance(25) {
            let timestamps = [
                Value::Null,
                json!(0),
                json!(-5),
                json!("5"),
                json!(true),
                json!({}),
            ];
            answer["timestamp"] = timestamps[self.below(timestamps.len())].clone();
            return;
        }
        let names: Vec<String> = self
            .tables
            .iter()
            .map(|table| table.name.clone())
            .filter(|name| answer["changes"][name].is_object())
            .collect();
        if names.is_empty() {
            return;
        }
        let table = names[self.below(names.len())].as_str();
        if self.chance(10) {
            let wrong = [json!([]), json!(5), json!("x"), json!(true)];
            answer["changes"][table] = wrong[self.below(wrong.len())].clone();
            return;
        }
        let kind = self.pick(&["created", "updated"]);
        let set = &mut answer["changes"][table];
        if self.random.chance(10) {
            set[kind] = json!({});
            return;
        }
        let rows = [
            json!({"name": "no id"}),
            json!({}),
            json!(5),
            json!("text"),
            Value::Null,
            json!([]),
            json!({"id": "bad", "_status": "synced"}),
            json!({"id": "bad", "_changed": ""}),
            json!({"id": "bad", "_status": null}),
        ];
        let row = rows[self.below(rows.len())].clone();
        let set = &mut answer["changes"][table];
        match set[kind].as_array_mut() {
            Some(list) => list.push(row),
            None => set[kind] = json!([row]),
        }
    }
}
