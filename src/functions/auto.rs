//! Work in the background: `sync_auto`, `sync_worker_start`, `sync_worker_stop`, `sync_due`, `sync_run_due`.

use serde_json::{Value as Json, json};

use crate::coordination::write;
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::providers::Transport;
use crate::runs::news;
use crate::store::{Call, Error, Result, Value, require_idle};
use crate::worker::{keeper, tick};

use super::arguments::{self, schema};
use super::entities::provider_kind;
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("every", Takes::Json, Usual::Json("\"30s\""), "how often what is pending goes up: text such as `30s`, `5m`, `2h`, or milliseconds; false: not by the clock", r#"{"every":"30s"}"#),
    key("downloadEvery", Takes::Json, Usual::Json("\"2m\""), "how often remote changes are brought here, written likewise; false: not by itself", r#"{"downloadEvery":"2m"}"#),
    key("debounce", Takes::Json, Usual::Json("\"2s\""), "how long after the last change what is pending goes up, written likewise; false: not for a change", r#"{"debounce":"2s"}"#),
    key("backoff", Takes::Json, Usual::Json("\"1m\""), "how long nothing is tried after a failure; doubled with each that follows, up to 16 times", r#"{"backoff":"1m"}"#),
    key("watch", Takes::Switch, Usual::Json("false"), "listen for news while a thread runs (`sync_worker_start`), and bring it at once", r#"{"watch":true}"#),
], SCHEMA];

pub const PLACE: Keys = &[SCHEMA];

/// `SELECT sync_auto('airline-api');` returns `{"provider":"airline-api","every":30000,…}`; with options NULL the schedule goes.
pub fn auto(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let ends = call.len() > 1 && call.argument(1).is_null();
    let options = Object::options(call, 1)?;
    let schema = options.schema()?;
    let time = |name: &str, usual: i64, ends: bool| -> Result<Option<i64>> {
        match options.get::<Json>(name)? {
            None => Ok(Some(usual)),
            Some(Json::Bool(false)) if ends => Ok(None),
            Some(value) => duration(&value).map(Some).ok_or_else(|| {
                Error::argument(format!(
                    "options.{name} must be a time such as \"30s\", \"5m\" or \"2h\", or milliseconds, not {value}"
                ))
            }),
        }
    };
    let every = time("every", 30_000, true)?;
    let download_every = time("downloadEvery", 120_000, true)?;
    let debounce = time("debounce", 2_000, true)?;
    let backoff = time("backoff", 60_000, false)?;
    let watch = options.get::<bool>("watch")?.unwrap_or_default();
    write(call.session(), &schema, |ground| {
        let kind = provider_kind(ground.database, provider)?;
        if kind.transport == Transport::Nobody {
            return Err(Error::argument(format!(
                "provider '{provider}' is of kind {}, whose data your program moves; there is nothing to do by itself",
                kind.name
            )));
        }
        if ends {
            let sql = "DELETE FROM main._syncSchedule WHERE provider = ?1";
            ground.database.execute(sql, &[provider.into()])?;
            return Ok(json!({ "provider": provider }).to_string().into());
        }
        if watch && kind.transport == Transport::File {
            return Err(Error::argument(format!(
                "options.watch: a file of kind {} sends no news; leave it out, and say with downloadEvery how often the \
                 file is looked at",
                kind.name
            )));
        }
        if watch && !news::may_exist(ground.database, provider)? {
            return Err(Error::argument(format!(
                "options.watch: a backend of kind {} has no stream of news that is known; name one with watchUrl in \
                 sync_provider",
                kind.name
            )));
        }
        ground.database.execute(
            "INSERT INTO main._syncSchedule (provider, uploadEvery, downloadEvery, debounce, backoff, watch) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (provider) DO UPDATE SET uploadEvery = excluded.uploadEvery, \
             downloadEvery = excluded.downloadEvery, debounce = excluded.debounce, backoff = excluded.backoff, \
             watch = excluded.watch",
            &[
                provider.into(),
                every.into(),
                download_every.into(),
                debounce.into(),
                backoff.into(),
                watch.into(),
            ],
        )?;
        let answer = json!({
            "provider": provider,
            "every": every,
            "downloadEvery": download_every,
            "debounce": debounce,
            "backoff": backoff,
            "watch": watch,
        });
        Ok(answer.to_string().into())
    })
}

/// The longest time that a schedule takes: a year.
const LONGEST: i64 = 366 * 24 * 3_600_000;

/// Milliseconds; none of what is no time.
fn duration(value: &Json) -> Option<i64> {
    let time = match value {
        Json::Number(number) => number.as_i64()?,
        Json::String(text) => {
            let text = text.trim();
            let end = text.find(|letter: char| !letter.is_ascii_digit())?;
            let number: i64 = text[..end].parse().ok()?;
            let unit = match text[end..].trim() {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 24 * 3_600_000,
                _ => return None,
            };
            number.checked_mul(unit)?
        }
        _ => return None,
    };
    (1..=LONGEST).contains(&time).then_some(time)
}

/// `SELECT sync_worker_start();` returns 1, or 0 when this connection's thread runs already.
pub fn start(call: &Call<'_>) -> Result<Value> {
    let options = Object::options(call, 0)?;
    Ok(keeper::start(call.session(), &options.schema()?)?.into())
}

/// `SELECT sync_worker_stop();` returns 1, or 0 when this connection has no thread.
pub fn stop(call: &Call<'_>) -> Result<Value> {
    require_idle(call.session().connection())?;
    Ok(keeper::stop(call.session()).into())
}

/// `SELECT sync_due();` returns milliseconds, 0 for now, NULL when nothing is scheduled or can be done.
pub fn due(call: &Call<'_>) -> Result<Value> {
    let next = tick::until_due(call.session(), schema(call, 0)?)?;
    Ok(next.map_or(Value::Null, Value::Integer))
}

/// `SELECT sync_run_due();` returns a list of answers: `[]` when nothing was due.
pub fn run_due(call: &Call<'_>) -> Result<Value> {
    require_idle(call.session().connection())?;
    let answers = tick::run_due(call.session(), schema(call, 0)?, None)?;
    Ok(Json::Array(answers).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (value, time) in [
            (json!("30s"), Some(30_000)),
            (json!(" 5 m "), Some(300_000)),
            (json!("250ms"), Some(250)),
            (json!("2h"), Some(7_200_000)),
            (json!("1d"), Some(86_400_000)),
            (json!(1500), Some(1_500)),
            (json!("0s"), None),
            (json!(-1), None),
            (json!("30"), None),
            (json!("s"), None),
            (json!("1w"), None),
            (json!("99999999999999999999s"), None),
            (json!("9223372036854775807h"), None),
            (json!("400d"), None),
            (json!(1.5), None),
            (json!([]), None),
        ] {
            assert_eq!(duration(&value), time, "{value}");
        }
    }
}
