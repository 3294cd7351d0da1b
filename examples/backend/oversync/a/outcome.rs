//! What became of a change, and how it is said.

use serde_json::{Value, json};

use super::change::Refusal;
use super::json;
use super::state::Row;

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With its version; without one where nothing was done.
    Applied(Option<i64>),
    /// The server's row, as JSON.
    Conflict(String),
    Invalid(Refusal),
    /// Stored with this version, and not projected.
    NotProjected(i64, String),
}

/// Why a whole request comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends without an answer.
    Closed,
    /// A 500.
    Failed,
}

/// The server's row of a conflict. None: the server can not make it.
pub fn server_row(
    schema: &str,
    table: &str,
    pk: &str,
    row: &Row,
    rewrites: bool,
) -> Option<String> {
    let payload = match (row.deleted, rewrites) {
        (true, _) => "null".to_string(),
        (false, true) => json::image(&row.payload)?,
        (false, false) => json::compact(&row.payload),
    };
    Some(format!(
        "{{\"id\":{},\"deleted\":{},\"payload\":{payload},\"table_name\":{},\"schema_name\":{},\"server_version\":{}}}",
        Value::from(pk),
        row.deleted,
        Value::from(table),
        Value::from(schema),
        row.version
    ))
}

impl Outcome {
    /// The status of a change, as JSON.
    pub fn text(&self, id: i64) -> String {
        match self {
            Outcome::Applied(None) => {
                json!({"source_change_id": id, "status": "applied"}).to_string()
            }
            Outcome::Applied(Some(version)) => {
                json!({"source_change_id": id, "status": "applied", "new_server_version": version})
                    .to_string()
            }
            Outcome::Conflict(row) => format!(
                "{{\"source_change_id\":{id},\"status\":\"conflict\",\"server_row\":{row}}}"
            ),
            Outcome::Invalid(refusal) => {
                let mut status = json!({"source_change_id": id, "status": "invalid"});
                if let Some(message) = &refusal.message {
                    status["message"] = json!(message);
                }
                status["invalid"] = json!({"details": refusal.details, "reason": refusal.reason});
                status.to_string()
            }
            Outcome::NotProjected(version, message) => {
                json!({"source_change_id": id, "status": "materialize_error",
                    "new_server_version": version, "message": message})
                .to_string()
            }
        }
    }
}

/// The answer to an upload: each change's id with what became of it.
pub fn answer(highest: i64, outcomes: &[(i64, Outcome)]) -> String {
    let refuses_all = |outcome: &Outcome| match outcome {
        Outcome::Invalid(refusal) => {
            ["unregistered_table", "batch_too_large"].contains(&refusal.reason)
        }
        _ => false,
    };
    let accepted = !outcomes.iter().any(|(_, outcome)| refuses_all(outcome));
    let statuses: Vec<String> = outcomes
        .iter()
        .map(|(id, outcome)| outcome.text(*id))
        .collect();
    format!(
        "{{\"accepted\":{accepted},\"highest_server_seq\":{highest},\"statuses\":[{}]}}",
        statuses.join(",")
    )
}
