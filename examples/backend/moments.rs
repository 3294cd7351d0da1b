//! What a test does at a certain moment of a request, while the request waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::Kind;

/// A point on the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is complete; nothing was done about it.
    Arrived,
    /// An upload of oversync has got its numbers, and others may overtake it before it commits.
    Numbered,
    /// A push is committed and not yet answered.
    Committed,
    /// The rows of a pull are read, and with `timestampAfterMs` its timestamp is still to come.
    Read,
}

struct Plan {
    kind: Kind,
    moment: Moment,
    path: Option<String>,
    skip: u32,
    deed: Box<dyn FnOnce() + Send>,
}

/// The deeds that wait for their moment.
#[derive(Clone, Default)]
pub struct Moments(Arc<Mutex<Vec<Plan>>>);

impl Moments {
    /// Whether something is planned for this moment, be it of a later request.
    pub fn is_planned(&self, kind: Kind, moment: Moment) -> bool {
        let plans = self.lock();
        plans
            .iter()
            .any(|plan| plan.kind == kind && plan.moment == moment)
    }

    /// Does `deed` once, at that moment of a request; before that, `skip` such moments pass by.
    pub fn plan(
        &self,
        kind: Kind,
        moment: Moment,
        skip: u32,
        deed: impl FnOnce() + Send + 'static,
    ) {
        self.lock().push(Plan {
            kind,
            moment,
            path: None,
            skip,
            deed: Box::new(deed),
        });
    }

    /// The same for the next request with this in its path.
    pub fn plan_at(
        &self,
        kind: Kind,
        path: &str,
        moment: Moment,
        deed: impl FnOnce() + Send + 'static,
    ) {
        self.lock().push(Plan {
            kind,
            moment,
            path: Some(path.to_string()),
            skip: 0,
            deed: Box::new(deed),
        });
    }

    /// Forgets what has not happened yet.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The moment has come: the request goes on when all that was planned for it is done.
    pub async fn come(&self, kind: Kind, moment: Moment) {
        self.come_at(kind, "", moment).await;
    }

    /// The same for a request whose path matters.
    pub async fn come_at(&self, kind: Kind, path: &str, moment: Moment) {
        for plan in self.take_at(kind, path, moment) {
            // A deed that panics is the test's own affair: it never reports back.
            let _ = tokio::task::spawn_blocking(plan.deed).await;
        }
    }

    /// The same for a thread that may wait.
    pub fn come_here(&self, kind: Kind, moment: Moment) {
        for plan in self.take(kind, moment) {
            (plan.deed)();
        }
    }

    fn take(&self, kind: Kind, moment: Moment) -> Vec<Plan> {
        self.take_at(kind, "", moment)
    }

    fn take_at(&self, kind: Kind, path: &str, moment: Moment) -> Vec<Plan> {
        let mut plans = self.lock();
        plans
            .extract_if(.., |plan| {
                let is_there = plan.path.as_deref().is_none_or(|part| path.contains(part));
                if plan.kind != kind || plan.moment != moment || !is_there {
                    return false;
                }
                let due = plan.skip == 0;
                plan.skip = plan.skip.saturating_sub(1);
                due
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Plan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
