//! What must have become of every edit, whatever went wrong on the way.
//!
//! The rules are those of the decision table at the head of `src/transfer/apply.rs`, seen from outside:
//!
//! | a committed write of a column | unless it reached the backend, it may be lost because |
//! |---|---|
//! | any | the same device wrote that column again, or deleted the row, afterwards |
//! | any | somebody else deleted the row, and the device did not know that yet |
//! | with a whole new row | somebody else made the same row, and the device did not know that yet |
//!
//! | a committed delete | unless the row went away on the backend too, it may be lost because |
//! |---|---|
//! | any | the same device made the row again afterwards |
//! | any | the backend never had the row from this device |
//! | of a row new to the device's last pull | somebody else changed it meanwhile: it comes back |
//!
//! And the other way round, a device changes nothing on the backend that is not pending on it. (A push may
//! arrive after its device has given up, or died; then the lines come late.)

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::edits::{Picture, RowName, TABLES};
use super::history::{Line, What};

/// Number of a device, or of the other clients of the backend.
pub type Who = usize;

/// Those who write to the backend directly.
pub const OTHERS: Who = 2;

#[derive(Debug)]
struct Write {
    who: Who,
    order: u64,
    /// What the device had pulled when it wrote.
    cursor: i64,
    value: String,
    /// The row was new and, as far as the device knew, not on the backend: its values yield to others'.
    new_row: bool,
}

#[derive(Debug, PartialEq)]
enum Life {
    Born,
    Deleted,
}

#[derive(Debug)]
struct Event {
    who: Who,
    order: u64,
    cursor: i64,
    life: Life,
}

#[derive(Debug)]
struct Logged {
    who: Who,
    order: u64,
    line: Line,
}

/// What is pending on a device: the kind, and the columns of an update.
pub type PendingRows = BTreeMap<RowName, (String, BTreeSet<String>)>;

/// What a device did, and what the backend got.
#[derive(Default)]
pub struct Model {
    writes: HashMap<(RowName, &'static str), Vec<Write>>,
    lives: HashMap<RowName, Vec<Event>>,
    log: HashMap<RowName, Vec<Logged>>,
    order: u64,
    /// Of each device whose last push was lost: what was pending then, and edited meanwhile.
    lost: [Option<(PendingRows, BTreeSet<RowName>)>; 2],
}

impl Model {
    /// A transaction was committed on a device: these are the rows before and after it.
    pub fn edited(
        &mut self,
        who: Who,
        before: &Picture,
        after: &Picture,
        cursors: &HashMap<String, i64>,
        created: &BTreeSet<RowName>,
    ) -> BTreeSet<RowName> {
        self.order += 1;
        let order = self.order;
        let mut touched = BTreeSet::new();
        for (row, values) in after {
            let table = TABLES.iter().find(|table| table.name == row.0);
            let columns = table.expect("a known table").columns;
            let old = before.get(row);
            let cursor = cursors.get(&row.0).copied().unwrap_or(0);
            if old.is_none() {
                self.live(row, who, order, cursor, Life::Born);
            }
            let whole = old.is_none_or(|old| old[0] != values[0]);
            for (place, column) in columns.iter().enumerate() {
                if old.is_some_and(|old| old[place] == values[place]) {
                    continue;
                }
                touched.insert(row.clone());
                let writes = self.writes.entry((row.clone(), column)).or_default();
                writes.push(Write {
                    who,
                    order,
                    cursor,
                    value: values[place].clone(),
                    new_row: old.is_none() || (whole && created.contains(row)),
                });
            }
        }
        for row in before.keys().filter(|row| !after.contains_key(*row)) {
            let cursor = cursors.get(&row.0).copied().unwrap_or(0);
            self.live(row, who, order, cursor, Life::Deleted);
            touched.insert(row.clone());
        }
        touched
    }

    fn live(&mut self, row: &RowName, who: Who, order: u64, cursor: i64, life: Life) {
        let event = Event {
            who,
            order,
            cursor,
            life,
        };
        self.lives.entry(row.clone()).or_default().push(event);
    }

