//! Random cases: the same seed and number, the same case.

use serde_json::{Map, Value, json};

use super::case::{
    Case, Column, Condition, Edit, Kind, Op, PullFailure, Push, PushKind, Resolver, Step, Sync,
    Table, Upgrade,
};
use super::sync_common::Random;

/// What the extension can do so far. What is off is not asked of it.
pub mod features {
    /// `experimentalStrategy` other than incremental, and `replacementWhere`.
    pub const STRATEGY: bool = false;
    /// `sync_resolver`.
    pub const RESOLVER: bool = false;
    /// `migrations` and `migrationsEnabledAtVersion`.
    pub const MIGRATIONS: bool = false;
    /// The key of `sync_provider`. The client's option only silences a warning, so cases with it are
    /// made in any case.
    pub const SEND_CREATED_AS_UPDATED: bool = false;
}

/// The oddities a case may have. Most have none or one.
#[derive(Clone, Copy, Default)]
struct Oddities {
    malformed: bool,
    integer_ids: bool,
    other_ids: bool,
    large_integers: bool,
    prototypes: bool,
    repeated: bool,
    missing: bool,
    fractions: bool,
    defaults: bool,
    strategy: bool,
    sent_as_updated: bool,
}

/// An id in use, and what its row probably holds: enough to send it back as it was.
struct Known {
    id: String,
    row: Map<String, Value>,
    /// Columns changed here since the last push that was taken.
    mask: Vec<String>,
    /// The row when it was last pushed.
    sent: Map<String, Value>,
}

struct Maker {
    random: Random,
    odd: Oddities,
    tables: Vec<Table>,
    /// By table.
    known: Vec<Vec<Known>>,
    ids: u64,
    clock: i64,
}

const TABLES: &[&str] = &["task", "order", "two words", "it's", "T3"];
const COLUMNS: &[&str] = &[
    "name",
    "n",
    "done",
    "group",
    "updated_at",
    "camelCase",
    "a b",
];
const IDS: &[&str] = &[
    "",
    "') or 1=1 --",
    "A",
    "a",
    "ü€",
    "x y",
    "\"",
    "%",
    "1e5",
    "null",
    "0",
    "-1",
    "007",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "it's",
    "ü€😀",
    "5",
    "a,b",
    "null",
    "nul\0 \u{7f}\n\\",
];

/// Cases in a row that have the same tables, since making a database takes longer than a sync.
const SHARED: u64 = 20;

