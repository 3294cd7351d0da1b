//! Local edits, and what is known of the rows they touch.

use serde_json::{Map, Value, json};

use super::super::case::{Column, Edit, Kind, Op, PushKind};
use super::{IDS, Known, Maker, TEXTS};

impl Maker {
    pub(super) fn some_edits(&mut self, percent: u64) -> Vec<Edit> {
        if self.chance(percent) {
            self.edits(3)
        } else {
            Vec::new()
        }
    }

    pub(super) fn edits(&mut self, most: usize) -> Vec<Edit> {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.edit()).collect()
    }

    pub(super) fn edit(&mut self) -> Edit {
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
    pub(super) fn values(&mut self, place: usize, percent: u64) -> Map<String, Value> {
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
    pub(super) fn value(&mut self, column: &Column) -> Value {
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

    pub(super) fn known_id(&mut self, place: usize) -> Option<String> {
        let count = self.known[place].len();
        (count > 0).then(|| {
            let number = self.below(count);
            self.known[place][number].id.clone()
        })
    }

    pub(super) fn new_id(&mut self, place: usize) -> String {
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
    pub(super) fn known(&mut self, place: usize, id: &str) -> &mut Known {
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
    pub(super) fn note_push(&mut self, kind: PushKind) {
        for known in self.known.iter_mut().flatten() {
            known.sent = known.row.clone();
            if kind == PushKind::Taken {
                known.mask.clear();
            }
        }
    }
}
