//! One request that a document describes.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::answer::Answer;
use super::fields::Fields;

/// Where a parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// A parameter of a request.
#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: String,
    pub place: Place,
    pub is_required: bool,
    /// `text`, `number`, `boolean`; none: anything.
    pub kind: Option<&'static str>,
    pub is_list: bool,
    pub default: Option<Json>,
    pub minimum: Option<u64>,
    pub maximum: Option<u64>,
    /// What is sent always.
    pub value: Option<String>,
}

/// What a request takes as its body.
#[derive(Debug, Clone)]
pub enum Body {
    Nothing,
    /// JSON; the members of the object, as far as they are known.
    Json(Option<Fields>),
    /// Another format.
    Other(String),
}

/// One request.
#[derive(Debug, Clone)]
pub struct Operation {
    pub id: String,
    pub method: &'static str,
    /// With `{name}` for each parameter in it.
    pub path: String,
    pub parameters: Vec<Parameter>,
    pub body: Body,
    /// What a good answer has; of one that reads, why it can't be used.
    pub answer: Result<Answer, String>,
}

pub const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Operation {
    /// What messages call it.
    pub fn place(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path, however its parameters are called and whether it ends with a slash.
    pub fn address(&self) -> String {
        let steps: Vec<&str> = self
            .path
            .trim_end_matches('/')
            .split('/')
            .map(|step| {
                if is_parameter(step).is_some() {
                    "{}"
                } else {
                    step
                }
            })
            .collect();
        steps.join("/")
    }

    /// The parameter that the path ends with.
    pub fn item(&self) -> Option<&str> {
        is_parameter(self.path.trim_end_matches('/').rsplit('/').next()?)
    }

    /// The names of the parameters in the path, in their order.
    pub fn in_path(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut rest = self.path.as_str();
        while let Some((_, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else {
                break;
            };
            names.push(name);
            rest = after;
        }
        names
    }
}

fn is_parameter(step: &str) -> Option<&str> {
    let name = step.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}

impl Parameter {
    /// One of which no more is known.
    pub fn bare(name: &str, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            place,
            is_required: place == Place::Path,
            kind: None,
            is_list: false,
            default: None,
            minimum: None,
            maximum: None,
            value: None,
        }
    }
}

/// Operations by their address and method.
pub type Index = HashMap<(String, &'static str), usize>;

pub fn index(operations: &[Operation]) -> Index {
    let mut index = Index::new();
    for (number, operation) in operations.iter().enumerate() {
        index
            .entry((operation.address(), operation.method))
            .or_insert(number);
    }
    index
}

/// The parameter by which one row of what an operation gives out is asked for.
pub fn item_of<'o>(
    operation: &'o Operation,
    index: &Index,
    operations: &'o [Operation],
) -> Option<&'o str> {
    let address = format!("{}/{{}}", operation.address());
    let mut methods = METHODS.iter();
    let item = methods.find_map(|method| index.get(&(address.clone(), *method)));
    match item {
        Some(number) => operations[*number].item(),
        None => operation.item(),
    }
}
