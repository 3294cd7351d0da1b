//! The pending rows of a table, by key and by age.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::store::Result;

use super::columns::Columns;
use super::key::Key;
use super::key_map::{KeyMap, Walk};
use super::pending::{Entry, Pending};

/// The pending rows of one table, oldest first, and by key. Many are in a temporary file.
#[derive(Default)]
pub struct PendingRows {
    rows: Vec<Pending>,
    /// Places in `rows` by the hash of the key. The keys are in the rows; a second copy of each would be
    /// most of the memory.
    places: HashMap<u64, usize>,
    hasher: RandomState,
    file: Option<PendingFile>,
}

/// The pending rows of a table that has very many.
struct PendingFile {
    rows: RefCell<KeyMap<Pending>>,
    count: usize,
    /// First entries of the oldest and of the youngest row.
    span: (i64, i64),
}

/// The place in what a row is written as that tells its age.
const BY_AGE: Option<usize> = Some(0);

impl PendingRows {
    /// One more entry of the log.
    pub(super) fn add(&mut self, key: Key, entry: &Entry, columns: &Columns) {
        let slot = match self.find(&key) {
            Ok(place) => {
                self.rows[place].add(entry, columns);
                return;
            }
            Err(slot) => slot,
        };
        self.places.insert(slot, self.rows.len());
        self.rows.push(Pending::begin(key, entry, columns));
    }

    /// One more row, with all its entries. `many`: there will be very many.
    ///
    /// # Errors
    /// SQLite's: no room for temporary files.
    pub(super) fn add_row(&mut self, row: Pending, many: bool) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => PendingFile {
                rows: RefCell::new(match many {
                    true => KeyMap::of_many()?,
                    false => KeyMap::default(),
                }),
                count: 0,
                span: (row.first_seq, row.first_seq),
            },
        };
        let file = self.file.insert(file);
        file.count += 1;
        file.span.0 = file.span.0.min(row.first_seq);
        file.span.1 = file.span.1.max(row.first_seq);
        file.rows.get_mut().insert(row.key.clone(), row)
    }

    /// The place of a key, or the number under which it would be listed: its hash, or the next one that
    /// no other key took.
    fn find(&self, key: &Key) -> std::result::Result<usize, u64> {
        let mut slot = self.hasher.hash_one(key);
        while let Some(place) = self.places.get(&slot) {
            if self.rows[*place].key == *key {
                return Ok(*place);
            }
            slot = slot.wrapping_add(1);
        }
        Err(slot)
    }

    /// The pending entries of a row, if it has any.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&self, key: &Key) -> Result<Option<Pending>> {
        match &self.file {
            Some(file) => file.rows.borrow().get(key),
            None => Ok(self.find(key).ok().map(|place| self.rows[place].clone())),
        }
    }

    /// A walk through all rows, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn walk(&self) -> Result<PendingWalk> {
        let file = self.file.as_ref();
        Ok(PendingWalk {
            next: 0,
            file: file
                .map(|file| file.rows.borrow_mut().walk(BY_AGE))
                .transpose()?,
        })
    }

    /// Does something with each row, oldest first.
    ///
    /// # Errors
    /// SQLite's; those of `each`.
    pub fn each(&self, mut each: impl FnMut(&Pending) -> Result<()>) -> Result<()> {
        let mut walk = self.walk()?;
        while let Some(row) = walk.next(self)? {
            each(&row)?;
        }
        Ok(())
    }

    /// Rows in memory: all, unless they are very many.
    pub(super) fn rows_mut(&mut self) -> &mut [Pending] {
        &mut self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.file
            .as_ref()
            .map_or(self.rows.len(), |file| file.count)
    }

    /// The first entries of the oldest and of the youngest row.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        match (&self.file, &self.rows[..]) {
            (Some(file), _) => Some(file.span),
            (None, [first, .., last]) => Some((first.first_seq, last.first_seq)),
            (None, [only]) => Some((only.first_seq, only.first_seq)),
            (None, []) => None,
        }
    }
}

/// See [`PendingRows::walk`].
pub struct PendingWalk {
    next: usize,
    file: Option<Walk<Pending>>,
}

impl PendingWalk {
    /// The next of the rows that the walk was begun with.
    ///
    /// # Errors
    /// SQLite's.
    pub fn next<'r>(&mut self, rows: &'r PendingRows) -> Result<Option<Cow<'r, Pending>>> {
        if let Some(file) = &mut self.file {
            return Ok(file.next()?.map(|(_, row)| Cow::Owned(row)));
        }
        let row = rows.rows.get(self.next);
        self.next += 1;
        Ok(row.map(Cow::Borrowed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::op::Op;
    use super::super::pending::tests::{entry, straight};
    use super::*;
    use crate::store::Value;

    #[test]
    fn keys_with_the_same_hash_are_told_apart() {
        let (one, two) = (Key(Value::Integer(1)), Key(Value::Integer(2)));
        let mut rows = PendingRows::default();
        rows.add(one.clone(), &entry(0, Op::Insert, 0), &straight());
        rows.places.insert(rows.hasher.hash_one(&two), 0);
        assert!(rows.get(&two).expect("read").is_none());
        rows.add(two.clone(), &entry(1, Op::Insert, 0), &straight());
        rows.add(two.clone(), &entry(2, Op::UPDATE, 1), &straight());
        assert_eq!(rows.rows.len(), 2);
        let last = [&one, &two].map(|key| rows.get(key).expect("read").map(|row| row.last_seq));
        assert_eq!(last, [Some(1), Some(3)]);
    }
}
