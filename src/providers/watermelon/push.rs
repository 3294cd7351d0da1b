//! Pushes: rows as they are sent, the changes of a body, and what the answer says of them.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value as Json;

use super::options::Options;
use super::row;
use crate::providers::config::RejectedFormat;
use crate::providers::cutter::{BYTE_ORDER_MARK, parse_owned};
use crate::providers::error::{Class, SyncError};
use crate::providers::protocol::{Outbox, PushAnswer};
use crate::providers::wire::{Entity, WireType};
use crate::store::ValueRef;

const KINDS: [&str; 3] = ["created", "updated", "deleted"];

/// Most characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// One row that is to be sent.
pub struct Row<'a> {
    pub kind: &'a str,
    pub id: ValueRef<'a>,
    /// In the order of the entity's columns.
    pub values: &'a [ValueRef<'a>],
    /// Indexes into the columns.
    pub changed: &'a [usize],
}

impl Row<'_> {
    /// Writes the row; of a deleted one its id.
    ///
    /// # Errors
    /// A value that JSON can't hold, said in words.
    pub fn write(
        &self,
        options: &Options,
        entity: &Entity,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if self.kind == "deleted" {
            return write_id(options, entity, self.id, out);
        }
        out.extend_from_slice(b"{\"id\":");
        write_id(options, entity, self.id, out)?;
        if options.send_meta {
            let names: Vec<&str> = self
                .changed
                .iter()
                .map(|place| entity.columns[*place].name.as_str())
                .collect();
            out.extend_from_slice(b",\"_status\":");
            row::write_json(out, self.kind)?;
            out.extend_from_slice(b",\"_changed\":");
            row::write_json(out, &names.join(","))?;
        }
        for (column, value) in entity.columns.iter().zip(self.values) {
            if let Some(problem) = row::misfit(column.kind, *value) {
                return Err(format!("column {:?} holds {problem}", column.name));
            }
            let kind = match column.kind {
                WireType::Boolean if options.booleans_as_numbers => WireType::Number,
                kind => kind,
            };
            out.push(b',');
            row::write_json(out, &column.name)?;
            out.push(b':');
            row::write_value(out, kind, *value)
                .map_err(|problem| format!("column {:?} holds {problem}", column.name))?;
        }
        out.push(b'}');
        Ok(())
    }
}

fn write_id(
    options: &Options,
    entity: &Entity,
    id: ValueRef<'_>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match id {
        ValueRef::Text(text) => row::write_json(out, text),
        ValueRef::Integer(number) if entity.integer_key && options.ids_as_numbers => {
            row::write_json(out, &number)
        }
        ValueRef::Integer(number) if entity.integer_key => {
            row::write_json(out, &number.to_string())
        }
        // It would come back as text, and be another row.
        other => Err(format!("its key is {}", other.type_name())),
    }
}

/// Writes `{table:{created,updated,deleted}}`.
///
/// # Errors
/// Reading the outbox, writing.
pub fn write_changes(
    entities: &[Entity],
    with_empty: bool,
    outbox: &dyn Outbox,
    out: &mut dyn Write,
) -> io::Result<()> {
    out.write_all(b"{")?;
    let mut tables = 0;
    for (place, entity) in entities.iter().enumerate() {
        let mut table = TableWriter {
            name: &entity.name,
            is_first: tables == 0,
            lists: 0,
            rows: 0,
        };
        if with_empty {
            table.open_lists(1, out)?;
        }
        for (number, kind) in KINDS.into_iter().enumerate() {
            outbox.rows(place, kind, &mut |content| {
                table.open_lists(number + 1, out)?;
                table.row(content, out)
            })?;
        }
        if table.lists > 0 {
            table.open_lists(KINDS.len(), out)?;
            out.write_all(b"]}")?;
            tables += 1;
        }
    }
    out.write_all(b"}")
}

/// Writes the lists of one table, which begin when there is something to say.
struct TableWriter<'a> {
    name: &'a str,
    is_first: bool,
    /// Lists opened so far.
    lists: usize,
    /// Rows in the last one.
    rows: usize,
}

