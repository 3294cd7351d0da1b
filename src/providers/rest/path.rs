//! Places in a JSON text: `$.items[0].name`, `$[*].data`, or the bare name of a member.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
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
                Step::Member(name) => Members::of(at)?.get(name)?,
                Step::Element(place) => *elements(at)?.get(*place)?,
                Step::Each => return None,
            };
        }
        Some(at)
    }
}

/// The members of an object, as they are written. Rows have few, and a list of them is made faster than a table.
pub struct Members<'r>(Vec<(Cow<'r, str>, &'r RawValue)>);

impl<'r> Members<'r> {
    /// None when it is something else than an object.
    pub fn of(text: &'r RawValue) -> Option<Self> {
        text.get()
            .starts_with('{')
            .then(|| serde_json::from_str(text.get()).ok())
            .flatten()
    }

    /// Of several with one name the last counts.
    pub fn get(&self, name: &str) -> Option<&'r RawValue> {
        let mut members = self.0.iter().rev();
        members
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    }
}

/// A name that is only copied where it has escapes in it.
#[derive(Deserialize)]
struct Name<'r>(#[serde(borrow)] Cow<'r, str>);

impl<'r> Deserialize<'r> for Members<'r> {
    fn deserialize<D: Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather;

        impl<'r> Visitor<'r> for Gather {
            type Value = Members<'r>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<M: MapAccess<'r>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Gather)
    }
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
    fn of_members_with_one_name_the_last_counts() {
        let text = r#"{"a":1,"b":[2],"\u0061":3,"c\n":4}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let members = Members::of(raw).unwrap();
        let found = |name: &str| members.get(name).map(RawValue::get);
        assert_eq!(found("a"), Some("3"));
        assert_eq!(found("b"), Some("[2]"));
        assert_eq!(found("c\n"), Some("4"));
        assert_eq!(found("d"), None);
    }

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
