//! Which ids of a push are left out and reported as rejected, and why.

use serde_json::{Map, Value};

const DEFAULT_REASON: &str = "rejected on request";
const EVERY_TABLE: &str = "*";

/// `{"table": [entry, …]}`. The table `*` means every table. An entry is a text or
/// `{"id": text, "reason": text}`; in the text of an id, `*` stands for any characters.
#[derive(Clone, Debug)]
pub struct Rejections(Vec<Rejection>);

#[derive(Clone, Debug)]
struct Rejection {
    table: String,
    pattern: String,
    reason: String,
}

impl Rejections {
    pub fn parse(value: &Value) -> Result<Rejections, String> {
        let tables = value
            .as_object()
            .ok_or("rejectIds: an object of lists, by table")?;
        let mut all = Vec::new();
        for (table, entries) in tables {
            let entries = entries
                .as_array()
                .ok_or_else(|| format!("rejectIds: {table}: a list"))?;
            for entry in entries {
                let (pattern, reason) = entry_parts(entry)?;
                all.push(Rejection {
                    table: table.clone(),
                    pattern,
                    reason,
                });
            }
        }
        Ok(Rejections(all))
    }

    /// Why this id is rejected; `None` if it is not. The first entry that fits counts.
    pub fn reason(&self, table: &str, id: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|entry| {
                (entry.table == table || entry.table == EVERY_TABLE) && fits(&entry.pattern, id)
            })
            .map(|entry| entry.reason.as_str())
    }
}

fn entry_parts(entry: &Value) -> Result<(String, String), String> {
    let wrong = || format!("rejectIds: not an id or {{\"id\",\"reason\"}}: {entry}");
    match entry {
        Value::String(id) => Ok((id.clone(), DEFAULT_REASON.to_string())),
        Value::Object(parts) => {
            let id = text(parts, "id").ok_or_else(wrong)?;
            let reason = text(parts, "reason").ok_or_else(wrong)?;
            Ok((id, reason))
        }
        _ => Err(wrong()),
    }
}

fn text(parts: &Map<String, Value>, name: &str) -> Option<String> {
    parts.get(name)?.as_str().map(str::to_string)
}

/// Whether an id is what a pattern describes.
fn fits(pattern: &str, id: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == id;
    };
    let Some(mut id) = id.strip_prefix(start) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    // `split` gives at least one piece: what must stand at the end.
    let end = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match id.find(piece) {
            Some(at) => id = &id[at + piece.len()..],
            None => return false,
        }
    }
    id.ends_with(end)
}
