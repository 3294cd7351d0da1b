//! Servers of others, as they come from their registries, synced by the recipes of docs/servers.md. `make servers` installs
//! them; without one its tests are skipped, which CI does not accept.
//!
//! | file | subject |
//! |---|---|
//! | `recipe.rs` | the settings and the SQL of the page |
//! | `program.rs` | starting a server that ends with the tests |
//! | `relay.rs` | what is between a device and a server: it notes what is asked, and loses answers |
//! | `server.rs`, `device.rs` | what the trials need of a server, and of a database that syncs with it |
//! | `trials.rs` | what each server is taken through |

mod datasette;
mod device;
mod json_server;
mod kinto;
mod pocketbase;
mod program;
mod recipe;
mod relay;
mod server;
mod trials;
