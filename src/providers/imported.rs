//! What is made of a document in which an API is described by others.

use serde_json::{Map, Value as Json};

/// How such a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Description {
    /// OpenAPI 3.x.
    OpenApi,
    /// A Postman collection v2.1.
    Postman,
}

/// A function that was made.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: String,
    /// As `sync_function` takes it.
    pub definition: Map<String, Json>,
}

/// What could not be made, and why.
#[derive(Debug, Clone)]
pub struct Omitted {
    /// What the document calls it.
    pub what: String,
    pub why: String,
}

/// What a document gives.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    pub functions: Vec<Made>,
    pub left_out: Vec<Omitted>,
    /// What is made, but should be looked at.
    pub notes: Vec<Omitted>,
    /// How the API wants to know who asks: what belongs into the provider's configuration.
    pub auth: Vec<Json>,
}
