//! Cutting what was frozen into parts that are pushed, and settled, one after the other.

use std::collections::{HashMap, VecDeque};

use crate::capture::Key;
use crate::store::{Database, Result};

use super::freeze::{Entries, Frozen};
use super::order;
use super::outbox;
use crate::transfer::binding::Binding;

/// Cuts a frozen batch into parts of at most `most` rows (0: no limit), more only where rows refer to each other in a
/// circle. Call in the transaction that froze it.
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
        order::renumber_circles(database, frozen.push, bindings)?;
        return Ok(VecDeque::from([frozen.clone()]));
    }
    let rows = order::ordered_rows(database, frozen.push, bindings)?;
    let mut parts = VecDeque::new();
    let mut part_of = HashMap::with_capacity(rows.len());
    let size = usize::try_from(most).unwrap_or(usize::MAX);
    for (number, chunk) in chunks(&rows, size).into_iter().enumerate() {
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
    collect_entries(database, frozen, bindings, &part_of, &mut parts)?;
    Ok(parts)
}

/// Cuts rows into pieces of at most `size`, but never between two that must stay together.
fn chunks(rows: &[order::Row], size: usize) -> Vec<&[order::Row]> {
    let (mut pieces, mut start, mut end) = (Vec::new(), 0, 0);
    for unit in rows.chunk_by(|_, next| next.glued) {
        if end > start && end + unit.len() - start > size {
            pieces.push(&rows[start..end]);
            start = end;
        }
        end += unit.len();
    }
    pieces.push(&rows[start..]);
    pieces
}

/// Finds the log entries of each part's rows, in one scan of the log. The last one settles what came to nothing too: of
/// a part that is cut again, what it was to settle.
fn collect_entries(
    database: &Database,
    frozen: &Frozen,
    bindings: &[Binding],
    part_of: &HashMap<(i64, Key), usize>,
    parts: &mut VecDeque<Frozen>,
) -> Result<()> {
    let tables: Vec<i64> = bindings.iter().map(|binding| binding.table.id).collect();
    let last = parts.len().saturating_sub(1);
    let mut scan = database
        .prepare("SELECT seq, tbl, pk FROM main._syncChange WHERE seq <= ?1 ORDER BY seq")?;
    scan.bind(1, frozen.upto.into())?;
    while scan.step()? {
        let (seq, row) = (
            scan.integer(0),
            (scan.integer(1), Key(scan.column(2).to_owned())),
        );
        let is_meant = frozen
            .entries
            .as_ref()
            .is_none_or(|entries| holds(entries, seq));
        if !tables.contains(&row.0) || !is_meant {
            continue;
        }
        let number = part_of.get(&row).copied().unwrap_or(last);
        let part = parts.get_mut(number);
        let Some(entries) = part.and_then(|part| part.entries.as_mut()) else {
            continue;
        };
        add(entries, scan.integer(0));
    }
    Ok(())
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
