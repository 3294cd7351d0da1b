//! The virtual tables: live views of the tables behind them.

pub mod aside;
pub mod conflict;
pub mod cursor;
pub mod functions;
pub mod held;
pub mod help;
pub mod help_option;
pub mod log;
pub mod peer;
pub mod pending;
pub mod progress;
pub mod scope;
pub mod scope_member;
pub mod status;
pub mod worker;
