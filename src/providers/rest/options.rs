//! What a provider is configured to, with its functions.

use std::sync::Arc;

use super::function::{Deletes, Function};
use crate::ground::quoted;
use crate::providers::conversation::KnownOperation;
use crate::providers::wire::Entity;

/// What a provider is configured to.
pub struct Options {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub functions: Vec<Arc<Function>>,
    /// A sync reads before it sends.
    pub pull_first: bool,
}

impl Options {
    /// The function with an id.
    pub fn function(&self, id: &str) -> Option<Arc<Function>> {
        let mut functions = self.functions.iter();
        functions.find(|function| function.id == id).map(Arc::clone)
    }
}

/// The function that lists the keys there are, where a function says that one does.
///
/// # Errors
/// There is none.
pub fn ids_of(options: &Options, function: &Function) -> Result<Option<Arc<Function>>, String> {
    let Deletes::Ids(id) = &function.deletes else {
        return Ok(None);
    };
    match options.function(id) {
        Some(found) => Ok(Some(found)),
        None => Err(format!(
            "deletes of function {} names the function {}, which the provider has not; declare it with sync_function",
            quoted(&function.id),
            quoted(id)
        )),
    }
}

/// The function of an operation: the one that it names, or the one that is called like its entity.
pub fn of_operation(
    options: &Options,
    entity: &Entity,
    operation: &KnownOperation,
) -> Result<Arc<Function>, String> {
    let wanted = operation.function.as_deref().unwrap_or(&entity.name);
    if let Some(found) = options.function(wanted) {
        return Ok(found);
    }
    let known: Vec<String> = options
        .functions
        .iter()
        .map(|function| quoted(&function.id))
        .collect();
    let known = match known.is_empty() {
        true => "the provider has no functions yet; declare one with sync_function".to_owned(),
        false => format!("the provider has {}", known.join(", ")),
    };
    Err(match &operation.function {
        Some(named) => format!("there is no function {}: {known}", quoted(named)),
        None => format!(
            "entity {} names no function, and none is called like it: {known}. Give it as {{\"entity\":…,\"function\":…}}",
            quoted(&entity.name)
        ),
    })
}
