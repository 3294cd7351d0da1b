//! Tables change under us: renamed, given columns, dropped, made again, by programs that never heard
//! of syncscope. This brings `_syncTable`, the log and the triggers back in step.

use std::ops::Range;

use crate::store::{Database, Error, Result};

use super::shape::Shape;
use super::tracked::{Registration, captured_table, registrations};
use super::triggers::{self, GROUP};
use super::{log, meet};

/// Looks at every tracked table and adapts. Cheap when nothing changed. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn refresh(database: &Database) -> Result<()> {
    let mut drifted = Vec::new();
    for registration in registrations(database)? {
        // A table that was dropped took its triggers along; whoever needs it is told then.
        let Some(table) = captured_table(database, registration.id)? else {
            continue;
        };
        if has_drifted(database, &registration, &table)? {
            drifted.push((registration, table));
        }
    }
    // Names are unique; two tables may have swapped theirs.
    for (registration, table) in &drifted {
        if *table != registration.name {
            database.execute(
                "UPDATE main._syncTable SET name = char(0) || id WHERE id = ?1",
                &[registration.id.into()],
            )?;
        }
    }
    for (registration, table) in &drifted {
        // The registration of a table that is gone must not hold a name that another one has now.
        database.execute(
            "UPDATE main._syncTable SET name = char(0) || id || ' ' || name \
             WHERE name = ?1 AND id <> ?2",
            &[table.into(), registration.id.into()],
        )?;
        adapt(database, registration, table)?;
    }
    Ok(())
}

fn has_drifted(database: &Database, registration: &Registration, table: &str) -> Result<bool> {
    let definition = database.query_value(
        "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ?1",
        &[table.into()],
    )?;
    Ok(table != registration.name
        || definition.as_str() != Some(registration.definition.as_str())
        || meet::signature(database, table)? != registration.indexes
        || !triggers::are_complete(database, registration.id, registration.columns.len())?)
}

fn adapt(database: &Database, registration: &Registration, table: &str) -> Result<()> {
    let shape = Shape::read(database, table)?;
    reshape(database, registration, &shape)?;
    triggers::drop_all(database, registration.id)?;
    triggers::create(database, &shape, registration.id)
}

/// Brings the log, the options and the registration of a table to its present columns.
///
/// # Errors
/// SQLite's.
pub(super) fn reshape(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
) -> Result<()> {
    let (id, before, now) = (registration.id, &registration.columns, shape.names());
    let places = places(before, &now);
    mark_added(database, id, added(before, &now, &places))?;
    remap(database, id, &places)?;
    let mut options = registration.options.clone();
    options.rename(before, &now, &places);
    let options = serde_json::to_string(&options)
        .map_err(|error| Error::Corrupt(format!("options: {error}")))?;
    database.execute(
        "UPDATE main._syncTable SET options = ?2 WHERE id = ?1 AND options <> ?2",
        &[id.into(), options.as_str().into()],
    )?;
    store(database, id, shape)
}

/// Where each column of `before` is now; none for one that was dropped. A name that is gone from a
/// place where a new name stands was renamed, unless columns became fewer.
pub fn places(before: &[String], now: &[String]) -> Vec<Option<usize>> {
    let find = |name: &String| now.iter().position(|column| column.eq_ignore_ascii_case(name));
    let is_new = |place: usize| {
        now.get(place)
            .is_some_and(|name| !before.iter().any(|old| old.eq_ignore_ascii_case(name)))
    };
    let dropped = before.len().saturating_sub(now.len()) > 0;
    before
        .iter()
        .enumerate()
        .map(|(place, name)| find(name).or_else(|| (!dropped && is_new(place)).then_some(place)))
        .collect()
}

/// The columns that were added: SQLite puts them at the end.
pub fn added(before: &[String], now: &[String], places: &[Option<usize>]) -> Range<usize> {
    let kept = places.iter().flatten().count().min(before.len());
    kept..now.len().max(kept)
}