    /// Other clients wrote to the backend: whatever they wrote was meant.
    pub fn written_there(&mut self, lines: Vec<Line>) {
        self.order += 1;
        for line in lines {
            if let What::Cell { column, value } = &line.what {
                let column = column_name(&line.row, column);
                let writes = self.writes.entry((line.row.clone(), column)).or_default();
                writes.push(Write {
                    who: OTHERS,
                    order: self.order,
                    cursor: line.stamp,
                    value: value.clone(),
                    new_row: false,
                });
            }
            self.log_line(OTHERS, line);
        }
    }

    /// A device synced, and the backend's rows changed like this. `during` are rows that were edited on
    /// it meanwhile; `lost` says that it does not know what became of its push.
    pub fn pushed(
        &mut self,
        who: Who,
        lines: Vec<Line>,
        pending: &PendingRows,
        during: &BTreeSet<RowName>,
        lost: bool,
    ) {
        self.order += 1;
        for line in lines {
            let by = match may_push(&line, pending, during) {
                true => Some(who),
                false => self.pushed_late(&line),
            };
            let Some(by) = by else {
                let known = pending.get(&line.row);
                panic!(
                    "device {who} changed what was not pending on it: {line:?}; pending: {known:?}"
                );
            };
            self.pushed_line(by, line);
        }
        self.lost[who] = lost.then(|| (pending.clone(), during.clone()));
    }

    /// The backend's rows changed like this while no device synced.
    pub fn arrived_late(&mut self, lines: Vec<Line>) {
        self.order += 1;
        for line in lines {
            let by = self.pushed_late(&line);
            let by = by.unwrap_or_else(|| panic!("nobody pushed that: {line:?}"));
            self.pushed_line(by, line);
        }
    }

    /// The device whose lost push may have brought a line.
    fn pushed_late(&self, line: &Line) -> Option<Who> {
        self.lost.iter().position(|lost| {
            lost.as_ref()
                .is_some_and(|(pending, during)| may_push(line, pending, during))
        })
    }

    fn pushed_line(&mut self, who: Who, line: Line) {
        if let What::Cell { column, value } = &line.what {
            let column = column_name(&line.row, column);
            let writes = self.writes.get(&(line.row.clone(), column));
            let meant = writes.is_some_and(|all| all.iter().any(|one| one.value == *value));
            assert!(meant, "nobody wrote that: {line:?}");
        }
        self.log_line(who, line);
    }

    fn log_line(&mut self, who: Who, line: Line) {
        let logged = Logged {
            who,
            order: self.order,
            line,
        };
        self.log
            .entry(logged.line.row.clone())
            .or_default()
            .push(logged);
    }

    /// Everything is at rest, and these are the rows that all hold: no edit is lost.
    pub fn nothing_is_lost(&self, rows: &Picture) {
        for ((row, column), writes) in &self.writes {
            for write in writes {
                assert!(
                    self.is_write_accounted_for(row, column, write, writes),
                    "lost: {column} = {write:?}; {}",
                    self.story(row, rows)
                );
            }
        }
        for (row, events) in &self.lives {
            for event in events.iter().filter(|event| event.life == Life::Deleted) {
                assert!(
                    !rows.contains_key(row) || self.is_delete_accounted_for(row, event, events),
                    "lost: {event:?}; {}",
                    self.story(row, rows)
                );
            }
        }
    }

    /// All that is known of a row, for the message of a failure.
    fn story(&self, row: &RowName, rows: &Picture) -> String {
        let mut lines: Vec<(u64, String)> = Vec::new();
        for logged in self.log.get(row).into_iter().flatten() {
            let (stamp, what) = (logged.line.stamp, &logged.line.what);
            lines.push((
                logged.order,
                format!("{} there at {stamp}: {what:?}", logged.who),
            ));
        }
        for event in self.lives.get(row).into_iter().flatten() {
            let (who, cursor) = (event.who, event.cursor);
            lines.push((
                event.order,
                format!("{who} here after {cursor}: {:?}", event.life),
            ));
        }
        for ((_, column), writes) in self.writes.iter().filter(|((of, _), _)| of == row) {
            for Write {
                who,
                order,
                cursor,
                value,
                ..
            } in writes
            {
                lines.push((
                    *order,
                    format!("{who} here after {cursor}: {column} = {value}"),
                ));
            }
        }
        lines.sort_by_key(|(order, _)| *order);
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(order, text)| format!("\n  {order:3} {text}"))
            .collect();
        format!("{row:?} is now {:?}:{}", rows.get(row), lines.concat())
    }

