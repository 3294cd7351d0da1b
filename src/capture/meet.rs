//! Which existing rows a new row meets: through the primary key or a unique index.
//!
//! `INSERT OR REPLACE` and `UPDATE OR REPLACE` delete the rows they meet, and SQLite fires no delete
//! trigger for them (unless `recursive_triggers` is on). So they are written down beforehand as "may
//! have been replaced". Writing down one too many does no harm (a row that is still there afterwards
//! was not replaced), so the WHERE clause of a partial index is not looked at.

use crate::store::{Database, Result, quote_name};

use super::key;
use super::shape::Shape;

/// One way to meet a row: the columns or expressions of a key or unique index.
struct Way {
    parts: Vec<Part>,
}

enum Part {
    Column {
        name: String,
        collation: String,
    },
    /// An indexed expression, as written in CREATE INDEX.
    Expression(String),
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
pub fn meetings(database: &Database, shape: &Shape, id: i64) -> Result<Meetings> {
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
    let mut insert = (Vec::new(), Vec::new());
    let mut update = (Vec::new(), Vec::new());
    for way in &ways {
        let meets = way.condition(shape);
        let from = format!("FROM {table} AS o WHERE {meets}");
        let log = format!("INSERT INTO _syncChange (tbl, op, pk) SELECT {id}, 4, {logged} {from}");
        insert.0.push(format!("EXISTS (SELECT 1 {from})"));
        insert.1.push(format!("{log};"));
        update.0.push(format!(
            "({} AND EXISTS (SELECT 1 {from} AND {another}))",
            way.moved()
        ));
        update.1.push(format!("{log} AND {another};"));
    }
    Ok(Meetings {
        insert: (insert.0.join(" OR "), insert.1.join("\n  ")),
        update: (update.0.join(" OR "), update.1.join("\n  ")),
        of: of_clause(&ways, shape),
    })
}

impl Way {
    /// True for rows `o` that agree with NEW on every part.
    fn condition(&self, shape: &Shape) -> String {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Column { name, collation } => {
                    let name = quote_name(name);
                    format!("o.{name} = NEW.{name} COLLATE {}", quote_name(collation))
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
            })
            .collect();
        parts.join(" AND ")
    }

    /// True when an UPDATE changed a part: an unchanged one can't meet anybody new.
    fn moved(&self) -> String {
        if self.has_expression() {
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

/// `UPDATE OF` fires by the names in the SET list, so it can stand only where those names tell
/// everything. The rowid has three more names.
fn of_clause(ways: &[Way], shape: &Shape) -> String {
    let mut names = Vec::new();
    for way in ways {
        for part in &way.parts {
            let Part::Column { name, .. } = part else {
                return String::new();
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
    if shape.rowid_is_key {
        names.extend(["rowid", "_rowid_", "oid"].map(String::from));
    }
    names.sort();
    names.dedup();
    format!("OF {}", names.join(", "))
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
        ways.push(Way { parts });
    }
    let indexes = database.query_all(
        "SELECT name FROM pragma_index_list(?1, ?2) WHERE \"unique\" ORDER BY seq DESC",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok(row.text(0)),
    )?;
    for index in indexes {
        ways.push(read_index(database, &index)?);
    }
    Ok(ways)
}

fn read_index(database: &Database, index: &str) -> Result<Way> {
    let columns = database.query_all(
        "SELECT cid, name, coll FROM pragma_index_xinfo(?1, ?2) WHERE key ORDER BY seqno",
        &[index.into(), database.schema().into()],
        |row| Ok((row.integer(0), row.text(1), row.text(2))),
    )?;
    let definition = database.query_value(
        "SELECT sql FROM main.sqlite_master WHERE type = 'index' AND name = ?1",
        &[index.into()],
    )?;
    let written = definition.as_str().map(index_terms).unwrap_or_default();
    let parts = columns
        .into_iter()
        .enumerate()
        .map(|(place, (cid, name, collation))| match written.get(place) {
            Some(text) if cid < 0 => Part::Expression(text.clone()),
            _ => Part::Column { name, collation },
        })
        .collect();
    Ok(Way { parts })
}

/// The terms between the outermost parentheses of a CREATE INDEX statement, without their sort order.
fn index_terms(definition: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let mut term = String::new();
    let mut depth = 0;
    let mut quote = None;
    for letter in definition.chars() {
        if let Some(end) = quote {
            term.push(letter);
            if letter == end {
                quote = None;
            }
            continue;
        }
        match letter {
            '\'' | '"' | '`' => quote = Some(letter),
            '[' => quote = Some(']'),
            '(' => {
                depth += 1;
                if depth == 1 {
                    term.clear();
                    continue;
                }
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    terms.push(without_order(&term));
                    return terms;
                }
            }
            ',' if depth == 1 => {
                terms.push(without_order(&term));
                term.clear();
                continue;
            }
            _ => {}
        }
        term.push(letter);
    }
    terms
}

fn without_order(term: &str) -> String {
    let term = term.trim();
    for order in [" asc", " desc"] {
        let Some(cut) = term.len().checked_sub(order.len()) else {
            continue;
        };
        if term.is_char_boundary(cut) && term[cut..].eq_ignore_ascii_case(order) {
            return term[..cut].trim_end().to_owned();
        }
    }
    term.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_an_index() {
        assert_eq!(
            index_terms("CREATE UNIQUE INDEX \"a(b\" ON t (lower(x || ','), \"y)\" DESC) WHERE z"),
            ["lower(x || ',')", "\"y)\""]
        );
    }
}
