//! The objects that the scripts of `sql/` make, one by one, so that one that is missing can be made alone.

use super::database::Database;
use super::error::Result;

/// One statement of a script, and what it makes.
#[derive(Debug)]
pub struct Part {
    /// As `sqlite_master` has it: `table`, `index`, `trigger`.
    pub kind: String,
    pub name: String,
    sql: String,
}

impl Part {
    /// All parts of some scripts, in order.
    pub fn of(scripts: &[&str]) -> Vec<Self> {
        let statements = scripts.iter().flat_map(|script| statements(script));
        statements.filter_map(Self::read).collect()
    }

    fn read(statement: &str) -> Option<Self> {
        let bare = without_comments(statement);
        let mut words = bare.split_ascii_whitespace();
        if !words.next()?.eq_ignore_ascii_case("CREATE") {
            return None;
        }
        let mut kind = words.next()?;
        if kind.eq_ignore_ascii_case("UNIQUE") {
            kind = words.next()?;
        }
        let name = words.next()?.strip_prefix("main.")?;
        let end = name.find('(').unwrap_or(name.len());
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            name: name[..end].to_owned(),
            sql: statement.to_owned(),
        })
    }

    /// The columns of a table.
    pub fn columns(&self) -> Vec<String> {
        let bare = without_comments(&self.sql);
        let inside = bare.find('(').map_or("", |open| &bare[open + 1..]);
        let mut columns = Vec::new();
        let (mut depth, mut start, mut place) = (0, 0, 0);
        while place < inside.len() && depth >= 0 {
            let letter = inside.as_bytes()[place];
            match letter {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth < 0 || (depth == 0 && letter == b',') {
                columns.extend(inside[start..place].split_ascii_whitespace().next());
                start = place + 1;
            }
            place += skipped(&inside[place..]);
        }
        let is_column = |word: &&str| !["PRIMARY", "UNIQUE", "CHECK", "FOREIGN"].contains(word);
        let columns = columns.into_iter().filter(is_column);
        columns
            .map(|column| column.trim_matches('"').to_owned())
            .collect()
    }

    /// # Errors
    /// SQLite's.
    pub fn make(&self, database: &Database) -> Result<()> {
        database.execute_script(&self.sql)
    }
}

/// The statements of a script. One of a trigger has others in it, and ends with an END of its own.
fn statements(script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut before, mut place) = (0, 0, 0);
    while place < script.len() {
        let rest = &script[place..];
        place += skipped(rest);
        if !rest.starts_with(';') {
            continue;
        }
        let is_trigger = without_comments(&script[start..place])
            .trim_start()
            .starts_with("CREATE TRIGGER");
        let last = without_comments(&script[before..place]);
        before = place;
        if is_trigger && last.trim() != "END;" {
            continue;
        }
        statements.push(&script[start..place]);
        start = place;
    }
    statements
}

/// Bytes of the comment, the literal or the letter that a text begins with.
fn skipped(text: &str) -> usize {
    let upto = |end: &str, from: usize| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |place| from + place + end.len())
    };
    if text.starts_with("--") {
        return upto("\n", 2);
    }
    match text.chars().next() {
        Some('\'') => upto("'", 1),
        Some('"') => upto("\"", 1),
        Some(letter) => letter.len_utf8(),
        None => 1,
    }
}

fn without_comments(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut place = 0;
    while place < text.len() {
        let rest = &text[place..];
        let length = skipped(rest);
        if !rest.starts_with("--") {
            bare.push_str(&rest[..length]);
        }
        place += length;
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_one_part_with_all_that_is_in_it() {
        let script = "-- Notes; and more.\nCREATE TABLE main.a (x); -- said; so\n\
             CREATE UNIQUE INDEX main.a_x\n ON a (x);\n\
             CREATE TRIGGER main.a_insert AFTER INSERT ON a\nBEGIN\n\
             UPDATE a SET x = CASE WHEN x THEN ';' ELSE 1 END;\n-- No END;\nSELECT 1;\nEND;\n\
             CREATE TABLE main.b(x);";
        let parts = Part::of(&[script]);
        let names: Vec<String> = parts
            .iter()
            .map(|part| format!("{} {}", part.kind, part.name))
            .collect();
        assert_eq!(
            names,
            ["table a", "index a_x", "trigger a_insert", "table b"]
        );
        assert!(parts[2].sql.contains("SELECT 1"), "{}", parts[2].sql);
    }

    #[test]
    fn the_columns_of_a_table_are_read_without_its_constraints() {
        let script = "CREATE TABLE main.a (\n  id INTEGER PRIMARY KEY, -- a, b\n  \"from\" TEXT CHECK (\"from\" IN ('x', ')')),\n\
             pk,\n  d TEXT NOT NULL DEFAULT '{\"a\":1,\"b\":2}',\n  UNIQUE (pk, d)\n) WITHOUT ROWID;";
        assert_eq!(Part::of(&[script])[0].columns(), ["id", "from", "pk", "d"]);
    }
}
