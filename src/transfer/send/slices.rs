//! Cutting what was frozen into parts that are pushed, and settled, one after the other.

use std::collections::{HashMap, VecDeque};

use crate::capture::{Key, KeyMap};
use crate::store::{Database, Result};

use super::frozen::{Entries, Frozen};
use super::order;
use super::outbox;
use crate::transfer::binding::Binding;

/// Cuts a frozen batch into parts of at most `most` rows (0: no limit), more only where rows refer to each other in a
/// circle, and rows that are to go alone into parts of their own. Call in the transaction that froze it.
///
/// # Errors
/// SQLite's; no room for temporary files.
pub fn cut(
    database: &Database,
    frozen: &Frozen,
    bindings: &[Binding],
    most: u64,
) -> Result<VecDeque<Frozen>> {
    if frozen.rows == 0 {
        return Ok(VecDeque::new());
    }
    let stretches = order::put_in_order(database, frozen.push, bindings)?;
    let alone = outbox::any_alone(database, frozen.push)?;
    if !(alone && frozen.rows > 1) && (most == 0 || frozen.rows <= most) {
        return Ok(VecDeque::from([frozen.clone()]));
    }
    let mut cutter = Cutter {
        database,
        frozen,
        most: match usize::try_from(most) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(most) => most,
        },
        part: Vec::new(),
        units: 0,
        unit: Vec::new(),
        alone: false,
        parts: VecDeque::new(),
    };
    for stretch in &stretches {
        // The plus makes SQLite sort them before it hands out the first, so that they can be moved meanwhile.
        let mut rows = database.connection().prepare(&format!(
            "SELECT id, alone FROM main._syncOutbox WHERE {} ORDER BY +id",
            stretch.condition
        ))?;
        while rows.step()? {
            let id = rows.integer(0);
            cutter.add(id, stretch.glued.contains(&id), rows.integer(1) != 0)?;
        }
    }
    let mut parts = cutter.finish()?;
    collect_entries(database, frozen, bindings, &mut parts)?;
    Ok(parts)
}

/// Leaves out the parts from which on it would be more than `most` rows, but never the first: they are pending as before.
///
/// # Errors
/// SQLite's.
pub fn shorten(
    database: &Database,
    provider: &str,
    parts: &mut VecDeque<Frozen>,
    most: u64,
) -> Result<()> {
    let mut rows = 0;
    let fits = parts.iter().take_while(|part| {
        rows += part.rows;
        rows <= most
    });
    let kept = fits.count().max(1).min(parts.len());
    for part in parts.split_off(kept) {
        outbox::close(database, provider, part.push, outbox::State::Refused)?;
    }
    Ok(())
}

/// Puts rows into parts of at most so many, but never parts those that must stay together.
struct Cutter<'a> {
    database: &'a Database,
    frozen: &'a Frozen,
    most: usize,
    /// Rows of the next part.
    part: Vec<i64>,
    /// How many there are of those that stay together.
    units: usize,
    /// Rows that stay together, to come next.
    unit: Vec<i64>,
    /// They go in a part of their own.
    alone: bool,
    parts: VecDeque<Frozen>,
}

impl Cutter<'_> {
    fn add(&mut self, id: i64, glued: bool, alone: bool) -> Result<()> {
        if !glued {
            self.close_unit()?;
            if alone || self.alone {
                self.close_part()?;
            }
            self.alone = alone;
        }
        self.unit.push(id);
        Ok(())
    }

    fn close_unit(&mut self) -> Result<()> {
        if !self.part.is_empty() && self.part.len() + self.unit.len() > self.most {
            self.close_part()?;
        }
        self.units += usize::from(!self.unit.is_empty());
        self.part.append(&mut self.unit);
        Ok(())
    }

    fn close_part(&mut self) -> Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.part);
        let circle = std::mem::take(&mut self.units) == 1 && rows.len() > 1;
        let push = match self.parts.is_empty() {
            true => self.frozen.push,
            false => {
                outbox::move_to_new_push(self.database, self.frozen.push, rows.iter().copied())?
            }
        };
        self.database.execute(
            "UPDATE main._syncPush SET rows = ?2 WHERE id = ?1",
            &[push.into(), (rows.len() as i64).into()],
        )?;
        self.parts.push_back(Frozen {
            push,
            rows: rows.len() as u64,
            entries: Some(Entries::new()),
            circle,
            ..self.frozen.clone()
        });
        Ok(())
    }

    fn finish(mut self) -> Result<VecDeque<Frozen>> {
        self.close_unit()?;
        self.close_part()?;
        Ok(self.parts)
    }
}

