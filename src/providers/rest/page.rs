//! One page of rows, walked: what each kind of reading wants to know of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value as Json;

use super::answer::{Envelope, walk};
use super::function::Function;
use super::paging::{After, Page, Pages};
use super::path::Path;
use crate::ground::SyncError;
use crate::providers::conversation::Answer;

/// A page whose rows have all been handed on.
pub struct Walked {
    pub rows: u64,
    hash: u64,
    last: Option<Json>,
    pub envelope: Envelope,
}

/// Calls `each` with the number and the text of every row of an answer, see [`walk`]. `wanted`: the ways to what else is to be
/// kept, besides what paging looks at.
///
/// # Errors
/// As [`walk`].
pub fn read(
    function: &Function,
    answer: &mut Answer<'_>,
    mut wanted: Vec<Path>,
    each: &mut dyn FnMut(u64, &str) -> Result<(), SyncError>,
) -> Result<Walked, SyncError> {
    wanted.extend(function.paging.wanted());
    let mut hasher = DefaultHasher::new();
    let (mut rows, mut last) = (0, None);
    let kind = content_type(answer.headers);
    let envelope = walk(function, &kind, &wanted, answer.body, &mut |text| {
        rows += 1;
        text.hash(&mut hasher);
        if let Some(column) = &function.paging.column {
            last = cut(text, column);
        }
        each(rows, text)
    })?;
    Ok(Walked {
        rows,
        hash: hasher.finish(),
        last,
        envelope,
    })
}

impl Walked {
    /// What follows the page. `url`: the address that it came from.
    pub fn after(
        &self,
        function: &Function,
        pages: &Pages,
        headers: &[(String, String)],
        url: &str,
    ) -> After {
        let page = Page {
            rows: self.rows,
            hash: self.hash,
            last: self.last.clone(),
            envelope: &self.envelope.json,
            headers,
            url,
        };
        function.paging.after(pages, &page)
    }
}

/// The value of a header of an answer; `name` in small letters, as an answer has them.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut headers = headers.iter();
    headers
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// The media type of an answer, in small letters; empty when it names none.
pub fn content_type(headers: &[(String, String)]) -> String {
    header(headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// A value of a row.
fn cut(text: &str, path: &Path) -> Option<Json> {
    let raw = serde_json::from_str(text).ok()?;
    let found = path.cut(raw)?;
    serde_json::from_str(found.get())
        .ok()
        .filter(|value: &Json| !value.is_null())
}
