//! SQL in pages of the documentation: what a block has, and what is said of its answers. How it is written: tests/docs.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::database::root;

/// A file of the repository.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block.
pub struct Block {
    /// What stands behind the opening fence.
    pub info: String,
    /// Number of its first line.
    pub line: usize,
    pub lines: Vec<String>,
    /// Nothing but empty lines stands between the block before and this one.
    pub follows: bool,
}

/// The fenced blocks of a page.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut follows = false;
    for (number, line) in text.lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (Some(block), Some("")) => {
                blocks.push(block);
                follows = true;
            }
            (Some(mut block), _) => {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
            (None, Some(info)) => {
                let info = info.trim().to_owned();
                open = Some(Block {
                    info,
                    line: number + 2,
                    lines: Vec::new(),
                    follows,
                });
            }
            (None, None) => follows &= line.trim().is_empty(),
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// One statement of a block and what is said of its answer.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub line: usize,
    pub sql: String,
    pub expected: Option<String>,
}

/// Cuts a block into statements: each ends with a `;` at the end of a line, a trigger with `END;`.
pub fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut sql = String::new();
    // The line before ended a statement.
    let mut ended = false;
    for (number, line) in block.lines.iter().enumerate() {
        let (code, comment) = split_comment(line);
        if let (true, "", Some(value), Some(step)) = (ended, code, comment, steps.last_mut()) {
            step.expected.get_or_insert_with(|| value.to_owned());
        }
        ended = false;
        if sql.is_empty() && (code.trim().is_empty() || code.starts_with('.')) {
            if code.starts_with('.') {
                steps.push(Step {
                    line: block.line + number,
                    sql: code.into(),
                    expected: None,
                });
            }
            continue;
        }
        sql.push_str(code);
        sql.push('\n');
        let upper = sql.trim().to_uppercase();
        let complete = match upper.starts_with("CREATE TRIGGER") {
            true => upper.ends_with("END;"),
            false => upper.ends_with(';'),
        };
        if complete {
            ended = true;
            steps.push(Step {
                line: block.line + number,
                sql: std::mem::take(&mut sql).trim().to_owned(),
                expected: comment.map(str::to_owned),
            });
        }
    }
    assert_eq!(sql, "", "line {}: a statement without end", block.line);
    steps
}

/// A line without its `-- comment`, and the comment.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    for (at, character) in line.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => quote = Some(character),
            None if line[at..].starts_with("--") => {
                return (line[..at].trim_end(), Some(line[at + 2..].trim()));
            }
            None => {}
        }
    }
    (line.trim_end(), None)
}

/// Whether a text is as described, where `…` stands for anything.
pub fn matches(expected: &str, found: &str, whole: bool) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return !whole || rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    if whole {
        rest.ends_with(last)
    } else {
        rest.contains(last)
    }
}

/// What a statement answers, as texts.
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// All rows of a statement; `null` stands for NULL.
pub fn rows(connection: &Connection, sql: &str, null: &str) -> rusqlite::Result<Answer> {
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let mut values = Vec::new();
        for index in 0..columns.len() {
            values.push(match row.get_ref(index)? {
                ValueRef::Null => null.to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) if number.fract() == 0.0 => format!("{number:.1}"),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => format!("{bytes:?}"),
            });
        }
        rows.push(values);
    }
    Ok(Answer { columns, rows })
}

/// SQLite's own message, without what rusqlite adds.
fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// Runs a statement, which must answer as it is said.
pub fn run_step(connection: &Connection, step: &Step, place: &str) {
    if let Some(command) = step.sql.strip_prefix('.') {
        if let Some(file) = command.strip_prefix("read ") {
            connection.execute_batch(&text(file.trim())).expect(file);
        }
        return;
    }
    let answer = rows(connection, &step.sql, "NULL");
    let expected_error = step
        .expected
        .as_deref()
        .and_then(|text| text.strip_prefix("error: "));
    match (answer, expected_error) {
        (Err(error), Some(expected)) => {
            let found = message(&error);
            assert!(matches(expected, &found, false), "{place}: {found}");
        }
        (Err(error), None) => panic!("{place}: {}: {}", step.sql, message(&error)),
        (Ok(_), Some(expected)) => panic!("{place}: no error, expected {expected}"),
        (Ok(answer), None) => {
            let Some(expected) = &step.expected else {
                return;
            };
            let found = answer
                .rows
                .first()
                .map(|row| row.join("|"))
                .unwrap_or_default();
            assert!(
                matches(expected, &found, true),
                "{place}: found\n{found}\nexpected\n{expected}"
            );
        }
    }
}
