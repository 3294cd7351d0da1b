//! Keys of every kind that sends requests: where to, with which credentials, and how patiently.

use std::time::Duration;

use super::credential::refuse_credentials;
use super::kind::Settings;
use crate::ground::key::{Key, Takes, Usual, key};
use crate::http::{Credentials, Policy, header_name};

const fn within(bounds: (u64, u64)) -> Takes {
    Takes::Number(bounds.0, bounds.1)
}

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("url", Takes::Text, Usual::Required, "address of the backend, `http://` or `https://`; its query is kept", r#"{"url":"https://api.example.com/sync"}"#),
    key("headers", Takes::Map(&Takes::Text), Usual::Nothing, "headers that are sent as they are; for credentials use `token` and `secretHeaders`", r#"{"headers":{"X-App":"planes"}}"#),
    key("token", Takes::Text, Usual::Nothing, "name of the secret, given to `sync_secret`, that is sent as `Authorization: Bearer …`", r#"{"token":"airline"}"#),
    key("secretHeaders", Takes::Map(&Takes::Text), Usual::Nothing, "header to the name of the secret that is its value", r#"{"secretHeaders":{"X-Api-Key":"airline"}}"#),
    key("connectTimeoutMs", within(Policy::CONNECT_MS), Usual::Json("10000"), "longest wait for a connection", r#"{"connectTimeoutMs":5000}"#),
    key("timeoutMs", within(Policy::IDLE_MS), Usual::Json("30000"), "longest silence of the backend", r#"{"timeoutMs":60000}"#),
    key("totalTimeoutMs", within(Policy::TOTAL_MS), Usual::Json("600000"), "longest duration of one request with all its retries", r#"{"totalTimeoutMs":120000}"#),
    key("attempts", within(Policy::ATTEMPTS), Usual::Json("4"), "attempts at one request, the first included", r#"{"attempts":1}"#),
    key("backoffMs", within(Policy::PAUSE_MS), Usual::Json("300"), "upper bound of the first pause between attempts; it doubles each time, and the pause is random from 0 to it", r#"{"backoffMs":1000}"#),
    key("maxBackoffMs", within(Policy::PAUSE_MS), Usual::Json("10000"), "where the doubling stops", r#"{"maxBackoffMs":60000}"#),
    key("maxRetryAfterMs", within(Policy::PAUSE_MS), Usual::Json("60000"), "longest `Retry-After` that a sync waits for; a longer one ends it", r#"{"maxRetryAfterMs":0}"#),
    key("maxResponseBytes", within(Policy::RESPONSE_BYTES), Usual::Json("1073741824"), "most bytes of one answer, decompressed", r#"{"maxResponseBytes":100000000}"#),
];

/// Checks addresses and headers, as far as all kinds agree on them.
///
/// # Errors
/// `<key> <problem>; <what to do>`.
pub fn check(settings: &Settings) -> Result<(), String> {
    refuse_credentials("header", settings.texts("headers").map(|(name, _)| name))?;
    for key in ["headers", "secretHeaders"] {
        for (name, _) in settings.texts(key) {
            header_name(name).map_err(|why| format!("{key}: {why}"))?;
        }
    }
    let Some(url) = settings.optional_text("url") else {
        return Ok(());
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default());
    refuse_credentials("the parameter of url", names)?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err("url must start with http:// or https://".into())
}

/// The secrets that go with every request.
pub fn credentials(settings: &Settings) -> Credentials {
    let headers = settings.texts("secretHeaders");
    Credentials {
        token: settings.optional_text("token").map(str::to_owned),
        headers: headers
            .map(|(header, name)| (header.to_owned(), name.to_owned()))
            .collect(),
    }
}

/// The timeouts and limits of requests; the usual ones for a kind without these keys.
pub fn policy(settings: &Settings) -> Policy {
    let usual = Policy::default();
    let number = |key: &str| settings.optional_number(key);
    let time = |key: &str, usual| number(key).map_or(usual, Duration::from_millis);
    let attempts = number("attempts").and_then(|attempts| u32::try_from(attempts).ok());
    Policy {
        connect: time("connectTimeoutMs", usual.connect),
        idle: time("timeoutMs", usual.idle),
        total: time("totalTimeoutMs", usual.total),
        attempts: attempts.unwrap_or(usual.attempts),
        backoff_base: time("backoffMs", usual.backoff_base),
        backoff_max: time("maxBackoffMs", usual.backoff_max),
        retry_after_max: time("maxRetryAfterMs", usual.retry_after_max),
        max_response_bytes: number("maxResponseBytes").unwrap_or(usual.max_response_bytes),
        ..usual
    }
}
