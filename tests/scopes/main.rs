//! Scopes, statuses and operations, as in [docs/scopes.md](../../docs/scopes.md#what-is-tested).

mod apply;
mod history;
mod ownership;
mod plain_sql;
mod start;
mod states;
mod tracked_documents;
