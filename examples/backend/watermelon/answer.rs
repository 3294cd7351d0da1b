//! Small answers: how a push went.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::push::PushError;

/// A status and its JSON; the text is empty if there is none.
pub struct Answer {
    pub status: StatusCode,
    pub text: String,
}

impl Answer {
    /// 200 with these keys.
    pub fn ok(body: &Map<String, Value>) -> Answer {
        Answer {
            status: StatusCode::OK,
            text: Value::from(body.clone()).to_string(),
        }
    }

    /// With these keys too, unless it is empty.
    pub fn with(self, extra: Option<&Map<String, Value>>) -> Answer {
        let (Some(extra), Ok(Value::Object(mut body))) = (extra, serde_json::from_str(&self.text))
        else {
            return self;
        };
        body.extend(extra.clone());
        Answer::ok(&body)
    }

    /// 204.
    pub fn empty() -> Answer {
        Answer {
            status: StatusCode::NO_CONTENT,
            text: String::new(),
        }
    }

    /// `{"error","message"}`.
    pub fn error(status: StatusCode, error: &str, message: &str) -> Answer {
        Answer {
            status,
            text: json!({"error": error, "message": message}).to_string(),
        }
    }

    /// 400: the request is not understood.
    pub fn bad_request(message: &str) -> Answer {
        Answer::error(StatusCode::BAD_REQUEST, "request", message)
    }

    /// 500: the backend's own fault.
    pub fn broken(message: &str) -> Answer {
        Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "server", message)
    }

    fn about_row(error: &str, table: &str, id: &str, message: &str) -> Answer {
        Answer {
            status: StatusCode::CONFLICT,
            text: json!({"error": error, "table": table, "id": id, "message": message}).to_string(),
        }
    }
}

impl From<PushError> for Answer {
    fn from(error: PushError) -> Answer {
        match error {
            PushError::Request(message) => Answer::bad_request(&message),
            PushError::Conflict { table, id } => Answer::about_row(
                "conflict",
                &table,
                &id,
                "changed since lastPulledAt; pull first",
            ),
            PushError::Deleted { table, id } => Answer::about_row(
                "deleted",
                &table,
                &id,
                "an update of a row that was deleted",
            ),
            PushError::Exists { table, id } => {
                Answer::about_row("exists", &table, &id, "the row exists already")
            }
            PushError::Sql(error) if is_constraint(&error) => {
                Answer::error(StatusCode::BAD_REQUEST, "constraint", &error.to_string())
            }
            PushError::Sql(error) => {
                eprintln!("backend: push: {error}");
                Answer::broken("the database refused the push")
            }
        }
    }
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}
