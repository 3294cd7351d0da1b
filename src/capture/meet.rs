//! Which existing rows a new row meets: through the primary key or a unique index.
//!
//! `INSERT OR REPLACE` and `UPDATE OR REPLACE` delete the rows they meet, and SQLite fires no delete
//! trigger for them (unless `recursive_triggers` is on). So they are recorded beforehand as "may
//! have been replaced". Recording one too many does no harm (a row that is still there afterwards
//! was not replaced), so the WHERE clause of a partial index is not looked at.

use std::collections::BTreeMap;

use crate::store::{Database, Result, quote_name};

use super::columns::Columns;
use super::index::{Part, read_index};
use super::op::{GROUP, Op};
use super::shape::Shape;
use super::{key, mask};

/// One way to meet a row: the columns or expressions of a key or unique index.
struct Way {
    parts: Vec<Part>,
    /// A partial index: a row may step into it without a change of its columns.
    partial: bool,
    /// The key: the row met is the one that the new row stands for, if it is the same byte for byte.
    is_key: bool,
}

/// The SQL pieces that the capture template needs.
pub struct Meetings {
    /// For INSERT: true when a row is met; and the statements that log the rows met.
    pub insert: (String, String),
    /// The same for UPDATE, not counting the row itself.
    pub update: (String, String),
    /// `OF …` for the UPDATE trigger; empty when it must look at every update.
    pub of: String,
}

/// Reads a table's keys and unique indexes.
///
/// # Errors
/// SQLite's.
pub fn meetings(
    database: &Database,
    shape: &Shape,
    id: i64,
    columns: &Columns,
) -> Result<Meetings> {
    let ways = ways(database, shape)?;
    let table = quote_name(&shape.name);
    let names: Vec<&str> = shape
        .keys()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let logged = key::expression("o", &names);
    let same_row: Vec<String> = names
        .iter()
        .map(|name| {
            let name = quote_name(name);
            format!("o.{name} IS OLD.{name} COLLATE BINARY")
        })
        .collect();
    let another = format!("NOT ({})", same_row.join(" AND "));
    let same_key: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "o.{} IS {} COLLATE BINARY",
                quote_name(name),
                incoming(shape, name)
            )
        })
        .collect();
    let same_key = same_key.join(" AND ");
    let mut insert = (Vec::new(), Vec::new());
    let mut update = (Vec::new(), Vec::new());
    for way in &ways {
        let meets = way.condition(shape);
        let from = format!("FROM {table} AS o WHERE {meets}");
        let met = Op::Met.code();
        let log =
            format!("INSERT INTO _syncChange (tbl, op, pk) SELECT {id}, {met}, {logged} {from}");
        let given = way.given();
        insert.0.push(format!("{given}EXISTS (SELECT 1 {from})"));
        match way.is_key {
            true => {
                let offers = offers(shape, columns).into_iter().map(|(op, mask)| {
                    let mask = match way.is_exact() {
                        true => mask,
                        false => format!("CASE WHEN {same_key} THEN {mask} END"),
                    };
                    format!(
                        "INSERT INTO _syncChange (tbl, op, mask, pk) SELECT {id}, {op}, {mask}, {logged} {from};"
                    )
                });
                insert.1.extend(offers);
            }
            // The row with the new row's own key is logged by its key.
            false => insert.1.push(format!("{log} AND NOT ({same_key});")),
        }
        update.0.push(format!(
            "({} AND EXISTS (SELECT 1 {from} AND {another}))",
            way.moved()
        ));
        update.1.push(format!("{log} AND {another};"));
    }
    let mention = mention_all(&ways, shape);
    Ok(Meetings {
        insert: (insert.0.join(" OR "), insert.1.join("\n  ")),
        update: (
            format!("{mention}({})", update.0.join(" OR ")),
            update.1.join("\n  "),
        ),
        of: of_clause(&ways, shape),
    })
}

/// What a new row would change of the one that it replaces: for each group of columns the code of the entry, and the
/// mask.
fn offers(shape: &Shape, columns: &Columns) -> Vec<(i64, String)> {
    let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::from([(0, Vec::new())]);
    for (position, column) in shape.columns.iter().enumerate() {
        let Some(bit) = columns.bit(position).filter(|_| column.key_place == 0) else {
            continue;
        };
        let value = incoming(shape, &column.name);
        let differs = mask::differs("o", &value, &quote_name(&column.name));
        let bits = groups.entry(bit / GROUP).or_default();
        bits.push(format!("({differs}) << {}", bit % GROUP));
    }
    let groups = groups.into_iter();
    groups
        .map(|(group, bits)| (Op::met(group), mask::join(&bits)))
        .collect()
}

/// What the meetings of a table depend on besides its CREATE TABLE text: its unique indexes.
///
/// # Errors
/// SQLite's.
pub fn signature(database: &Database, table: &str) -> Result<String> {
    let indexes = database.query_all(
        "SELECT name || ' ' || sql FROM main.sqlite_master \
         WHERE type = 'index' AND tbl_name = ?1 COLLATE NOCASE AND sql LIKE '%UNIQUE%' ORDER BY name",
        &[table.into()],
        |row| Ok(row.text(0)),
    )?;
    Ok(indexes.join("\n"))
}

