//! Which ids an answer has named, by fingerprint: eight bytes an id.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::providers::wire::WireId;

/// Fingerprints that are gathered before they are sorted in.
const BATCH: usize = 1 << 16;

/// The ids of one table. Two of a million clash once in ten million answers.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    hasher: RandomState,
    recent: HashSet<u64>,
    sorted: Vec<u64>,
}

impl Seen {
    /// Whether the id is new.
    pub fn insert(&mut self, id: &WireId<'_>) -> bool {
        let fingerprint = self.fingerprint(id);
        if self.sorted.binary_search(&fingerprint).is_ok() || !self.recent.insert(fingerprint) {
            return false;
        }
        if self.recent.len() == BATCH {
            let mut recent: Vec<u64> = self.recent.drain().collect();
            recent.sort_unstable();
            merge(&mut self.sorted, &recent);
        }
        true
    }

    pub fn contains(&self, id: &WireId<'_>) -> bool {
        self.has(self.fingerprint(id))
    }

    /// Whether an id, as text, was named.
    pub fn names(&self, id: &str) -> bool {
        self.has(self.hasher.hash_one(id.as_bytes()))
    }

    fn has(&self, fingerprint: u64) -> bool {
        self.recent.contains(&fingerprint) || self.sorted.binary_search(&fingerprint).is_ok()
    }

    fn fingerprint(&self, id: &WireId<'_>) -> u64 {
        match id {
            WireId::Text(text) => self.hasher.hash_one(text.as_bytes()),
            WireId::Broken(json) => self.hasher.hash_one(json.as_bytes()),
            WireId::Integer(number) => self.hasher.hash_one(number.to_string().as_bytes()),
        }
    }
}

/// Puts sorted numbers in among sorted ones, from the end, so that no more than they take is needed.
fn merge(into: &mut Vec<u64>, new: &[u64]) {
    let mut old = into.len();
    into.reserve_exact(new.len());
    into.resize(old + new.len(), 0);
    let mut left = new.len();
    while left > 0 {
        let place = old + left - 1;
        if old > 0 && into[old - 1] > new[left - 1] {
            old -= 1;
            into[place] = into[old];
        } else {
            left -= 1;
            into[place] = new[left];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_however_many_there_are() {
        let count = 3 * BATCH as i64 + 17;
        let mut seen = Seen::default();
        for number in 0..count {
            assert!(seen.insert(&WireId::Integer(number)));
            assert!(!seen.insert(&WireId::Integer(number / 2)));
        }
        for number in 0..count {
            assert!(seen.names(&number.to_string()));
            assert!(seen.contains(&WireId::Text(number.to_string().into())));
        }
        assert!(!seen.contains(&WireId::Integer(count)));
        assert!(seen.sorted.is_sorted() && seen.sorted.len() == 3 * BATCH);
    }
}
