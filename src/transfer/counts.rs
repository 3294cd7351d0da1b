//! What happened to the rows of an entity, in numbers.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::ground::Warning;

/// What happened to the rows of one entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    /// Rows that came in equal to what was there.
    pub unchanged: i64,
    /// Rows changed on both sides.
    pub conflicts: i64,
    /// Rows the server accepted.
    pub pushed: i64,
    /// Rows the server did not accept, or that could not be sent.
    pub rejected: i64,
    /// Rows announced as created that were here, or as updated that were not.
    pub announced_wrongly: i64,
    /// Rows of which the server has another state.
    pub met: i64,
    /// Why the server did not accept rows, and how many of each.
    pub refusals: BTreeMap<String, i64>,
    /// Rows that the server took, and could not put into its own tables.
    pub unprojected: i64,
    /// Rows that a trigger of the application ignored.
    pub ignored: i64,
    /// Rows of the server that can't be stored now, at the end of the run.
    pub held: i64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
        self.conflicts += other.conflicts;
        self.pushed += other.pushed;
        self.rejected += other.rejected;
        self.met += other.met;
        for (reason, count) in &other.refusals {
            *self.refusals.entry(reason.clone()).or_default() += count;
        }
        self.unprojected += other.unprojected;
        self.announced_wrongly += other.announced_wrongly;
        self.ignored += other.ignored;
        self.held += other.held;
    }

    /// The server did not accept a row.
    pub fn refuse(&mut self, reason: &str) {
        self.rejected += 1;
        *self.refusals.entry(reason.to_owned()).or_default() += 1;
    }

    /// The server could not put a row into its own tables.
    pub fn unprojected(&mut self) {
        self.rejected += 1;
        self.unprojected += 1;
    }

    /// Rows written or deleted here.
    pub fn pulled(&self) -> i64 {
        self.inserted + self.updated + self.deleted
    }

    /// What is worth a warning.
    pub fn warnings(&self, entity: &str) -> Vec<Warning> {
        let wrongly = Warning::new(
            "announcedWrongly",
            format!(
                "{entity}: rows announced as created but here already, or as updated but not here"
            ),
        );
        let ignored = Warning::new(
            "ignoredByTrigger",
            format!("{entity}: rows ignored by a trigger of the application"),
        );
        [(wrongly, self.announced_wrongly), (ignored, self.ignored)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(warning, count)| warning.of(entity).times(count))
            .collect()
    }

    /// The counts that are not 0, for the log.
    pub fn shown(&self) -> Json {
        let mut all = Map::new();
        self.put(&mut all);
        all.retain(|key, count| key != "pulled" && *count != 0);
        Json::Object(all)
    }

    pub fn put(&self, into: &mut Map<String, Json>) {
        for (key, count) in [
            ("pulled", self.pulled()),
            ("inserted", self.inserted),
            ("updated", self.updated),
            ("deleted", self.deleted),
            ("unchanged", self.unchanged),
            ("conflicts", self.conflicts),
            ("pushed", self.pushed),
            ("rejected", self.rejected),
            ("held", self.held),
        ] {
            into.insert(key.into(), count.into());
        }
    }
}
