//! Making and removing the capture triggers of one table, from `sql/templates/capture.sql`.

use std::collections::{BTreeSet, HashMap};

use crate::store::{Database, Error, Result, quote_name};

use super::columns::{Columns, Known};
use super::meet::ROWID_NAMES;
use super::op::{GROUP, Op};
use super::shape::Shape;
use super::{key, mask, meet};

const TEMPLATE: &str = include_str!("../../sql/templates/capture.sql");

/// How the names of all capture triggers begin.
const PREFIX: &str = "_syncCapture_";

/// Name of a capture trigger of table number `id`.
pub fn name(id: i64, kind: &str) -> String {
    format!("{PREFIX}{id}_{kind}")
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
pub fn create(database: &Database, shape: &Shape, id: i64, columns: &Columns) -> Result<()> {
    let keys: Vec<&str> = shape
        .keys()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let meetings = meet::meetings(database, shape, id, columns)?;
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
    let of_key = of_key(shape, &keys);
    let (up, old_up) = match own_reference(database, shape)? {
        Some(column) => (
            ", rid",
            format!(", CAST(OLD.{} AS BLOB)", quote_name(&column)),
        ),
        None => ("", String::new()),
    };
    let common = [
        ("up", up),
        ("oldUp", &old_up),
        ("table", table.as_str()),
        ("id", &number),
        ("newRow", &new_row),
        ("newKey", &new_key),
        ("oldKey", &old_key),
        ("sameKey", &same_key),
        ("of", &meetings.of),
        ("ofKey", &of_key),
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
    // The name shows when SQLite refuses to drop a column, so it says what to do.
    make("meet", &advising("meet"), &[("met", met), ("logMet", log)])?;
    let (met, log) = &meetings.update;
    make("meetUpdate", "meetUpdate", &[("met", met), ("logMet", log)])?;
    let replaced = Op::REPLACED.to_string();
    make("delete", "delete", &[("replaced", &replaced)])?;
    for kind in ["insert", "rekey"] {
        make(kind, kind, &[])?;
    }
    for group in groups(&columns.known(shape)) {
        let (changed, mask) = group_expressions(shape, columns, group, id);
        let op = Op::Update { group }.code().to_string();
        let more = [("changed", changed.as_str()), ("mask", &mask), ("op", &op)];
        make("update", &advising(&format!("{UPDATE}{group}")), &more)?;
    }
    Ok(())
}

/// The column by which rows of a table refer to the keys of others in it, if there is one.
fn own_reference(database: &Database, shape: &Shape) -> Result<Option<String>> {
    let keys = shape.keys();
    let [key] = keys.as_slice() else {
        return Ok(None);
    };
    let columns = database.query_all(
        "SELECT min(\"from\") FROM pragma_foreign_key_list(?1, ?2) \
         WHERE \"table\" = ?1 COLLATE NOCASE AND coalesce(\"to\", ?3) = ?3 COLLATE NOCASE \
         GROUP BY id HAVING count(*) = 1 ORDER BY id DESC",
        &[
            shape.name.as_str().into(),
            database.schema().into(),
            key.name.as_str().into(),
        ],
        |row| Ok(row.text(0)),
    )?;
    Ok(columns.into_iter().next())
}

/// The groups of columns that have an update trigger.
fn groups(known: &Known) -> BTreeSet<usize> {
    let mut groups: BTreeSet<usize> = known.keys().map(|bit| bit / GROUP).collect();
    // The first one also sees that the table has changed.
    groups.insert(0);
    groups
}

/// The kinds of triggers besides those of updates.
const KINDS: &[&str] = &["meet", "meetUpdate", "insert", "delete", "rekey"];

/// The kind of the trigger that is there while the others are not.
const FOLLOW: &str = "follow";

/// Leaves a trigger on a table of which capture is off. It does nothing; but SQLite keeps its table exact when that is
/// renamed.
///
/// # Errors
/// SQLite's.
pub fn follow(database: &Database, id: i64, table: &str) -> Result<()> {
    let (name, table) = (database.qualified(&name(id, FOLLOW)), quote_name(table));
    let values = [("name", name.as_str()), ("table", table.as_str())];
    let script = fill(section(FOLLOW)?, &values);
    database.connection().execute_script(&script)
}

/// The name of a trigger that mentions columns.
fn advising(kind: &str) -> String {
    format!("{kind}: drop columns with sync_alter")
}

/// How the kinds of update triggers begin; the number of the group follows.
const UPDATE: &str = "update";

/// The capture triggers of one table that a file has.
#[derive(Debug, Default)]
pub struct Found {
    /// The table that they are on, if there are any.
    pub table: Option<String>,
    /// The table while capture is off; see [`follow`].
    pub follows: Option<String>,
    kinds: BTreeSet<String>,
    groups: BTreeSet<usize>,
    /// What those of updates say.
    pub known: Known,
}

impl Found {
    /// Reads those of table number `id`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database, id: i64) -> Result<Self> {
        let mut found = Self::default();
        let prefix = name(id, "");
        let triggers = database.query_all(
            "SELECT name, tbl_name, sql FROM main.sqlite_master \
             WHERE type = 'trigger' AND substr(name, 1, ?1) = ?2",
            &[(prefix.len() as i64).into(), prefix.as_str().into()],
            |row| Ok((row.text(0), row.text(1), row.text(2))),
        )?;
        for (name, table, sql) in triggers {
            found.add(&name[prefix.len()..], table, &sql);
        }
        Ok(found)
    }

    /// Reads those of all tables, by their numbers: the file has one list of all triggers, which is long.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(database: &Database) -> Result<HashMap<i64, Self>> {
        let triggers = database.query_all(
            "SELECT name, tbl_name, sql FROM main.sqlite_master \
             WHERE type = 'trigger' AND substr(name, 1, ?1) = ?2",
            &[(PREFIX.len() as i64).into(), PREFIX.into()],
            |row| Ok((row.text(0), row.text(1), row.text(2))),
        )?;
        let mut all: HashMap<i64, Self> = HashMap::new();
        for (name, table, sql) in triggers {
            let numbered = name[PREFIX.len()..].split_once('_');
            if let Some((number, kind)) = numbered
                && let Ok(id) = number.parse::<i64>()
                && id.to_string() == number
            {
                all.entry(id).or_default().add(kind, table, &sql);
            }
        }
        Ok(all)
    }

    /// Takes one in. `kind`: its name behind the number.
    fn add(&mut self, kind: &str, table: String, sql: &str) {
        let kind = kind.split(':').next().unwrap_or_default();
        if kind == FOLLOW {
            self.follows = Some(table);
            return;
        }
        self.table = Some(table);
        let group = kind.strip_prefix(UPDATE).and_then(|rest| {
            let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse::<usize>().ok())
        });
        let Some(group) = group.filter(|group| *group <= Op::LAST_GROUP) else {
            self.kinds.insert(kind.to_owned());
            return;
        };
        self.groups.insert(group);
        for (bit, column) in mask::columns(sql) {
            if bit < GROUP {
                self.known.insert(group * GROUP + bit, column);
            }
        }
    }

    /// What the update triggers say; none where there are none.
    pub fn says(&self) -> Option<&Known> {
        (!self.groups.is_empty()).then_some(&self.known)
    }

    /// Whether none is missing, by what they say themselves.
    pub fn is_whole(&self) -> bool {
        KINDS.iter().all(|kind| self.kinds.contains(*kind)) && self.groups.contains(&0)
    }

    /// Whether they are those that [`create`] would make.
    pub fn fits(&self, columns: &Columns, shape: &Shape) -> bool {
        let wanted = columns.known(shape);
        self.is_whole() && self.groups == groups(&wanted) && self.known == wanted
    }
}

