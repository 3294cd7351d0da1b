//! What a table gets of a row of an answer.

use std::borrow::Cow;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::function::{Deletes, Function, Take};
use super::path::{Members, Path, Step};
use super::template::{Values, plain};
use crate::ground::{SyncError, quoted};
use crate::providers::fit::{Leniency, fit, sanitise};
use crate::providers::instant::Instant;
use crate::providers::sink::Sink;
use crate::providers::wire::{Entity, KeyType, Slot, WireColumn, WireId};
use crate::store::{Value, ValueRef};

use super::answer::unreadable;

/// Where the columns of an entity come from.
pub struct Rows<'f> {
    function: &'f Function,
    entity: &'f Entity,
    takes: Vec<Taken>,
    leniency: Leniency,
    /// The headers of an answer that is about one row alone.
    headers: &'f [(String, String)],
}

enum Taken {
    At(Path),
    Whole,
    Always(Slot<'static>),
    /// The time of the row: at a place, else now.
    Time,
    Sql(String),
    Header(String),
}

/// A row, read.
pub struct Row<'r> {
    pub id: WireId<'static>,
    pub slots: Vec<Slot<'r>>,
    /// The row is gone.
    pub is_gone: bool,
    /// How new it is, where that counts.
    pub at: Option<Json>,
}

impl<'f> Rows<'f> {
    /// # Errors
    /// A column that the function names and the table has not.
    pub fn new(
        function: &'f Function,
        entity: &'f Entity,
        values: &Values,
        now: i64,
    ) -> Result<Self, String> {
        let declared = function.columns.iter().flatten();
        for (column, _) in declared {
            let is_there = entity
                .columns
                .iter()
                .any(|known| known.name.eq_ignore_ascii_case(column))
                || entity.key.eq_ignore_ascii_case(column);
            if !is_there {
                return Err(format!(
                    "function {} fills column {}, which {} has not, or does not sync; correct columns in the function",
                    quoted(&function.id),
                    quoted(column),
                    quoted(&entity.name)
                ));
            }
        }
        let is_document = entity.is_document();
        let takes = entity.columns.iter().map(|column| {
            let declared = function.columns.iter().flatten();
            let mut declared = declared.filter(|(name, _)| name.eq_ignore_ascii_case(&column.name));
            match declared.next() {
                Some((_, Take::At(path))) => Taken::At(path.clone()),
                Some((_, Take::Whole)) => Taken::Whole,
                Some((_, Take::Always(value))) => {
                    Taken::Always(sanitise(column, &value.to_string()))
                }
                Some((_, Take::Parameter(name))) => {
                    let value = values
                        .get(&format!("param:{name}"))
                        .cloned()
                        .unwrap_or_default();
                    Taken::Always(sanitise(column, &value.to_string()))
                }
                Some((_, Take::Sql(sql))) => Taken::Sql(sql.clone()),
                Some((_, Take::Header(name))) => Taken::Header(name.clone()),
                None if is_document && column.name.eq_ignore_ascii_case("data") => Taken::Whole,
                None if is_document => match function.timestamp.is_some() {
                    true => Taken::Time,
                    false => Taken::Always(Slot::Integer(now)),
                },
                None => Taken::At(Path(vec![Step::Member(column.name.clone())])),
            }
        });
        Ok(Self {
            takes: takes.collect(),
            leniency: Leniency::default(),
            headers: &[],
            function,
            entity,
        })
    }

    /// The answer has only texts, as a table of comma-separated values: numbers among them are such.
    pub fn of_texts(mut self, texts: bool) -> Self {
        self.leniency.coerce = texts;
        self
    }

    /// The answer is about one row alone: its headers are this row's.
    pub fn of_one(mut self, headers: &'f [(String, String)]) -> Self {
        self.headers = headers;
        self
    }

