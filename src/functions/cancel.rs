//! `sync_cancel(run [, schema])`: ends one run, whoever runs it.

use crate::coordination::{run_record, write};
use crate::runs;
use crate::runs::host::end_interrupted;
use crate::store::{Call, Result, Value};

use super::arguments;

/// Why such a run ends.
const CANCELLED: &str = "cancelled";

/// `SELECT sync_cancel(7);` returns 1 when run 7 was going on, else 0.
pub fn cancel(call: &Call<'_>) -> Result<Value> {
    let run = arguments::integer(call, 0, "run")?;
    let schema = arguments::schema(call, 1)?;
    let goes_on = write(call.session(), schema, |ground| {
        let asked = run_record::ask_one_to_end(ground.database, run, CANCELLED)?;
        asked.ok_or_else(|| runs::unknown(run))
    })?;
    // Its program may never come back for it.
    end_interrupted(call.session(), schema, None);
    Ok(goes_on.into())
}
