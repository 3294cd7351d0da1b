//! The protocols of oversync servers, against the stand-ins in `examples/backend/oversync`, which are held against
//! recordings of running servers. Tests are named by the rule that they prove; those of generation B are in `bundles`.

mod bundles;
mod client;

mod conflicts;
mod detach;
mod download;
mod live;
mod lost;
mod phantoms;
mod random;
mod refused;
mod upload;
