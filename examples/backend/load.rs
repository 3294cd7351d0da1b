//! Reading CSV files into declared tables.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};

use super::schema::{Table, quoted};

/// Fills `table` from a CSV file (RFC 4180) whose header names columns of the table.
/// Column affinity turns the texts into numbers. Returns the number of rows.
pub fn csv_into(
    connection: &Connection,
    table: &Table,
    path: &Path,
    null_text: &str,
) -> Result<usize, String> {
    let fail = |text: String| format!("{}: {text}", path.display());
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut records = Records::new(BufReader::new(file));
    let header = records
        .next()
        .ok_or_else(|| fail("no header line".to_string()))?
        .map_err(&fail)?;
    for name in &header {
        if *name != table.key && table.column(name).is_none() {
            return Err(fail(format!("table {} has no column {name}", table.name)));
        }
    }

    let names: Vec<String> = header.iter().map(|name| quoted(name)).collect();
    let insert = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        quoted(&table.name),
        names.join(", "),
        vec!["?"; names.len()].join(", ")
    );
    let mut statement = connection
        .prepare(&insert)
        .map_err(|error| fail(error.to_string()))?;
    let mut rows = 0;
    for record in records {
        let record = record.map_err(&fail)?;
        if record.len() != header.len() {
            return Err(fail(format!(
                "row {}: {} values for {} columns",
                rows + 1,
                record.len(),
                header.len()
            )));
        }
        let values = record.into_iter().map(|text| {
            if text == null_text {
                SqlValue::Null
            } else {
                SqlValue::Text(text)
            }
        });
        statement
            .execute(params_from_iter(values))
            .map_err(|error| fail(format!("row {}: {error}", rows + 1)))?;
        rows += 1;
    }
    Ok(rows)
}

/// The records of a CSV file, one at a time.
struct Records<R> {
    input: R,
    line: String,
}

impl<R: BufRead> Records<R> {
    fn new(input: R) -> Self {
        Records {
            input,
            line: String::new(),
        }
    }

    /// Appends the next line to the buffer; false at the end of the file.
    fn read_line(&mut self) -> Result<bool, String> {
        self.input
            .read_line(&mut self.line)
            .map(|length| length > 0)
            .map_err(|error| error.to_string())
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Vec<String>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.line.clear();
        loop {
            match self.read_line() {
                Ok(true) => {}
                Ok(false) if self.line.is_empty() => return None,
                Ok(false) => return Some(Err("a quote is not closed".to_string())),
                Err(error) => return Some(Err(error)),
            }
            // An odd number of quotes: a quoted text goes on in the next line.
            if self.line.matches('"').count().is_multiple_of(2) {
                return Some(Ok(split(self.line.trim_end_matches(['\r', '\n']))));
            }
        }
    }
}

fn split(record: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut in_quotes = false;
    let mut characters = record.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always a last field");
        match character {
            '"' if in_quotes && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => fields.push(String::new()),
            _ => field.push(character),
        }
    }
    fields
}
