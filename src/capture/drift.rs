//! Tables change under us: renamed, given columns, dropped, rebuilt, by programs that never heard of syncscope. This
//! brings `_syncTable` and the triggers back in step. The log stays as it is: see `columns.rs`.

use crate::store::{Database, Error, Result, untold};

use super::doubt::doubt;
use super::renamed::{Move, follow_tables};
use super::shape::Shape;
use super::tracked::{Registration, Tracked, registrations};
use super::triggers::Found;
use super::whereabouts;
use super::{meet, rebuilt, refilled, reshape};

/// Looks at every tracked table and adapts. What somebody should know of it is kept ([`untold`]) for the next answer that has
/// room for warnings. Cheap when nothing changed. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn refresh(database: &Database) -> Result<()> {
    let mut drifted = Vec::new();
    let mut bare = Vec::new();
    let mut triggers = Found::all(database)?;
    for registration in registrations(database)? {
        let found = triggers.remove(&registration.id).unwrap_or_default();
        if registration.off.is_some() {
            continue;
        }
        let Some(table) = found.table.clone() else {
            bare.push(registration);
            continue;
        };
        let shape = Shape::read(database, &table)?;
        let place = refilled::place(database, &table)?;
        let has_moved = registration.place != place;
        let is_drifted = has_moved || has_drifted(database, &registration, &shape, &found)?;
        if is_drifted && doubt(database, &registration, &shape, &found)?.is_none() {
            drifted.push((registration, shape, found));
        }
    }
    let mut moves = Vec::new();
    for (registration, shape, _) in &drifted {
        if shape.name != registration.name {
            moves.push(Move {
                id: registration.id,
                names: (registration.name.clone(), shape.name.clone()),
            });
        }
    }
    follow_all(database, moves, &mut bare)?;
    for (registration, shape, found) in &drifted {
        make_way(database, registration.id, &shape.name)?;
        bare.retain(|bare| !bare.name.eq_ignore_ascii_case(&shape.name));
        reshape::reshape(database, registration, shape, found, true)?;
        if !found.is_whole() {
            untold::keep(database, &rebuilt::warning(&shape.name))?;
        }
    }
    restore_all(database, bare)
}

/// Puts capture back where a table has lost its triggers, for a call that begins a program's work rather than needs a table. A
/// table that was renamed keeps its triggers, and may be in the middle of a migration: that waits for a call that needs it.
///
/// # Errors
/// SQLite's.
pub fn restore(database: &Database) -> Result<()> {
    let triggers = Found::all(database)?;
    let is_captured = |name: &str| {
        let mut tables = triggers.values().filter_map(|found| found.table.as_deref());
        tables.any(|table| table.eq_ignore_ascii_case(name))
    };
    let mut bare = registrations(database)?;
    bare.retain(|registration| {
        let found = triggers.get(&registration.id);
        let has_lost = found.is_none_or(|found| found.table.is_none());
        registration.off.is_none() && has_lost
    });
    follow_all(database, Vec::new(), &mut bare)?;
    bare.retain(|registration| !is_captured(&registration.name));
    restore_all(database, bare)
}

fn restore_all(database: &Database, bare: Vec<Registration>) -> Result<()> {
    for registration in bare {
        if let Some(shape) = registration.same_table(database)? {
            let warnings = rebuilt::restore(database, &registration, &shape)?;
            warnings
                .iter()
                .try_for_each(|warning| untold::keep(database, warning))?;
        }
    }
    Ok(())
}

/// Sees columns that were renamed or added where the triggers are there to tell, before they go with the table, and records
/// another name of it (`whereabouts.rs`). All else waits for a call that needs the table: in the middle of a migration a table
/// that is bare says nothing, and one that has another name is not to keep that. True when nothing was to be done.
///
/// # Errors
/// SQLite's.
pub fn look(database: &Database) -> Result<bool> {
    let mut unchanged = true;
    let mut triggers = Found::all(database)?;
    for registration in registrations(database)? {
        let found = triggers.remove(&registration.id).unwrap_or_default();
        let Some(table) = found.table.as_deref().filter(|_| found.is_whole()) else {
            continue;
        };
        if registration.off.is_some() {
            continue;
        }
        let shape = match Shape::read(database, table) {
            Ok(shape) => shape,
            Err(Error::Argument(_)) => continue,
            Err(error) => return Err(error),
        };
        if is_altered(database, &registration, &shape, &found)? {
            unchanged = false;
            if doubt(database, &registration, &shape, &found)?.is_none() {
                reshape::reshape(database, &registration, &shape, &found, false)?;
            }
        }
    }
    Ok(unchanged)
}

