//! Makes a failing case small: drops what it can do without, as long as it still fails.

use serde_json::Value;

use super::case::{Case, Edit, Push, Step};

/// Tries at one case.
const TRIES: usize = 600;

/// The smallest case found for which `fails` still holds.
pub fn minimise(case: &Case, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let mut smallest = case.clone();
    let mut tries = 0;
    loop {
        let before = smallest.clone();
        let mut place = 0;
        while let Some(candidate) = smaller(&smallest, place) {
            place += 1;
            if candidate == smallest {
                continue;
            }
            tries += 1;
            if tries > TRIES {
                return smallest;
            }
            if fails(&candidate) {
                smallest = candidate;
                place -= 1;
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}

/// The case without its part number `place`; none when there are no more parts. Large parts come first.
fn smaller(case: &Case, place: usize) -> Option<Case> {
    let mut cut = Cut { left: place };
    let mut case = case.clone();
    (cut.steps(&mut case)
        || cut.tables(&mut case)
        || cut.lists(&mut case)
        || cut.columns(&mut case)
        || cut.values(&mut case))
    .then_some(case)
}

/// Counts down to the part that goes.
struct Cut {
    left: usize,
}

impl Cut {
    /// Whether it is this part's turn.
    fn here(&mut self) -> bool {
        let here = self.left == 0;
        self.left = self.left.wrapping_sub(1);
        here
    }

    /// One of a list's members.
    fn member<T>(&mut self, list: &mut Vec<T>) -> bool {
        if self.left < list.len() {
            list.remove(self.left);
            return true;
        }
        self.left -= list.len();
        false
    }

    fn steps(&mut self, case: &mut Case) -> bool {
        self.member(&mut case.steps)
    }

    fn tables(&mut self, case: &mut Case) -> bool {
        if case.tables.len() < 2 {
            return false;
        }
        let names: Vec<String> = case.tables.iter().map(|table| table.name.clone()).collect();
        if !self.member(&mut case.tables) {
            return false;
        }
        let left: Vec<&String> = case.tables.iter().map(|table| &table.name).collect();
        let gone = names.iter().find(|name| !left.contains(name)).cloned();
        let gone = gone.unwrap_or_default();
        for list in all_edits(case) {
            list.retain(|edit| edit.table != gone);
        }
        for sync in syncs(case) {
            if let Some(changes) = sync.answer["changes"].as_object_mut() {
                changes.shift_remove(&gone);
            }
            sync.push.rejected.shift_remove(&gone);
        }
        true
    }

    fn lists(&mut self, case: &mut Case) -> bool {
        if all_edits(case).into_iter().any(|list| self.member(list)) {
            return true;
        }
        for sync in syncs(case) {
            if sync.push != Push::taken() && self.here() {
                sync.push = Push::taken();
                return true;
            }
            for ids in sync.push.rejected.values_mut() {
                if ids.as_array_mut().is_some_and(|ids| self.member(ids)) {
                    return true;
                }
            }
            if sync.pull_fails.is_some() && self.here() {
                sync.pull_fails = None;
                return true;
            }
            let sets = sync.answer["changes"].as_object_mut();
            for list in sets
                .into_iter()
                .flat_map(|sets| sets.values_mut())
                .flat_map(lists_of)
            {
                if self.member(list) {
                    return true;
                }
            }
        }
        false
    }

    /// A column, everywhere.
    fn columns(&mut self, case: &mut Case) -> bool {
        for place in 0..case.tables.len() {
            let columns = case.tables[place].columns.len();
            if columns < 2 || self.left >= columns {
                self.left -= if columns < 2 { 0 } else { columns };
                continue;
            }
            let table = case.tables[place].name.clone();
            let gone = case.tables[place].columns.remove(self.left).name;
            for edit in all_edits(case).into_iter().flatten() {
                if edit.table == table {
                    edit.set.shift_remove(&gone);
                }
            }
            for sync in syncs(case) {
                for list in lists_of(&mut sync.answer["changes"][&table]) {
                    for row in list.iter_mut().filter_map(Value::as_object_mut) {
                        row.shift_remove(&gone);
                    }
                }
            }
            return true;
        }
        false
    }

    /// A value of an edit or a remote row.
    fn values(&mut self, case: &mut Case) -> bool {
        for edit in all_edits(case).into_iter().flatten() {
            if self.key(&mut edit.set) {
                return true;
            }
        }
        for sync in syncs(case) {
            let sets = sync.answer["changes"].as_object_mut();
            for list in sets
                .into_iter()
                .flat_map(|sets| sets.values_mut())
                .flat_map(lists_of)
            {
                for row in list.iter_mut().filter_map(Value::as_object_mut) {
                    if self.key(row) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// A member of an object, but not the id.
    fn key(&mut self, object: &mut serde_json::Map<String, Value>) -> bool {
        let names: Vec<String> = object
            .keys()
            .filter(|name| *name != "id")
            .cloned()
            .collect();
        if self.left < names.len() {
            object.shift_remove(&names[self.left]);
            return true;
        }
        self.left -= names.len();
        false
    }
}

fn lists_of(set: &mut Value) -> Vec<&mut Vec<Value>> {
    set.as_object_mut()
        .into_iter()
        .flat_map(|set| set.values_mut())
        .filter_map(Value::as_array_mut)
        .collect()
}

fn syncs(case: &mut Case) -> impl Iterator<Item = &mut super::case::Sync> {
    case.steps.iter_mut().filter_map(|step| match step {
        Step::Sync(sync) => Some(sync),
        _ => None,
    })
}

fn all_edits(case: &mut Case) -> Vec<&mut Vec<Edit>> {
    let mut all = Vec::new();
    for step in &mut case.steps {
        match step {
            Step::Edit(edits) => all.push(edits),
            Step::Sync(sync) => all.extend([&mut sync.during_pull, &mut sync.during_push]),
            Step::Upgrade(_) => {}
        }
    }
    all
}
