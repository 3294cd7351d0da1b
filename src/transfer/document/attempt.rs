//! One attempt to apply a page: which rows it can't have, and the tracked tables that it is about.

use std::cell::RefCell;

use crate::transfer::binding::Binding;
use crate::transfer::held::Refusals;

/// One attempt to apply a page.
pub struct Attempt<'a> {
    /// What is known of rows that their tables refuse.
    pub refusals: &'a Refusals,
    bound: RefCell<Vec<Binding>>,
}

impl<'a> Attempt<'a> {
    pub fn new(refusals: &'a Refusals) -> Self {
        Self {
            refusals,
            bound: RefCell::default(),
        }
    }

    /// Rows are applied to these tables.
    pub fn binds(&self, bindings: &[Binding]) {
        let mut bound = self.bound.borrow_mut();
        for binding in bindings {
            if bound.iter().all(|known| known.table.id != binding.table.id) {
                bound.push(binding.clone());
            }
        }
    }

    /// The tables to which rows were applied.
    pub fn bound(&self) -> Vec<Binding> {
        self.bound.borrow().clone()
    }
}