impl TableWriter<'_> {
    fn open_lists(&mut self, wanted: usize, out: &mut dyn Write) -> io::Result<()> {
        while self.lists < wanted {
            let before = match (self.lists, self.is_first) {
                (0, true) => format!("{}:{{", Json::from(self.name)),
                (0, false) => format!(",{}:{{", Json::from(self.name)),
                _ => "],".into(),
            };
            write!(out, "{before}\"{}\":[", KINDS[self.lists])?;
            self.lists += 1;
            self.rows = 0;
        }
        Ok(())
    }

    fn row(&mut self, content: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.rows > 0 {
            out.write_all(b",")?;
        }
        self.rows += 1;
        out.write_all(content.as_bytes())
    }
}

/// Reads the answer to a push. Any 2xx is success, and a body that is not JSON says nothing, unless a
/// place is named that must hold true.
///
/// # Errors
/// That place does not; rejected rows that can't be told; JSON that is broken, as it may have held some.
pub fn read_answer(
    options: &Options,
    entities: &[Entity],
    status: u16,
    body: &[u8],
) -> Result<PushAnswer, SyncError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let may_reject = match body.trim_ascii_start().first() {
        Some(b'{') => true,
        Some(b'[') => options.rejected.is_root(),
        _ => false,
    };
    let answer: Json = match parse_owned(body) {
        Ok(answer) => answer,
        Err(_) if may_reject => {
            return Err(SyncError::protocol(
                "the answer to the push is broken JSON, which may name rejected rows; all rows stay pending",
            ));
        }
        Err(_) => Json::Null,
    };
    if let Some(success) = &options.success
        && success.find(&answer) != Some(&Json::Bool(true))
    {
        let shown: String = String::from_utf8_lossy(body)
            .chars()
            .take(LONGEST_REASON)
            .collect();
        let mut error = SyncError::new(
            Class::Server,
            "SYNC_ERROR_HTTP",
            format!(
                "HTTP {status}, but the backend's answer has no true at {success}: {}",
                shown.trim()
            ),
            false,
        );
        error.status = Some(status);
        return Err(error);
    }
    let rejected = options.rejected.find(&answer).unwrap_or(&Json::Null);
    let answer = match options.reading.strict && !has_form(rejected, options.rejected_format) {
        true => None,
        false => read_rejected(rejected, entities),
    };
    answer.ok_or_else(|| {
        SyncError::protocol(format!(
            "the answer to the push names rejected rows at {} in a form that is neither {{table: [ids]}} nor a \
             list of {{table, id, reason}}; all rows stay pending",
            options.rejected
        ))
    })
}

/// Whether rejected rows are told in the form of the configuration. None told: either.
fn has_form(rejected: &Json, form: RejectedFormat) -> bool {
    match rejected {
        Json::Object(tables) => tables.is_empty() || form == RejectedFormat::Tables,
        Json::Array(list) => list.is_empty() || form == RejectedFormat::List,
        _ => true,
    }
}

/// The rejected rows: `{table: [ids]}` or a list of `{table, id, reason}`. None when one of them can't be
/// told: to take it for one that was accepted would lose it.
fn read_rejected(rejected: &Json, entities: &[Entity]) -> Option<PushAnswer> {
    let mut answer = PushAnswer {
        rejected: vec![HashMap::new(); entities.len()],
        warnings: Vec::new(),
    };
    let mut add = |table: &str, id: &Json, reason: Option<String>| {
        let id = read_id(id)?;
        match entities.iter().position(|entity| entity.name == table) {
            Some(place) => drop(answer.rejected[place].insert(id, reason)),
            None => answer.warnings.push(format!(
                "the backend rejected {id:?} of {table:?}, which is no entity of this sync"
            )),
        }
        Some(())
    };
    match rejected {
        Json::Null => {}
        Json::Object(tables) => {
            for (table, list) in tables.iter().filter(|(_, list)| !list.is_null()) {
                for id in list.as_array()? {
                    add(table, id, None)?;
                }
            }
        }
        Json::Array(list) => {
            for element in list {
                add(
                    element["table"].as_str()?,
                    &element["id"],
                    read_reason(&element["reason"]),
                )?;
            }
        }
        _ => return None,
    }
    Some(answer)
}

