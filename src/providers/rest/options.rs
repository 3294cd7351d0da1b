//! What a provider is configured to, with its functions.

use std::sync::Arc;

use super::function::Function;
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

/// The function of an operation: the one that it names, or the one that is called like its entity.
pub fn of_operation(
    options: &Options,
    entity: &Entity,
    operation: &KnownOperation,
) -> Result<Arc<Function>, String> {
    let wanted = operation.function.as_deref().unwrap_or(&entity.name);
    let mut functions = options.functions.iter();
    if let Some(found) = functions.find(|function| function.id == wanted) {
        return Ok(Arc::clone(found));
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
