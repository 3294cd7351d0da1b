//! Names that an answer has and nobody knows, for a warning.

use crate::ground::{Warning, quoted};

/// Most names in a warning.
const FEW: usize = 5;

/// Most names that are kept to compare others with.
const SOME: usize = 100;

/// Names in the order in which they came: all are counted, some kept.
#[derive(Default)]
pub struct Names {
    pub count: i64,
    kept: Vec<String>,
}

impl Names {
    pub fn add(&mut self, name: &str) {
        self.count += 1;
        if self.kept.len() < SOME {
            self.kept.push(name.chars().take(LONGEST_NAME).collect());
        }
    }

    /// Adds a name unless it was added before.
    pub fn add_new(&mut self, name: &str) {
        if !self.kept.iter().any(|kept| kept == name) {
            self.add(name);
        }
    }

    /// What is said where these are tables that nobody asked for.
    pub fn unasked(&self) -> Option<Warning> {
        let message = || {
            format!(
                "tables that this sync did not ask for were ignored: {}",
                self.shown()
            )
        };
        (self.count > 0).then(|| Warning::new("unaskedTables", message()).times(self.count))
    }

    /// The first of them.
    pub fn shown(&self) -> String {
        let shown: Vec<String> = self
            .kept
            .iter()
            .take(FEW)
            .map(|name| quoted(name))
            .collect();
        shown.join(", ")
    }

    /// Whether one of them may be another spelling of a name: upper and lower case, `_` and a plural apart.
    pub fn have_one_like(&self, name: &str) -> bool {
        let name = letters(name);
        self.kept.iter().any(|kept| letters(kept) == name)
    }
}

/// Most letters of a name that are kept.
const LONGEST_NAME: usize = 200;

fn letters(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    let letters: String = letters.flat_map(char::to_lowercase).collect();
    let singular = letters.strip_suffix('s').map(str::to_owned);
    singular.unwrap_or(letters)
}
