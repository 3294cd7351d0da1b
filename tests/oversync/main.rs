//! Protocol A of oversync servers, against the stand-in in `examples/backend/oversync/a`, which is held against
//! recordings of a running server. Tests are named by the rule that they prove.

mod client;

mod conflicts;
mod download;
mod lost;
mod random;
mod refused;
mod upload;
