//! Making and removing the capture triggers of one table, from `sql/templates/capture.sql`.

use crate::store::{Database, Error, Result, quote_name};

use super::key;
use super::meet;
use super::op::{GROUP, Op};
use super::shape::Shape;

const TEMPLATE: &str = include_str!("../../sql/templates/capture.sql");

/// Name of a capture trigger of table number `id`.
pub fn name(id: i64, kind: &str) -> String {
    format!("_syncCapture_{id}_{kind}")
}

/// The text of one section of the template.
fn section(kind: &str) -> Result<&'static str> {
    let marker = format!("-- [{kind}]");
    let missing = || Error::Corrupt(format!("the capture template lacks section {kind}"));
    let start = TEMPLATE.find(&marker).ok_or_else(missing)?;
    let rest = &TEMPLATE[start..];
    let create = rest.find("CREATE TRIGGER").ok_or_else(missing)?;
    let end = rest.find("END;").ok_or_else(missing)?;
    rest.get(create..end + "END;".len()).ok_or_else(missing)
}

/// Fills a section. Values are put in one pass, so that a value may contain braces.
fn fill(section: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(section.len() * 2);
    let mut rest = section;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let known = values.iter().find_map(|(name, value)| {
            let after = rest
                .strip_prefix('{')?
                .strip_prefix(name)?
                .strip_prefix('}')?;
            Some((after, value))
        });
        match known {
            Some((after, value)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Creates all capture triggers of a table.
///
/// # Errors
/// SQLite's.
pub fn create(database: &Database, shape: &Shape, id: i64) -> Result<()> {
    let keys: Vec<&str> = shape
        .keys()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let meetings = meet::meetings(database, shape, id)?;
    let table = quote_name(&shape.name);
    let number = id.to_string();
    let new_row = match shape.rowid {
        // An INTEGER PRIMARY KEY is its own hint.
        Some(_) if shape.rowid_is_key => "NULL".into(),
        Some(rowid) => format!("NEW.{rowid}"),
        None => String::from("NULL"),
    };
    let (new_key, old_key) = (key::expression("NEW", &keys), key::expression("OLD", &keys));
    let same_key = same(&keys);
    let common = [
        ("table", table.as_str()),
        ("id", &number),
        ("newRow", &new_row),
        ("newKey", &new_key),
        ("oldKey", &old_key),
        ("sameKey", &same_key),
        ("of", &meetings.of),
    ];
    let make = |kind: &str, name_as: &str, more: &[(&str, &str)]| -> Result<()> {
        let name = database.qualified(&name(id, name_as));
        let mut values = vec![("name", name.as_str())];
        values.extend_from_slice(&common);
        values.extend_from_slice(more);
        database
            .connection()
            .execute_script(&fill(section(kind)?, &values))
    };
    let (met, log) = &meetings.insert;
    make("meet", "meet", &[("met", met), ("logMet", log)])?;
    let (met, log) = &meetings.update;
    make("meetUpdate", "meetUpdate", &[("met", met), ("logMet", log)])?;
    for kind in ["insert", "delete", "rekey"] {
        make(kind, kind, &[])?;
    }
    for group in 0..shape.columns.len().div_ceil(GROUP).max(1) {
        let (changed, mask) = group_expressions(shape, group, id);
        let op = Op::Update { group }.code().to_string();
        let more = [("changed", changed.as_str()), ("mask", &mask), ("op", &op)];
        // The name shows when SQLite refuses to drop a column, so it says what to do.
        make(
            "update",
            &format!("update{group}: drop columns with sync_alter"),
            &more,
        )?;
    }
    Ok(())
}

/// Whether all capture triggers of a table number are there.
///
/// # Errors
/// SQLite's.
pub fn are_complete(database: &Database, id: i64, columns: usize) -> Result<bool> {
    let prefix = name(id, "");
    let found = database.query_value(
        "SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?1) = ?2",
        &[(prefix.len() as i64).into(), prefix.as_str().into()],
    )?;
    let wanted = 5 + columns.div_ceil(GROUP).max(1);
    Ok(found.as_i64() == Some(wanted as i64))
}

/// Removes all capture triggers of a table number, whatever table they are on now.
///
/// # Errors
/// SQLite's.
pub fn drop_all(database: &Database, id: i64) -> Result<()> {
    let prefix = name(id, "");
    let triggers = database.query_all(
        "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?1) = ?2",
        &[(prefix.len() as i64).into(), prefix.as_str().into()],
        |row| Ok(row.text(0)),
    )?;
    for trigger in triggers {
        let drop = format!("DROP TRIGGER {}", database.qualified(&trigger));
        database.connection().execute_script(&drop)?;
    }
    Ok(())
}

/// True when an UPDATE kept every key column, byte for byte.
fn same(keys: &[&str]) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|key| {
            let key = quote_name(key);
            format!("OLD.{key} IS NEW.{key} COLLATE BINARY")
        })
        .collect();
    parts.join(" AND ")
}

/// Whether a column of the group changed, and the mask of those that did.
fn group_expressions(shape: &Shape, group: usize, id: i64) -> (String, String) {
    let mut changed = Vec::new();
    let mut mask = Vec::new();
    let columns = shape
        .columns
        .iter()
        .enumerate()
        .skip(group * GROUP)
        .take(GROUP);
    for (position, column) in columns {
        if column.generated || column.key_place > 0 {
            continue;
        }
        let name = quote_name(&column.name);
        let differs = format!("OLD.{name} IS NOT NEW.{name} COLLATE BINARY");
        mask.push(format!("({differs}) << {}", position % GROUP));
        changed.push(differs);
    }
    if group == 0 {
        // A column added later is not in the masks yet. Seen only when nothing else changed: the
        // table no longer looks as it did, so log an update of unknown columns (mask 0).
        changed.push(format!(
            "NOT EXISTS (SELECT 1 FROM _syncTable AS k JOIN sqlite_master AS m ON m.type = 'table' \
             AND m.name = k.name AND m.sql = k.definition WHERE k.id = {id})"
        ));
    }
    let changed = if changed.is_empty() {
        "0".into()
    } else {
        changed.join(" OR ")
    };
    let mask = if mask.is_empty() {
        "0".into()
    } else {
        mask.iter()
            .map(|bit| format!("({bit})"))
            .collect::<Vec<_>>()
            .join(" | ")
    };
    (changed, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_names_are_left_alone() {
        assert_eq!(fill("a {x} {y} {", &[("x", "{y}")]), "a {y} {y} {");
    }

    #[test]
    fn every_section_is_there() {
        for kind in ["meet", "meetUpdate", "insert", "delete", "rekey", "update"] {
            assert!(
                section(kind).is_ok_and(|text| text.ends_with("END;")),
                "{kind}"
            );
        }
    }
}
