//! What a run notes in its diary, and passes on to its conversation.

use serde_json::json;

use crate::http::{HttpError, Response};
use crate::providers::conversation::{Event, Step};
use crate::transfer::counts::Counts;

use super::run::{Asked, Run};

impl Run {
    /// Passes on what has become of what was due.
    pub(super) fn hear(&mut self, event: Event<'_>) {
        if let Some(talk) = &mut self.talk {
            talk.adopt(event);
        }
    }

    /// Whether the conversation has anything more to do.
    pub(super) fn goes_on(&self) -> bool {
        let due = self.talk.as_ref().map(|talk| talk.due());
        !matches!(due, None | Some(Step::Fail(_)))
    }

    /// Notes the counts of an entity that are not 0.
    pub(super) fn note_counts(&self, asked: &Asked, counts: &[Counts], cursor: Option<&str>) {
        let mut entities = json!({});
        for (binding, counts) in self.bindings.iter().zip(counts) {
            entities[&binding.entity] = counts.shown();
        }
        let mut detail = json!({"entities": entities});
        if let Some(cursor) = cursor {
            detail["cursor"] = cursor.into();
        }
        let event = match asked.parcel.is_some() {
            true => "settled",
            false => "applied",
        };
        self.diary.note(event, detail);
    }

    pub(super) fn note_answer(&self, asked: &Asked, answer: &Result<Response, HttpError>) {
        let detail = match answer {
            Ok(response) => json!({
                "status": response.status,
                "bytes": response.body.len(),
                "attempts": response.attempts,
            }),
            Err(error) => json!({"error": self.redactor.clean(&error.to_string())}),
        };
        let event = match asked.parcel.is_some() {
            true => "pushed",
            false => "pulled",
        };
        self.diary.note(event, detail);
    }
}
