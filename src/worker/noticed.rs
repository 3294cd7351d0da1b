//! What a connection has noticed of what there is to do: changes here, and news there.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::providers::conversation::Goal;

/// What a connection has noticed of changes, by file and provider.
#[derive(Default)]
pub struct Noticed {
    changes: Mutex<HashMap<(String, String), Change>>,
}

/// When changes were noticed that wait. Epoch ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    pub first: i64,
    pub last: i64,
}

impl Changed {
    /// One more was noticed.
    fn again(before: Option<Self>, now: i64) -> Self {
        Self {
            first: before.map_or(now, |before| before.first),
            last: now,
        }
    }
}

#[derive(Default)]
struct Change {
    /// The log's end when it was looked at last. What waited before that counts as changed at the first look.
    seen: i64,
    /// The first and the last time; none when what was noticed is on its way.
    noticed: Option<Changed>,
    /// The state of the secrets that the backend did not know, see `Secrets::changes`.
    shut_out: Option<u64>,
    /// The server has said that there is something new.
    news: bool,
    /// Whether there is a connection on which it would say so; none where nobody listens.
    hears: Option<bool>,
}

impl Noticed {
    /// When changes were noticed; none when nothing has changed since the last upload began.
    pub fn look(
        &self,
        schema: &str,
        provider: &str,
        end: i64,
        pending: bool,
        now: i64,
    ) -> Option<Changed> {
        self.change(schema, provider, |change| {
            if end > change.seen && pending {
                change.noticed = Some(Changed::again(change.noticed, now));
            }
            change.seen = end;
            change.noticed
        })
    }

    /// The backend did not know the secrets, in this state of them; none: it did, or that is not known.
    pub fn shut_out(&self, schema: &str, provider: &str, secrets: Option<u64>) {
        self.change(schema, provider, |change| change.shut_out = secrets);
    }

    /// Whether the backend has refused the secrets as they are: asking again would be in vain.
    pub fn is_shut_out(&self, schema: &str, provider: &str, secrets: u64) -> bool {
        self.change(schema, provider, |change| change.shut_out == Some(secrets))
    }

    /// What was noticed up to here is being sent, or brought.
    pub fn begin(&self, schema: &str, provider: &str, goal: Goal) {
        self.change(schema, provider, |change| {
            if goal.sends() {
                change.noticed = None;
            }
            if goal != Goal::Upload {
                change.news = false;
            }
        });
    }

    /// It was not: it is still there.
    pub fn again(&self, schema: &str, provider: &str, goal: Goal, now: i64) {
        self.change(schema, provider, |change| {
            if goal.sends() {
                change.noticed = Some(Changed::again(change.noticed, now));
            }
            change.news |= goal != Goal::Upload;
        });
    }

    /// The server has something new.
    pub fn news(&self, schema: &str, provider: &str) {
        self.change(schema, provider, |change| change.news = true);
    }

    pub fn has_news(&self, schema: &str, provider: &str) -> bool {
        self.change(schema, provider, |change| change.news)
    }

    /// Whether there is a connection on which the server would say so; none: nobody listens any more.
    pub fn hears(&self, schema: &str, provider: &str, hears: Option<bool>) {
        self.change(schema, provider, |change| change.hears = hears);
    }

    /// Somebody listens, and nothing connects us.
    pub fn is_deaf(&self, schema: &str, provider: &str) -> bool {
        self.change(schema, provider, |change| change.hears == Some(false))
    }

    fn change<T>(&self, schema: &str, provider: &str, with: impl FnOnce(&mut Change) -> T) -> T {
        let mut changes = self.changes.lock();
        with(
            changes
                .entry((schema.to_owned(), provider.to_owned()))
                .or_default(),
        )
    }
}
