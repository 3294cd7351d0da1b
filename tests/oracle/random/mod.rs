//! Random cases: the same seed and number, the same case.

mod answers;
mod edits;
mod oddities;
mod options;

use serde_json::{Map, Value, json};

use super::case::{Case, Column, Kind, PullFailure, Push, PushKind, Step, Sync, Table};
use support::Random;

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
    conditional: bool,
    resolver: bool,
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
    random.draw();
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
        // The small ones are for servers that number their rows.
        ids: 10,
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
        let conditional = chance(10);
        self.odd = Oddities {
            malformed: chance(7),
            integer_ids: chance(5),
            other_ids: chance(4),
            prototypes: chance(4),
            repeated: chance(7),
            missing: chance(6),
            fractions: chance(5),
            strategy: conditional || chance(15),
            conditional,
            resolver: chance(15),
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
            if self.chance(10) {
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
}
