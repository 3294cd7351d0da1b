//! Walks an answer: each row to whoever wants it, and what the answer says besides.

use std::io::Read;

use serde_json::{Map, Value as Json};

use super::function::{Format, Function};
use super::paging::passes;
use super::path::{Path, Step};
use crate::ground::{SyncError, complaint, quoted};
use crate::providers::cutter::{Cutter, parse_owned};

/// Bytes of the longest line of an answer that is written in lines.
const LONGEST_LINE: u64 = 64 << 20;

/// Whether an answer has only texts.
pub fn is_table(function: &Function, content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    function.format == Format::Csv || (function.format == Format::Auto && kind == "text/csv")
}

type Each<'e> = &'e mut dyn FnMut(&str) -> Result<(), SyncError>;

/// What an answer says besides its rows, as far as somebody wants to know.
#[derive(Debug, Default)]
pub struct Envelope {
    pub json: Json,
    /// The rows were found: even if there are none.
    found: bool,
    /// Names of members where the rows were looked for.
    names: Vec<String>,
}

const NO_TEXT: &str = "a row of the answer is not valid UTF-8; nothing was applied";

/// Most names that an error shows.
const NAMES: usize = 12;

struct Walk<'w, 'e> {
    function: &'w Function,
    keyed: Option<&'w str>,
    wanted: &'w [Path],
    each: Each<'e>,
    envelope: Envelope,
}

/// Calls `each` with every row of an answer. `wanted`: the ways to what else is to be kept.
///
/// # Errors
/// What is no JSON; no rows where they should be; those of `each`.
pub fn walk(
    function: &Function,
    content_type: &str,
    wanted: &[Path],
    body: &mut dyn Read,
    each: Each<'_>,
) -> Result<Envelope, SyncError> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match (function.format, kind) {
        (Format::Lines, _)
        | (
            Format::Auto,
            "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines",
        ) => {
            return lines(body, each);
        }
        (Format::Csv, _) | (Format::Auto, "text/csv") => return table(body, each),
        (Format::Auto, "text/html" | "application/xhtml+xml") => {
            return Err(SyncError::protocol(
                "the answer is a web page, not JSON: the address is wrong, or somebody has to log in; nothing was applied",
            ));
        }
        _ => {}
    }
    let mut cutter = Cutter::new(body);
    cutter.skip_byte_order_mark()?;
    let mut walk = Walk {
        function,
        keyed: function.keyed.as_deref(),
        wanted,
        each,
        envelope: Envelope::default(),
    };
    walk.descend(&mut cutter, &function.records.0, &mut Vec::new())?;
    cutter.end()?;
    Ok(walk.envelope)
}

impl Envelope {
    fn of_rows() -> Self {
        Self {
            found: true,
            ..Self::default()
        }
    }

    /// Makes sure that there were rows where they should be, even if none.
    ///
    /// # Errors
    /// There were none; what there is instead.
    pub fn found(&self, function: &Function) -> Result<(), SyncError> {
        if self.found {
            return Ok(());
        }
        let there = match self.names.len() {
            0 => "there is nothing of that name".to_owned(),
            _ => format!("there are {}", self.names.join(", ")),
        };
        let error = SyncError::protocol(format!(
            "the answer has no rows at {}: {there}; correct records in the function. Nothing was applied",
            function.records
        ));
        Err(match &self.json {
            Json::Null => error,
            said => error.saying(&said.to_string()),
        })
    }
}

impl Walk<'_, '_> {
    fn descend<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        rest: &[Step],
        trail: &mut Vec<Step>,
    ) -> Result<(), SyncError> {
        let first = cutter.peek()?;
        let Some((step, rest)) = rest.split_first() else {
            self.envelope.found = true;
            return match trail.is_empty() && first == Some(b'{') && self.keyed.is_none() {
                true => self.only_row(cutter),
                false => self.rows(cutter, first),
            };
        };
        match (step, first) {
            (Step::Member(wanted), Some(b'{')) => cutter.object(|cutter, name| {
                trail.push(Step::Member(name.to_owned()));
                match name == wanted {
                    true => self.descend(cutter, rest, trail)?,
                    false => self.beside(cutter, name, trail)?,
                }
                trail.pop();
                Ok(())
            }),
            (Step::Each, Some(b'[')) => {
                // Even an empty list is an answer.
                self.envelope.found = true;
                cutter.array(|cutter| self.descend(cutter, rest, &mut Vec::new()))
            }
            (Step::Element(wanted), Some(b'[')) => {
                let mut place = 0;
                cutter.array(|cutter| {
                    place += 1;
                    match place - 1 == *wanted {
                        true => self.descend(cutter, rest, trail),
                        false => cutter.value().map(drop),
                    }
                })
            }
            _ => {
                let piece: Json = parse_owned(cutter.value()?)?;
                if trail.is_empty() {
                    self.envelope.json = piece;
                }
                Ok(())
            }
        }
    }

    /// A member that is not on the way.
    fn beside<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        name: &str,
        trail: &[Step],
    ) -> Result<(), SyncError> {
        if self.envelope.names.len() < NAMES {
            self.envelope.names.push(quoted(name));
        }
        let piece = cutter.value()?;
        if passes(self.wanted, trail) {
            let value: Json = parse_owned(piece)?;
            keep(&mut self.envelope.json, trail, value);
        }
        Ok(())
    }

    /// The answer is the row, unless it says that it is none.
    fn only_row<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<(), SyncError> {
        let piece = cutter.value()?;
        let text = std::str::from_utf8(piece)
            .map_err(|_| SyncError::protocol(NO_TEXT))?
            .to_owned();
        self.envelope.json = parse_owned(text.as_bytes())?;
        let mut rules = self.function.rules.iter();
        let says_no = refusal(self.function, &self.envelope.json).is_some();
        match says_no || rules.any(|rule| rule.fits_envelope(200, &self.envelope.json)) {
            true => Ok(()),
            false => (self.each)(&text),
        }
    }

    fn rows<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        first: Option<u8>,
    ) -> Result<(), SyncError> {
        match (first, self.keyed) {
            (Some(b'['), _) => cutter.array(|cutter| row(cutter, &mut *self.each)),
            (Some(b'{'), Some(member)) => cutter.object(|cutter, name| {
                let mut row: Map<String, Json> = parse_owned(cutter.value()?)?;
                row.insert(member.to_owned(), name.into());
                (self.each)(&Json::Object(row).to_string())
            }),
            (Some(b'{'), None) => row(cutter, &mut *self.each),
            _ => {
                let piece: Json = parse_owned(cutter.value()?)?;
                match piece {
                    Json::Null => Ok(()),
                    other => Err(SyncError::protocol(format!(
                        "where the rows should be there is {}; correct records in the function. Nothing was applied",
                        crate::ground::key::shown(&other)
                    ))),
                }
            }
        }
    }
}

