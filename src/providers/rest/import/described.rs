//! What stands in a document, and its texts as messages show them.

use serde_json::Value as Json;

use super::operation::Operation;
use super::text::shown;
use crate::providers::imported::Omitted;

/// Most operations of a document.
const MOST: usize = 5_000;

/// What stands in a document.
#[derive(Default)]
pub struct Described {
    pub operations: Vec<Operation>,
    /// What the document puts in front of its paths, and the provider's address has not.
    pub prefix: String,
    pub left_out: Vec<Omitted>,
    pub notes: Vec<Omitted>,
    pub auth: Vec<Json>,
}

impl Described {
    pub fn leave_out(&mut self, what: String, why: impl Into<String>) {
        let why = why.into();
        self.left_out.push(Omitted { what, why });
    }

    pub fn note(&mut self, what: &str, why: String) {
        let what = what.to_owned();
        self.notes.push(Omitted { what, why });
    }

    /// Takes an operation, unless there are too many.
    pub fn take(&mut self, operation: Operation) {
        match self.operations.len() < MOST {
            true => self.operations.push(operation),
            false => self.leave_out(
                operation.place(),
                format!(
                    "the document has more than {MOST} operations; import a part of it at a time"
                ),
            ),
        }
    }
}

/// The path of an address, without a slash at its end.
fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| {
        behind.find('/').map_or("", |at| &behind[at..])
    });
    let end = behind.find(['?', '#']).unwrap_or(behind.len());
    behind[..end].trim_end_matches('/')
}

/// What has to stand in front of the paths of a document whose address is `theirs`, and what is odd about it.
pub fn prefix(theirs: &str, ours: &str) -> (String, Option<String>) {
    let (wanted, there) = (path_of(theirs), path_of(ours));
    if wanted.is_empty() || there.ends_with(wanted) {
        return (String::new(), None);
    }
    if there.is_empty() && wanted.starts_with('/') && !wanted.contains(['{', '}']) {
        return (wanted.to_owned(), None);
    }
    let odd = format!(
        "the document says that the API is at {}, and the provider's url ends otherwise; correct url if requests go astray",
        shown(theirs)
    );
    (String::new(), Some(odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_at_another_path_than_the_provider_puts_it_in_front() {
        for (theirs, ours, expected) in [
            ("/api/v3", "http://h", "/api/v3"),
            ("https://h/api/v3/", "http://h/", "/api/v3"),
            ("https://h/api/v3", "http://h/api/v3?x=1", ""),
            ("/", "http://h/api", ""),
            ("https://h", "http://h", ""),
        ] {
            assert_eq!(
                prefix(theirs, ours),
                (expected.into(), None),
                "{theirs} {ours}"
            );
        }
        assert!(prefix("https://h/v1", "http://h/v2").1.is_some());
    }
}
