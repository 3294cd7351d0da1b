//! Reading indexes: their parts and conditions, from what SQLite says of them and from their CREATE INDEX statements.

use crate::store::{Database, Result};

/// A part of an index: what two rows agree on that meet in it.
pub enum Part {
    Column {
        name: String,
        collation: String,
    },
    /// An indexed expression, as written in CREATE INDEX.
    Expression(String),
    /// The rowid besides the key, in a spelling that no column hides.
    Rowid(&'static str),
}

/// The parts of an index, in order.
///
/// # Errors
/// SQLite's.
pub fn read_index(database: &Database, index: &str) -> Result<Vec<Part>> {
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
    Ok(parts)
}

/// The terms between the outermost parentheses of a CREATE INDEX statement, without their sort order.
pub fn index_terms(definition: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let mut term = String::new();
    let mut depth = 0;
    for piece in pieces(definition) {
        match piece {
            "(" => {
                depth += 1;
                if depth == 1 {
                    term.clear();
                    continue;
                }
            }
            ")" => {
                depth -= 1;
                if depth == 0 {
                    terms.push(without_order(&term));
                    return terms;
                }
            }
            "," if depth == 1 => {
                terms.push(without_order(&term));
                term.clear();
                continue;
            }
            _ => {}
        }
        term.push_str(piece);
    }
    terms
}

/// The condition of a partial index, from its CREATE INDEX statement.
pub fn index_condition(definition: &str) -> Option<String> {
    let (mut depth, mut is_behind, mut rest) = (0, false, String::new());
    for piece in pieces(definition) {
        if is_behind {
            rest.push_str(piece);
            continue;
        }
        match piece {
            "(" => depth += 1,
            ")" => {
                depth -= 1;
                is_behind = depth == 0;
            }
            _ => {}
        }
    }
    let rest = rest.trim();
    let word = rest.get(..5)?;
    word.eq_ignore_ascii_case("where")
        .then(|| rest[5..].trim().to_owned())
}

/// SQL text in pieces: quoted names and strings whole, comments as one space, the rest letter by
/// letter.
pub fn pieces(sql: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = if rest.starts_with("--") {
            (" ", rest.find('\n').unwrap_or(rest.len()))
        } else if let Some(comment) = rest.strip_prefix("/*") {
            // The slash of the opening is not one of the end: `/*/` goes on.
            let end = comment.find("*/");
            (" ", end.map_or(rest.len(), |end| end + 4))
        } else {
            let length = match first {
                '\'' | '"' | '`' | '[' => {
                    let close = if first == '[' { ']' } else { first };
                    rest[1..].find(close).map_or(rest.len(), |end| end + 2)
                }
                letter => letter.len_utf8(),
            };
            (&rest[..length], length)
        };
        pieces.push(piece);
        rest = &rest[length..];
    }
    pieces
}

fn without_order(term: &str) -> String {
    let term = term.trim();
    for order in ["asc", "desc"] {
        let Some(cut) = term.len().checked_sub(order.len()) else {
            continue;
        };
        if !term.is_char_boundary(cut) || !term[cut..].eq_ignore_ascii_case(order) {
            continue;
        }
        let before = term[..cut].trim_end();
        let is_word = |letter: char| letter.is_alphanumeric() || "_$".contains(letter);
        let stands_alone = before.len() < cut || !before.ends_with(is_word);
        if stands_alone && !before.is_empty() {
            return before.to_owned();
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

    #[test]
    fn the_condition_of_an_index() {
        for (definition, condition) in [
            (
                "CREATE UNIQUE INDEX i ON t (a, lower(b)) WHERE c = ')' AND (d > 0)",
                Some("c = ')' AND (d > 0)"),
            ),
            ("CREATE UNIQUE INDEX i ON t(a)where b", Some("b")),
            ("CREATE UNIQUE INDEX \"where (x\" ON t (a)", None),
        ] {
            assert_eq!(
                index_condition(definition).as_deref(),
                condition,
                "{definition}"
            );
        }
    }

    #[test]
    fn a_comment_that_begins_with_a_slash_goes_on() {
        assert_eq!(
            index_terms("CREATE INDEX i ON t (a /*/ ), c; ( */ || 'x', b)"),
            ["a   || 'x'", "b"]
        );
    }

    #[test]
    fn comments_and_tight_orders() {
        assert_eq!(
            index_terms("CREATE INDEX i ON t (/* a, ( */ (a+1)DESC, -- )\n b\nASC, desc_x)"),
            ["(a+1)", "b", "desc_x"]
        );
    }
}
