//! What `features` turns on: strategies, resolvers, migrations.

use serde_json::{Value, json};

use super::super::case::{Column, Condition, Resolver, Upgrade};
use super::{Maker, features};

impl Maker {
    pub(super) fn add_strategy(&mut self, answer: &mut Value) {
        if !self.odd.strategy {
            return;
        }
        if !features::STRATEGY {
            answer["experimentalStrategy"] = "incremental".into();
            return;
        }
        let mut kind = || json!(self.pick(&["incremental", "replacement"]));
        let (one, other) = (kind(), kind());
        let place = self.below(self.tables.len());
        let name = self.tables[place].name.clone();
        answer["experimentalStrategy"] = match self.below(10) {
            0..5 => one,
            5..8 => json!({"default": one, "override": {name: other}}),
            8 => json!({"default": one}),
            // The client looks at it for a table of its own only.
            _ if answer["changes"][&self.tables[0].name].is_object() => "nonsense".into(),
            _ => "incremental".into(),
        };
    }

    pub(super) fn conditions(&mut self) -> Vec<Condition> {
        if !(features::STRATEGY && self.odd.strategy && self.chance(30)) {
            return Vec::new();
        }
        let place = self.below(self.tables.len());
        let table = self.tables[place].clone();
        let column = table.columns[self.below(table.columns.len())].clone();
        let required = Column {
            optional: false,
            ..column.clone()
        };
        vec![Condition {
            table: table.name,
            column: column.name,
            value: self.value(&required),
        }]
    }

    pub(super) fn resolver(&mut self) -> Option<Resolver> {
        if !(features::RESOLVER && self.chance(20)) {
            return None;
        }
        let rules = [
            ("resolved", ":resolved"),
            ("remote", ":remote"),
            ("{...local}", ":local"),
            ("{...resolved, ...remote}", "json_patch(:resolved, :remote)"),
            (
                "({...resolved, _status: 'synced', _changed: ''})",
                "json_set(:resolved, '$._status', 'synced', '$._changed', '')",
            ),
        ];
        let (js, sql) = rules[self.below(rules.len())];
        Some(Resolver {
            js: js.to_owned(),
            sql: sql.to_owned(),
        })
    }

    pub(super) fn upgrade(&mut self) -> Upgrade {
        let schema_version = 2 + self.below(3) as i64;
        let table = self.tables[0].name.clone();
        let migrations: Vec<Value> = (2..=schema_version)
            .map(|version| {
                let step = match self.below(3) {
                    0 => json!({"type": "create_table", "name": format!("made{version}")}),
                    1 => json!({"type": "sql", "sql": "SELECT 1"}),
                    _ => {
                        json!({"type": "add_columns", "table": table, "columns": ["name", "late"]})
                    }
                };
                json!({"toVersion": version, "steps": [step]})
            })
            .collect();
        let enabled_at = match self.below(6) {
            0 => None,
            1 => Some(schema_version + 1),
            2 => Some(schema_version),
            _ => Some(1),
        };
        Upgrade {
            schema_version,
            enabled_at,
            migrations: migrations.into(),
        }
    }
}
