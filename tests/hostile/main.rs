//! Files, servers and names made to do harm; see [docs/security.md](../../docs/security.md).

mod arguments;
mod file;
mod json;
#[cfg(target_os = "linux")]
mod machine;
mod names;
mod server;
mod tables;
mod values;
