//! Which rows of a table are meant by what their fields hold: those that a response replaces.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

/// Both ends belong to the range; one may be missing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    #[serde(default)]
    pub from: Option<Json>,
    #[serde(default)]
    pub to: Option<Json>,
}

/// Which rows are temporary: those whose id begins with `temp-` or `temp_` in any case, or those whose
/// id matches a GLOB pattern.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(untagged, expecting = "must be true, false or a GLOB pattern")]
pub enum KeepTempIds {
    Switch(bool),
    Pattern(String),
    #[default]
    No,
}

/// Rows that meet all conditions and have no temporary id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meant {
    /// Fields that hold a value; a field that is missing counts as null.
    pub values: Option<BTreeMap<String, Json>>,
    pub ranges: Option<BTreeMap<String, Range>>,
    pub keep_temp_ids: KeepTempIds,
}

impl Meant {
    /// Whether it is every row.
    pub fn is_all(&self) -> bool {
        let no_fields = self.values.as_ref().is_none_or(BTreeMap::is_empty)
            && self.ranges.as_ref().is_none_or(BTreeMap::is_empty);
        no_fields
            && matches!(
                self.keep_temp_ids,
                KeepTempIds::No | KeepTempIds::Switch(false)
            )
    }

    /// The fields that it is about.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let values = self.values.iter().flatten().map(|(field, _)| field);
        let ranges = self.ranges.iter().flatten().map(|(field, _)| field);
        values.chain(ranges).map(String::as_str)
    }

    /// # Errors
    /// A value that no field can be compared with: `<label>.forRows… <problem>`.
    pub fn check(&self, label: &str) -> Result<(), String> {
        let plain = |value: &Json| !value.is_array() && !value.is_object();
        for (field, value) in self.values.iter().flatten() {
            if !plain(value) {
                return Err(format!(
                    "{label}.forRowsWithValues.{field} must be text, a number, true, false or null"
                ));
            }
        }
        for (field, range) in self.ranges.iter().flatten() {
            let ends = [&range.from, &range.to];
            let comparable = |end: &&Option<Json>| {
                end.as_ref()
                    .is_none_or(|value| value.is_string() || value.is_number())
            };
            if ends.iter().all(|end| end.is_none()) || !ends.iter().all(comparable) {
                return Err(format!(
                    "{label}.forRowsInRange.{field} needs from or to (or both), each text or a number"
                ));
            }
        }
        Ok(())
    }
}