/// Removes capture triggers that no registration knows. The tables that they were on.
///
/// # Errors
/// SQLite's.
pub fn drop_orphans(database: &Database) -> Result<BTreeSet<String>> {
    let orphans = database.query_all(
        "SELECT name, tbl_name FROM main.sqlite_master AS m WHERE type = 'trigger' AND name LIKE '\\_syncCapture\\_%' ESCAPE '\\' \
         AND NOT EXISTS (SELECT 1 FROM main._syncTable AS k \
         WHERE substr(m.name, 1, length('_syncCapture_' || k.id || '_')) = '_syncCapture_' || k.id || '_')",
        &[],
        |row| Ok((row.text(0), row.text(1))),
    )?;
    let mut tables = BTreeSet::new();
    for (trigger, table) in orphans {
        let drop = format!("DROP TRIGGER {}", database.qualified(&trigger));
        database.connection().execute_script(&drop)?;
        tables.insert(table);
    }
    Ok(tables)
}

/// Removes all capture triggers of a table number, whatever table they are on now.
///
/// # Errors
/// SQLite's.
pub fn drop_all(database: &Database, id: i64) -> Result<()> {
    drop_those(database, &name(id, ""))
}

/// Removes all capture triggers there are.
///
/// # Errors
/// SQLite's.
pub fn drop_every(database: &Database) -> Result<()> {
    drop_those(database, PREFIX)
}

fn drop_those(database: &Database, prefix: &str) -> Result<()> {
    let triggers = database.query_all(
        "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?1) = ?2",
        &[(prefix.len() as i64).into(), prefix.into()],
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

/// The columns that an UPDATE has to name to change a key: no part of a key is computed.
fn of_key(shape: &Shape, keys: &[&str]) -> String {
    let mut names: Vec<String> = keys.iter().map(|key| quote_name(key)).collect();
    if shape.rowid_is_key {
        names.extend(ROWID_NAMES.map(String::from));
    }
    format!("OF {}", names.join(", "))
}

/// Whether a column of the group changed, and the mask of those that did.
fn group_expressions(shape: &Shape, columns: &Columns, group: usize, id: i64) -> (String, String) {
    let mut changed = Vec::new();
    let mut bits = Vec::new();
    for (position, column) in shape.columns.iter().enumerate() {
        let Some(bit) = columns.bit(position).filter(|bit| bit / GROUP == group) else {
            continue;
        };
        let name = quote_name(&column.name);
        let bit = bit % GROUP;
        if column.key_place > 0 {
            // Never true, and no work: it is there to be renamed with the column.
            bits.push(format!("(0 AND OLD.{name} IS NULL) << {bit}"));
            continue;
        }
        let differs = mask::differs("OLD", &format!("NEW.{name}"), &name);
        bits.push(format!("({differs}) << {bit}"));
        changed.push(differs);
    }
    if group == 0 {
        // A column added later is not in the masks yet. Seen only when nothing else changed: the
        // table no longer looks as it did, so log an update of unknown columns (mask 0).
        changed.push(format!("NOT {}", mask::is_as_recorded(id)));
    }
    let changed = if changed.is_empty() {
        "0".into()
    } else {
        changed.join(" OR ")
    };
    (changed, mask::join(&bits))
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
        for kind in [
            "meet",
            "meetUpdate",
            "insert",
            "delete",
            "rekey",
            "update",
            FOLLOW,
        ] {
            assert!(
                section(kind).is_ok_and(|text| text.ends_with("END;")),
                "{kind}"
            );
        }
    }
}
