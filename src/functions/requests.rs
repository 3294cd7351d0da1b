//! `sync_next_request([run])`, `sync_put_response(run, status, headers, body)`: the program sends the requests
//! of a run.

use crate::runs::host::{self, Given};
use crate::store::{Call, Error, Result, Value, ValueRef};

use super::arguments;

/// `SELECT sync_next_request(7);` returns `{"runId":7,"state":"syncing","method":"GET","url":…}`, and the
/// run's answer once it is over.
pub fn next_request(call: &Call<'_>) -> Result<Value> {
    let run = run(call)?;
    Ok(host::next_request(call.session(), run)?.to_string().into())
}

/// `SELECT sync_put_response(7, 200, '{"content-type":"application/json"}', '{"changes":{},"timestamp":1}');`
/// returns what [`next_request`] would give now. A status NULL means a request that got no complete answer;
/// the body says why.
pub fn put_response(call: &Call<'_>) -> Result<Value> {
    let run = run(call)?;
    let headers = match call.argument(2) {
        ValueRef::Null => "",
        ValueRef::Text(text) => text,
        other => {
            return Err(Error::argument(format!(
                "headers must be a JSON object as text, not {}",
                other.type_name()
            )));
        }
    };
    let body = match call.argument(3) {
        ValueRef::Null => &[][..],
        ValueRef::Text(text) => text.as_bytes(),
        ValueRef::InvalidText(bytes) | ValueRef::Blob(bytes) => bytes,
        other => {
            return Err(Error::argument(format!(
                "body must be text or a blob, not {}",
                other.type_name()
            )));
        }
    };
    let given = match call.argument(1) {
        ValueRef::Null => {
            if !headers.is_empty() && headers != "{}" {
                return Err(Error::argument(
                    "there are headers, but no status; give both, or neither when no complete answer came",
                ));
            }
            Given::Lost(std::str::from_utf8(body).unwrap_or_default())
        }
        ValueRef::Integer(status) => Given::Answer {
            status: http_status(status)?,
            headers,
            body,
        },
        ValueRef::Real(status) if status.fract() == 0.0 => Given::Answer {
            status: http_status(status as i64)?,
            headers,
            body,
        },
        other => {
            return Err(Error::argument(format!(
                "status must be the HTTP status, or NULL when no complete answer came, not {}",
                other.type_name()
            )));
        }
    };
    let next = host::put_response(call.session(), run, &given)?;
    Ok(next.to_string().into())
}

/// The run that is named; NULL or absent, the one that this connection drives.
fn run(call: &Call<'_>) -> Result<Option<i64>> {
    match call.argument(0) {
        ValueRef::Null => Ok(None),
        _ => arguments::integer(call, 0, "run").map(Some),
    }
}

fn http_status(status: i64) -> Result<u16> {
    let status = u16::try_from(status).ok();
    status
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| {
            Error::argument(
                "status must be 200 to 599, or NULL when no complete answer came; follow redirects \
                 within the same origin before",
            )
        })
}
