//! Pages that are kept until the last one is here: what they say counts as a whole.

use parking_lot::Mutex;

use crate::ground::SyncError;
use crate::store::{Scratch, Value, ValueRef};

/// Pages by their number, in a temporary file. The last one is not kept: it is at hand when all are read.
#[derive(Default)]
pub struct Stage(Mutex<Option<Scratch>>);

impl Stage {
    /// Keeps a page; once more, in place of what was kept under its number.
    ///
    /// # Errors
    /// No room for it.
    pub fn keep(&self, number: i64, page: Vec<u8>) -> Result<(), SyncError> {
        let mut stage = self.0.lock();
        let scratch = match stage.take() {
            Some(scratch) => scratch,
            None => Scratch::open(1)?,
        };
        let scratch = stage.insert(scratch);
        scratch.put(ValueRef::Integer(number), &[Value::Blob(page)])?;
        Ok(())
    }

    /// Hands out all pages before a number, in order, and then `last`.
    ///
    /// # Errors
    /// Reading them; those of `each`.
    pub fn each(
        &self,
        before: i64,
        last: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        if let Some(scratch) = &*self.0.lock() {
            let mut pages = scratch.rows(None)?;
            while let Some((number, page)) = pages.next()? {
                if number.as_i64().is_some_and(|number| number < before)
                    && let Some(Value::Blob(page)) = page.first()
                {
                    each(page)?;
                }
            }
        }
        each(last)
    }

    /// Forgets all pages.
    pub fn clear(&mut self) {
        *self.0.get_mut() = None;
    }
}
