//! The members of an object, as a schema has them.

use super::document::Document;
use super::schema::Shape;

/// The members of an object.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    pub names: Vec<String>,
    pub required: Vec<String>,
    /// Those that only the backend writes.
    pub read_only: Vec<String>,
    /// There may be no others.
    pub is_closed: bool,
}

impl Fields {
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

/// The members of an object.
pub fn fields(document: &Document<'_>, shape: &Shape<'_>) -> Result<Fields, String> {
    let mut fields = Fields {
        is_closed: shape.is_closed,
        ..Fields::default()
    };
    for (name, member) in &shape.members {
        fields.names.push((*name).to_owned());
        if shape.required.contains(name) {
            fields.required.push((*name).to_owned());
        }
        if Shape::of(document, member).is_ok_and(|member| member.is_read_only) {
            fields.read_only.push((*name).to_owned());
        }
    }
    Ok(fields)
}
