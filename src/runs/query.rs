//! What the file says to a question of a conversation.

use serde_json::{Map, Value as Json};

use crate::ground::{SyncError, quoted};
use crate::providers::conversation::Query;
use crate::store::{Database, Session};
use crate::transfer::declared;
use crate::transfer::meant::sql_value;

/// The rows that answer a question, as JSON.
///
/// # Errors
/// This connection was not given an expression in it; SQLite's.
pub fn answer(
    session: &Session,
    database: &Database,
    query: &Query,
) -> Result<Vec<Map<String, Json>>, SyncError> {
    for sql in &query.declared {
        let how = "call sync_function with the same definition after opening the file";
        declared::require(session, sql, how)?;
    }
    let mut statement = database.connection().prepare(&query.sql)?;
    for (place, name) in statement.parameters().into_iter().enumerate() {
        let bare = name.trim_start_matches([':', '@', '$']);
        let value = query.values.get(bare).unwrap_or(&Json::Null);
        statement.bind(place + 1, sql_value(value).borrow())?;
    }
    let mut rows = Vec::new();
    while statement.step()? {
        let row = statement.text(0);
        rows.push(serde_json::from_str(&row).map_err(|_| {
            SyncError::data(format!(
                "the row {} of the question is no JSON object",
                quoted(&row)
            ))
        })?);
    }
    Ok(rows)
}
