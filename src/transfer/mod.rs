//! Moving data: applying what came in, freezing and settling what goes out, whatever the protocol.

pub mod app_triggers;
pub mod apply;
pub mod aside;
pub mod binding;
pub mod conflict;
pub mod counts;
pub mod cursor;
pub mod declared;
pub mod document;
pub mod expression;
pub mod forget;
pub mod functions;
pub mod held;
pub mod intake;
pub mod meant;
pub mod names;
pub mod part;
pub mod pause;
pub mod peer;
pub mod place;
pub mod same_row;
pub mod send;
pub mod version;
pub mod wipe;
