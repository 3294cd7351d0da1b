//! Cutting what was frozen into parts that are pushed, and settled, one after the other.
//!
//! Parents go before the rows that refer to them, deleted rows after all others and the other way around.

use std::collections::{HashMap, VecDeque};

use crate::capture::Key;
use crate::store::{Database, Result};

use super::freeze::{Entries, Frozen};
use super::outbox;
use crate::transfer::binding::Binding;

/// Cuts a frozen batch into parts of at most `most` rows (0: no limit). Call in the transaction that froze
/// it.
///
/// # Errors
/// SQLite's.
pub fn cut(
    database: &Database,
    frozen: &Frozen,
    bindings: &[Binding],
    most: u64,
) -> Result<VecDeque<Frozen>> {
    if frozen.rows == 0 {
        return Ok(VecDeque::new());
    }
    if most == 0 || frozen.rows <= most {
        return Ok(VecDeque::from([frozen.clone()]));
    }
    let rows = ordered_rows(database, frozen.push, bindings)?;
    let mut parts = VecDeque::new();
    let mut part_of = HashMap::with_capacity(rows.len());
    let size = usize::try_from(most).unwrap_or(usize::MAX);
    for (number, chunk) in rows.chunks(size).enumerate() {
        let push = match number {
            0 => frozen.push,
            _ => {
                let rows = chunk.iter().map(|row| row.id);
                outbox::move_to_new_push(database, frozen.push, rows)?
            }
        };
        for row in chunk {
            part_of.insert((row.table, row.key.clone()), number);
        }
        database.execute(
            "UPDATE main._syncPush SET rows = ?2 WHERE id = ?1",
            &[push.into(), (chunk.len() as i64).into()],
        )?;
        parts.push_back(Frozen {
            push,
            rows: chunk.len() as u64,
            entries: Some(Entries::new()),
            ..frozen.clone()
        });
    }
    collect_entries(database, frozen.upto, &part_of, &mut parts)?;
    // The last one settles what is left, also what came to nothing.
    if let Some(last) = parts.back_mut().filter(|_| frozen.entries.is_none()) {
        last.entries = None;
    }
    Ok(parts)
}

/// One row of the outbox.
struct Row {
    id: i64,
    table: i64,
    key: Key,
}

/// The rows of a push in the order in which they are sent.
fn ordered_rows(database: &Database, push: i64, bindings: &[Binding]) -> Result<Vec<Row>> {
    let tables = parents_first(database, bindings)?;
    let mut rows = Vec::new();
    let mut read = |table: i64, deleted: bool| {
        let found = database.query_all(
            "SELECT id, pk FROM main._syncOutbox \
             WHERE pushId = ?1 AND tbl = ?2 AND (kind = 'deleted') = ?3 ORDER BY id",
            &[push.into(), table.into(), deleted.into()],
            |row| {
                Ok(Row {
                    id: row.integer(0),
                    table,
                    key: Key(row.column(1).to_owned()),
                })
            },
        )?;
        rows.extend(found);
        Ok(())
    };
    tables.iter().try_for_each(|table| read(*table, false))?;
    tables
        .iter()
        .rev()
        .try_for_each(|table| read(*table, true))?;
    Ok(rows)
}

/// The numbers of the tables, each behind those that its foreign keys refer to. In a circle the order of
/// the sync stays.
///
/// # Errors
/// SQLite's.
pub fn parents_first(database: &Database, bindings: &[Binding]) -> Result<Vec<i64>> {
    let mut parents = Vec::with_capacity(bindings.len());
    for binding in bindings {
        let named = database.query_all(
            "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1, ?2)",
            &[
                binding.table.shape.name.as_str().into(),
                database.schema().into(),
            ],
            |row| Ok(row.text(0)),
        )?;
        let place_of = |name: &String| {
            bindings
                .iter()
                .position(|other| other.table.shape.name.eq_ignore_ascii_case(name))
        };
        parents.push(named.iter().filter_map(place_of).collect());
    }
    let order = after_their_parents(&parents);
    Ok(order
        .iter()
        .map(|place| bindings[*place].table.id)
        .collect())
}

fn after_their_parents(parents: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(parents.len());
    let mut seen = vec![false; parents.len()];
    for place in 0..parents.len() {
        visit(place, parents, &mut seen, &mut order);
    }
    order
}

fn visit(place: usize, parents: &[Vec<usize>], seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[place], true) {
        return;
    }
    for parent in &parents[place] {
        visit(*parent, parents, seen, order);
    }
    order.push(place);
}

/// Finds the log entries of each part's rows, in one scan of the log.
fn collect_entries(
    database: &Database,
    upto: i64,
    part_of: &HashMap<(i64, Key), usize>,
    parts: &mut VecDeque<Frozen>,
) -> Result<()> {
    let mut scan = database
        .prepare("SELECT seq, tbl, pk FROM main._syncChange WHERE seq <= ?1 ORDER BY seq")?;
    scan.bind(1, upto.into())?;
    while scan.step()? {
        let row = (scan.integer(1), Key(scan.column(2).to_owned()));
        let part = part_of.get(&row).and_then(|number| parts.get_mut(*number));
        let Some(entries) = part.and_then(|part| part.entries.as_mut()) else {
            continue;
        };
        add(entries, scan.integer(0));
    }
    Ok(())
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
    fn parents_come_first_and_circles_come_to_an_end() {
        for (parents, order) in [
            (vec![vec![], vec![], vec![]], vec![0, 1, 2]),
            (vec![vec![1], vec![2], vec![]], vec![2, 1, 0]),
            (vec![vec![2], vec![0], vec![2]], vec![2, 0, 1]),
            (vec![vec![1], vec![0]], vec![1, 0]),
        ] {
            assert_eq!(after_their_parents(&parents), order, "{parents:?}");
        }
    }

    #[test]
    fn neighbouring_numbers_are_one_range() {
        let mut entries = Entries::new();
        for number in [1, 2, 3, 7, 9, 10] {
            add(&mut entries, number);
        }
        assert_eq!(entries, [1..=3, 7..=7, 9..=10]);
    }
}
