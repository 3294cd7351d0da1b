//! Requests, answers and rows as bytes.
//!
//! A message begins with one line of JSON, its head. Rows follow. Whole numbers have 8 bytes, the lowest first; texts and
//! blobs come after their length.

use std::io::{self, Read, Write};

use serde_json::{Value as Json, json};

use crate::store::{Value, ValueRef};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// What came since.
    Pull,
    /// All there is; nothing is written.
    All,
    /// Take these rows.
    Push,
}

impl Op {
    const ALL: [(Op, &str); 3] = [(Op::Pull, "pull"), (Op::All, "all"), (Op::Push, "push")];

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(op, _)| *op == self);
        found.map_or("", |(_, name)| name)
    }
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub op: Op,
    /// Names the device.
    pub device: String,
    /// What the hub gave the device when it last wrote there.
    pub token: String,
    /// A moment of the hub that the device knows: its number and its mark.
    pub known: Option<(i64, String)>,
    pub tables: Vec<Asked>,
}

/// A table of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub name: String,
    pub key: String,
    pub columns: Vec<String>,
    /// Up to which change the device has read it; none: all rows are new to it.
    pub cursor: Option<i64>,
}

impl Request {
    pub fn to_json(&self) -> Json {
        let tables = self.tables.iter().map(|table| {
            json!({"name": table.name, "key": table.key, "columns": table.columns, "cursor": table.cursor})
        });
        json!({
            "op": self.op.name(),
            "device": self.device,
            "token": self.token,
            "known": self.known,
            "tables": tables.collect::<Vec<_>>(),
        })
    }

    /// The request that a head describes; none of one that is not ours.
    pub fn read(head: &Json) -> Option<Self> {
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let tables = head["tables"].as_array()?.iter().map(|table| {
            let columns = table["columns"].as_array()?.iter().map(text);
            Some(Asked {
                name: text(&table["name"])?,
                key: text(&table["key"])?,
                columns: columns.collect::<Option<_>>()?,
                cursor: table["cursor"].as_i64(),
            })
        });
        let name = head["op"].as_str()?;
        Some(Self {
            op: Op::ALL.iter().find(|(_, known)| *known == name)?.0,
            device: text(&head["device"])?,
            token: text(&head["token"])?,
            known: moment(&head["known"]),
            tables: tables.collect::<Option<_>>()?,
        })
    }
}

/// A moment of a hub.
pub fn moment(json: &Json) -> Option<(i64, String)> {
    Some((json[0].as_i64()?, json[1].as_str()?.to_owned()))
}

/// Writes the line that a message begins with.
///
/// # Errors
/// Writing.
pub fn write_head(out: &mut dyn Write, head: &Json) -> io::Result<()> {
    writeln!(out, "{head}")
}

/// Reads it.
///
/// # Errors
/// Reading; what is no head.
pub fn read_head(input: &mut dyn Read) -> io::Result<Json> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        input.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            break;
        }
        line.push(byte[0]);
    }
    serde_json::from_slice(&line).map_err(|_| broken())
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "what was passed on is not whole",
    )
}

/// What comes next in an answer or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A row: its table, its key, its stamp, its values.
    Row,
    /// A row that is gone: its table, its key, its stamp.
    Gone,
    /// Changes of a device: table, number, key, content.
    Created,
    Updated,
    Deleted,
    End,
}

impl Mark {
    const ALL: [(Mark, u8); 6] = [
        (Mark::Row, b'R'),
        (Mark::Gone, b'G'),
        (Mark::Created, b'C'),
        (Mark::Updated, b'U'),
        (Mark::Deleted, b'D'),
        (Mark::End, b'.'),
    ];

    /// # Errors
    /// Writing.
    pub fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let found = Self::ALL.iter().find(|(mark, _)| *mark == self);
        out.write_all(&[found.map_or(b'.', |(_, byte)| *byte)])
    }

    /// # Errors
    /// Reading; what is no mark.
    pub fn read(input: &mut dyn Read) -> io::Result<Self> {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        let found = Self::ALL.iter().find(|(_, known)| *known == byte[0]);
        found.map(|(mark, _)| *mark).ok_or_else(broken)
    }
}

/// # Errors
/// Writing.
pub fn write_number(out: &mut dyn Write, number: i64) -> io::Result<()> {
    out.write_all(&number.to_le_bytes())
}

/// # Errors
/// Reading.
pub fn read_number(input: &mut dyn Read) -> io::Result<i64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(i64::from_le_bytes(bytes))
}

/// # Errors
/// Writing.
pub fn write_bytes(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| broken())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(bytes)
}

/// # Errors
/// Reading.
pub fn read_bytes(input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    let mut bytes = Vec::with_capacity(length.min(1 << 20) as usize);
    input.take(u64::from(length)).read_to_end(&mut bytes)?;
    match bytes.len() == length as usize {
        true => Ok(bytes),
        false => Err(broken()),
    }
}

/// # Errors
/// Reading; what is no text.
pub fn read_text(input: &mut dyn Read) -> io::Result<String> {
    String::from_utf8(read_bytes(input)?).map_err(|_| broken())
}

/// # Errors
/// Writing.
pub fn write_value(out: &mut dyn Write, value: ValueRef<'_>) -> io::Result<()> {
    match value {
        ValueRef::Null => out.write_all(b"n"),
        ValueRef::Integer(number) => {
            out.write_all(b"i")?;
            write_number(out, number)
        }
        ValueRef::Real(number) => {
            out.write_all(b"r")?;
            out.write_all(&number.to_bits().to_le_bytes())
        }
        ValueRef::Text(text) => {
            out.write_all(b"t")?;
            write_bytes(out, text.as_bytes())
        }
        ValueRef::Blob(bytes) => {
            out.write_all(b"b")?;
            write_bytes(out, bytes)
        }
        ValueRef::InvalidText(bytes) => {
            out.write_all(b"x")?;
            write_bytes(out, bytes)
        }
    }
}

