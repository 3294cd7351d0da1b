//! The answers of the operations: what went up, what came down, in few numbers.

use serde_json::{Map, Value as Json, json};

use crate::ground::SyncError;
use crate::providers::conversation::Goal;
use crate::transfer::counts::Counts;

use super::report::{Facts, Report};

impl Report {
    /// The answer of `sync_upload_once`, `sync_download_once`, `sync_download_all`, `sync_hydrate` or `sync_once`.
    pub fn outcome(&self, goal: Goal, facts: &Facts<'_>, error: Option<&SyncError>) -> Json {
        let mut total = Counts::default();
        self.entities.iter().for_each(|counts| total.add(counts));
        let mut answer = match goal {
            Goal::Upload => self.uploaded(&total),
            Goal::Sync => Map::from_iter([
                ("upload".to_owned(), Json::Object(self.uploaded(&total))),
                ("downloaded".to_owned(), total.pulled().into()),
            ]),
            _ => self.downloaded(goal, &total),
        };
        let paused = match goal {
            Goal::Upload => self.paused.uploads,
            Goal::Sync => self.paused.uploads || self.paused.downloads,
            _ => self.paused.downloads,
        };
        answer.insert("paused".into(), paused.into());
        answer.insert("held".into(), total.held.into());
        answer.insert("provider".into(), facts.provider.into());
        answer.insert("state".into(), facts.state.into());
        answer.insert("runId".into(), facts.run.into());
        answer.insert("startedAt".into(), facts.started.into());
        answer.insert("finishedAt".into(), facts.finished.into());
        answer.insert("requests".into(), self.requests.into());
        answer.insert("warnings".into(), self.warnings().into());
        answer.insert("error".into(), error.map_or(Json::Null, SyncError::to_json));
        Json::Object(answer)
    }

    /// What became of the changes that were sent, each counted once.
    fn uploaded(&self, total: &Counts) -> Map<String, Json> {
        let invalid: i64 = total.refusals.values().sum();
        let materialize = total.unprojected;
        let reasons: Map<String, Json> = total
            .refusals
            .iter()
            .map(|(reason, count)| (reason.clone(), (*count).into()))
            .collect();
        let first = self.first_refusal.clone().or_else(|| {
            let reason = total.refusals.keys().next()?;
            Some(format!("invalid: {reason}"))
        });
        let counts = json!({
            "total": total.pushed + total.met + invalid + materialize,
            "applied": total.pushed,
            "conflict": total.met,
            "invalid": invalid,
            "materializeError": materialize,
            "unsendable": total.rejected - invalid - materialize,
            "invalidReasons": reasons,
            "firstErrorMessage": first,
        });
        match counts {
            Json::Object(counts) => counts,
            _ => Map::new(),
        }
    }

    fn downloaded(&self, goal: Goal, total: &Counts) -> Map<String, Json> {
        let mut answer = Map::new();
        answer.insert("applied".into(), total.pulled().into());
        let next = match &self.page {
            Some(page) => page.next.into(),
            None => self.cursor.as_deref().map_or(Json::Null, as_number),
        };
        answer.insert("nextSeq".into(), next);
        answer.insert("skipped".into(), self.skipped.into());
        if goal == Goal::Download {
            let page = self.page.unwrap_or_default();
            answer.insert("hasMore".into(), page.has_more.into());
            answer.insert("windowUntil".into(), page.window.into());
        }
        answer
    }
}

/// A cursor as a number, where it is a whole one.
fn as_number(cursor: &str) -> Json {
    match cursor.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => cursor.into(),
    }
}
