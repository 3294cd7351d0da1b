//! Names that columns have passed on where nobody saw it: `a` became `a_old`, `b` became `a`, and then the table was rebuilt. By
//! its name the column `a` would be the one that was `a` before, and its edits would go up as edits of another column.
//!
//! The names alone don't tell that from a column that was dropped and one that was added. The declared types can: where
//! the table, column by column in its old order, has the types that it had, but not by its names, the names have moved.

use super::index::pieces;
use super::names::Renamed;
use super::shape::Shape;

/// Names of columns that may have been another column's when the table had `definition`; none where nothing shows it.
pub fn moved(definition: &str, shape: &Shape) -> Vec<String> {
    if definition == shape.definition {
        return Vec::new();
    }
    let old = declared(definition);
    let new: Vec<Declared> = shape
        .columns
        .iter()
        .map(|column| Declared::new(&column.name, &column.declared))
        .collect();
    let in_place = old.iter().zip(&new);
    if in_place.clone().any(|(old, new)| old.kind != new.kind) {
        return Vec::new();
    }
    let old_of = |column: &Declared| old.iter().find(|old| old.name == column.name);
    let is_contradicted = new
        .iter()
        .any(|new| old_of(new).is_some_and(|old| old.kind != new.kind));
    if !is_contradicted {
        return Vec::new();
    }
    let displaced = in_place.filter(|(old, new)| old.name != new.name);
    let names = displaced.filter(|(_, new)| old_of(new).is_some());
    names.map(|(_, new)| new.name.clone()).collect()
}

/// The columns of such a table that have other names at the same places, as far as the types show: old and new names.
pub fn renamed_in_place(definition: &str, shape: &Shape) -> Vec<Renamed> {
    if moved(definition, shape).is_empty() {
        return Vec::new();
    }
    let old = declared(definition).into_iter().map(|old| old.name);
    let new = shape.columns.iter().map(|new| new.name.clone());
    old.zip(new)
        .filter(|(old, new)| !old.eq_ignore_ascii_case(new))
        .collect()
}

/// Whether a table has, column by column, the types that it had when it had `definition`.
pub fn has_same_types(definition: &str, shape: &Shape) -> bool {
    let old = declared(definition);
    let new = shape.columns.iter();
    let new = new.map(|column| Declared::new(&column.name, &column.declared).kind);
    old.len() == shape.columns.len() && old.iter().zip(new).all(|(old, new)| old.kind == new)
}

/// The name of the table in a CREATE TABLE text, as SQLite keeps it: it follows a rename.
pub fn table_name(definition: &str) -> Option<String> {
    let verb = "CREATE TABLE ";
    let rest = definition.get(verb.len()..)?;
    let first = rest.trim_start().chars().next()?;
    let close = match first {
        '[' => ']',
        '"' | '`' | '\'' => first,
        _ => {
            let is_part = |letter: char| {
                letter.is_alphanumeric() || "_$".contains(letter) || !letter.is_ascii()
            };
            let word = rest.trim_start().split(|letter| !is_part(letter)).next();
            return word.filter(|word| !word.is_empty()).map(str::to_owned);
        }
    };
    let mut name = String::new();
    let mut letters = rest.trim_start().chars().skip(1).peekable();
    while let Some(letter) = letters.next() {
        if letter == close && (close == ']' || letters.next_if_eq(&close).is_none()) {
            return Some(name);
        }
        name.push(letter);
    }
    None
}

/// The names of the columns of a CREATE TABLE text, in small letters.
pub fn names_in_order(definition: &str) -> Vec<String> {
    let columns = declared(definition).into_iter();
    columns.map(|column| column.name).collect()
}

/// A column as it is declared, both in small letters.
#[derive(Debug, PartialEq)]
struct Declared {
    name: String,
    kind: String,
}

impl Declared {
    fn new(name: &str, kind: &str) -> Self {
        let kind = kind.split('(').next().unwrap_or_default();
        Self {
            name: name.to_ascii_lowercase(),
            kind: kind.trim().to_ascii_lowercase(),
        }
    }
}

