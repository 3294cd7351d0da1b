//! Deleting all rows of some tables: triggers of the application and foreign keys do what they do to any delete.

use std::collections::HashSet;

use crate::store::{Database, Error, Result, TriggersOff, defer_references, quote_name};

use super::app_triggers::has_triggers;
use super::held::foreign::{Link, links};

/// The tables of a wipe, by their names.
pub struct Tables<'a> {
    /// Those whose rows go.
    pub wiped: &'a [String],
    /// Those of the same provider whose rows stay.
    pub kept: &'a [String],
    /// Other tables that are tracked: what happens to their rows would be sent.
    pub others: &'a [String],
}

/// What a wipe has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wiped {
    /// The rows that went, in the order of the tables.
    pub rows: Vec<i64>,
    /// Tables that are not tracked, rows of which were deleted or changed as ON DELETE says.
    pub along: Vec<String>,
}

/// Deletes all rows of the tables, children before parents. Call inside a transaction of our own. What the capture triggers
/// log of it is the caller's to discard.
///
/// # Errors
/// A foreign key of a table whose rows stay forbids it, or would change what must not be; a trigger of the application
/// refuses; SQLite's.
pub fn wipe(database: &Database, tables: &Tables<'_>) -> Result<Wiped> {
    let connection = database.connection();
    let links = links(database)?;
    let along = reach(database, &links, tables)?;
    // Tables that refer to each other have no order, and a RESTRICT waits as well then.
    defer_references(connection)?;
    let order = children_first(tables.wiped, &links);
    let mut rows = vec![0; tables.wiped.len()];
    let quiet = match has_triggers(database, None)? {
        true => None,
        false => TriggersOff::begin(connection),
    };
    for place in &order {
        rows[*place] = delete(database, &tables.wiped[*place])?;
    }
    drop(quiet);
    // What triggers have put into tables that were empty already.
    let quiet = TriggersOff::begin(connection);
    for place in &order {
        delete(database, &tables.wiped[*place])?;
    }
    drop(quiet);
    match connection.has_broken_references() {
        false => Ok(Wiped { rows, along }),
        true => Err(Error::argument(
            "rows that stay refer to rows that would be deleted; delete them first, or name the tables that they refer \
             to in keep",
        )),
    }
}

fn delete(database: &Database, table: &str) -> Result<i64> {
    let sql = format!("DELETE FROM {}", database.qualified(table));
    let deleted = database.connection().prepare(&sql)?.run(&[]);
    deleted.map_err(|error| match error.is_constraint() {
        true => error.prefixed(&format!(
            "the rows of {} can't be deleted (name it in keep, or change what forbids it)",
            quote_name(table)
        )),
        false => error,
    })
}

fn is_one_of(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The tables beside those that are wiped whose rows go along or change, as far as that may be.
fn reach(database: &Database, links: &[Link], tables: &Tables<'_>) -> Result<Vec<String>> {
    let mut along: Vec<String> = Vec::new();
    let mut losing: Vec<String> = tables.wiped.to_vec();
    let mut next = 0;
    while let Some(parent) = losing.get(next).cloned() {
        next += 1;
        let is_wiped = is_one_of(tables.wiped, &parent);
        for link in links {
            let child = &link.child;
            if !link.parent.eq_ignore_ascii_case(&parent) || is_one_of(tables.wiped, child) {
                continue;
            }
            // Of a table that loses only some of its rows, the end shows whether these were among them.
            if (link.restricts() && !is_wiped) || !is_used(database, link)? {
                continue;
            }
            let cascades = link.on_delete == "CASCADE";
            let is_kept = is_one_of(tables.kept, child);
            let is_synced = is_one_of(tables.others, child);
            if link.restricts() || is_synced || (is_kept && cascades) {
                return Err(refusal(link, is_kept));
            }
            if is_kept || is_one_of(&along, child) {
                continue;
            }
            along.push(child.clone());
            if cascades {
                losing.push(child.clone());
            }
        }
    }
    Ok(along)
}

/// Whether a row of the child refers to one of the parent.
fn is_used(database: &Database, link: &Link) -> Result<bool> {
    let columns = link.to.iter().zip(&link.from);
    let meets: Vec<String> = columns
        .map(|(to, from)| format!("p.{} = c.{}", quote_name(to), quote_name(from)))
        .collect();
    let sql = format!(
        "SELECT 1 FROM {} AS c JOIN {} AS p ON {} LIMIT 1",
        database.qualified(&link.child),
        database.qualified(&link.parent),
        meets.join(" AND ")
    );
    database.connection().prepare(&sql)?.step()
}

fn refusal(link: &Link, is_kept: bool) -> Error {
    let (child, parent) = (quote_name(&link.child), quote_name(&link.parent));
    let (why, what) = match (is_kept, link.restricts()) {
        (true, true) => (
            "their foreign key forbids that".to_owned(),
            format!("name {parent} in keep too"),
        ),
        (true, false) => (
            format!("ON DELETE {} would take them along", link.on_delete),
            format!("name {parent} in keep too, or leave {child} out of it"),
        ),
        (false, true) => (
            "their foreign key forbids that".to_owned(),
            format!("delete them first, or name {parent} in keep"),
        ),
        (false, false) => (
            format!(
                "ON DELETE {} would change them, though they are tracked and not of this provider",
                link.on_delete
            ),
            format!("delete them first, or name {parent} in keep"),
        ),
    };
    Error::argument(format!(
        "rows of {child} refer to rows of {parent}, which would be deleted, and {why}; {what}"
    ))
}

/// The places of the tables, each behind those whose rows refer to it, as far as there is such an order.
fn children_first(tables: &[String], links: &[Link]) -> Vec<usize> {
    let place = |name: &str| {
        let mut tables = tables.iter();
        tables.position(|table| table.eq_ignore_ascii_case(name))
    };
    let pairs: HashSet<(usize, usize)> = links
        .iter()
        .filter_map(|link| Some((place(&link.child)?, place(&link.parent)?)))
        .filter(|(child, parent)| child != parent)
        .collect();
    let mut left: Vec<usize> = (0..tables.len()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let is_free = |parent: &usize| {
            let mut children = left.iter();
            !children.any(|child| pairs.contains(&(*child, *parent)))
        };
        let next = left.iter().position(is_free).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(child: &str, parent: &str) -> Link {
        Link {
            child: child.into(),
            from: vec!["p".into()],
            parent: parent.into(),
            to: vec!["id".into()],
            on_delete: "NO ACTION".into(),
            on_update: "NO ACTION".into(),
        }
    }

    #[test]
    fn children_go_before_their_parents() {
        let tables = ["a", "b", "c"].map(str::to_owned);
        let links = [
            link("B", "a"),
            link("c", "b"),
            link("c", "c"),
            link("x", "c"),
        ];
        assert_eq!(children_first(&tables, &links), [2, 1, 0]);
        // A circle has no order; all of it goes all the same.
        let links = [link("a", "b"), link("b", "a"), link("c", "a")];
        let mut order = children_first(&tables, &links);
        assert_eq!(order[0], 2);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }
}
