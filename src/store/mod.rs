//! The store room: safe handles over the host's SQLite.
//!
//! The only place with `unsafe` besides the entry points. It knows connections, statements, values,
//! transactions, functions, virtual tables and the schema's versions; what the tables mean is the
//! business of the rooms above.

mod api;
mod app_objects;
mod border;
mod close;
mod compare;
mod connection;
mod database;
pub mod entry;
mod error;
mod fault;
mod function;
mod hook;
mod kept;
mod name;
mod parts;
mod quiet;
mod repair;
mod schema;
mod scratch;
mod second;
mod session;
mod statement;
mod table;
#[cfg(test)]
pub mod testing;
mod transaction;
mod turn;
pub mod untold;
mod value;

pub use api::{host_version, sqlite3, sqlite3_api_routines, threads_allowed};
pub use compare::{compare, same, shown};
pub use connection::Connection;
pub use database::{Database, REFERRING, quote_name};
pub use error::{Error, Result};
pub use function::{Call, Effect, Function, Shape};
pub use hook::HOOK;
pub use kept::others_run;
pub use name::{checked_name, name_of, read_name, read_names};
pub use quiet::{ChecksOff, TriggersOff, defer_references, enforces_references};
pub use schema::{
    ensure as ensure_schema, installed as schema_installed, readable as readable_schema,
    remove as remove_schema, require_current as require_current_schema,
};
pub use scratch::{Scratch, ScratchRows};
pub use second::{Door, Second};
pub use session::{Session, random_token};
pub use statement::Statement;
pub use table::{Access, Change, Ready, Rows, Table};
pub use transaction::{Snapshot, Transaction, require_idle, transact};
pub use value::{Value, ValueRef};
