//! ALTER TABLE on a tracked table with its triggers out of the way.
//!
//! SQLite refuses to drop a column that a trigger mentions, and the capture triggers mention every
//! column. So the statement runs between taking the triggers away and putting new ones in place, in
//! one transaction, and the masks in the log are brought to the new columns.

use crate::store::{Database, Error, Result, quote_name};

use super::shape::Shape;
use super::tracked::{Registration, captured_table, registration};
use super::triggers::{self, GROUP};
use super::{drift, log};

/// Runs one `ALTER TABLE` statement. Call inside a transaction.
///
/// # Errors
/// Not tracked, not an ALTER TABLE statement, the table gone afterwards; SQLite's own.
pub fn alter(database: &Database, table: &str, sql: &str) -> Result<()> {
    let mut words = sql.split_ascii_whitespace();
    let is_alter = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("alter"))
        && words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("table"));
    if !is_alter {
        return Err(Error::argument("sql must be one ALTER TABLE statement"));
    }
    drift::refresh(database)?;
    let Some(registration) = registration(database, table)? else {
        return Err(Error::argument(format!(
            "{} is not tracked; run the statement directly",
            quote_name(table)
        )));
    };
    if captured_table(database, registration.id)?.is_none() {
        return Err(Error::argument(format!(
            "{} was dropped since it was tracked; call sync_track again",
            quote_name(table)
        )));
    }
    triggers::drop_all(database, registration.id)?;
    database.connection().prepare(sql)?.run(&[])?;
    let shape = Shape::read(database, &registration.name).map_err(|_| {
        Error::argument(format!(
            "the statement took {} away; rename a tracked table with plain ALTER TABLE … RENAME TO",
            quote_name(table)
        ))
    })?;
    if shape.definition == registration.definition {
        return Err(Error::argument(format!(
            "the statement did not change {}; nothing was done",
            quote_name(table)
        )));
    }
    remap(database, &registration, &shape)?;
    drift::store(database, registration.id, &shape)?;
    triggers::create(database, &shape, registration.id)
}

/// Rewrites the masks of logged updates from the old columns' bits to the new ones'.
fn remap(database: &Database, registration: &Registration, shape: &Shape) -> Result<()> {
    let places: Vec<Option<usize>> = registration
        .columns
        .iter()
        .map(|name| shape.position(name))
        .collect();
    let stays = places
        .iter()
        .enumerate()
        .all(|(before, now)| *now == Some(before));
    if stays {
        return Ok(());
    }
    let logged = database.query_all(
        "SELECT DISTINCT op, mask FROM main._syncChange WHERE tbl = ?1 AND op & 7 = 2 AND mask > 0",
        &[registration.id.into()],
        |row| Ok((row.integer(0), row.integer(1))),
    )?;
    // Changed in two steps, so that a mask already rewritten is not taken for one to be rewritten:
    // negative masks are the new ones.
    for (op, mask) in logged {
        let (new_op, new_mask) = moved(op, mask, &places);
        database.execute(
            "UPDATE main._syncChange SET op = ?4, mask = ?5 WHERE tbl = ?1 AND op = ?2 AND mask = ?3",
            &[registration.id.into(), op.into(), mask.into(), new_op.into(), (-new_mask - 2).into()],
        )?;
    }
    database.execute(
        "UPDATE main._syncChange SET mask = -mask - 2 WHERE tbl = ?1 AND op & 7 = 2 AND mask < -1",
        &[registration.id.into()],
    )?;
    // Updates of dropped columns only are nothing any more.
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND op & 7 = 2 AND mask = 0",
            &[registration.id.into()],
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
    let mask = moved
        .iter()
        .fold(0, |mask, place| mask | 1 << (place % GROUP));
    (2 | (group as i64) << 3, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_their_columns() {
        // a b c d, b dropped.
        let places = [Some(0), None, Some(1), Some(2)];
        assert_eq!(moved(2, 0b1101, &places), (2, 0b111));
        assert_eq!(moved(2, 0b0010, &places), (2, 0));
    }
}
