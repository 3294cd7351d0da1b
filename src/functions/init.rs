//! `sync_init([schema])` and `sync_heartbeat([schema])`.

use crate::capture::{drift, track};
use crate::coordination::write;
use crate::store::{Call, Result, Value};

use super::arguments::schema;

/// `SELECT sync_init();` creates the tables where they are missing and gives 1. Capture triggers that belong to no table
/// of ours, since ours were dropped or restored without rows, go: every write to their tables would fail. Tables that were
/// made again are captured again.
pub fn init(call: &Call<'_>) -> Result<Value> {
    write(call.session(), schema(call, 0)?, |ground| {
        track::drop_orphans(ground.database)?;
        drift::restore(ground.database)
    })?;
    Ok(1i64.into())
}

/// `SELECT sync_heartbeat();` renews the caller's lease and gives 1. Only a process on another
/// machine or in another container looks at the lease.
pub fn heartbeat(call: &Call<'_>) -> Result<Value> {
    write(call.session(), schema(call, 0)?, |_| Ok(()))?;
    Ok(1i64.into())
}
