//! What the benches share: clocks, rows, databases, rounds, figures, and a server in a process of its own.

pub mod arguments;
pub mod clock;
pub mod database;
pub mod figures;
pub mod machine;
pub mod memory;
pub mod rounds;
pub mod rows;
pub mod server;

/// Any error ends the bench.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