    /// What the headers of an answer without a row say of it; none: nothing.
    pub fn bare(&self) -> Option<Vec<Slot<'static>>> {
        let slots = self.takes.iter().zip(&self.entity.columns);
        let slots: Vec<_> = slots
            .map(|(take, column)| match take {
                Taken::Header(name) => self.header(name, column),
                _ => Slot::Missing,
            })
            .collect();
        let says_something = slots.iter().any(|slot| !matches!(slot, Slot::Missing));
        says_something.then_some(slots)
    }

    fn header(&self, name: &str, column: &WireColumn) -> Slot<'static> {
        match super::page::header(self.headers, name) {
            Some(value) => sanitise(column, &Json::from(value).to_string()),
            None => Slot::Missing,
        }
    }

    /// The key of a row, and nothing else of it.
    ///
    /// # Errors
    /// No JSON, or without a key.
    pub fn key_of(&self, text: &str, number: u64) -> Result<WireId<'static>, SyncError> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| unreadable(number, &error))?;
        self.id(raw, Members::of(raw).as_ref(), number)
    }

    /// Reads a row; none when it is passed over. `number`: its place in the answer, from 1.
    ///
    /// # Errors
    /// No JSON, or without a key; those of the sink.
    pub fn read<'r>(
        &self,
        text: &'r str,
        number: u64,
        sink: &mut dyn Sink,
    ) -> Result<Option<Row<'r>>, SyncError> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| unreadable(number, &error))?;
        let members = Members::of(raw);
        let found = |path: &Path| find(raw, members.as_ref(), path);
        let id = self.id(raw, members.as_ref(), number)?;
        let at = match &self.function.incremental {
            Some(incremental) => {
                found(&incremental.from).and_then(|raw| serde_json::from_str(raw.get()).ok())
            }
            None => None,
        };
        let at = at.filter(|at: &Json| !at.is_null());
        let is_gone = match &self.function.deletes {
            Deletes::Tombstone(path, is) => {
                let found =
                    found(path).and_then(|raw| serde_json::from_str::<Json>(raw.get()).ok());
                match (found, is) {
                    (Some(found), Some(is)) => found == *is,
                    (Some(found), None) => !matches!(found, Json::Null | Json::Bool(false)),
                    (None, _) => false,
                }
            }
            _ => false,
        };
        if let (false, Some(filter)) = (is_gone, &self.function.filter)
            && !is_true(&evaluate(sink, "filter", filter, text)?)
        {
            return Ok(None);
        }
        let mut slots = Vec::with_capacity(self.takes.len());
        if !is_gone {
            for (take, column) in self.takes.iter().zip(&self.entity.columns) {
                slots.push(self.slot(take, column, text, found, sink)?);
            }
        }
        Ok(Some(Row {
            id,
            slots,
            is_gone,
            at,
        }))
    }

    fn slot<'r>(
        &self,
        take: &Taken,
        column: &WireColumn,
        text: &'r str,
        found: impl Fn(&Path) -> Option<&'r RawValue>,
        sink: &mut dyn Sink,
    ) -> Result<Slot<'r>, SyncError> {
        Ok(match take {
            Taken::At(path) => match found(path) {
                Some(raw) => fit(column, self.leniency, raw.get()),
                None => Slot::Missing,
            },
            Taken::Whole => Slot::Text(Cow::Borrowed(text)),
            Taken::Always(slot) => slot.clone(),
            Taken::Header(name) => self.header(name, column),
            Taken::Time => match self.function.timestamp.as_ref().and_then(found) {
                Some(raw) => match time(raw) {
                    Some(time) => Slot::Integer(time),
                    None => sanitise(column, raw.get()),
                },
                None => Slot::Missing,
            },
            Taken::Sql(sql) => {
                let value = evaluate(sink, &format!("columns.{}", column.name), sql, text)?;
                Slot::of(value.borrow())
            }
        })
    }

    fn id(
        &self,
        raw: &RawValue,
        members: Option<&Members<'_>>,
        number: u64,
    ) -> Result<WireId<'static>, SyncError> {
        let mut parts = Vec::with_capacity(self.function.key.len());
        for path in &self.function.key {
            // A list of bare keys.
            let found = match members {
                None if path.0.len() == 1 && !raw.get().starts_with('[') => Some(raw),
                _ => find(raw, members, path),
            };
            let value = found.and_then(|raw| serde_json::from_str::<Json>(raw.get()).ok());
            match value {
                Some(value @ (Json::String(_) | Json::Number(_))) => parts.push(value),
                Some(Json::Null) | None => {
                    return Err(SyncError::protocol(format!(
                        "row {number} of the answer has no {path}, by which rows are told apart; correct key in the function. \
                         Nothing of this answer was applied"
                    )));
                }
                Some(other) => {
                    return Err(SyncError::protocol(format!(
                        "row {number} of the answer has {} at {path}, which is no key; correct key in the function. Nothing of \
                         this answer was applied",
                        crate::ground::key::shown(&other)
                    )));
                }
            }
        }
        Ok(match parts.as_slice() {
            [Json::Number(one)] if self.entity.key_type == KeyType::Integer => match one.as_i64() {
                Some(number) => WireId::Integer(number),
                None => WireId::Text(Cow::Owned(one.to_string())),
            },
            all => {
                let texts: Vec<String> = all.iter().map(plain).collect();
                WireId::Text(Cow::Owned(texts.join("-")))
            }
        })
    }
}

/// A value of a row, whose members were found already.
fn find<'r>(raw: &'r RawValue, members: Option<&Members<'r>>, path: &Path) -> Option<&'r RawValue> {
    match (path.0.split_first(), members) {
        (Some((Step::Member(name), rest)), Some(members)) => {
            let found = members.get(name)?;
            match rest {
                [] => Some(found),
                rest => Path(rest.to_vec()).cut(found),
            }
        }
        _ => path.cut(raw),
    }
}

/// A time that is written as text, in epoch ms.
fn time(raw: &RawValue) -> Option<i64> {
    let text: String = serde_json::from_str(raw.get()).ok()?;
    Instant::read(ValueRef::Text(&text))?.milliseconds()
}

/// An expression of the function, whose key an error names.
fn evaluate(sink: &mut dyn Sink, key: &str, sql: &str, text: &str) -> Result<Value, SyncError> {
    sink.evaluate(sql, text).map_err(|error| SyncError {
        message: format!("{key}: {}", error.message),
        ..error
    })
}

/// What SQL takes for true.
fn is_true(value: &Value) -> bool {
    match value.borrow() {
        ValueRef::Integer(number) => number != 0,
        ValueRef::Real(number) => number != 0.0,
        ValueRef::Text(text) => text.trim().parse::<f64>().is_ok_and(|number| number != 0.0),
        _ => false,
    }
}
