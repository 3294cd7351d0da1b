//! The SQL functions: read the arguments, call one thing below, shape the answer.

mod action;
pub mod apply;
mod arguments;
pub mod auto;
pub mod cancel;
pub mod check;
pub mod delete;
pub mod detach;
pub mod entities;
pub mod init;
pub mod interrupt;
pub mod json;
pub mod operations;
pub mod pause;
pub mod provider;
pub mod questions;
pub mod recover;
pub mod rejected;
pub mod requests;
pub mod resolver;
pub mod set_status;
pub mod start_scope;
pub mod takeover;
pub mod track;
pub mod uninstall;
pub mod version;
pub mod wait;
