//! Tables change under us: renamed, given columns, dropped, created again, by programs that never heard
//! of syncscope. This brings `_syncTable`, the log and the triggers back in step.

use crate::store::{Database, Error, Result};

use super::op::{EVERY_COLUMN, GROUP, OP_BITS, Op, bit};
use super::shape::Shape;
use super::tracked::{Registration, Tracked, captured_table, registrations};
use super::{PendingRows, aside, log, meet, triggers};

/// Looks at every tracked table and adapts. Cheap when nothing changed. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn refresh(database: &Database) -> Result<()> {
    let mut drifted = Vec::new();
    for registration in registrations(database)? {
        // A table that was dropped took its triggers along; whoever needs it gets an error then.
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
                "UPDATE main._syncTable SET name = 'renamed ' || id || ' ' || hex(randomblob(8)) WHERE id = ?1",
                &[registration.id.into()],
            )?;
        }
    }
    for (registration, table) in &drifted {
        // The registration of a table that is gone must not hold a name that another one has now.
        database.execute(
            "UPDATE main._syncTable SET name = 'gone ' || id || ' ' || hex(randomblob(8)) \
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
    let id = registration.id;
    let tracked = Tracked::assemble(registration.clone(), shape.clone());
    if let Some(drift) = &tracked.drift {
        log_unseen(database, &tracked)?;
        let (before, now) = (&registration.columns, shape.names());
        aside::rename_columns(database, id, before, &now, &drift.places)?;
        remap(database, id, &drift.places)?;
    }
    let options = tracked.options;
    let options = serde_json::to_string(&options)
        .map_err(|error| Error::Corrupt(format!("options: {error}")))?;
    database.execute(
        "UPDATE main._syncTable SET options = ?2 WHERE id = ?1 AND options <> ?2",
        &[id.into(), options.as_str().into()],
    )?;
    store(database, id, shape)
}

/// Records which updates that are logged have changed columns that the triggers do not know.
fn log_unseen(database: &Database, tracked: &Tracked) -> Result<()> {
    let Some(drift) = tracked
        .drift
        .as_ref()
        .filter(|drift| !drift.added.is_empty())
    else {
        return Ok(());
    };
    let upto = log::high_water(database)?;
    let pending = PendingRows::read(database, &[tracked], upto)?
        .pop()
        .unwrap_or_default();
    let mut insert = database
        .prepare("INSERT INTO main._syncChange (tbl, op, mask, pk) VALUES (?1, ?2, ?3, ?4)")?;
    // The entries speak of the columns as the log knows them, until it is rewritten as a whole.
    for row in pending.rows().iter().filter(|row| row.has_unseen()) {
        for position in drift
            .added
            .clone()
            .filter(|position| row.changed(*position))
        {
            let (group, bit) = bit(position);
            insert.run(&[
                tracked.id.into(),
                Op::Update { group }.code().into(),
                (NEW | bit).into(),
                row.key.0.borrow(),
            ])?;
        }
    }
    drop(insert);
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND op = ?2 AND mask = 0",
            &[tracked.id.into(), Op::UPDATE.code().into()],
        )
    })?;
    Ok(())
}

/// Marks a mask that speaks of the new columns already.
const NEW: i64 = 1 << 62;

/// Rewrites the masks of logged updates from the old columns' bits to the new ones'.
fn remap(database: &Database, id: i64, places: &[Option<usize>]) -> Result<()> {
    let update = Op::UPDATE.code();
    let stays = places
        .iter()
        .enumerate()
        .all(|(before, now)| *now == Some(before));
    if !stays {
        let logged = database.query_all(
            "SELECT DISTINCT op, mask FROM main._syncChange \
             WHERE tbl = ?1 AND op & ?3 = ?4 AND mask > 0 AND mask < ?2",
            &[id.into(), NEW.into(), OP_BITS.into(), update.into()],
            |row| Ok((row.integer(0), row.integer(1))),
        )?;
        for (op, mask) in logged {
            let Op::Update { group } = Op::of(op) else {
                continue;
            };
            let (new_group, new_mask) = moved(group, mask, places);
            // Marked as new, so that it is not mistaken for one that is still to be rewritten.
            let marked = match new_mask {
                EVERY_COLUMN => EVERY_COLUMN,
                mask => mask | NEW,
            };
            let new_op = Op::Update { group: new_group }.code();
            database.execute(
                "UPDATE main._syncChange SET op = ?4, mask = ?5 \
                 WHERE tbl = ?1 AND op = ?2 AND mask = ?3",
                &[
                    id.into(),
                    op.into(),
                    mask.into(),
                    new_op.into(),
                    marked.into(),
                ],
            )?;
        }
    }
    database.execute(
        "UPDATE main._syncChange SET mask = mask & ~?2 WHERE tbl = ?1 AND mask >= ?2",
        &[id.into(), NEW.into()],
    )?;
    // Updates of dropped columns only are nothing any more.
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND op & ?2 = ?3 AND mask = 0",
            &[id.into(), OP_BITS.into(), update.into()],
        )
    })?;
    Ok(())
}

/// Where the bits of a group's mask go. Bits that would spread over two groups become "every column".
fn moved(group: usize, mask: i64, places: &[Option<usize>]) -> (usize, i64) {
    let first = group * GROUP;
    let moved: Vec<(usize, i64)> = (0..GROUP)
        .filter(|bit| mask & (1 << bit) != 0)
        .filter_map(|bit| places.get(first + bit).copied().flatten())
        .map(bit)
        .collect();
    let Some((new_group, _)) = moved.first().copied() else {
        return (group, 0);
    };
    if moved.iter().any(|(group, _)| *group != new_group) {
        return (0, EVERY_COLUMN);
    }
    let mask = moved.iter().fold(0, |mask, (_, bit)| mask | bit);
    (new_group, mask)
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

    #[test]
    fn bits_follow_their_columns() {
        // a b c d, b dropped.
        let places = [Some(0), None, Some(1), Some(2)];
        assert_eq!(moved(0, 0b1101, &places), (0, 0b111));
        assert_eq!(moved(0, 0b0010, &places), (0, 0));
        // Two columns before them: one goes over the border of the first group.
        let places: Vec<_> = (2..GROUP + 2).map(Some).collect();
        let last = |bits: &[usize]| bits.iter().fold(0, |mask, bit| mask | 1 << (GROUP - bit));
        assert_eq!(moved(0, last(&[3]), &places), (0, last(&[1])));
        assert_eq!(moved(0, last(&[1, 2]), &places), (1, 0b11));
        assert_eq!(moved(0, last(&[2, 3]), &places), (0, EVERY_COLUMN));
    }
}