/// To JavaScript 8.0 is 8. None for what is no id: a fraction, or a number of which digits may be missing.
fn read_id(value: &Json) -> Option<String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) if number.is_f64() => {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && number.abs() < EXACT).then(|| (number as i64).to_string())
        }
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn read_reason(value: &Json) -> Option<String> {
    let text = match value {
        Json::Null => return None,
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text.chars().take(LONGEST_REASON).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Config;
    use crate::providers::wire::WireColumn;

    fn options(keys: &str) -> Options {
        let text = format!(r#"{{"kind":"watermelon","url":"http://h"{keys}}}"#);
        Options::resolve(&Config::parse(&text).unwrap()).unwrap()
    }

    fn entity(name: &str, integer_key: bool) -> Entity {
        let column = |name: &str, kind| WireColumn {
            name: name.into(),
            kind,
            required: false,
        };
        Entity {
            name: name.into(),
            columns: vec![
                column("n", WireType::Number),
                column("b", WireType::Boolean),
            ],
            integer_key,
        }
    }

    fn written(keys: &str, kind: &str) -> String {
        let row = Row {
            kind,
            id: ValueRef::Integer(7),
            values: &[ValueRef::Integer(1), ValueRef::Integer(1)],
            changed: &[1],
        };
        let mut out = Vec::new();
        row.write(&options(keys), &entity("t", true), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_as_the_options_say() {
        for (keys, row) in [
            (
                "",
                r#"{"id":"7","_status":"updated","_changed":"b","n":1,"b":true}"#,
            ),
            (r#","sendMeta":false"#, r#"{"id":"7","n":1,"b":true}"#),
            (
                r#","sendMeta":false,"boolAs":"0/1","idAs":"number""#,
                r#"{"id":7,"n":1,"b":1}"#,
            ),
        ] {
            assert_eq!(written(keys, "updated"), row, "{keys}");
        }
        assert_eq!(written("", "deleted"), "\"7\"");
        assert_eq!(written(r#","idAs":"number""#, "deleted"), "7");
    }

    /// Rows by entity and kind.
    struct Rows(Vec<(usize, &'static str, &'static str)>);

    impl Outbox for Rows {
        fn rows(
            &self,
            entity: usize,
            kind: &str,
            each: &mut dyn FnMut(&str) -> io::Result<()>,
        ) -> io::Result<()> {
            let rows = self.0.iter();
            rows.filter(|row| row.0 == entity && row.1 == kind)
                .try_for_each(|row| each(row.2))
        }
    }

    #[test]
    fn changes_with_and_without_empty_tables() {
        let entities = ["a", "b", "c"].map(|name| entity(name, false));
        let written = |with_empty, rows: Rows| {
            let mut out = Vec::new();
            write_changes(&entities, with_empty, &rows, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        const EMPTY: &str = r#"{"created":[],"updated":[],"deleted":[]}"#;
        let rows = || {
            Rows(vec![
                (1, "updated", "1"),
                (1, "updated", "2"),
                (2, "deleted", "3"),
            ])
        };
        let b = r#"{"created":[],"updated":[1,2],"deleted":[]}"#;
        let c = r#"{"created":[],"updated":[],"deleted":[3]}"#;
        assert_eq!(
            written(true, rows()),
            format!(r#"{{"a":{EMPTY},"b":{b},"c":{c}}}"#)
        );
        assert_eq!(written(false, rows()), format!(r#"{{"b":{b},"c":{c}}}"#));
        assert_eq!(written(false, Rows(Vec::new())), "{}");
    }

    fn rejected(keys: &str, body: &str) -> Vec<(String, Option<String>)> {
        let answer = read_answer(&options(keys), &[entity("t", false)], 200, body.as_bytes());
        let mut all: Vec<_> = answer.unwrap().rejected.remove(0).into_iter().collect();
        all.sort();
        all
    }

    #[test]
    fn rejected_rows() {
        let plain = |ids: &[&str]| -> Vec<(String, Option<String>)> {
            ids.iter().map(|id| ((*id).to_owned(), None)).collect()
        };
        let ids = r#"{"experimentalRejectedIds":{"t":["x",7],"z":["y"],"u":null}}"#;
        assert_eq!(rejected("", ids), plain(&["7", "x"]));
        for nothing in [
            "",
            "<html>",
            "null",
            "[]",
            r#"{"experimentalRejectedIds":null}"#,
            r#"{"experimentalRejectedIds":{}}"#,
            r#"{"experimentalRejectedIds":[]}"#,
        ] {
            assert_eq!(rejected("", nothing), [], "{nothing}");
        }
        let nested = r#"{"data":{"no":{"t":["x"]}}}"#;
        assert_eq!(
            rejected(r#","rejectedPath":"$.data.no""#, nested),
            plain(&["x"])
        );
        assert_eq!(
            rejected(r#","rejectedPath":"$""#, r#"{"t":["x"]}"#),
            plain(&["x"])
        );
        let list = r#"{"rejected":[{"table":"t","id":"x","reason":"too long"},{"table":"z","id":"y"},
            {"table":"t","id":5,"reason":{"code":1}},{"table":"t","id":"n"}]}"#;
        let keys = r#","rejectedPath":"$.rejected","rejectedFormat":"list""#;
        assert_eq!(
            rejected(keys, list),
            [
                ("5".into(), Some(r#"{"code":1}"#.into())),
                ("n".into(), None),
                ("x".into(), Some("too long".into()))
            ]
        );
    }

    #[test]
    fn rejected_rows_that_can_not_be_told_are_no_success() {
        for unclear in [
            r#""t""#,
            "1",
            "true",
            r#"["x"]"#,
            r#"{"t":"x"}"#,
            r#"{"t":["x",null]}"#,
            r#"{"t":[["x"]]}"#,
            r#"[{"table":"t"}]"#,
            r#"[{"id":"x"}]"#,
            r#"[{"table":"t","id":"x"},3]"#,
            r#"{"t":[8.5]}"#,
            r#"{"t":[1e300]}"#,
            r#"{"t":[18446744073709551616]}"#,
        ] {
            let body = format!(r#"{{"experimentalRejectedIds":{unclear}}}"#);
            let answer = read_answer(&options(""), &[entity("t", false)], 200, body.as_bytes());
            assert_eq!(answer.unwrap_err().class, Class::Protocol, "{unclear}");
        }
        let root = r#","rejectedPath":"$""#;
        for (keys, broken) in [
            ("", r#"{"experimentalRejectedIds":{"t":["x"#),
            ("", r#" {"experimentalRejectedIds":{"t":[x]}}"#),
            ("", "\u{feff}{1"),
            (root, r#"[{"table":"t","id":"x"}"#),
        ] {
            let answer = read_answer(&options(keys), &[], 200, broken.as_bytes());
            assert_eq!(answer.unwrap_err().class, Class::Protocol, "{broken}");
        }
        for (keys, silent) in [("", "[object Object]"), (root, "OK"), (root, "")] {
            let answer = read_answer(&options(keys), &[], 200, silent.as_bytes());
            assert!(answer.is_ok(), "{silent}");
        }
        let numbers = r#"{"experimentalRejectedIds":{"t":[8.0,70e-1,-0.0,9007199254740993]}}"#;
        let ids: Vec<String> = rejected("", numbers)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids, ["0", "7", "8", "9007199254740993"]);
        let marked = "\u{feff}{\"experimentalRejectedIds\":{\"t\":[\"x\"]}}";
        assert_eq!(rejected("", marked), [("x".to_owned(), None)]);
        let half_a_pair = r#"{"experimentalRejectedIds":{"t":["x"]},"by":"\ud83d"}"#;
        assert_eq!(rejected("", half_a_pair), [("x".to_owned(), None)]);
        let strict = options(r#","lenient":false"#);
        let body = br#"{"experimentalRejectedIds":[{"table":"t","id":"x"}]}"#;
        assert!(read_answer(&strict, &[entity("t", false)], 200, body).is_err());
        let body = br#"{"experimentalRejectedIds":{"T":["x"]}}"#;
        let answer = read_answer(&options(""), &[entity("t", false)], 200, body).unwrap();
        assert!(answer.warnings[0].contains(r#""x" of "T""#));
    }

    #[test]
    fn success_may_have_to_be_said() {
        let read = |keys: &str, body: &str| {
            read_answer(&options(keys), &[], 200, body.as_bytes()).map(drop)
        };
        let keys = r#","successPath":"$.result.ok""#;
        assert!(read(keys, r#"{"result":{"ok":true}}"#).is_ok());
        for body in [
            "",
            "{}",
            r#"{"result":{"ok":1}}"#,
            r#"{"result":{"ok":false},"ok":true}"#,
        ] {
            let error = read(keys, body).unwrap_err();
            assert_eq!(
                (error.class, error.status),
                (Class::Server, Some(200)),
                "{body}"
            );
        }
        assert!(read(r#","successPath":"$""#, "true").is_ok());
    }
}
