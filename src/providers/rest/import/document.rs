//! References within a document.

use std::cell::Cell;

use serde_json::{Map, Value as Json};

use super::text::shown;

/// Most values of one document that are looked at: references make a small document a large one.
const LOOKS: u32 = 2_000_000;

/// Most references that follow each other.
const HOPS: usize = 32;

/// A document, and how often it may still be looked into.
pub struct Document<'d> {
    root: &'d Map<String, Json>,
    looks: Cell<u32>,
}

impl<'d> Document<'d> {
    pub fn new(root: &'d Map<String, Json>) -> Self {
        Self {
            root,
            looks: Cell::new(LOOKS),
        }
    }

    /// What a value refers to, or itself.
    ///
    /// # Errors
    /// A reference to nothing, to another document, or in a circle.
    pub fn resolve(&self, value: &'d Json) -> Result<&'d Json, String> {
        let mut at = value;
        for _ in 0..HOPS {
            self.look()?;
            let Some(reference) = at.get("$ref") else {
                return Ok(at);
            };
            let Some(reference) = reference.as_str() else {
                return Err("a $ref is no text; correct the document".into());
            };
            at = self.find(reference)?;
        }
        Err(format!(
            "the reference {} leads in a circle; correct the document",
            shown(value["$ref"].as_str().unwrap_or_default())
        ))
    }

    fn look(&self) -> Result<(), String> {
        match self.looks.get().checked_sub(1) {
            Some(left) => {
                self.looks.set(left);
                Ok(())
            }
            None => Err(
                "the references of the document unfold to more than can be looked at; import a part of it"
                    .into(),
            ),
        }
    }

    fn find(&self, reference: &str) -> Result<&'d Json, String> {
        let Some(pointer) = reference.strip_prefix("#/") else {
            return Err(format!(
                "it refers to {}, which is outside of the document; put it there",
                shown(reference)
            ));
        };
        let nothing = || {
            format!(
                "it refers to {}, and there is nothing; correct the document",
                shown(reference)
            )
        };
        let mut steps = pointer.split('/').map(unescaped);
        let first = steps.next().unwrap_or_default();
        let mut at = self.root.get(&first).ok_or_else(nothing)?;
        for step in steps {
            self.look()?;
            at = match at {
                Json::Object(members) => members.get(&step),
                Json::Array(list) => step.parse::<usize>().ok().and_then(|place| list.get(place)),
                _ => None,
            }
            .ok_or_else(nothing)?;
        }
        Ok(at)
    }
}

/// One step of a pointer: percent-encoded, and with `~1` for a slash.
fn unescaped(step: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = step.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        let encoded = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, encoded) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolved(reference: &str) -> Result<Json, String> {
        let root = json!({"a": {"b/c": 1, "d e": {"$ref": "#/a/b~1c"}}, "l": [5],
            "one": {"$ref": "#/two"}, "two": {"$ref": "#/one"}});
        let root = root.as_object().expect("an object");
        Document::new(root)
            .resolve(&json!({"$ref": reference}))
            .cloned()
    }

    #[test]
    fn references_are_followed_within_the_document() {
        assert_eq!(resolved("#/a/b~1c"), Ok(json!(1)));
        assert_eq!(resolved("#/a/d%20e"), Ok(json!(1)));
        assert_eq!(resolved("#/l/0"), Ok(json!(5)));
        for (reference, said) in [
            ("#/a/x", "there is nothing"),
            ("#/l/9", "there is nothing"),
            ("#/a/b~1c/x", "there is nothing"),
            ("#/one", "in a circle"),
            ("other.json#/a", "outside of the document"),
            ("#", "outside of the document"),
        ] {
            let refused = resolved(reference).unwrap_err();
            assert!(refused.contains(said), "{reference}: {refused}");
        }
    }
}
