//! `sync_recover([schema])`: settles what dead processes left.

use serde_json::json;

use crate::coordination::write;
use crate::store::{Call, Result, Value};

use super::arguments::schema;

/// `SELECT sync_recover();` returns `{"operations":1,"scopes":["startup"]}`: how many open operations of
/// dead owners were interrupted, and which scopes. Every writing call does this first.
pub fn recover(call: &Call<'_>) -> Result<Value> {
    let recovered = write(call.session(), schema(call, 0)?, |ground| {
        Ok(ground.recovered.clone())
    })?;
    let answer = json!({ "operations": recovered.operations, "scopes": recovered.scopes });
    Ok(answer.to_string().into())
}