/// A value that came; none of a text that is not valid.
///
/// # Errors
/// Reading.
pub fn read_value(input: &mut dyn Read) -> io::Result<Option<Value>> {
    let mut tag = [0];
    input.read_exact(&mut tag)?;
    Ok(Some(match tag[0] {
        b'n' => Value::Null,
        b'i' => Value::Integer(read_number(input)?),
        b'r' => Value::Real(f64::from_bits(read_number(input)? as u64)),
        b't' => Value::from(read_text(input)?.as_str()),
        b'b' => Value::Blob(read_bytes(input)?),
        b'x' => {
            read_bytes(input)?;
            return Ok(None);
        }
        _ => return Err(broken()),
    }))
}

// ------------------------------------------------------------------------------------ a change in the outbox

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Memory takes everything.
    let _ = out.write_fmt(text);
}

/// Writes a column of a change, as text: the outbox keeps texts.
///
/// # Errors
/// A text that is not valid.
pub fn write_column(out: &mut Vec<u8>, name: &str, value: ValueRef<'_>) -> Result<(), String> {
    put(out, format_args!("{}:{name}", name.len()));
    match value {
        ValueRef::Null => out.push(b'n'),
        ValueRef::Integer(number) => put(out, format_args!("i{number};")),
        ValueRef::Real(number) => put(out, format_args!("r{:016x}", number.to_bits())),
        ValueRef::Text(text) => {
            put(out, format_args!("t{}:", text.len()));
            out.extend_from_slice(text.as_bytes());
        }
        ValueRef::Blob(bytes) => {
            put(out, format_args!("b{}:", bytes.len()));
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            for byte in bytes {
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
        ValueRef::InvalidText(_) => {
            return Err(format!("its {name} holds text that is not valid UTF-8"));
        }
    }
    Ok(())
}

/// The columns of a change; none of what [`write_column`] has not written.
pub fn read_columns(content: &str) -> Option<Vec<(&str, Value)>> {
    let mut rest = content;
    let mut columns = Vec::new();
    while !rest.is_empty() {
        let name = counted(&mut rest)?;
        let tag = rest.chars().next()?;
        rest = rest.get(1..)?;
        let value = match tag {
            'n' => Value::Null,
            'i' => {
                let (number, after) = rest.split_once(';')?;
                rest = after;
                Value::Integer(number.parse().ok()?)
            }
            'r' => {
                let bits = u64::from_str_radix(rest.get(..16)?, 16).ok()?;
                rest = rest.get(16..)?;
                Value::Real(f64::from_bits(bits))
            }
            't' => Value::from(counted(&mut rest)?),
            'b' => {
                let (length, after) = rest.split_once(':')?;
                let digits = length.parse::<usize>().ok()?.checked_mul(2)?;
                let hex = after.get(..digits)?.as_bytes();
                rest = after.get(digits..)?;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let byte = |pair: &[u8]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
                let bytes: Option<Vec<u8>> = hex.chunks_exact(2).map(byte).collect();
                Value::Blob(bytes?)
            }
            _ => return None,
        };
        columns.push((name, value));
    }
    Some(columns)
}

/// A text behind its length.
fn counted<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let (length, after) = rest.split_once(':')?;
    let length: usize = length.parse().ok()?;
    let text = after.get(..length)?;
    *rest = after.get(length..)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<Value> {
        vec![
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Integer(i64::MAX),
            Value::Real(f64::INFINITY),
            Value::Real(f64::NEG_INFINITY),
            Value::Real(-0.0),
            Value::Real(1.0),
            Value::Real(5e-324),
            Value::from(""),
            Value::from("a\0b\n;:ä\u{1f600}"),
            Value::Blob(Vec::new()),
            Value::Blob((0..=255).collect::<Vec<u8>>()),
        ]
    }

    #[test]
    fn values_travel_as_they_are() {
        for value in every() {
            let mut bytes = Vec::new();
            write_value(&mut bytes, value.borrow()).unwrap();
            let back = read_value(&mut bytes.as_slice()).unwrap().unwrap();
            assert_eq!(format!("{back:?}"), format!("{value:?}"));
        }
    }

    #[test]
    fn changes_are_kept_as_they_are() {
        let mut content = Vec::new();
        for (place, value) in every().into_iter().enumerate() {
            write_column(&mut content, &format!("{place}:\"ü"), value.borrow()).unwrap();
        }
        let content = String::from_utf8(content).unwrap();
        let back = read_columns(&content).unwrap();
        let values: Vec<_> = back.iter().map(|(_, value)| format!("{value:?}")).collect();
        let expected: Vec<_> = every().iter().map(|value| format!("{value:?}")).collect();
        assert_eq!(values, expected);
        assert_eq!(back[3].0, "3:\"ü");
        for end in 1..content.len() {
            if let Some(cut) = content.get(..end) {
                // Never a panic; where a column ends, what is there is whole.
                let _ = read_columns(cut);
            }
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = Request {
            op: Op::Push,
            device: "d".into(),
            token: "t".into(),
            known: Some((7, "m".into())),
            tables: vec![Asked {
                name: "notes".into(),
                key: "id".into(),
                columns: vec!["a".into()],
                cursor: None,
            }],
        };
        assert_eq!(Request::read(&request.to_json()), Some(request));
    }
}
