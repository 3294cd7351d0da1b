//! Places in a JSON text: `$.items[0].name`, `$[*].data`, or the bare name of a member.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::ground::quoted;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Member(String),
    Element(usize),
    /// Every element of a list.
    Each,
}

/// A way into a value, from its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// Reads `$`, then `.name`, `['name']`, `[0]` or `[*]` as often as needed; a text without `$` is one name.
    ///
    /// # Errors
    /// What it must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "is {}; write a path such as $.data.items, $.rows[0] or $[*].data, or the name of a member",
                quoted(text)
            )
        };
        let Some(mut rest) = text.strip_prefix('$') else {
            return match text.is_empty() {
                true => Err(wrong()),
                false => Ok(Self(vec![Step::Member(text.to_owned())])),
            };
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("['") {
                let (name, behind) = after.split_once("']").ok_or_else(wrong)?;
                steps.push(Step::Member(name.to_owned()));
                rest = behind;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (inside, behind) = after.split_once(']').ok_or_else(wrong)?;
                steps.push(match inside {
                    "*" => Step::Each,
                    number => Step::Element(number.parse().map_err(|_| wrong())?),
                });
                rest = behind;
            } else if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, behind) = after.split_at(end);
                if name.is_empty() {
                    return Err(wrong());
                }
                steps.push(Step::Member(name.to_owned()));
                rest = behind;
            } else {
                return Err(wrong());
            }
        }
        Ok(Self(steps))
    }

    /// Whether there is more than one value at it.
    pub fn is_wide(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// Whether this way goes through the place that `trail` leads to, or ends there.
    pub fn passes(&self, trail: &[Step]) -> bool {
        self.0.starts_with(trail)
    }

    /// The value at this place.
    pub fn find<'j>(&self, json: &'j Json) -> Option<&'j Json> {
        self.0.iter().try_fold(json, |json, step| match step {
            Step::Member(name) => json.get(name),
            Step::Element(place) => json.get(place),
            Step::Each => None,
        })
    }

    /// The same in a text that is not read any further than needed.
    pub fn cut<'j>(&self, text: &'j RawValue) -> Option<&'j RawValue> {
        let mut at = text;
        for step in &self.0 {
            at = match step {
                Step::Member(name) => *members(at)?.get(name.as_str())?,
                Step::Element(place) => *elements(at)?.get(*place)?,
                Step::Each => return None,
            };
        }
        Some(at)
    }
}

/// The members of an object; none when it is something else.
pub fn members(text: &RawValue) -> Option<HashMap<Cow<'_, str>, &RawValue>> {
    text.get()
        .starts_with('{')
        .then(|| serde_json::from_str(text.get()).ok())
        .flatten()
}

fn elements(text: &RawValue) -> Option<Vec<&RawValue>> {
    text.get()
        .starts_with('[')
        .then(|| serde_json::from_str(text.get()).ok())
        .flatten()
}

impl std::fmt::Display for Path {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("$")?;
        self.0.iter().try_for_each(|step| match step {
            Step::Member(name) if name.contains(['.', '[', ' ']) => write!(out, "['{name}']"),
            Step::Member(name) => write!(out, ".{name}"),
            Step::Element(place) => write!(out, "[{place}]"),
            Step::Each => out.write_str("[*]"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_path() {
        for good in ["$", "$.a", "$.a.b-c", "$.a[0].b", "$[*].data", "$['a.b'].c"] {
            assert_eq!(Path::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(
            Path::parse("updated_at").unwrap().to_string(),
            "$.updated_at"
        );
        for bad in ["", "$a", "$.", "$..a", "$[x]", "$[0", "$['a"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_found() {
        let text = r#"{"a":{"b":[1,{"c":"x"}]},"n":9007199254740993}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let json: Json = serde_json::from_str(text).unwrap();
        for (path, found) in [
            ("$.a.b[1].c", Some(r#""x""#)),
            ("n", Some("9007199254740993")),
            ("$.a.x", None),
            ("$.a.b[7]", None),
            ("$.n.x", None),
        ] {
            let path = Path::parse(path).unwrap();
            assert_eq!(path.cut(raw).map(RawValue::get), found, "{path}");
            assert_eq!(
                path.find(&json).map(Json::to_string).as_deref(),
                found,
                "{path}"
            );
        }
    }
}
