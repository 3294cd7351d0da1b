//! Rows changed on both sides: who decides, and what is kept of it.

pub mod policy;
pub mod record;
pub mod resolver;
