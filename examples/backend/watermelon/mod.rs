//! The WatermelonDB protocol: pull and push, whatever shape the requests have (see `presets/`).
//!
//! | file | subject |
//! |---|---|
//! | `request.rs` | what clients ask for |
//! | `migration.rs` | what their apps have only just got |
//! | `select.rs` | which rows an answer has |
//! | `pull.rs`, `read.rs` | writing the answer; its rows |
//! | `push.rs` | applying changes |
//! | `answer.rs` | how that went |

mod answer;
mod migration;
mod pull;
mod push;
mod read;
mod request;
mod select;

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::body::{self, BodyPlan, BodyWriter};
use super::server::App;
use super::store::{Store, note_push};
use super::switches::Switches;

pub use answer::Answer;
pub use push::{PushError, Taken};
pub use read::{ReadError, write_dump};
pub use request::{NO_CURSOR, PullCall, PullRequest, PushCall};

/// Answers a pull; the rows are sent while they are read.
pub fn pull(app: &Arc<App>, request: PullRequest, switches: Switches, plan: BodyPlan) -> Response {
    let moments = app.moments.clone();
    stream(app, plan, move |store, out| {
        pull::write_answer(store, &request, &switches, &moments, out)
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

/// Applies a client's push, whole or not at all.
pub fn push(store: &Store, call: &PushCall, switches: &Switches) -> Result<Taken, PushError> {
    store.write(|connection, stamp| {
        let before = connection.total_changes();
        let taken = push::apply(connection, &store.schema, call, stamp, switches)?;
        if connection.total_changes() > before {
            note_push(connection, stamp)?;
        }
        Ok(taken)
    })
}

/// Applies changes of the backend's own making, against which there are no conflicts.
pub fn push_own(store: &Store, changes: Value) -> Result<Taken, PushError> {
    let call = PushCall {
        cursor: NO_CURSOR,
        changes,
        zero_one: false,
    };
    store.write(|connection, stamp| {
        push::apply(
            connection,
            &store.schema,
            &call,
            stamp,
            &Switches::default(),
        )
    })
}