/// Updates that were logged before the triggers knew the added columns may have changed those too.
/// Better one column too many than an edit that a conflict undoes.
fn mark_added(database: &Database, id: i64, added: Range<usize>) -> Result<()> {
    if added.is_empty() {
        return Ok(());
    }
    for group in added.start / GROUP..=(added.end - 1) / GROUP {
        let mask = added
            .clone()
            .filter(|position| position / GROUP == group)
            .fold(0i64, |mask, position| mask | 1 << (position % GROUP));
        let op = (2 | group << 3) as i64;
        database.execute(
            "INSERT INTO main._syncChange (tbl, op, mask, rid, pk) \
             SELECT tbl, ?2, ?3, max(rid), pk FROM main._syncChange \
             WHERE tbl = ?1 AND op & 7 = 2 GROUP BY pk",
            &[id.into(), op.into(), mask.into()],
        )?;
    }
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND op = 2 AND mask = 0",
            &[id.into()],
        )
    })?;
    Ok(())
}

/// Rewrites the masks of logged updates from the old columns' bits to the new ones'.
fn remap(database: &Database, id: i64, places: &[Option<usize>]) -> Result<()> {
    let stays = places.iter().enumerate().all(|(before, now)| *now == Some(before));
    if stays {
        return Ok(());
    }
    let logged = database.query_all(
        "SELECT DISTINCT op, mask FROM main._syncChange WHERE tbl = ?1 AND op & 7 = 2 AND mask > 0",
        &[id.into()],
        |row| Ok((row.integer(0), row.integer(1))),
    )?;
    // Changed in two steps, so that a mask already rewritten is not taken for one to be rewritten:
    // negative masks are the new ones.
    for (op, mask) in logged {
        let (new_op, new_mask) = moved(op, mask, places);
        database.execute(
            "UPDATE main._syncChange SET op = ?4, mask = ?5 WHERE tbl = ?1 AND op = ?2 AND mask = ?3",
            &[id.into(), op.into(), mask.into(), new_op.into(), (-new_mask - 2).into()],
        )?;
    }
    database.execute(
        "UPDATE main._syncChange SET mask = -mask - 2 WHERE tbl = ?1 AND op & 7 = 2 AND mask < -1",
        &[id.into()],
    )?;
    // Updates of dropped columns only are nothing any more.
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND op & 7 = 2 AND mask = 0",
            &[id.into()],
        )
    })?;
    Ok(())
}

/// Where the bits of one mask go. Bits that would spread over two groups become "every column".
fn moved(op: i64, mask: i64, places: &[Option<usize>]) -> (i64, i64) {
    let first = (op >> 3) as usize * GROUP;
    let moved: Vec<usize> = (0..GROUP)
        .filter(|bit| mask & (1 << bit) != 0)
        .filter_map(|bit| places.get(first + bit).copied().flatten())
        .collect();
    let Some(group) = moved.first().map(|place| place / GROUP) else {
        return (op, 0);
    };
    if moved.iter().any(|place| place / GROUP != group) {
        return (2, -1);
    }
    let mask = moved.iter().fold(0, |mask, place| mask | 1 << (place % GROUP));
    (2 | (group as i64) << 3, mask)
}

/// Writes a table's present shape into its registration.
///
/// # Errors
/// SQLite's.
pub(super) fn store(database: &Database, id: i64, shape: &Shape) -> Result<()> {
    let columns = serde_json::to_string(&shape.names())
        .map_err(|error| Error::Corrupt(format!("column names: {error}")))?;
    let indexes = meet::signature(database, &shape.name)?;
    database.execute(
        "UPDATE main._syncTable SET name = ?2, columns = ?3, definition = ?4, indexes = ?5 \
         WHERE id = ?1",
        &[
            id.into(),
            shape.name.as_str().into(),
            columns.as_str().into(),
            shape.definition.as_str().into(),
            indexes.as_str().into(),
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split(' ').map(String::from).collect()
    }

    #[test]
    fn columns_are_followed() {
        for (before, now, expected, new) in [
            ("a b c", "a b c d", vec![Some(0), Some(1), Some(2)], 3..4),
            ("a b c", "a x c", vec![Some(0), Some(1), Some(2)], 3..3),
            ("a b c", "a c", vec![Some(0), None, Some(1)], 2..2),
            ("a b c", "a x c d", vec![Some(0), Some(1), Some(2)], 3..4),
        ] {
            let places = places(&names(before), &names(now));
            assert_eq!(places, expected, "{before} -> {now}");
            assert_eq!(added(&names(before), &names(now), &places), new, "{before} -> {now}");
        }
    }

    #[test]
    fn bits_follow_their_columns() {
        // a b c d, b dropped.
        let places = [Some(0), None, Some(1), Some(2)];
        assert_eq!(moved(2, 0b1101, &places), (2, 0b111));
        assert_eq!(moved(2, 0b0010, &places), (2, 0));
    }
}
