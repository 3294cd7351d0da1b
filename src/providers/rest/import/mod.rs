//! Functions from a document that describes an API: OpenAPI 3.x, or a Postman collection v2.1.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | what a document gives |
//! | `described`, `text` | what all documents give; their texts in messages |
//! | `document`, `schema` | references within a document; what a schema says of a value |
//! | `operation`, `fields`, `answer` | one request that is described; the members of an object; where the rows are in an answer |
//! | `openapi`, `postman`, `sample` | the two kinds of documents; what an example shows |
//! | `security` | how an API wants to know who asks |
//! | `pages` | how one page follows another, by the names of parameters |
//! | `request`, `reading`, `changes`, `make` | functions: what they ask, those that read, those that send, all of them |
//!
//! A document may be hostile: nothing is followed without end, and what can't be understood is named in the answer.

mod answer;
mod changes;
mod described;
mod document;
mod fields;
mod make;
mod openapi;
mod operation;
mod pages;
mod postman;
mod reading;
mod request;
mod sample;
mod schema;
mod security;
mod text;

use serde_json::{Map, Value as Json};

use crate::providers::imported::{Description, Imported};
use crate::providers::kind::Settings;

/// What a document gives for a provider.
///
/// # Errors
/// A document of another kind.
pub fn import(
    settings: &Settings,
    description: Description,
    document: &Map<String, Json>,
) -> Result<Imported, String> {
    let read = match description {
        Description::OpenApi => openapi::read(document, settings.text("url"))?,
        Description::Postman => postman::read(document, settings.text("url"))?,
    };
    let mut imported = Imported {
        left_out: read.left_out,
        notes: read.notes,
        auth: read.auth,
        ..Imported::default()
    };
    make::functions(read.operations, &read.prefix, &mut imported);
    Ok(imported)
}
