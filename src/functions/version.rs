//! `sync_version()` and `sync_debug()`: what was loaded, and where.

use serde_json::json;

use crate::store::{self, Call, Result, Value};

/// `SELECT sync_version();` returns `v0.1.0`.
pub fn version(_: &Call<'_>) -> Result<Value> {
    Ok(concat!("v", env!("CARGO_PKG_VERSION")).into())
}

/// One JSON object with what a bug report needs. Never a secret, never a row.
pub fn debug(call: &Call<'_>) -> Result<Value> {
    let connection = call.session().connection();
    let database = call.session().database("main")?;
    let journal = database.query_value("SELECT journal_mode FROM pragma_journal_mode", &[])?;
    let standing = connection.standing();
    let schema = store::schema_installed(&database)?;
    let report = json!({
        "version": concat!("v", env!("CARGO_PKG_VERSION")),
        "commit": option_env!("SYNCSCOPE_COMMIT").unwrap_or("unknown"),
        "sqlite": store::host_version(),
        "threads": store::threads_allowed(),
        "file": connection.file("main"),
        "readOnly": connection.read_only("main"),
        "journalMode": journal.as_str(),
        "autocommit": standing.autocommit,
        "schemaVersion": schema,
    });
    Ok(report.to_string().into())
}
