//! What a case is: tables, and a sequence of edits and syncs that both sides go through.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// Where it comes from, to make it again.
    pub name: String,
    pub tables: Vec<Table>,
    pub schema_version: i64,
    pub send_created_as_updated: bool,
    pub resolver: Option<Resolver>,
    pub replacement_where: Vec<Condition>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    pub name: String,
    /// The key is declared INTEGER; ids are decimal text on the wire.
    pub integer_key: bool,
    pub columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    String,
    Number,
    Boolean,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub optional: bool,
    /// The type in CREATE TABLE. When it does not tell the kind, `sync_track` is told.
    pub declared: String,
    /// DEFAULT in CREATE TABLE; null for none.
    pub default: Value,
}

/// The same rule for both sides, applied to every table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolver {
    /// Over `table, local, remote, resolved`.
    pub js: String,
    /// Over `:table, :local, :remote, :resolved`.
    pub sql: String,
}

/// Rows of a table that a replacement is limited to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    pub table: String,
    pub column: String,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Edit(Vec<Edit>),
    Sync(Sync),
    Upgrade(Upgrade),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    pub table: String,
    pub op: Op,
    pub id: String,
    /// Column to value; a created row gets `''`, 0, false or NULL in the others.
    #[serde(default)]
    pub set: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Create,
    Update,
    Delete,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// The body of the pull's answer. A string that begins with `raw:` stands for the rest of it as
    /// bare JSON, a key that begins with `again:` for the rest of it, so that one can stand twice.
    pub answer: Value,
    /// The pull fails so instead.
    pub pull_fails: Option<PullFailure>,
    pub during_pull: Vec<Edit>,
    pub push: Push,
    pub during_push: Vec<Edit>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullFailure {
    Status(u16),
    CutOff,
    Text(String),
}

/// What becomes of a push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    pub kind: PushKind,
    /// Status of the answer.
    pub status: u16,
    /// Ids that a taken push is told were rejected, by table.
    pub rejected: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushKind {
    Taken,
    /// A complete answer says no: nothing has happened there.
    Refused,
    /// Nobody knows whether it arrived.
    Lost,
}

/// The program is replaced by one with another schema version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    pub schema_version: i64,
    pub enabled_at: Option<i64>,
    pub migrations: Value,
}

impl Push {
    pub fn taken() -> Push {
        Push {
            kind: PushKind::Taken,
            status: 200,
            rejected: Map::new(),
        }
    }
}

impl Sync {
    /// A pull that brings these changes, and a push that is taken.
    pub fn bringing(changes: Value, timestamp: i64) -> Sync {
        Sync {
            answer: json!({"changes": changes, "timestamp": timestamp}),
            pull_fails: None,
            during_pull: Vec::new(),
            push: Push::taken(),
            during_push: Vec::new(),
        }
    }

    /// The answer's body.
    pub fn answer_text(&self) -> String {
        let mut text = String::new();
        write(&self.answer, &mut text);
        text
    }
}

/// Writes JSON: a string `raw:…` as what follows, a key `again:…` without that, to stand twice.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::String(text) if text.starts_with("raw:") => out.push_str(&text[4..]),
        Value::Object(members) => {
            for (place, (name, value)) in members.iter().enumerate() {
                out.push(if place == 0 { '{' } else { ',' });
                let name = name.strip_prefix("again:").unwrap_or(name);
                out.push_str(&Value::from(name).to_string());
                out.push(':');
                write(value, out);
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Value::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                out.push(if place == 0 { '[' } else { ',' });
                write(value, out);
            }
            out.push_str(if list.is_empty() { "[]" } else { "]" });
        }
        other => out.push_str(&other.to_string()),
    }
}

impl Case {
    /// As `client.js` reads it: answers as text.
    pub fn request(&self) -> Value {
        let mut request = serde_json::to_value(self).expect("a case is JSON");
        for (step, given) in request["steps"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .zip(&self.steps)
        {
            if let Step::Sync(sync) = given {
                step["sync"]["answer"] = sync.answer_text().into();
                step["sync"]["pullFails"] = sync.pull_fails.is_some().into();
            }
        }
        request
    }
}

impl Column {
    /// A remote value as it is stored.
    pub fn fitting(&self, value: &Value) -> Value {
        let fits = match self.kind {
            Kind::String => value.as_str().is_some_and(|text| !text.starts_with("raw:")),
            Kind::Number => value.is_number(),
            Kind::Boolean => value.is_boolean() || matches!(value.as_i64(), Some(0 | 1)),
        };
        if fits { value.clone() } else { self.empty() }
    }

    /// The value of a column that nobody has set.
    pub fn empty(&self) -> Value {
        match (self.optional, self.kind) {
            (true, _) => Value::Null,
            (false, Kind::String) => "".into(),
            (false, Kind::Number) => 0.into(),
            (false, Kind::Boolean) => false.into(),
        }
    }
}
