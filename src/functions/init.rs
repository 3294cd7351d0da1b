//! `sync_init([schema])` and `sync_heartbeat([schema])`.

use crate::coordination::write;
use crate::store::{Call, Result, Value};

use super::arguments::schema;

/// `SELECT sync_init();` creates the tables where they are missing and gives 1.
pub fn init(call: &Call<'_>) -> Result<Value> {
    write(call.session(), schema(call, 0)?, |_| Ok(()))?;
    Ok(1i64.into())
}

/// `SELECT sync_heartbeat();` renews the caller's lease and gives 1. Only a process on another
/// machine or in another container looks at the lease.
pub fn heartbeat(call: &Call<'_>) -> Result<Value> {
    write(call.session(), schema(call, 0)?, |_| Ok(()))?;
    Ok(1i64.into())
}
