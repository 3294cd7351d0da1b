//! A row as JSON. In bundles it has one spelling; snapshots and conflicts show what the database
//! keeps, unless there is a blob to be put in.

use super::cell::Cell;
use super::defects::Defects;
use super::spelling::quoted;
use super::tables::Table;
use crate::oversync::escape::escaped;

/// The row as JSON, ready to be sent, and its size in the snapshot's count.
pub struct Image {
    pub json: String,
    pub bytes: i64,
}

/// As in bundles: members by name.
pub fn in_a_bundle(table: &Table, cells: &[Cell], defects: &Defects) -> String {
    escaped(&by_name(table, cells, !defects.rounds_integers))
}

/// As in snapshots and conflicts.
pub fn in_a_snapshot(table: &Table, cells: &[Cell], defects: &Defects) -> Image {
    if cells.iter().any(|cell| matches!(cell, Cell::Bytes(_))) {
        let json = by_name(table, cells, !defects.rounds_beside_blobs);
        return Image {
            bytes: json.len() as i64,
            json: escaped(&json),
        };
    }
    let mut members: Vec<(&str, String)> = named(table, cells)
        .map(|(name, cell)| (name, cell.in_the_database()))
        .collect();
    // The database sorts short names first.
    members.sort_by_key(|(name, _)| (name.len(), *name));
    let json = object(&members);
    // And it counts a space after each colon and comma.
    let spaces = (2 * members.len()).saturating_sub(1);
    Image {
        bytes: (json.len() + spaces) as i64,
        json: escaped(&json),
    }
}

fn by_name(table: &Table, cells: &[Cell], exact: bool) -> String {
    let mut members: Vec<(&str, String)> = named(table, cells)
        .map(|(name, cell)| (name, cell.in_a_bundle(exact)))
        .collect();
    members.sort();
    object(&members)
}

fn named<'a>(table: &'a Table, cells: &'a [Cell]) -> impl Iterator<Item = (&'a str, &'a Cell)> {
    let names = table.columns.iter().map(|column| column.name.as_str());
    names.zip(cells)
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", quoted(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}
