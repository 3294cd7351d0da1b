//! When a row, and each of its columns, got what it holds: numbers that grow, the same in every file that has the value.

use serde_json::{Map, Value as Json};

/// Stamps of one row. Of two values of a column the one with the higher stamp stays, wherever they meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was made, or deleted.
    pub at: i64,
    /// The columns that were written since.
    pub columns: Vec<(String, i64)>,
}

impl Stamp {
    /// From the columns `at` and `cols` of a feed.
    pub fn read(at: i64, columns: Option<&str>) -> Self {
        let members: Map<String, Json> = columns
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let members = members.into_iter();
        Self {
            at,
            columns: members
                .filter(|(name, _)| !name.is_empty())
                .filter_map(|(name, stamp)| Some((name, stamp.as_i64()?)))
                .collect(),
        }
    }

    /// As a feed keeps them.
    pub fn columns_json(&self) -> Option<String> {
        if self.columns.is_empty() {
            return None;
        }
        let members = self.columns.iter();
        let members: Map<String, Json> = members
            .map(|(name, stamp)| (name.clone(), (*stamp).into()))
            .collect();
        Some(Json::Object(members).to_string())
    }

    pub fn of(&self, column: &str) -> i64 {
        let mut columns = self.columns.iter();
        let found = columns.find(|(name, _)| name.eq_ignore_ascii_case(column));
        found.map_or(self.at, |(_, stamp)| *stamp)
    }

    pub fn set(&mut self, column: &str, stamp: i64) {
        let mut columns = self.columns.iter_mut();
        match columns.find(|(name, _)| name.eq_ignore_ascii_case(column)) {
            Some((_, known)) => *known = stamp,
            None => self.columns.push((column.to_owned(), stamp)),
        }
    }

    /// The highest of them.
    pub fn latest(&self) -> i64 {
        let columns = self.columns.iter().map(|(_, stamp)| *stamp);
        columns.max().unwrap_or(0).max(self.at)
    }
}
