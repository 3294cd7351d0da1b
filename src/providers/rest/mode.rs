//! Which rows of its table a whole reading replaces.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::given::object;
use super::keys::MODE;
use super::template::{self, Values};
use crate::ground::{complaint, quoted};
use crate::providers::meant::Meant;
use crate::providers::wire::Entity;

/// The write mode of a function, with places in its values.
#[derive(Debug, Clone, Default)]
pub struct Mode {
    /// Rows are added and written over, and none is replaced.
    pub merges: bool,
    given: Map<String, Json>,
}

impl Mode {
    /// # Errors
    /// `mode.<key> <problem>`.
    pub fn read(value: Option<&Json>) -> Result<Self, String> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let mut given = object("mode", value, MODE)?;
        let merges = given.remove("forRowsWithMatchingIds") == Some(Json::Bool(true));
        if merges
            && (given.contains_key("forRowsWithValues") || given.contains_key("forRowsInRange"))
        {
            return Err(
                "mode.forRowsWithMatchingIds excludes forRowsWithValues and forRowsInRange; leave one of them out"
                    .into(),
            );
        }
        let mode = Self { merges, given };
        mode.meant(&Values::new())?;
        Ok(mode)
    }

    /// Checks the places of its values.
    ///
    /// # Errors
    /// One that is not known.
    pub fn check(&self, parameters: &[&str]) -> Result<(), String> {
        self.given.values().try_for_each(|value| {
            template::check_json(value, parameters).map_err(|why| format!("mode {why}"))
        })
    }

    /// The rows that are replaced. `values`: what places stand for.
    ///
    /// # Errors
    /// A value that no field can be compared with.
    pub fn meant(&self, values: &Values) -> Result<Meant, String> {
        let filled = Json::Object(self.given.clone());
        let filled = template::body(&filled, values).unwrap_or_default();
        let mut meant = Meant::default();
        for (key, value) in filled.as_object().into_iter().flatten() {
            match key.as_str() {
                "forRowsWithValues" => meant.values = typed(key, value)?,
                "forRowsInRange" => meant.ranges = typed(key, value)?,
                "keepTempIds" => meant.keep_temp_ids = typed(key, value)?,
                _ => {}
            }
        }
        meant.check("mode")?;
        Ok(meant)
    }

    /// The rows of an entity that are replaced.
    ///
    /// # Errors
    /// As [`Mode::meant`]; a column that the table has not.
    pub fn meant_of(&self, entity: &Entity, values: &Values) -> Result<Meant, String> {
        let meant = self.meant(values)?;
        let is_column = |field: &str| {
            entity.key.eq_ignore_ascii_case(field)
                || entity
                    .columns
                    .iter()
                    .any(|column| column.name.eq_ignore_ascii_case(field))
        };
        if let (false, Some(stray)) = (
            entity.is_document(),
            meant.fields().find(|field| !is_column(field)),
        ) {
            return Err(format!(
                "mode names column {}, which {} has not, or does not sync; correct mode in the function",
                quoted(stray),
                quoted(&entity.name)
            ));
        }
        Ok(meant)
    }
}

fn typed<T: DeserializeOwned>(key: &str, value: &Json) -> Result<T, String> {
    serde_json::from_value(value.clone())
        .map_err(|error| format!("mode.{key}: {}", complaint(&error)))
}
