//! Capture: which changes of tracked tables are pending, whoever made them.

mod alters;
mod conflicts;
mod following;
mod gone;
mod history;
mod kept_back;
mod key_types;
mod keys;
mod notes;
mod peek;
mod renamed;
mod schema;
mod status;
mod tracking;
mod writers;
