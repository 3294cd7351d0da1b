//! A renamed column or table takes along what the configurations of providers and the resolvers say of it.

use serde_json::Value as Json;

use crate::store::{Database, Result};

use super::tracked::{Registration, Tracked};

/// Follows the columns of a table that were renamed since it was recorded.
///
/// # Errors
/// SQLite's.
pub(super) fn follow(
    database: &Database,
    registration: &Registration,
    tracked: &Tracked,
) -> Result<()> {
    let renamed = &tracked.columns.renamed;
    let (old_table, new_table) = (registration.name.as_str(), tracked.shape.name.as_str());
    let is_moved = old_table != new_table;
    if renamed.is_empty() && !is_moved {
        return Ok(());
    }
    let new_name = |name: &str| {
        let mut renamed = renamed.iter();
        let found = renamed.find(|(old, _)| old.eq_ignore_ascii_case(name));
        found.map(|(_, new)| new.as_str())
    };
    let providers =
        database.query_all("SELECT id, config FROM main._syncProvider", &[], |row| {
            Ok((row.text(0), row.text(1)))
        })?;
    let tables = [registration.name.as_str(), tracked.shape.name.as_str()];
    for (provider, config) in providers {
        let Ok(mut parsed) = serde_json::from_str::<Json>(&config) else {
            continue;
        };
        // Lists of columns by table.
        let lists = parsed
            .get_mut("excludeColumns")
            .and_then(Json::as_object_mut);
        let lists = lists.into_iter().flatten();
        let of_table =
            lists.filter(|(name, _)| tables.iter().any(|table| name.eq_ignore_ascii_case(table)));
        let columns = of_table.flat_map(|(_, list)| list.as_array_mut().into_iter().flatten());
        let mut is_changed = false;
        for column in columns {
            if let Some(new) = column.as_str().and_then(new_name) {
                *column = new.into();
                is_changed = true;
            }
        }
        if is_moved {
            is_changed |= follow_table(&mut parsed, old_table, new_table);
        }
        if is_changed {
            database.execute(
                "UPDATE main._syncProvider SET config = ?2 WHERE id = ?1",
                &[provider.as_str().into(), parsed.to_string().as_str().into()],
            )?;
        }
    }
    let column = database.query_value(
        "SELECT argument FROM main._syncResolver WHERE entity = ?1 AND policy = 'lastWriteWins'",
        &[registration.name.as_str().into()],
    )?;
    if let Some(new) = column.as_str().and_then(new_name) {
        database.execute(
            "UPDATE main._syncResolver SET argument = ?2 WHERE entity = ?1",
            &[registration.name.as_str().into(), new.into()],
        )?;
    }
    Ok(())
}

/// A table has a new name: the columns that it leaves out are left out under that, and its entity finds it. Whether
/// anything changed.
fn follow_table(config: &mut Json, old: &str, new: &str) -> bool {
    let mut is_changed = false;
    if let Some(lists) = config
        .get_mut("excludeColumns")
        .and_then(Json::as_object_mut)
    {
        let known = lists.keys().find(|name| name.eq_ignore_ascii_case(old));
        if let Some(list) = known.cloned().and_then(|name| lists.shift_remove(&name)) {
            lists.insert(new.to_owned(), list);
            is_changed = true;
        }
    }
    let tables = config.get_mut("tableMap").and_then(Json::as_object_mut);
    for table in tables.into_iter().flat_map(|tables| tables.values_mut()) {
        if table
            .as_str()
            .is_some_and(|name| name.eq_ignore_ascii_case(old))
        {
            *table = new.into();
            is_changed = true;
        }
    }
    is_changed
}
