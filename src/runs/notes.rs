//! What a run notes in its diary.

use serde_json::json;

use crate::http::{HttpError, Response, redacted};
use crate::providers::Request;
use crate::transfer::counts::Counts;

use crate::runs::run::Run;

impl Run<'_> {
    pub(super) fn note_request(&self, event: &'static str, request: &Request) {
        let url = redacted(&request.url);
        self.diary
            .note(event, json!({"method": request.method, "url": url}));
    }

    /// Notes what is not nought of an entity's counts.
    pub(super) fn note_counts(&self, event: &'static str, counts: &[Counts], cursor: Option<&str>) {
        let mut entities = json!({});
        for (binding, counts) in self.bindings.iter().zip(counts) {
            entities[&binding.entity] = counts.told();
        }
        let mut detail = json!({"entities": entities});
        if let Some(cursor) = cursor {
            detail["cursor"] = cursor.into();
        }
        self.diary.note(event, detail);
    }

    pub(super) fn note_answer(&self, event: &'static str, answer: &Result<Response, HttpError>) {
        let detail = match answer {
            Ok(response) => json!({
                "status": response.status,
                "bytes": response.body.len(),
                "attempts": response.attempts,
            }),
            Err(error) => json!({"error": self.redactor.clean(&error.to_string())}),
        };
        self.diary.note(event, detail);
    }
}