fn row<R: Read>(cutter: &mut Cutter<R>, each: Each<'_>) -> Result<(), SyncError> {
    let piece = cutter.value()?;
    let text = std::str::from_utf8(piece).map_err(|_| SyncError::protocol(NO_TEXT))?;
    each(text)
}

/// Puts a value where it was in the answer.
fn keep(envelope: &mut Json, trail: &[Step], value: Json) {
    let mut at = envelope;
    for step in trail {
        let Step::Member(name) = step else { return };
        if !at.is_object() {
            *at = Json::Object(Map::new());
        }
        at = &mut at[name.as_str()];
    }
    *at = value;
}

/// One row of JSON a line.
fn lines(body: &mut dyn Read, each: Each<'_>) -> Result<Envelope, SyncError> {
    use std::io::{BufRead, BufReader};
    let mut source = BufReader::new(body);
    let mut line = String::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let read = (&mut source).take(LONGEST_LINE).read_line(&mut line);
        let read = read.map_err(|error| {
            SyncError::protocol(format!(
                "line {number} of the answer can't be read: {error}; nothing was applied"
            ))
        })?;
        if read == 0 {
            return Ok(Envelope::of_rows());
        }
        let row = line.trim_start_matches('\u{feff}').trim();
        if !row.is_empty() {
            each(row)?;
        }
    }
}

/// Lines of values with a head: each row becomes an object of texts; an empty value is null.
fn table(body: &mut dyn Read, each: Each<'_>) -> Result<Envelope, SyncError> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(body);
    let wrong = |error: csv::Error| {
        SyncError::protocol(format!(
            "the answer is no table of comma-separated values: {error}; nothing was applied"
        ))
    };
    let names = reader.headers().map_err(wrong)?.clone();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let members = names.iter().zip(record.iter()).map(|(name, value)| {
            let value = match value {
                "" => Json::Null,
                value => value.into(),
            };
            (name.trim_start_matches('\u{feff}').to_owned(), value)
        });
        each(&Json::Object(members.collect()).to_string())?;
    }
    Ok(Envelope::of_rows())
}

/// What an answer with a good status says of itself being none.
pub fn refusal(function: &Function, envelope: &Json) -> Option<String> {
    if let Some(success) = &function.success {
        let wrong = success
            .iter()
            .find(|(path, wanted)| path.find(envelope) != Some(wanted));
        return wrong.map(|(path, _)| format!("{path} is not what success says"));
    }
    let says_no = |name: &str| envelope[name] == Json::Bool(false);
    let errors = envelope["errors"]
        .as_array()
        .filter(|errors| !errors.is_empty());
    let said = |value: &Json| match &value["message"] {
        Json::String(message) => message.clone(),
        _ => value.to_string(),
    };
    match (says_no("ok") || says_no("success"), errors) {
        (_, Some(errors)) => errors.first().map(said),
        (true, None) => Some(match &envelope["error"] {
            Json::Null => said(envelope),
            error => error
                .as_str()
                .map_or_else(|| error.to_string(), str::to_owned),
        }),
        (false, None) => None,
    }
}

/// The ways to what [`refusal`] looks at.
pub fn verdict_paths(function: &Function) -> Vec<Path> {
    match &function.success {
        Some(success) => success.iter().map(|(path, _)| path.clone()).collect(),
        None => ["ok", "success", "error", "errors", "message"]
            .iter()
            .filter_map(|name| Path::parse(name).ok())
            .collect(),
    }
}

/// A row that can't be understood.
pub fn unreadable(number: u64, error: &serde_json::Error) -> SyncError {
    SyncError::protocol(format!(
        "row {number} of the answer can't be read: {}; nothing of this answer was applied",
        complaint(error)
    ))
}