/// Finds the log entries of each part's rows, in one scan of the log. The last one settles what came to nothing too: of
/// a part that is cut again, what it was to settle. Memory grows with the stretches of the log that are of one part,
/// which are few where rows were written one after the other.
fn collect_entries(
    database: &Database,
    frozen: &Frozen,
    bindings: &[Binding],
    parts: &mut VecDeque<Frozen>,
) -> Result<()> {
    let part_of = parts_by_key(database, bindings, parts)?;
    let last = parts.len().saturating_sub(1);
    let mut scan = database
        .prepare("SELECT seq, tbl, pk FROM main._syncChange WHERE seq <= ?1 ORDER BY seq")?;
    scan.bind(1, frozen.upto.into())?;
    while scan.step()? {
        let seq = scan.integer(0);
        let Some(of_table) = part_of.get(&scan.integer(1)) else {
            continue;
        };
        let is_meant = frozen
            .entries
            .as_ref()
            .is_none_or(|entries| holds(entries, seq));
        if !is_meant {
            continue;
        }
        let number = of_table.get(&Key(scan.column(2).to_owned()))?;
        let number = number.map_or(Some(last), |number| usize::try_from(number).ok());
        let part = number.and_then(|number| parts.get_mut(number));
        if let Some(entries) = part.and_then(|part| part.entries.as_mut()) {
            add(entries, seq);
        }
    }
    Ok(())
}

/// The number of the part of each row, by table and key.
fn parts_by_key(
    database: &Database,
    bindings: &[Binding],
    parts: &VecDeque<Frozen>,
) -> Result<HashMap<i64, KeyMap<i64>>> {
    let numbers = parts.iter().enumerate();
    let numbers: HashMap<i64, i64> = numbers
        .map(|(number, part)| (part.push, number as i64))
        .collect();
    let new = parts.iter().skip(1).map(|part| part.push);
    let (first, last) = (new.clone().min(), new.max());
    let mut all = HashMap::new();
    for binding in bindings {
        let mut rows = database.prepare(
            "SELECT pushId, pk FROM main._syncOutbox \
             WHERE tbl = ?1 AND (pushId = ?2 OR pushId BETWEEN ?3 AND ?4) ORDER BY pk",
        )?;
        let table = binding.table.id;
        let of_table: &mut KeyMap<i64> = all.entry(table).or_default();
        let push = parts.front().map(|part| part.push);
        rows.bind_all(&[table.into(), push.into(), first.into(), last.into()])?;
        while rows.step()? {
            if let Some(number) = numbers.get(&rows.integer(0)) {
                of_table.insert(Key(rows.column(1).to_owned()), *number)?;
            }
        }
    }
    Ok(all)
}

/// Whether a number is among them.
fn holds(entries: &Entries, number: i64) -> bool {
    let after = entries.partition_point(|range| *range.start() <= number);
    after > 0 && entries[after - 1].contains(&number)
}

/// Adds a number that is higher than all before.
fn add(entries: &mut Entries, number: i64) {
    match entries.last_mut() {
        Some(last) if *last.end() + 1 == number => *last = *last.start()..=number,
        _ => entries.push(number..=number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_numbers_are_one_range() {
        let mut entries = Entries::new();
        for number in [1, 2, 3, 7, 9, 10] {
            add(&mut entries, number);
        }
        assert_eq!(entries, [1..=3, 7..=7, 9..=10]);
    }
}
