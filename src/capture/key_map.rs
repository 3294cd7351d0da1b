//! Something for each of many keys: in memory as long as they are few, beyond that in a temporary file.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::store::{Result, Scratch, ScratchRows, Value, compare};

use super::key::Key;

/// What a [`KeyMap`] can hold.
pub trait Kept: Clone {
    /// How many values it is written as, at least one.
    const VALUES: usize;

    fn write(&self) -> Vec<Value>;

    /// Bytes beside its own size, about.
    fn bytes(&self) -> usize {
        0
    }

    /// None when `values` is not what was written.
    fn read(key: &Key, values: Vec<Value>) -> Option<Self>;
}

/// Bytes in memory before the first keys go to the file; in debug builds next to none, so that the tests go both ways.
const FEW: usize = if cfg!(debug_assertions) {
    4 << 10
} else {
    4 << 20
};

/// Bytes that are gathered from then on, to be written in the order of their keys: one by one they would go all over
/// the file.
const BATCH: usize = FEW / 4;

/// Bytes of an entry beside key and value.
const ENTRY: usize = 16;

/// A map by key.
pub struct KeyMap<V> {
    /// Those that are not in the file, or newer than what is there.
    recent: HashMap<Key, V>,
    /// What those take, about.
    bytes: usize,
    file: Option<RefCell<Scratch>>,
}

impl<V> Default for KeyMap<V> {
    fn default() -> Self {
        Self {
            recent: HashMap::new(),
            bytes: 0,
            file: None,
        }
    }
}

impl<V: Kept> KeyMap<V> {
    /// One that goes to the file at once: there will be many.
    ///
    /// # Errors
    /// SQLite's: no room for temporary files.
    pub fn of_many() -> Result<Self> {
        Ok(Self {
            recent: HashMap::new(),
            bytes: 0,
            file: Some(RefCell::new(Scratch::open(V::VALUES)?)),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.file.is_none()
    }

    /// Puts a value in place of the one that the key has.
    ///
    /// # Errors
    /// SQLite's.
    pub fn insert(&mut self, key: Key, value: V) -> Result<()> {
        self.bytes += ENTRY + size_of::<(Key, V)>() + key.bytes() + value.bytes();
        self.recent.insert(key, value);
        let most = if self.file.is_some() { BATCH } else { FEW };
        match self.bytes >= most {
            true => self.write_out(),
            false => Ok(()),
        }
    }

    /// # Errors
    /// SQLite's.
    pub fn get(&self, key: &Key) -> Result<Option<V>> {
        if let Some(value) = self.recent.get(key) {
            return Ok(Some(value.clone()));
        }
        let Some(file) = self.file.as_ref().filter(|_| key.0 != Value::Null) else {
            return Ok(None);
        };
        let found = file.borrow_mut().get(key.0.borrow())?;
        Ok(found.and_then(|values| V::read(key, values)))
    }

    /// A walk through all of it; by the value at place `by` of what they are written as, or by key. Nothing must be
    /// inserted meanwhile.
    ///
    /// # Errors
    /// SQLite's.
    pub fn walk(&mut self, by: Option<usize>) -> Result<Walk<V>> {
        if self.file.is_some() {
            self.write_out()?;
        }
        let file = self.file.as_ref();
        let rows = file.map(|file| file.borrow().rows(by)).transpose()?;
        let recent = self.recent.iter();
        let mut recent: Vec<_> = recent
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        recent.sort_by_cached_key(|(_, value)| {
            by.and_then(|place| value.write().get(place).and_then(Value::as_i64))
        });
        Ok(Walk {
            recent: recent.into_iter(),
            rows,
        })
    }

    /// Writes the recent ones into the file. The NULL key, which no file takes, stays.
    fn write_out(&mut self) -> Result<()> {
        let mut recent: Vec<(Key, V)> = std::mem::take(&mut self.recent).into_iter().collect();
        self.bytes = 0;
        if let Some(place) = recent.iter().position(|(key, _)| key.0 == Value::Null) {
            let (key, value) = recent.swap_remove(place);
            self.recent.insert(key, value);
        }
        recent.sort_unstable_by(|(one, _), (two, _)| compare(one.0.borrow(), two.0.borrow()));
        let file = match self.file.take() {
            Some(file) => file,
            None => RefCell::new(Scratch::open(V::VALUES)?),
        };
        let mut scratch = file.borrow_mut();
        for (key, value) in &recent {
            scratch.put(key.0.borrow(), &value.write())?;
        }
        drop(scratch);
        self.file = Some(file);
        Ok(())
    }
}

/// See [`KeyMap::walk`].
pub struct Walk<V> {
    recent: std::vec::IntoIter<(Key, V)>,
    rows: Option<ScratchRows>,
}

impl<V: Kept> Walk<V> {
    /// # Errors
    /// SQLite's.
    pub fn next(&mut self) -> Result<Option<(Key, V)>> {
        if let Some(one) = self.recent.next() {
            return Ok(Some(one));
        }
        let Some(rows) = &mut self.rows else {
            return Ok(None);
        };
        while let Some((key, values)) = rows.next()? {
            let key = Key(key);
            if let Some(value) = V::read(&key, values) {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }
}

impl Kept for () {
    const VALUES: usize = 1;

    fn write(&self) -> Vec<Value> {
        vec![Value::Null]
    }

    fn read(_: &Key, _: Vec<Value>) -> Option<Self> {
        Some(())
    }
}

impl Kept for i64 {
    const VALUES: usize = 1;

    fn write(&self) -> Vec<Value> {
        vec![Value::Integer(*self)]
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        values.first()?.as_i64()
    }
}

impl Kept for String {
    const VALUES: usize = 1;

    fn write(&self) -> Vec<Value> {
        vec![Value::Text(self.clone())]
    }

    fn bytes(&self) -> usize {
        self.len()
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        Some(values.first()?.as_str()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::in_memory;

    fn key(number: i64) -> Key {
        Key(match number % 4 {
            0 => Value::Integer(number),
            1 => Value::Real(number as f64 + 0.5),
            2 => Value::Text(format!("k{number}")),
            _ => Value::Blob(number.to_le_bytes().to_vec()),
        })
    }

    #[test]
    fn many_keys_are_all_there_once_with_what_came_last() {
        let _memory = in_memory();
        for many in [false, true] {
            let mut map = match many {
                true => KeyMap::of_many().expect("a file"),
                false => KeyMap::default(),
            };
            let count = (FEW + 30 * BATCH) as i64 / 64;
            map.insert(Key(Value::Null), -1).expect("inserted");
            for number in (0..count).rev() {
                map.insert(key(number), number).expect("inserted");
            }
            for number in (0..count).step_by(10) {
                map.insert(key(number), -number).expect("inserted");
            }
            assert!(map.file.is_some() && map.bytes <= BATCH);
            for number in (0..count).step_by(5) {
                let last = match number % 10 {
                    0 => -number,
                    _ => number,
                };
                assert_eq!(map.get(&key(number)).expect("read"), Some(last));
            }
            assert_eq!(map.get(&Key(Value::Null)).expect("read"), Some(-1));
            assert_eq!(map.get(&Key(Value::Integer(-4))).expect("read"), None);
            assert_eq!(map.get(&Key(Value::Real(4.0))).expect("read"), Some(4));
            let mut walk = map.walk(Some(0)).expect("a walk");
            let (mut rows, mut last) = (0, i64::MIN);
            while let Some((key, value)) = walk.next().expect("read") {
                rows += 1;
                if key.0 != Value::Null {
                    assert!(value >= last);
                    last = value;
                }
            }
            assert_eq!(rows, count + 1);
        }
    }
}