    fn is_write_accounted_for(
        &self,
        row: &RowName,
        column: &str,
        write: &Write,
        writes: &[Write],
    ) -> bool {
        let log = self.log.get(row).map(Vec::as_slice).unwrap_or_default();
        let reached = log.iter().any(|logged| match &logged.line.what {
            What::Cell { column: of, value } => of == column && *value == write.value,
            _ => false,
        });
        let later = |other: &Write| other.who == write.who && other.order > write.order;
        let deleted_later = || {
            let lives = self.lives.get(row).map(Vec::as_slice).unwrap_or_default();
            lives.iter().any(|event| {
                event.who == write.who && event.order >= write.order && event.life == Life::Deleted
            })
        };
        let unknown_to_it =
            |logged: &&Logged| logged.who != write.who && logged.line.stamp > write.cursor;
        let deleted_there = || {
            let mut others = log.iter().filter(unknown_to_it);
            others.any(|logged| logged.line.what == What::Gone)
        };
        let made_there = || {
            log.iter().filter(unknown_to_it).any(
                |logged| matches!(&logged.line.what, What::Cell { column: of, .. } if of == column),
            )
        };
        reached
            || writes.iter().any(later)
            || deleted_later()
            || deleted_there()
            || (write.new_row && made_there())
    }

    fn is_delete_accounted_for(&self, row: &RowName, delete: &Event, events: &[Event]) -> bool {
        let log = self.log.get(row).map(Vec::as_slice).unwrap_or_default();
        let after = |logged: &&Logged| {
            let unknown_to_it = logged.who != delete.who && logged.line.stamp > delete.cursor;
            logged.order > delete.order || unknown_to_it
        };
        let gone = log
            .iter()
            .filter(after)
            .any(|logged| logged.line.what == What::Gone);
        let made_again = events.iter().any(|event| {
            event.who == delete.who && event.order > delete.order && event.life == Life::Born
        });
        let was_there = log
            .iter()
            .rfind(|logged| logged.order < delete.order && is_life(logged))
            .is_some_and(|logged| logged.line.what == What::Born);
        let made_by_others = log
            .iter()
            .filter(|logged| logged.order > delete.order)
            .any(|logged| logged.who != delete.who && logged.line.what == What::Born);
        let unknown_to_it = |logged: &&Logged| logged.line.stamp > delete.cursor;
        let comes_back = log
            .iter()
            .filter(unknown_to_it)
            .any(|logged| logged.line.what == What::Born)
            && log
                .iter()
                .filter(unknown_to_it)
                .any(|logged| logged.who != delete.who);
        gone || made_again || (!was_there && made_by_others) || comes_back
    }
}

/// Whether a device may make this change, with that pending, and those rows edited meanwhile.
fn may_push(line: &Line, pending: &PendingRows, during: &BTreeSet<RowName>) -> bool {
    let known = pending.get(&line.row);
    during.contains(&line.row)
        || match (&line.what, known) {
            (_, None) => false,
            (What::Born, Some((kind, _))) => kind != "deleted",
            (What::Gone, Some((kind, _))) => kind == "deleted",
            (What::Cell { column, .. }, Some((kind, changed))) => {
                kind == "created" || changed.contains(column)
            }
        }
}

fn is_life(logged: &Logged) -> bool {
    matches!(logged.line.what, What::Born | What::Gone)
}

fn column_name(row: &RowName, column: &str) -> &'static str {
    TABLES
        .iter()
        .filter(|table| table.name == row.0)
        .flat_map(|table| table.columns)
        .find(|name| **name == column)
        .expect("a known column")
}
