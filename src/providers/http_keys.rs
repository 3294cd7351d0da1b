//! Keys of every kind that sends requests: where to, with which credentials, and how patiently.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use super::address::{check_place, placed};
use super::conversation::Ask;
use super::credential::refuse_credentials;
use super::kind::Settings;
use super::login::{self, IN_BODY, Login, is_cookie};
use super::path::Path;
use crate::ground::key::{Key, Takes, Usual, key};
use crate::ground::{compare_numbers, percent_encode, quoted};
use crate::http::{Credentials, Policy, header_name, names_in};

const fn within(bounds: (u64, u64)) -> Takes {
    Takes::Number(bounds.0, bounds.1)
}

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("url", Takes::Text, Usual::Required, "address of the backend, `http://` or `https://`; its query is kept", r#"{"url":"https://api.example.com/sync"}"#),
    key("headers", Takes::Map(&Takes::Text), Usual::Nothing, "headers that are sent as they are; for credentials use `token` and `secretHeaders`", r#"{"headers":{"X-App":"planes"}}"#),
    key("token", Takes::Text, Usual::Nothing, "name of the secret, given to `sync_secret`, that is sent as `Authorization: Bearer …`", r#"{"token":"airline"}"#),
    key("secretHeaders", Takes::Map(&Takes::Text), Usual::Nothing, "header to the name of the secret that is its value", r#"{"secretHeaders":{"X-Api-Key":"airline"}}"#),
    key("basic", Takes::Text, Usual::Nothing, "name of the secret, `USER:PASSWORD`, that is sent as `Authorization: Basic …`", r#"{"basic":"airline"}"#),
    key("secretQuery", Takes::Map(&Takes::Text), Usual::Nothing, "parameter of the address to the name of the secret that is its value", r#"{"secretQuery":{"api_key":"airline"}}"#),
    key("secretCookies", Takes::Map(&Takes::Text), Usual::Nothing, "cookie to the name of the secret that is its value", r#"{"secretCookies":{"session":"airline"}}"#),
    key("login", Takes::Map(&Takes::Json), Usual::Nothing, "how a token is got before anything else is asked: a request with the names of secrets in it, or an OAuth 2 grant, see [tokens](reference.md#tokens-that-are-got)", r#"{"login":{"url":"/login","body":{"user":"mara","password":"{secret:airline}"}}}"#),
    key("refreshUrl", Takes::Text, Usual::Nothing, "where a new token comes from when the backend answers 401: an address, or a path behind the origin of `url`", r#"{"refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshSecret", Takes::Text, Usual::Nothing, "name of the secret that gets the new token; sent as `Authorization: Bearer …`, or in `refreshBody`", r#"{"refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshBody", Takes::Text, Usual::Nothing, "body of that request, JSON or a form, with `{secret}` where the secret belongs", r#"{"refreshBody":"grant_type=refresh_token&refresh_token={secret}","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshTokenPath", Takes::Text, Usual::Json("\"$.token\""), "where the answer has the new token", r#"{"refreshTokenPath":"$.access_token","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshSecretPath", Takes::Text, Usual::Nothing, "where the answer has the secret for the next time, if it comes with each", r#"{"refreshSecretPath":"$.refresh_token","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshExpiresPath", Takes::Text, Usual::Nothing, "where the answer says how long the new token is good for: seconds, or the time when it ends; then the next one is got before", r#"{"refreshExpiresPath":"$.expires_in","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("watchUrl", Takes::Text, Usual::Nothing, "where `sync_auto` with `watch` listens for news: an address, or a path behind the origin of `url`; it answers with a stream of events (`text/event-stream`), or as soon as there is news (long poll). `{cursor}` in it is where the next pull starts", r#"{"watchUrl":"/events?since={cursor}"}"#),
    key("connectTimeoutMs", within(Policy::CONNECT_MS), Usual::Json("10000"), "longest wait for a connection", r#"{"connectTimeoutMs":5000}"#),
    key("timeoutMs", within(Policy::IDLE_MS), Usual::Json("30000"), "longest silence of the backend", r#"{"timeoutMs":60000}"#),
    key("totalTimeoutMs", within(Policy::TOTAL_MS), Usual::Json("600000"), "longest duration of one request with all its retries", r#"{"totalTimeoutMs":120000}"#),
    key("attempts", within(Policy::ATTEMPTS), Usual::Json("4"), "attempts at one request, the first included", r#"{"attempts":1}"#),
    key("backoffMs", within(Policy::PAUSE_MS), Usual::Json("300"), "upper bound of the first pause between attempts; it doubles each time, and the pause is random from 0 to it", r#"{"backoffMs":1000}"#),
    key("maxBackoffMs", within(Policy::PAUSE_MS), Usual::Json("10000"), "where the doubling stops", r#"{"maxBackoffMs":60000}"#),
    key("maxRetryAfterMs", within(Policy::PAUSE_MS), Usual::Json("60000"), "longest `Retry-After` that a sync waits for; a longer one ends it", r#"{"maxRetryAfterMs":0}"#),
    key("requestsPerSecond", within(Policy::PER_SECOND), Usual::Nothing, "most requests that begin within a second, to one server from one process", r#"{"requestsPerSecond":5}"#),
    key("requestsPerMinute", within(Policy::PER_MINUTE), Usual::Nothing, "the same within a minute. Without both a sync asks as fast as it can, but not before the time that an answer names when nothing remains (`RateLimit-Remaining` and `RateLimit-Reset`, also with `X-` before them, or `RateLimit`), if that is not later than `maxRetryAfterMs`", r#"{"requestsPerMinute":60}"#),
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
    for (name, _) in settings.texts("secretCookies") {
        if !is_cookie(name) {
            return Err(format!(
                "secretCookies: {} is no name of a cookie; use letters, digits and -",
                quoted(name)
            ));
        }
    }
    if settings.is_set("basic") && settings.is_set("token") {
        return Err("basic and token are both sent as Authorization; leave one of them out".into());
    }
    check_refresh(settings)?;
    login::read(settings)?;
    check_place("watchUrl", settings.optional_text("watchUrl"))?;
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

fn check_refresh(settings: &Settings) -> Result<(), String> {
    let Some(url) = settings.optional_text("refreshUrl") else {
        let mut others = REFRESH.iter().filter(|key| settings.is_set(key));
        return match others.next() {
            None => Ok(()),
            Some(key) => Err(format!("{key} goes with refreshUrl; give that too")),
        };
    };
    check_place("refreshUrl", Some(url))?;
    for key in ["token", "refreshSecret"] {
        if !settings.is_set(key) {
            return Err(format!(
                "{key} is missing, and refreshUrl needs it; give it"
            ));
        }
    }
    if let Some(body) = settings.optional_text("refreshBody")
        && !body.contains(IN_BODY)
    {
        return Err(format!(
            "refreshBody has no place for the secret; write {IN_BODY} there"
        ));
    }
    for key in [
        "refreshTokenPath",
        "refreshSecretPath",
        "refreshExpiresPath",
    ] {
        if let Some(path) = settings.optional_text(key) {
            Path::parse(path).map_err(|problem| format!("{key} {problem}"))?;
        }
    }
    Ok(())
}

/// Where news can be waited for, if that is configured. `cursors`: where the next pull of each entity starts; of several the
/// lowest counts.
pub fn watch(settings: &Settings, cursors: &[Option<String>]) -> Option<Ask> {
    let place = settings.optional_text("watchUrl")?;
    let cursors = cursors.iter().map(|cursor| cursor.as_deref());
    let lowest = cursors.min_by(|one, other| match (one, other) {
        (Some(one), Some(other)) => compare_numbers(one, other).unwrap_or(Ordering::Equal),
        (one, other) => one.is_some().cmp(&other.is_some()),
    });
    let mut cursor = String::new();
    percent_encode(lowest.flatten().unwrap_or_default(), &mut cursor);
    let headers = settings.texts("headers");
    Some(Ask {
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Ask::new(
            "watch",
            "GET",
            placed(settings, place).replace("{cursor}", &cursor),
        )
    })
}

/// Keys that mean nothing without `refreshUrl`.
const REFRESH: &[&str] = &[
    "refreshSecret",
    "refreshBody",
    "refreshTokenPath",
    "refreshSecretPath",
    "refreshExpiresPath",
];

/// How a token is got; none where that is not configured.
pub fn login(settings: &Settings) -> Option<Login> {
    login::read(settings).ok().flatten()
}

/// The secrets that go with every request.
pub fn credentials(settings: &Settings) -> Credentials {
    let named = |key| -> BTreeMap<String, String> {
        let pairs = settings.texts(key);
        pairs
            .map(|(place, name)| (place.to_owned(), name.to_owned()))
            .collect()
    };
    let text = |key| settings.optional_text(key).map(str::to_owned);
    Credentials {
        token: text("token"),
        basic: text("basic"),
        headers: named("secretHeaders"),
        query: named("secretQuery"),
        cookies: named("secretCookies"),
        session: login(settings).and_then(|login| login.session()),
        has_places: false,
    }
}

/// The names of all secrets that a configuration uses.
pub fn secret_names(settings: &Settings) -> Vec<String> {
    let used = credentials(settings);
    let mut names: Vec<String> = used.token.into_iter().chain(used.basic).collect();
    for places in [used.headers, used.query, used.cookies] {
        names.extend(places.into_values());
    }
    names.extend(
        login(settings)
            .into_iter()
            .flat_map(|login| names_in(&login.request)),
    );
    names
}

/// The timeouts and limits of requests; the usual ones for a kind without these keys.
pub fn policy(settings: &Settings) -> Policy {
    let usual = Policy::default();
    let number = |key: &str| settings.optional_number(key);
    let time = |key: &str, usual| number(key).map_or(usual, Duration::from_millis);
    let count = |key: &str| number(key).and_then(|count| u32::try_from(count).ok());
    Policy {
        connect: time("connectTimeoutMs", usual.connect),
        idle: time("timeoutMs", usual.idle),
        total: time("totalTimeoutMs", usual.total),
        attempts: count("attempts").unwrap_or(usual.attempts),
        backoff_base: time("backoffMs", usual.backoff_base),
        backoff_max: time("maxBackoffMs", usual.backoff_max),
        retry_after_max: time("maxRetryAfterMs", usual.retry_after_max),
        per_second: count("requestsPerSecond"),
        per_minute: count("requestsPerMinute"),
        max_response_bytes: number("maxResponseBytes").unwrap_or(usual.max_response_bytes),
        ..usual
    }
}