impl Way {
    /// A rowid that an INSERT does not name is -1 before it: so it costs a comparison, not a search.
    fn given(&self) -> String {
        match self.parts[..] {
            [Part::Rowid(rowid)] => format!("NEW.{rowid} <> -1 AND "),
            _ => String::new(),
        }
    }

    /// True for rows `o` that agree with NEW on every part.
    fn condition(&self, shape: &Shape) -> String {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Column { name, collation } => {
                    let value = incoming(shape, name);
                    let name = quote_name(name);
                    format!("o.{name} = {value} COLLATE {}", quote_name(collation))
                }
                // The inner SELECT gives the expression's bare column names the values of NEW.
                Part::Expression(text) => {
                    let columns: Vec<String> = shape
                        .columns
                        .iter()
                        .map(|column| {
                            let name = quote_name(&column.name);
                            format!("NEW.{name} AS {name}")
                        })
                        .collect();
                    format!(
                        "({text}) = (SELECT ({text}) FROM (SELECT {}))",
                        columns.join(", ")
                    )
                }
                Part::Rowid(rowid) => format!("o.{rowid} = NEW.{rowid}"),
            })
            .collect();
        parts.join(" AND ")
    }

    /// Whether rows that agree are the same byte for byte.
    fn is_exact(&self) -> bool {
        self.parts.iter().all(
            |part| matches!(part, Part::Column { collation, .. } if collation.eq_ignore_ascii_case("BINARY")),
        )
    }

    /// True when an UPDATE changed a part: an unchanged one can't meet anybody new.
    fn moved(&self) -> String {
        if self.partial || self.has_expression() {
            return "1".into();
        }
        let parts: Vec<String> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Column { name, .. } => {
                    let name = quote_name(name);
                    Some(format!("OLD.{name} IS NOT NEW.{name} COLLATE BINARY"))
                }
                Part::Rowid(rowid) => Some(format!("OLD.{rowid} IS NOT NEW.{rowid}")),
                Part::Expression(_) => None,
            })
            .collect();
        format!("({})", parts.join(" OR "))
    }

    fn has_expression(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Expression(_)))
    }
}

/// What a rowid can be called besides a column's name.
pub const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// `UPDATE OF` fires by the names in the SET list, so it can be used only where those names show
/// everything. The rowid has three more names.
fn of_clause(ways: &[Way], shape: &Shape) -> String {
    let mut names = Vec::new();
    for way in ways {
        if way.partial {
            return String::new();
        }
        for part in &way.parts {
            let name = match part {
                Part::Column { name, .. } => name,
                Part::Rowid(_) => continue,
                Part::Expression(_) => return String::new(),
            };
            let generated = shape
                .position(name)
                .is_none_or(|position| shape.columns[position].generated);
            if generated {
                return String::new();
            }
            names.push(quote_name(name));
        }
    }
    if shape.rowid.is_some() {
        names.extend(ROWID_NAMES.map(String::from));
    }
    names.sort();
    names.dedup();
    format!("OF {}", names.join(", "))
}

/// The value a column is about to get. OR REPLACE puts a NOT NULL column's DEFAULT in the place of NULL.
fn incoming(shape: &Shape, name: &str) -> String {
    let quoted = format!("NEW.{}", quote_name(name));
    let column = shape
        .position(name)
        .map(|position| &shape.columns[position]);
    match column.and_then(|column| column.default_expression().filter(|_| column.not_null)) {
        // The line feed ends a comment at the end of the default.
        Some(default) => format!("coalesce({quoted}, ({default}\n))"),
        None => quoted,
    }
}

/// Names every column in a condition that is always true. SQLite computes a generated column for a
/// BEFORE UPDATE trigger only from columns that the trigger names.
fn mention_all(ways: &[Way], shape: &Shape) -> String {
    let names_generated = ways
        .iter()
        .flat_map(|way| &way.parts)
        .any(|part| match part {
            Part::Column { name, .. } => shape
                .position(name)
                .is_some_and(|position| shape.columns[position].generated),
            Part::Expression(_) => shape.columns.iter().any(|column| column.generated),
            Part::Rowid(_) => false,
        });
    if !names_generated {
        return String::new();
    }
    let columns = shape.columns.iter().filter(|column| !column.generated);
    let mentions: Vec<String> = columns
        .map(|column| format!("NEW.{} IS NULL", quote_name(&column.name)))
        .collect();
    format!("(1 OR {}) AND ", mentions.join(" OR "))
}

fn ways(database: &Database, shape: &Shape) -> Result<Vec<Way>> {
    let mut ways = Vec::new();
    if shape.rowid_is_key {
        let parts = shape
            .keys()
            .into_iter()
            .map(|column| Part::Column {
                name: column.name.clone(),
                collation: "BINARY".into(),
            })
            .collect();
        ways.push(Way {
            parts,
            partial: false,
            is_key: true,
        });
    } else if let Some(rowid) = shape.rowid {
        ways.push(Way {
            parts: vec![Part::Rowid(rowid)],
            partial: false,
            is_key: false,
        });
    }
    let indexes = database.query_all(
        "SELECT name, partial, origin = 'pk' FROM pragma_index_list(?1, ?2) WHERE \"unique\" ORDER BY seq DESC",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok((row.text(0), row.integer(1) != 0, row.integer(2) != 0)),
    )?;
    for (index, partial, is_key) in indexes {
        ways.push(Way {
            parts: read_index(database, &index)?,
            partial,
            is_key,
        });
    }
    Ok(ways)
}
