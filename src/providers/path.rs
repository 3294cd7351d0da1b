//! Places in a JSON answer, written `$.a.b`.

use serde_json::Value as Json;

use crate::ground::quoted;

/// A list of member names from the answer's root. `$` alone is the root.
#[derive(Debug, Clone, PartialEq)]
pub struct Path(Vec<String>);

impl Path {
    /// Reads `$`, or `$.` and names with dots between them.
    ///
    /// # Errors
    /// What it must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "is {}; write names with dots between them, such as $.a.b",
                quoted(text)
            )
        };
        let rest = text.strip_prefix('$').ok_or_else(wrong)?;
        if rest.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let names = rest.strip_prefix('.').ok_or_else(wrong)?;
        let names: Vec<String> = names.split('.').map(str::to_owned).collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains(['[', ']', '*', '"']);
        if !names.iter().all(is_name) {
            return Err(wrong());
        }
        Ok(Self(names))
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `trail` leads exactly here.
    pub fn is(&self, trail: &[String]) -> bool {
        self.0 == trail
    }

    /// Whether this place lies within the one that `trail` leads to, or is it.
    pub fn begins_with(&self, trail: &[String]) -> bool {
        self.0.starts_with(trail)
    }

    /// Whether one of two places lies within the other, or both are the same.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.begins_with(&other.0) || other.begins_with(&self.0)
    }

    /// The value at this place.
    pub fn find<'j>(&self, json: &'j Json) -> Option<&'j Json> {
        self.0.iter().try_fold(json, |json, name| json.get(name))
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("$")?;
        self.0.iter().try_for_each(|name| write!(out, ".{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn what_is_a_path() {
        for good in ["$", "$.a", "$.a.b-c.d e"] {
            assert_eq!(path(good).to_string(), good);
        }
        for bad in [
            "", "a", ".a", "$a", "$.", "$.a.", "$..a", "$.a[0]", "$['a']", "$.*",
        ] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_found() {
        let json = serde_json::json!({"a": {"b": [1]}, "": 2});
        assert_eq!(path("$").find(&json), Some(&json));
        assert_eq!(path("$.a.b").find(&json), Some(&serde_json::json!([1])));
        assert_eq!(path("$.a.c").find(&json), None);
        assert_eq!(path("$.a.b.c").find(&json), None);
    }

    #[test]
    fn places_within_each_other() {
        assert!(path("$.a").overlaps(&path("$.a.b")));
        assert!(path("$.a.b").overlaps(&path("$.a")));
        assert!(path("$.a").overlaps(&path("$.a")));
        assert!(!path("$.a.b").overlaps(&path("$.a.c")));
    }
}
