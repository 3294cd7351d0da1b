//! Brings a table's registration and triggers to its present columns.

use crate::ground::{Warning, quoted};
use crate::store::{Database, Error, Result, untold};

use super::names::quoted_list;
use super::op::{Op, bit};
use super::shape::Shape;
use super::tracked::{Registration, Tracked, with_place};
use super::triggers::{self, Found};
use super::{PendingRows, aside, brought, key_type, log, meet, refilled, renamed};

/// Brings the options, the registration and the triggers of a table to its present columns. `needed`: somebody needs the
/// table, so that it is one in which the rows are, not one in the middle of a migration.
///
/// # Errors
/// SQLite's.
pub(super) fn reshape(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
    found: &Found,
    needed: bool,
) -> Result<()> {
    let id = registration.id;
    key_type::follow(database, id, shape)?;
    let tracked = Tracked::assemble(registration.clone(), shape.clone(), found);
    let bare = found.says().is_none();
    let place = refilled::place(database, &shape.name)?;
    if !bare && needed && registration.place.is_some() && place != registration.place {
        refilled::look(database, &tracked)?;
    }
    let standing = aside::follow(database, &tracked, &registration.definition, bare)?;
    log_unseen(database, &tracked, &standing)?;
    // Where there are no triggers, whoever puts capture back speaks of all columns that are gone.
    let computed = registration.computed(shape);
    if !bare && !computed.is_empty() {
        untold::keep(database, &column_gone(&tracked, &computed))?;
    }
    let options = serde_json::to_string(&tracked.options)
        .map_err(|error| Error::Corrupt(format!("options: {error}")))?;
    database.execute(
        "UPDATE main._syncTable SET options = ?2 WHERE id = ?1 AND options <> ?2",
        &[id.into(), options.as_str().into()],
    )?;
    // In the middle of a migration the table may have a name that is not to stay.
    let (name, place) = match needed {
        true => (&shape.name, &place),
        false => (&registration.name, &registration.place),
    };
    renamed::follow_columns(database, &tracked, name)?;
    brought::follow(database, registration, &tracked)?;
    store(database, &tracked, name, place.as_deref())?;
    triggers::drop_all(database, id)?;
    triggers::create(database, shape, id, &tracked.columns)
}

/// What the caller should know of columns that are not there any more.
pub(super) fn column_gone(tracked: &Tracked, gone: &[&str]) -> Warning {
    let shape = &tracked.shape;
    let is_computed = |name: &&str| shape.position(name).is_some();
    let (computed, gone): (Vec<&str>, Vec<&str>) = gone.iter().partition(|name| is_computed(name));
    let words = [("has no", gone, "any more"), ("computes", computed, "now")];
    let words = words.iter().filter(|(_, names, _)| !names.is_empty());
    let words: Vec<String> = words
        .map(|(before, names, after)| format!("{before} {} {after}", quoted_list(names)))
        .collect();
    let message = format!(
        "{} {}; {}",
        quoted(&shape.name),
        words.join(", and "),
        tracked.columns.fate_of_missing(shape)
    );
    Warning::new("columnGone", message).of(&shape.name)
}

/// Records what the log says only together with the present triggers and columns: updates of columns that the
/// triggers do not know, and those of columns whose name is not known. `standing`: what is not to be one of these.
fn log_unseen(database: &Database, tracked: &Tracked, standing: &aside::Standing) -> Result<()> {
    let columns = &tracked.columns;
    let added = columns.added.iter().chain(columns.suspects());
    let unseen: Vec<usize> = added.copied().collect();
    if unseen.is_empty() {
        return Ok(());
    }
    let upto = log::high_water(database)?;
    let pending = PendingRows::read(database, &[tracked], upto)?
        .pop()
        .unwrap_or_default();
    let mut insert = database
        .prepare("INSERT INTO main._syncChange (tbl, op, mask, pk) VALUES (?1, ?2, ?3, ?4)")?;
    pending.each(|row| {
        // What stands in for a value that is kept was not written by anybody.
        let stands = |position: usize| {
            !standing.is_empty() && standing.contains(&(row.key.clone(), position))
        };
        let marked =
            |position: &&usize| !row.is_lost() && row.marked(**position) && !stands(**position);
        for position in unseen.iter().filter(marked) {
            let Some((group, bit)) = columns.bit(*position).map(bit) else {
                continue;
            };
            insert.run(&[
                tracked.id.into(),
                Op::Update { group }.code().into(),
                bit.into(),
                row.key.0.borrow(),
            ])?;
        }
        Ok(())
    })?;
    drop(insert);
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND op = ?2 AND mask = 0",
            &[tracked.id.into(), Op::UPDATE.code().into()],
        )
    })?;
    Ok(())
}

/// Writes a table's present shape into its registration, the name that it goes by, and where it is. The text of its
/// definition has the name that it has now ([`super::whereabouts`]).
///
/// # Errors
/// SQLite's.
pub(super) fn store(
    database: &Database,
    tracked: &Tracked,
    name: &str,
    place: Option<&str>,
) -> Result<()> {
    let shape = &tracked.shape;
    let json = |names: serde_json::Result<String>| {
        names.map_err(|error| Error::Corrupt(format!("column names: {error}")))
    };
    let keys: Vec<&str> = shape.keys().iter().map(|key| key.name.as_str()).collect();
    let keys = json(serde_json::to_string(&keys))?;
    let columns = json(serde_json::to_string(&tracked.columns.names))?;
    let indexes = with_place(&meet::signature(database, &shape.name)?, place);
    database.execute(
        "UPDATE main._syncTable SET name = ?2, columns = ?3, definition = ?4, indexes = ?5, keys = ?6 \
         WHERE id = ?1",
        &[
            tracked.id.into(),
            name.into(),
            columns.as_str().into(),
            shape.definition.as_str().into(),
            indexes.as_str().into(),
            keys.as_str().into(),
        ],
    )?;
    Ok(())
}
