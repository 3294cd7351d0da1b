//! Which column of a table one that is kept here has become, where no trigger could follow it.
//!
//! By its name a column that is excluded is known as long as nothing shows that names were passed on (`secret` became
//! `pin`, `n` became `secret`). What shows it: some names are gone and others are new, or what is kept here has another
//! place among the columns. Then nothing of the table is sent before somebody says what is to stay here.

use crate::store::{Database, Error, Result, quote_name};

use super::moved::names_in_order;
use super::names::quoted_list;
use super::renamed::excluded_by_providers;
use super::shape::Shape;
use super::tracked::Registration;
use super::triggers::Found;

/// A column of the record: its name there, and the one that it goes by now.
struct Recorded<'r> {
    old: &'r str,
    now: &'r str,
}

/// Why it is not known what is to stay here, and what to call; none when it is known.
///
/// # Errors
/// SQLite's.
pub(super) fn doubt(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
    found: &Found,
) -> Result<Option<Error>> {
    if registration.definition == shape.definition {
        return Ok(None);
    }
    let columns = recorded(registration, found);
    let plain = shape
        .columns
        .iter()
        .filter(|column| !column.generated && column.key_place == 0);
    let is_known = |name: &str| {
        let mut known = columns.iter();
        known.any(|column| column.now.eq_ignore_ascii_case(name))
    };
    let new: Vec<&str> = plain
        .map(|column| column.name.as_str())
        .filter(|name| !is_known(name))
        .collect();
    let gone: Vec<&str> = columns
        .iter()
        .map(|column| column.now)
        .filter(|name| shape.position(name).is_none())
        .collect();
    let passed_on = !new.is_empty() && !gone.is_empty();
    let others = excluded_by_providers(database, registration)?;
    let lists = |name: &str| others.iter().any(|other| other.eq_ignore_ascii_case(name));
    let (kept, sent): (Vec<&Recorded<'_>>, Vec<&Recorded<'_>>) = columns
        .iter()
        .partition(|column| !registration.options.choose(column.old) || lists(column.old));
    if kept.is_empty() || !(passed_on || has_moved(registration, shape, &kept, &sent)) {
        return Ok(None);
    }
    let difference = match passed_on {
        true => format!(
            "other columns than when it was last seen (new: {}; gone: {})",
            quoted_list(&new),
            quoted_list(&gone)
        ),
        false => "its columns in another order than when it was last seen".into(),
    };
    let kept: Vec<&str> = kept.iter().map(|column| column.old).collect();
    let table = quote_name(&registration.name);
    let first = match others.is_empty() {
        true => "",
        false => "correct excludeColumns with sync_provider, then ",
    };
    Ok(Some(Error::argument(format!(
        "{table} has {difference}, so no record tells where the values of {} are now, which are not to be sent. Nothing of \
         {table} is sent until you say it: {first}call sync_track with options that are right for the table as it is; {} keeps \
         back all columns that may have them",
        quoted_list(&kept),
        safe_options(registration, shape, &kept, &new),
    ))))
}

/// What was recorded of the columns outside the key, by the names that triggers have followed.
fn recorded<'r>(registration: &'r Registration, found: &'r Found) -> Vec<Recorded<'r>> {
    let known = found.says();
    let is_key = |name: &str| {
        let mut keys = registration.keys.iter().flatten();
        keys.any(|key| key.eq_ignore_ascii_case(name))
    };
    let names = registration.columns.iter().enumerate();
    names
        .filter_map(|(bit, old)| {
            let old = old.as_deref().filter(|old| !is_key(old))?;
            let now = known.and_then(|known| known.get(&bit));
            Some(Recorded {
                old,
                now: now.map_or(old, String::as_str),
            })
        })
        .collect()
}

/// Whether a column that is kept here comes before one that it came after, or the other way round.
fn has_moved(
    registration: &Registration,
    shape: &Shape,
    kept: &[&Recorded<'_>],
    sent: &[&Recorded<'_>],
) -> bool {
    let order = names_in_order(&registration.definition);
    let places = |column: &&Recorded<'_>| {
        let mut order = order.iter();
        let before = order.position(|name| name.eq_ignore_ascii_case(column.old))?;
        Some((before, shape.position(column.now)?))
    };
    let sent: Vec<(usize, usize)> = sent.iter().filter_map(places).collect();
    let mut kept = kept.iter().filter_map(places);
    kept.any(|(before, now)| {
        let mut sent = sent.iter();
        sent.any(|(other_before, other_now)| (before < *other_before) != (now < *other_now))
    })
}

/// Options by which no column is sent that may be one of those that are kept here.
fn safe_options(
    registration: &Registration,
    shape: &Shape,
    kept: &[&str],
    new: &[&str],
) -> serde_json::Value {
    let there = kept.iter().filter(|name| shape.position(name).is_some());
    let names: Vec<&str> = there.chain(new).copied().collect();
    match registration.options.columns.is_some() {
        true => serde_json::json!({"columns": []}),
        false => serde_json::json!({"exclude": names}),
    }
}
