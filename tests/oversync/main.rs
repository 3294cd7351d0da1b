//! The protocols of oversync servers, against the stand-ins in `examples/backend/oversync`, which are held against
//! recordings of running servers. Tests are named by the rule that they prove; those of generation B are in `bundles`,
//! those of keys that are blobs, for both, in `blobs`.

mod blobs;
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
