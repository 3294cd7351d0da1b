//! Life inside a host: loading, nesting, closing, and whatever SQLite may throw at a function.

mod closing;
mod codes;
mod install;
mod loading;
mod nesting;
mod provoked;
mod rubbish;
mod schema;
mod statements;