/// What ends the type of a column.
const AFTER_TYPE: &[&str] = &[
    "constraint",
    "primary",
    "not",
    "null",
    "unique",
    "check",
    "default",
    "collate",
    "references",
    "generated",
    "as",
    "on",
];

/// What begins a constraint of the table.
const TABLE_CONSTRAINTS: &[&str] = &["constraint", "primary", "unique", "check", "foreign"];

/// The columns of a CREATE TABLE text, with their types.
fn declared(definition: &str) -> Vec<Declared> {
    let mut columns = Vec::new();
    for words in column_words(definition) {
        let mut words = words.into_iter();
        let Some((name, is_quoted)) = words.next() else {
            continue;
        };
        let folded = name.to_ascii_lowercase();
        if !is_quoted && TABLE_CONSTRAINTS.contains(&folded.as_str()) {
            break;
        }
        let is_type = |(word, is_quoted): &(String, bool)| {
            *is_quoted || !AFTER_TYPE.contains(&word.to_ascii_lowercase().as_str())
        };
        let kind: Vec<String> = words.take_while(is_type).map(|(word, _)| word).collect();
        columns.push(Declared::new(&name, &kind.join(" ")));
    }
    columns
}

/// The words between the outermost brackets, column by column, and whether each is quoted; what is in further brackets is
/// left out.
fn column_words(definition: &str) -> Vec<Vec<(String, bool)>> {
    let mut columns: Vec<Vec<(String, bool)>> = vec![Vec::new()];
    let mut depth = 0;
    let mut word = String::new();
    for piece in pieces(definition) {
        let first = piece.chars().next().unwrap_or(' ');
        let is_quoted = piece.len() > first.len_utf8();
        let is_part =
            !is_quoted && (first.is_alphanumeric() || "_$".contains(first) || !first.is_ascii());
        if is_part && depth == 1 {
            word.push(first);
            continue;
        }
        if !word.is_empty()
            && let Some(column) = columns.last_mut()
        {
            column.push((std::mem::take(&mut word), false));
        }
        match first {
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            ',' if depth == 1 => columns.push(Vec::new()),
            _ if is_quoted && depth == 1 => {
                let inner = piece.get(1..piece.len() - 1).unwrap_or_default();
                if let Some(column) = columns.last_mut() {
                    column.push((inner.to_owned(), true));
                }
            }
            _ => {}
        }
        if depth == 0 && first == ')' {
            break;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_table_is_read() {
        for (text, name) in [
            ("CREATE TABLE a1_$(x)", Some("a1_$")),
            ("CREATE TABLE \"a \"\"b\" (x)", Some("a \"b")),
            ("CREATE TABLE [a \"b](x)", Some("a \"b")),
            ("CREATE TABLE `a``b`(x)", Some("a`b")),
            ("CREATE TABLE 'é'(x)", Some("é")),
            ("CREATE TABLE é/* */(x)", Some("é")),
            ("CREATE TABLE \"a", None),
            ("CREATE TABLE ", None),
            ("", None),
        ] {
            assert_eq!(table_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn columns_are_read_with_their_types() {
        let text = "CREATE TABLE \"a (\" (-- x, y\n id INTEGER PRIMARY KEY, [my b] VARCHAR(20, 3) NOT NULL DEFAULT (f(1, 2)), \"c,\" , \
             d UNSIGNED BIG INT CHECK (d IN (1, 2)), e text GENERATED ALWAYS AS (d), \"check\" /* no */ real, PRIMARY KEY (id), UNIQUE (d))";
        let expected = [
            ("id", "integer"),
            ("my b", "varchar"),
            ("c,", ""),
            ("d", "unsigned big int"),
            ("e", "text"),
            ("check", "real"),
        ];
        assert_eq!(
            declared(text),
            expected.map(|(name, kind)| Declared::new(name, kind))
        );
        for text in [
            "",
            "(",
            ")",
            "CREATE TABLE t",
            "((((",
            "\"",
            "a (\"",
            "(,,,)",
        ] {
            assert!(declared(text).len() < 5, "{text}");
        }
    }
}
