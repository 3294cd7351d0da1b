//! What is remembered of a server with bundles, from one sync to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::hash::hash_of;
use super::revision::Revision;

/// What `_syncPeer.memory` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// See [`super::super::detect`].
    pub generation: String,
    pub limits: Limits,
    /// The server's tables, each with the column of its key.
    pub tables: BTreeMap<String, String>,
    /// The name of this device: the one that was given, or made here.
    pub source: String,
    /// The name that was given when `source` was chosen.
    pub given: Option<String>,
    /// From it the names follow that this device takes when it has to start over.
    pub seed: String,
    /// The number of the next bundle.
    pub next_bundle: i64,
    /// The server was told of this device.
    #[serde(default)]
    pub connected: bool,
    /// The first rows of the user come from here; this names the right to bring them.
    #[serde(default)]
    pub initialization: Option<String>,
    /// The tables of which anything was read, whatever became of their cursors.
    #[serde(default)]
    pub read: BTreeSet<String>,
    /// The last bundle that is applied here, where anything is known of it.
    #[serde(default)]
    pub last: Option<Last>,
}

/// A bundle that is applied here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    pub seq: i64,
    /// None: the server no longer had it when it was asked, and never will again.
    pub hash: Option<String>,
}

/// How much the server takes and gives at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    pub push_rows: u64,
    pub committed_rows: u64,
    pub snapshot_rows: u64,
    pub bundles: u64,
    /// Of the later revision alone, by which it is known.
    #[serde(default)]
    pub snapshot_bytes: Option<Bytes>,
}

/// Bytes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bytes {
    pub usual: u64,
    pub most: u64,
}

impl Limits {
    /// The revision of the protocol that the server speaks.
    pub fn revision(&self) -> Revision {
        match self.snapshot_bytes {
            Some(_) => Revision::Later,
            None => Revision::Earlier,
        }
    }
}

impl Memory {
    /// What is remembered, unless another name was given to this device since.
    pub fn read(memory: &Json, given: Option<&str>) -> Option<Self> {
        let memory: Self = serde_json::from_value(memory.clone()).ok()?;
        (memory.given.as_deref() == given).then_some(memory)
    }

    /// Of a server that has just been met.
    pub fn new(
        generation: &str,
        limits: Limits,
        tables: BTreeMap<String, String>,
        given: Option<&str>,
    ) -> Self {
        let seed = random_uuid();
        Self {
            generation: generation.to_owned(),
            limits,
            tables,
            source: given.map_or_else(|| named(&seed, ""), str::to_owned),
            given: given.map(str::to_owned),
            seed,
            next_bundle: 1,
            connected: false,
            initialization: None,
            read: BTreeSet::new(),
            last: None,
        }
    }

    /// The name that this device takes after the present one: always the same, so that a request for it can be repeated.
    pub fn next_source(&self) -> String {
        named(&self.seed, &self.source)
    }

    /// The same of a device that starts over under its next name.
    pub fn renamed(&self) -> Self {
        Self {
            source: self.next_source(),
            next_bundle: 1,
            initialization: None,
            ..self.clone()
        }
    }

    /// The same of a device whose next name is any but the one that it would have been.
    pub fn reseeded(&self) -> Self {
        Self {
            seed: random_uuid(),
            ..self.clone()
        }
    }

    pub fn to_json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A UUID that follows from two texts.
fn named(seed: &str, after: &str) -> String {
    uuid(&hash_of(format!("{seed} {after}").as_bytes()))
}

/// The first digits of a number in hexadecimal as a UUID of version 4.
fn uuid(digits: &str) -> String {
    let part = |from, to| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

fn random_uuid() -> String {
    // Each has keys of its own, from the system.
    let random = |salt: u64| RandomState::new().hash_one(salt);
    uuid(&format!("{:016x}{:016x}", random(1), random(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            push_rows: 1,
            committed_rows: 2,
            snapshot_rows: 3,
            bundles: 4,
            snapshot_bytes: None,
        }
    }

    fn memory(given: Option<&str>) -> Memory {
        Memory::new("b", limits(), BTreeMap::new(), given)
    }

    #[test]
    fn it_survives_being_stored() {
        let stored = memory(None);
        assert_eq!(Memory::read(&stored.to_json(), None), Some(stored.clone()));
        assert_eq!(Memory::read(&stored.to_json(), Some("other")), None);
        assert_eq!(Memory::read(&Json::Null, None), None);
        assert_ne!(memory(None).source, stored.source);
    }

    #[test]
    fn line_14_what_was_remembered_before_there_was_another_revision_is_of_the_earlier_one() {
        let mut stored = memory(None).to_json();
        for (member, name) in [(None, "last"), (Some("limits"), "snapshotBytes")] {
            let object = match member {
                None => &mut stored,
                Some(member) => &mut stored[member],
            };
            assert!(object.as_object_mut().unwrap().remove(name).is_some());
        }
        let read = Memory::read(&stored, None).unwrap();
        assert_eq!(read.limits.revision(), Revision::Earlier);
        assert_eq!(read.last, None);
    }

    #[test]
    fn the_next_name_can_be_found_out_again() {
        let mut tablet = memory(Some("tablet"));
        tablet.next_bundle = 7;
        assert_eq!(tablet.source, "tablet");
        let next = tablet.renamed();
        assert_eq!((next.source.len(), next.next_bundle), (36, 1));
        assert_eq!(tablet.next_source(), next.source);
        assert_ne!(next.next_source(), next.source);
        assert_ne!(tablet.reseeded().next_source(), next.source);
    }
}
