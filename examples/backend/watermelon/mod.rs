//! The WatermelonDB protocol: `GET /sync` pulls, `POST /sync` pushes.
//!
//! `pull.rs` and `push.rs` know the rules, `read.rs` writes rows, this file is the HTTP around them.

mod pull;
mod push;
mod read;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::{self, BodyPlan, BodyWriter};
use super::server::{App, error_response};
use super::store::Store;
use super::switches::Switches;

use pull::PullRequest;
use push::PushError;
pub use read::{ReadError, write_dump};

/// Answers a pull; the rows are sent while they are read.
pub fn pull(app: &Arc<App>, uri: &Uri, switches: Switches, plan: BodyPlan) -> Response {
    let request =
        match query_of(uri).and_then(|query| PullRequest::parse(&query, &app.store.schema)) {
            Ok(request) => request,
            Err(message) => return error_response(StatusCode::BAD_REQUEST, "request", &message),
        };
    stream(app, plan, move |store, out| {
        pull::write_answer(store, &request, &switches, out)
    })
}

/// An answer of JSON that `write` makes while it is sent.
pub fn stream(
    app: &Arc<App>,
    plan: BodyPlan,
    write: impl FnOnce(&Store, &mut BodyWriter) -> Result<(), ReadError> + Send + 'static,
) -> Response {
    let gzip = plan.gzip;
    let (mut writer, body) = body::channel(plan);
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        let written =
            write(&app.store, &mut writer).and_then(|()| writer.finish().map_err(ReadError::Write));
        // A failed write means that the client has gone; that is its own business.
        if let Err(ReadError::Sql(error)) = written {
            eprintln!("backend: {error}");
        }
    });
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Applies a push, whole or not at all, and says how it went.
pub async fn push(app: &Arc<App>, uri: &Uri, body: Bytes, switches: Switches) -> Answer {
    let app = Arc::clone(app);
    let uri = uri.clone();
    let work = move || push_now(&app.store, &uri, &body, &switches);
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Answer::error(500, "server", &error.to_string()))
}

/// Applies changes of the backend's own making, against which there are no conflicts.
pub async fn push_own(app: &Arc<App>, changes: Value) -> Answer {
    let app = Arc::clone(app);
    let work = move || apply(&app.store, &changes, i64::MAX, &Switches::default());
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Answer::error(500, "server", &error.to_string()))
}

/// A small answer: its status and its JSON.
pub struct Answer {
    pub status: StatusCode,
    pub text: String,
}

impl Answer {
    fn error(status: u16, error: &str, message: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            text: json!({"error": error, "message": message}).to_string(),
        }
    }

    fn about_row(error: &str, table: &str, id: &str, message: &str) -> Answer {
        Answer {
            status: StatusCode::CONFLICT,
            text: json!({"error": error, "table": table, "id": id, "message": message}).to_string(),
        }
    }
}

fn push_now(store: &Store, uri: &Uri, body: &[u8], switches: &Switches) -> Answer {
    let cursor = match query_of(uri).and_then(|query| push::cursor(&query)) {
        Ok(cursor) => cursor,
        Err(message) => return Answer::error(400, "request", &message),
    };
    let changes = match serde_json::from_slice(body) {
        Ok(changes) => changes,
        Err(error) => return Answer::error(400, "request", &format!("not JSON: {error}")),
    };
    apply(store, &changes, cursor, switches)
}

fn apply(store: &Store, changes: &Value, cursor: i64, switches: &Switches) -> Answer {
    let pushed = store.write(|connection, stamp| {
        push::apply(connection, &store.schema, changes, cursor, stamp, switches)
    });
    match pushed {
        Ok(answer) => Answer {
            status: StatusCode::OK,
            text: answer.to_string(),
        },
        Err(PushError::Request(message)) => Answer::error(400, "request", &message),
        Err(PushError::Conflict { table, id }) => Answer::about_row(
            "conflict",
            &table,
            &id,
            "changed since lastPulledAt; pull first",
        ),
        Err(PushError::Deleted { table, id }) => Answer::about_row(
            "deleted",
            &table,
            &id,
            "an update of a row that was deleted",
        ),
        Err(PushError::Exists { table, id }) => {
            Answer::about_row("exists", &table, &id, "the row exists already")
        }
        Err(PushError::Sql(error)) if is_constraint(&error) => {
            Answer::error(400, "constraint", &error.to_string())
        }
        Err(PushError::Sql(error)) => {
            eprintln!("backend: push: {error}");
            Answer::error(500, "server", "the database refused the push")
        }
    }
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

fn query_of(uri: &Uri) -> Result<HashMap<String, String>, String> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| format!("query: {error}"))
}

/// A cursor as sent: `None` for `null`, 0, an empty text, or nothing at all.
fn cursor_in(query: &HashMap<String, String>) -> Result<Option<i64>, String> {
    let text = match query.get("last_pulled_at").map(String::as_str) {
        None | Some("" | "null") => return Ok(None),
        Some(text) => text,
    };
    let number: i64 = text
        .parse()
        .map_err(|_| format!("last_pulled_at: not a whole number: {text}"))?;
    Ok((number > 0).then_some(number))
}
