//! Pushes: rows as they are sent, and the changes of a body.

use std::io::{self, Write};

use serde_json::Value as Json;

use super::options::Options;
use crate::providers::conversation::{ParcelRows, RowToSend};
use crate::providers::values;
use crate::providers::wire::{ChangeKind, Entity, KeyType, WireType};
use crate::store::ValueRef;

const KINDS: [ChangeKind; 3] = [
    ChangeKind::Created,
    ChangeKind::Updated,
    ChangeKind::Deleted,
];

/// Writes one row; of a deleted one its id.
///
/// # Errors
/// A value that JSON can't hold, in words.
pub fn write_row(
    options: &Options,
    entity: &Entity,
    row: &RowToSend<'_>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if row.kind == ChangeKind::Deleted {
        return write_id(options, entity, row.id, out);
    }
    out.extend_from_slice(b"{\"id\":");
    write_id(options, entity, row.id, out)?;
    if options.send_meta {
        let names: Vec<&str> = row
            .changed
            .iter()
            .map(|place| entity.columns[*place].name.as_str())
            .collect();
        out.extend_from_slice(b",\"_status\":");
        values::write_json(out, row.kind.as_str())?;
        out.extend_from_slice(b",\"_changed\":");
        values::write_json(out, &names.join(","))?;
    }
    for (place, (column, value)) in entity.columns.iter().zip(row.values).enumerate() {
        let kind = match column.kind {
            WireType::Boolean if options.booleans_as_numbers => WireType::Number,
            kind => kind,
        };
        out.push(b',');
        values::write_json(out, &column.name)?;
        out.push(b':');
        values::write_column(out, column, kind, *value, row.kept(place))?;
    }
    out.push(b'}');
    Ok(())
}

fn write_id(
    options: &Options,
    entity: &Entity,
    id: ValueRef<'_>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match id {
        ValueRef::Text(text) => values::write_json(out, text),
        ValueRef::Integer(number) if is_counted(entity) && options.ids_as_numbers => {
            values::write_json(out, &number)
        }
        ValueRef::Integer(number) if is_counted(entity) => {
            values::write_json(out, &number.to_string())
        }
        other => Err(no_key(entity, other)),
    }
}

fn is_counted(entity: &Entity) -> bool {
    entity.key_type == KeyType::Integer
}

/// Why a value is no id, and what to do about it.
fn no_key(entity: &Entity, key: ValueRef<'_>) -> String {
    let kind = key.type_name();
    match key {
        ValueRef::Null => "its key is NULL: rows without a key can't be told apart, so they are one here, and none of them is \
             sent; give each a key"
            .into(),
        ValueRef::Integer(_) | ValueRef::Real(_) if !is_counted(entity) => format!(
            "its key is {kind}, in a column that is not declared INTEGER: it would come back as text, as another row; \
             store it as text, or declare the column INTEGER"
        ),
        _ if is_counted(entity) => {
            format!("its key is {kind}, in a column of whole numbers; give it a whole number")
        }
        _ => format!("its key is {kind}, which can't be sent as one; store it as text"),
    }
}

/// Writes `{table:{created,updated,deleted}}`.
///
/// # Errors
/// Reading the outbox, writing.
pub fn write_changes(
    entities: &[Entity],
    with_empty: bool,
    parcel: &dyn ParcelRows,
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
            parcel.rows(place, Some(kind), &mut |row| {
                table.open_lists(number + 1, out)?;
                table.row(row.content, out)
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
            write!(out, "{before}\"{}\":[", KINDS[self.lists].as_str())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conversation::ParcelRow;
    use crate::providers::kinds;
    use crate::providers::wire::{Holds, WireColumn};

    fn options(keys: &str) -> Options {
        let text = format!(r#"{{"kind":"watermelon","url":"http://h"{keys}}}"#);
        Options::resolve(&kinds::parse(&text).unwrap()).unwrap()
    }

    fn entity(name: &str, key_type: KeyType) -> Entity {
        let column = |name: &str, kind| WireColumn {
            name: name.into(),
            kind,
            required: false,
            holds: Holds::default(),
        };
        Entity {
            name: name.into(),
            columns: vec![
                column("n", WireType::Number),
                column("b", WireType::Boolean),
            ],
            key: "id".into(),
            references: Vec::new(),
            key_type,
        }
    }

    fn written(keys: &str, kind: ChangeKind) -> String {
        let row = RowToSend {
            kind,
            id: ValueRef::Integer(7),
            values: &[ValueRef::Integer(1), ValueRef::Integer(1)],
            changed: &[1],
            kept: &[],
            version: None,
        };
        let mut out = Vec::new();
        write_row(
            &options(keys),
            &entity("t", KeyType::Integer),
            &row,
            &mut out,
        )
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
            assert_eq!(written(keys, ChangeKind::Updated), row, "{keys}");
        }
        assert_eq!(written("", ChangeKind::Deleted), "\"7\"");
        assert_eq!(written(r#","idAs":"number""#, ChangeKind::Deleted), "7");
    }

    /// Rows by entity and kind.
    struct Rows(Vec<(usize, ChangeKind, &'static str)>);

    impl ParcelRows for Rows {
        fn rows(
            &self,
            entity: usize,
            kind: Option<ChangeKind>,
            each: &mut dyn FnMut(&ParcelRow<'_>) -> io::Result<()>,
        ) -> io::Result<()> {
            let rows = self.0.iter().filter(|row| row.0 == entity);
            rows.filter(|row| kind.is_none_or(|kind| kind == row.1))
                .try_for_each(|(_, kind, content)| {
                    each(&ParcelRow {
                        change: 0,
                        kind: *kind,
                        id: ValueRef::Null,
                        base: None,
                        content,
                    })
                })
        }
    }

    #[test]
    fn changes_with_and_without_empty_tables() {
        let entities = ["a", "b", "c"].map(|name| entity(name, KeyType::Text));
        let written = |with_empty, rows: Rows| {
            let mut out = Vec::new();
            write_changes(&entities, with_empty, &rows, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        const EMPTY: &str = r#"{"created":[],"updated":[],"deleted":[]}"#;
        let rows = || {
            Rows(vec![
                (1, ChangeKind::Updated, "1"),
                (1, ChangeKind::Updated, "2"),
                (2, ChangeKind::Deleted, "3"),
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
}