/// Gives tables of which capture is off the names that they have now. Where another table has the old name meanwhile, that is
/// the one: what a migration makes anew and fills.
///
/// Only before capture is on again, or somebody speaks of them by name: in the middle of a migration a name says nothing.
///
/// # Errors
/// SQLite's.
pub fn follow_uncaptured(database: &Database) -> Result<()> {
    let mut off = Vec::new();
    for registration in registrations(database)? {
        if registration.off.is_some()
            && let Some(table) = Found::read(database, registration.id)?.follows
        {
            off.push((registration, table));
        }
    }
    let is_followed = |name: &str| {
        off.iter()
            .any(|(_, table)| table.eq_ignore_ascii_case(name))
    };
    let mut moves = Vec::new();
    for (registration, table) in &off {
        let old = registration.name.as_str();
        if old == table || (!is_followed(old) && registration.is_named(database)?) {
            continue;
        }
        step_aside(database, registration.id)?;
        moves.push(Move {
            id: registration.id,
            names: (old.to_owned(), table.clone()),
        });
    }
    follow_tables(database, &moves)?;
    for moved in &moves {
        let name = moved.names.1.as_str();
        make_way(database, moved.id, name)?;
        database.execute(
            "UPDATE main._syncTable SET name = ?2 WHERE id = ?1",
            &[moved.id.into(), name.into()],
        )?;
    }
    Ok(())
}

/// Follows tables that were renamed, and those without triggers that were, when they were seen last: all at once, since one may have
/// the name that another one had. The latter have their names then.
fn follow_all(database: &Database, mut moves: Vec<Move>, bare: &mut [Registration]) -> Result<()> {
    let back = whereabouts::moves(database, bare, &moves)?;
    moves.extend(back.iter().cloned());
    for moved in &moves {
        step_aside(database, moved.id)?;
    }
    follow_tables(database, &moves)?;
    for moved in &back {
        let name = moved.names.1.as_str();
        database.execute(
            "UPDATE main._syncTable SET name = ?2 WHERE id = ?1",
            &[moved.id.into(), name.into()],
        )?;
        let known = bare.iter_mut().filter(|known| known.id == moved.id);
        known.for_each(|known| known.name = name.to_owned());
    }
    Ok(())
}

/// Names are unique; two tables may have swapped theirs.
fn step_aside(database: &Database, id: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncTable SET name = 'renamed ' || id || ' ' || hex(randomblob(8)) WHERE id = ?1",
        &[id.into()],
    )?;
    Ok(())
}

/// The registration of a table that is gone must not hold a name that another one has now.
fn make_way(database: &Database, id: i64, name: &str) -> Result<()> {
    database.execute(
        "UPDATE main._syncTable SET name = 'gone ' || id || ' ' || hex(randomblob(8)) WHERE name = ?1 AND id <> ?2",
        &[name.into(), id.into()],
    )?;
    Ok(())
}

fn has_drifted(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
    found: &Found,
) -> Result<bool> {
    Ok(shape.name != registration.name || is_altered(database, registration, shape, found)?)
}

/// Whether a table is not as it is recorded, but for the name that it goes by.
fn is_altered(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
    found: &Found,
) -> Result<bool> {
    if shape.definition != registration.definition
        || registration.keys.is_none()
        || meet::signature(database, &shape.name)? != registration.indexes
    {
        return Ok(true);
    }
    let tracked = Tracked::assemble(registration.clone(), shape.clone(), found);
    Ok(tracked.columns.names != registration.columns || !found.fits(&tracked.columns, shape))
}