fn generator(seed: u64, number: u64) -> Random {
    let mut random = Random(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
    random.next();
    random
}

/// The case of a number under a seed.
pub fn case(seed: u64, number: u64) -> Case {
    let mut tables = generator(seed, u64::MAX - number / SHARED);
    let large_integers = tables.chance(8);
    let defaults = tables.chance(12);
    let random = generator(seed, number);
    let mut maker = Maker {
        random: tables,
        odd: Oddities {
            large_integers,
            defaults,
            ..Oddities::default()
        },
        tables: Vec::new(),
        known: Vec::new(),
        ids: 0,
        clock: 1000,
    };
    maker.tables();
    maker.random = random;
    maker.oddities();
    let resolver = maker.resolver();
    let replacement_where = maker.conditions();
    let steps = maker.steps();
    Case {
        name: format!("seed {seed}, case {number}"),
        schema_version: 1,
        send_created_as_updated: maker.odd.sent_as_updated,
        resolver,
        replacement_where,
        steps,
        tables: maker.tables,
    }
}

impl Maker {
    fn oddities(&mut self) {
        let mut chance = |percent| self.random.chance(percent);
        self.odd = Oddities {
            malformed: chance(7),
            integer_ids: chance(5),
            other_ids: chance(4),
            prototypes: chance(4),
            repeated: chance(7),
            missing: chance(6),
            fractions: chance(5),
            strategy: chance(20),
            sent_as_updated: chance(10),
            ..self.odd
        };
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.chance(percent)
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    // -------------------------------------------------------------------------------------- tables

    fn tables(&mut self) {
        let count = 1 + self.below(3);
        let first = self.below(TABLES.len());
        for place in 0..count {
            let columns = 1 + self.below(5);
            let start = self.below(COLUMNS.len());
            let columns = (0..columns)
                .map(|column| self.column(COLUMNS[(start + column) % COLUMNS.len()]))
                .collect();
            let name = TABLES[(first + place) % TABLES.len()].to_owned();
            let integer_key = self.chance(12);
            self.tables.push(Table {
                name,
                integer_key,
                columns,
            });
            self.known.push(Vec::new());
        }
    }

    fn column(&mut self, name: &str) -> Column {
        let kind = [Kind::String, Kind::Number, Kind::Boolean][self.below(3)];
        let declared = match kind {
            Kind::String => self.pick(&["TEXT", "TEXT", "VARCHAR(40)", "CLOB", ""]),
            // A REAL column can't keep every integer.
            Kind::Number if self.odd.large_integers => self.pick(&["INTEGER", "NUMERIC", ""]),
            Kind::Number => self.pick(&["INTEGER", "REAL", "NUMERIC", ""]),
            Kind::Boolean => self.pick(&["BOOLEAN", "BOOLEAN", "INTEGER", ""]),
        };
        let mut column = Column {
            name: name.to_owned(),
            kind,
            optional: self.chance(50),
            declared: declared.to_owned(),
            default: Value::Null,
        };
        if self.odd.defaults && self.chance(60) {
            column.default = match kind {
                Kind::String => "by default".into(),
                Kind::Number => 77.into(),
                Kind::Boolean => true.into(),
            };
        }
        column
    }

    // --------------------------------------------------------------------------------------- steps

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.chance(30) {
            let edits = self.edits(3);
            steps.push(Step::Edit(edits));
        }
        let syncs = 2 + usize::from(self.chance(35)) + usize::from(self.chance(15));
        for number in 0..syncs {
            let sync = self.sync(number == 0);
            steps.push(Step::Sync(sync));
            if number + 1 == syncs {
                break;
            }
            if self.chance(85) {
                let edits = self.edits(4);
                steps.push(Step::Edit(edits));
            }
            if features::MIGRATIONS && self.chance(10) {
                let upgrade = self.upgrade();
                steps.push(Step::Upgrade(upgrade));
            }
        }
        steps
    }

    fn sync(&mut self, first: bool) -> Sync {
        self.clock += 1000;
        let changes = self.changes(first);
        let mut answer = json!({});
        let timestamp = self.timestamp();
        // A client must not rely on what comes first.
        if self.chance(50) {
            answer["timestamp"] = timestamp;
            answer["changes"] = changes;
        } else {
            answer["changes"] = changes;
            answer["timestamp"] = timestamp;
        }
        if self.chance(5) {
            answer["more"] = json!({"anything": [1, "raw:\"\\ud800\"", "raw:1e400"]});
        }
        self.add_strategy(&mut answer);
        if self.odd.malformed && self.chance(40) {
            self.spoil(&mut answer);
        }
        let pull_fails = match self.below(100) {
            0 | 1 => Some(PullFailure::Status([500, 404, 401, 302][self.below(4)])),
            2 => Some(PullFailure::CutOff),
            3 => Some(PullFailure::Text(
                self.pick(&["", "<html>", "[]", "{}", "{\"timestamp\":5}"])
                    .to_owned(),
            )),
            _ => None,
        };
        let during_pull = self.some_edits(25);
        let push = self.push();
        self.note_push(push.kind);
        let during_push = self.some_edits(25);
        Sync {
            answer,
            pull_fails,
            during_pull,
            push,
            during_push,
        }
    }

    fn timestamp(&mut self) -> Value {
        if self.odd.fractions && self.chance(60) {
            return json!(self.clock as f64 + 0.25);
        }
        if self.odd.large_integers && self.chance(20) {
            return (9_007_199_254_740_993_i64 + self.clock * 2).into();
        }
        // A clock that goes back is the server's fault, and no error.
        let back = if self.chance(5) { 1500 } else { 0 };
        (self.clock - back).into()
    }

    fn push(&mut self) -> Push {
        let (kind, status) = match self.below(10) {
            0 => (
                PushKind::Refused,
                [400, 401, 403, 409, 422, 429][self.below(6)],
            ),
            1 | 2 => (PushKind::Lost, [500, 503, 408, 0][self.below(4)]),
            _ => (PushKind::Taken, [200, 201, 204][self.below(3)]),
        };
        let mut rejected = Map::new();
        if kind == PushKind::Taken && self.chance(30) {
            for place in 0..self.tables.len() {
                let count = self.below(3);
                let mut ids: Vec<String> =
                    (0..count).filter_map(|_| self.known_id(place)).collect();
                if self.chance(20) {
                    ids.push("nobody knows".into());
                }
                if !ids.is_empty() {
                    rejected.insert(self.tables[place].name.clone(), ids.into());
                }
            }
        }
        Push {
            kind,
            status,
            rejected,
        }
    }

    // --------------------------------------------------------------------------------------- edits

    fn some_edits(&mut self, percent: u64) -> Vec<Edit> {
        if self.chance(percent) {
            self.edits(3)
        } else {
            Vec::new()
        }
    }

    fn edits(&mut self, most: usize) -> Vec<Edit> {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.edit()).collect()
    }

    fn edit(&mut self) -> Edit {
        let place = self.below(self.tables.len());
        let table = self.tables[place].name.clone();
        let op = match self.below(10) {
            0..3 => Op::Create,
            3..8 => Op::Update,
            _ => Op::Delete,
        };
        let known = self.known_id(place).filter(|_| op != Op::Create);
        let Some(id) = known else {
            let id = self.new_id(place);
            let set = self.values(place, 100);
            self.known(place, &id).row = set.clone();
            return Edit {
                table,
                op: Op::Create,
                id,
                set,
            };
        };
        let mut set = Map::new();
        if op == Op::Update {
            set = self.values(place, 50);
            let known = self.known(place, &id);
            known.mask.extend(set.keys().cloned());
            known.row.extend(set.clone());
        }
        Edit { table, op, id, set }
    }

    /// Values for some of the columns.
    fn values(&mut self, place: usize, percent: u64) -> Map<String, Value> {
        let columns = self.tables[place].columns.clone();
        let mut set = Map::new();
        for column in columns {
            if self.chance(percent) {
                set.insert(column.name.clone(), self.value(&column));
            }
        }
        set
    }

    /// A value that the column takes.
    fn value(&mut self, column: &Column) -> Value {
        if column.optional && self.chance(15) {
            return Value::Null;
        }
        match column.kind {
            Kind::String => self.pick(TEXTS).into(),
            Kind::Boolean => self.chance(50).into(),
            Kind::Number => {
                let numbers = [
                    json!(0),
                    json!(1),
                    json!(2),
                    json!(-1),
                    json!(1.5),
                    json!(1e21),
                    json!(9_007_199_254_740_991_i64),
                ];
                numbers[self.below(numbers.len())].clone()
            }
        }
    }

    // ----------------------------------------------------------------------------------------- ids

    fn known_id(&mut self, place: usize) -> Option<String> {
        let count = self.known[place].len();
        (count > 0).then(|| {
            let number = self.below(count);
            self.known[place][number].id.clone()
        })
    }

    fn new_id(&mut self, place: usize) -> String {
        self.ids += 1;
        if self.tables[place].integer_key {
            return self.ids.to_string();
        }
        let special = self.pick(IDS);
        let used = self.known[place].iter().any(|known| known.id == special);
        if used || !self.chance(15) {
            return format!("row{}", self.ids);
        }
        special.to_owned()
    }

    /// The notes on an id.
    fn known(&mut self, place: usize, id: &str) -> &mut Known {
        let list = &mut self.known[place];
        let number = list
            .iter()
            .position(|known| known.id == id)
            .unwrap_or_else(|| {
                list.push(Known {
                    id: id.to_owned(),
                    row: Map::new(),
                    mask: Vec::new(),
                    sent: Map::new(),
                });
                list.len() - 1
            });
        &mut list[number]
    }

    /// Notes a push: what is sent, and what a taken one leaves.
    fn note_push(&mut self, kind: PushKind) {
        for known in self.known.iter_mut().flatten() {
            known.sent = known.row.clone();
            if kind == PushKind::Taken {
                known.mask.clear();
            }
        }
    }

    // ------------------------------------------------------------------------------------- answers

    fn changes(&mut self, first: bool) -> Value {
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

    fn change_set(&mut self, place: usize, first: bool) -> Value {
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
    fn remote_id(&mut self, place: usize, new: bool) -> String {
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

    fn wire_id(&mut self, id: &str) -> Value {
        match id.parse::<i64>() {
            Ok(number) if self.odd.integer_ids && number.to_string() == id && self.chance(70) => {
                number.into()
            }
            _ => id.into(),
        }
    }

    fn remote_row(&mut self, place: usize, id: &str) -> Value {
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

    fn add_strange_keys(&mut self, columns: &[Column], row: &mut Map<String, Value>) {
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

    fn remote_value(&mut self, column: &Column) -> Value {
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
    fn unfit(&mut self) -> Value {
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

    // ------------------------------------------------------------------------------------ oddities

    fn give_other_ids(
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
    fn spoil(&mut self, answer: &mut Value) {
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

    fn add_strategy(&mut self, answer: &mut Value) {
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
            _ => "nonsense".into(),
        };
    }

    fn conditions(&mut self) -> Vec<Condition> {
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

    fn resolver(&mut self) -> Option<Resolver> {
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

    fn upgrade(&mut self) -> Upgrade {
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
