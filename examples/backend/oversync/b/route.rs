//! Which path means what.

use axum::http::Method;

use super::answer::{Answer, no_such_path};
use crate::faults::Kind;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    SignIn,
    Health,
    Reset,
    Capabilities,
    Connect,
    CreatePush,
    FillPush(String),
    CommitPush(String),
    DropPush(String),
    CommittedRows(String),
    Pull,
    Watch,
    CreateSnapshot,
    SnapshotPage(String),
    DropSnapshot(String),
}

impl Route {
    /// The route of a request, or the answer if there is none.
    pub fn of(method: &Method, path: &str, json_405: bool) -> Result<Route, Answer> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (routes, allow) = match parts[..] {
            ["dummy-signin"] => (vec![(Method::POST, Route::SignIn)], "POST"),
            ["syncx", "health" | "status"] => (vec![(Method::GET, Route::Health)], "GET, HEAD"),
            ["test", "reset"] => (vec![(Method::POST, Route::Reset)], "POST"),
            ["sync", "capabilities"] => (vec![(Method::GET, Route::Capabilities)], "GET, HEAD"),
            ["sync", "connect"] => (vec![(Method::POST, Route::Connect)], "POST"),
            ["sync", "pull"] => (vec![(Method::GET, Route::Pull)], "GET, HEAD"),
            ["sync", "watch"] => (vec![(Method::GET, Route::Watch)], "GET, HEAD"),
            ["sync", "push-sessions"] => (vec![(Method::POST, Route::CreatePush)], "POST"),
            ["sync", "push-sessions", id] => (
                vec![(Method::DELETE, Route::DropPush(id.to_string()))],
                "DELETE",
            ),
            ["sync", "push-sessions", id, "chunks"] => (
                vec![(Method::POST, Route::FillPush(id.to_string()))],
                "POST",
            ),
            ["sync", "push-sessions", id, "commit"] => (
                vec![(Method::POST, Route::CommitPush(id.to_string()))],
                "POST",
            ),
            ["sync", "committed-bundles", seq, "rows"] => (
                vec![(Method::GET, Route::CommittedRows(seq.to_string()))],
                "GET, HEAD",
            ),
            ["sync", "snapshot-sessions"] => (vec![(Method::POST, Route::CreateSnapshot)], "POST"),
            ["sync", "snapshot-sessions", id] => (
                vec![
                    (Method::GET, Route::SnapshotPage(id.to_string())),
                    (Method::DELETE, Route::DropSnapshot(id.to_string())),
                ],
                "DELETE, GET, HEAD",
            ),
            _ => return Err(no_such_path()),
        };
        let first = routes[0].0.clone();
        let found = routes.into_iter().find(|(known, _)| known == method);
        found
            .map(|(_, route)| route)
            .ok_or_else(|| wrong_method(&first, allow, json_405))
    }

    /// The direction that faults and moments know it by. Whoever asks for one row of a bundle wants to know of the bundle:
    /// that is no part of a push.
    pub fn kind(&self, query: Option<&str>) -> Kind {
        match self {
            Route::CommittedRows(_) if query == Some("max_rows=1") => Kind::Other,
            Route::CreatePush
            | Route::FillPush(_)
            | Route::CommitPush(_)
            | Route::DropPush(_)
            | Route::CommittedRows(_) => Kind::Push,
            Route::Pull
            | Route::CreateSnapshot
            | Route::SnapshotPage(_)
            | Route::DropSnapshot(_) => Kind::Pull,
            Route::SignIn
            | Route::Health
            | Route::Reset
            | Route::Capabilities
            | Route::Connect
            | Route::Watch => Kind::Other,
        }
    }

    /// What is said of it when nothing works: the error and its message.
    pub fn failure(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Route::SignIn | Route::Health | Route::Reset | Route::Capabilities => return None,
            Route::Connect => ("connect_failed", "Failed to resolve connect lifecycle"),
            Route::CreatePush => (
                "push_session_create_failed",
                "Failed to create push session",
            ),
            Route::FillPush(_) => ("push_chunk_failed", "Failed to upload push chunk"),
            Route::CommitPush(_) => (
                "push_session_commit_failed",
                "Failed to commit push session",
            ),
            Route::DropPush(_) => (
                "push_session_delete_failed",
                "Failed to delete push session",
            ),
            Route::CommittedRows(_) => (
                "committed_bundle_rows_failed",
                "Failed to fetch committed bundle rows",
            ),
            Route::Pull => ("pull_failed", "Failed to process pull"),
            Route::Watch => (
                "bundle_change_watch_failed",
                "Failed to subscribe bundle change watch",
            ),
            Route::CreateSnapshot => (
                "snapshot_session_create_failed",
                "Failed to create snapshot session",
            ),
            Route::SnapshotPage(_) => ("snapshot_chunk_failed", "Failed to get snapshot chunk"),
            Route::DropSnapshot(_) => (
                "snapshot_session_delete_failed",
                "Failed to delete snapshot session",
            ),
        })
    }
}

fn wrong_method(wanted: &Method, allow: &'static str, json: bool) -> Answer {
    if json {
        let message = format!("Only {wanted} method is allowed");
        return Answer::error(405, "method_not_allowed", &message);
    }
    Answer {
        allow: Some(allow),
        ..Answer::text(405, "Method Not Allowed")
    }
}
