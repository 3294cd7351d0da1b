//! Statements by the set of columns they name.

/// Sets kept. Rows of one answer mostly have one set.
const KEPT: usize = 32;

/// What was made for some sets of columns, the one used last in front.
pub struct ByColumns<T>(Vec<(Vec<bool>, T)>);

impl<T> ByColumns<T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Gets what was made for a set to the front; false when there is nothing.
    pub fn find(&mut self, set: impl Iterator<Item = bool> + Clone) -> bool {
        let mut sets = self.0.iter();
        let Some(place) = sets.position(|(known, _)| known.iter().copied().eq(set.clone())) else {
            return false;
        };
        self.0.swap(0, place);
        true
    }

    /// Puts something in front, in place of what another set had when there are many.
    pub fn put(&mut self, set: Vec<bool>, made: T) {
        self.0.truncate(KEPT - 1);
        self.0.push((set, made));
        let last = self.0.len() - 1;
        self.0.swap(0, last);
    }

    /// What is in front.
    pub fn front(&mut self) -> Option<&mut T> {
        self.0.first_mut().map(|(_, made)| made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_finds_its_own_and_few_are_kept() {
        let set = |number: usize| (0..8).map(move |bit| number >> bit & 1 == 1);
        let mut all = ByColumns::new();
        assert!(!all.find(set(0)) && all.front().is_none());
        for number in 0..100 {
            all.put(set(number).collect(), number);
            assert_eq!(all.front(), Some(&mut number.clone()));
        }
        assert_eq!(all.0.len(), KEPT);
        let kept: Vec<usize> = (0..100).filter(|number| all.find(set(*number))).collect();
        assert_eq!(kept.len(), KEPT);
        for number in kept {
            assert!(all.find(set(number)));
            assert_eq!(all.front(), Some(&mut number.clone()));
        }
        assert!(!all.find(std::iter::once(true)));
    }
}
