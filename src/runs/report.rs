//! What a sync did: counts per entity, and the answer they end up in.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value as Json, json};

use crate::coordination::OpenOperation;
use crate::ground::{SyncError, Warning, add_warning};
use crate::http::Redactor;
use crate::providers::conversation::Page;
use crate::transfer::counts::Counts;
use crate::transfer::pause::Paused;

use super::compare::Found;

/// Everything worth reporting about one run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order of the run's entities.
    pub entities: Vec<Counts>,
    /// What came with the answers to single operations, where there are such.
    pub operations: HashMap<usize, Counts>,
    /// The operations that are over, with why they failed.
    pub over: BTreeMap<usize, Option<SyncError>>,
    /// Operations whose condition did not hold.
    pub left_out: HashSet<usize>,
    /// The operations of the call that those behind it are carried out for.
    pub branches: Vec<usize>,
    pub warnings: Vec<Warning>,
    /// The last of those that calls before it had no room for: with its end they are told.
    pub untold: i64,
    /// Extra keys of the last pull answer.
    pub rest: Map<String, Json>,
    /// The migration sent to the backend; null when there was none.
    pub migration: Json,
    /// What a check has found.
    pub compared: Found,
    /// Codes of warnings that nobody wants to see.
    pub quiet: Vec<String>,
    /// HTTP requests answered, repeated ones included.
    pub requests: u32,
    /// What was paused when it began.
    pub paused: Paused,
    /// The last page of rows that came.
    pub page: Option<Page>,
    /// The last cursor that came, as the server wrote it.
    pub cursor: Option<String>,
    /// Changes that were passed over.
    pub skipped: i64,
    /// What the server said of the first row that it did not accept.
    pub first_refusal: Option<String>,
}

/// The most warnings kept; a server can cause one per row.
const WARNINGS: usize = 20;

impl Report {
    pub fn warn(&mut self, warnings: impl IntoIterator<Item = Warning>) {
        for warning in warnings {
            if self.quiet.iter().any(|code| code == warning.code) {
                continue;
            }
            let is_known = self.warnings.iter().any(|known| known.is_like(&warning));
            if is_known || self.warnings.len() < WARNINGS {
                add_warning(&mut self.warnings, warning);
            }
        }
    }

    pub(super) fn warnings(&self) -> Vec<Json> {
        let warnings = self.warnings.iter();
        // Secrets are blacked out of the answer as a whole.
        warnings
            .map(|warning| warning.to_json(&str::to_owned))
            .collect()
    }

    /// The operation of the call that one is carried out for. `calls`: how many the call has.
    pub fn operation_of(&self, operation: usize, calls: usize) -> usize {
        let branch = operation.checked_sub(calls);
        let of = branch.and_then(|branch| self.branches.get(branch));
        of.copied().unwrap_or(operation)
    }

    /// Whether what came is counted by operation.
    fn is_by_operation(&self) -> bool {
        !self.operations.is_empty() || !self.over.is_empty()
    }

    /// The answer of `sync_entities`.
    pub fn answer(&self, facts: &Facts<'_>, error: Option<&SyncError>) -> Json {
        let mut total = Counts::default();
        self.entities.iter().for_each(|counts| total.add(counts));
        let mut operations = Vec::new();
        for (place, open) in facts.operations.iter().enumerate() {
            let counts = match self.operations.get(&place) {
                Some(counts) => counts.clone(),
                None if self.is_by_operation() => Counts::default(),
                None => self.entities.get(place).cloned().unwrap_or_default(),
            };
            let (state, error) = match self.over.get(&place) {
                Some(None) => ("synced", None),
                Some(Some(error)) => ("failed", Some(error)),
                None => (facts.state, None),
            };
            let mut operation = Map::new();
            operation.insert("statusId".into(), open.status_id.into());
            operation.insert("entity".into(), open.entity.as_str().into());
            operation.insert("functionId".into(), open.function_id.as_deref().into());
            operation.insert("state".into(), state.into());
            counts.put(&mut operation);
            if self.left_out.contains(&place) {
                operation.insert("skipped".into(), true.into());
            }
            if let Some(error) = error {
                operation.insert("error".into(), error.to_json());
            }
            operations.push(Json::Object(operation));
        }
        let mut answer = Map::new();
        answer.insert("instanceId".into(), facts.instance.into());
        answer.insert("provider".into(), facts.provider.into());
        answer.insert("state".into(), facts.state.into());
        answer.insert("operations".into(), operations.into());
        total.put(&mut answer);
        answer.insert("runId".into(), facts.run.into());
        answer.insert("startedAt".into(), facts.started.into());
        answer.insert("finishedAt".into(), facts.finished.into());
        answer.insert("migration".into(), self.migration.clone());
        answer.insert("phase".into(), facts.phase.into());
        answer.insert("requests".into(), self.requests.into());
        answer.insert("warnings".into(), self.warnings().into());
        answer.insert("rest".into(), Json::Object(self.rest.clone()));
        answer.insert("error".into(), error.map_or(Json::Null, SyncError::to_json));
        Json::Object(answer)
    }
}

impl Report {
    /// The answer of `sync_check`.
    pub fn comparison(&self, facts: &Facts<'_>, error: Option<&SyncError>) -> Json {
        let state = match error {
            Some(_) => "failed",
            None if self.compared.differs => "different",
            None => "equal",
        };
        json!({
            "provider": facts.provider,
            "checkedAt": facts.started,
            "state": state,
            "runId": facts.run,
            "entities": self.compared.entities,
            "warnings": self.warnings(),
            "error": error.map(SyncError::to_json),
        })
    }
}

/// The circumstances of a run.
pub struct Facts<'a> {
    pub instance: Option<&'a str>,
    pub provider: &'a str,
    pub state: &'static str,
    /// Status row and entity of each operation.
    pub operations: &'a [OpenOperation],
    pub run: i64,
    /// Epoch ms.
    pub started: i64,
    /// None while it runs.
    pub finished: Option<i64>,
    /// The last step reached.
    pub phase: &'static str,
}

/// Blacks out secrets in every text of a JSON value.
pub fn black_out(json: &mut Json, redactor: &Redactor) {
    match json {
        Json::String(text) => *text = redactor.clean(text),
        Json::Array(list) => list.iter_mut().for_each(|json| black_out(json, redactor)),
        Json::Object(object) => {
            let members = std::mem::take(object);
            for (key, mut value) in members {
                black_out(&mut value, redactor);
                object.insert(redactor.clean(&key), value);
            }
        }
        _ => {}
    }
}
