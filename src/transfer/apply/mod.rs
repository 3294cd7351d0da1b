//! Applying remote rows to the application's tables.

mod applier;
mod by_columns;
mod deferred;
mod echo;
mod foreign_key;
mod pending;
mod replacement;
mod side_effects;
mod swept;
mod table;

pub use applier::{Applier, Setting};
pub use foreign_key::explain_foreign_key;
pub use replacement::require_declared;
