//! Types and constants of SQLite's public header `sqlite3ext.h` (3.40.1, 64-bit Unix).
//!
//! Generated once with bindgen from the header (types and constants only, no functions), so that
//! building needs neither libclang nor a second copy of SQLite. `va_list` arguments, which are never
//! passed from Rust, are opaque pointers.

#![allow(non_upper_case_globals, non_camel_case_types, non_snake_case)]
#![allow(clippy::all)]

include!("bindings.rs");
