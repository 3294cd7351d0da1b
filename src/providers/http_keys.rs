//! Keys of every kind that sends requests: where to, with which credentials, and how patiently.

use std::cmp::Ordering;
use std::time::Duration;

use super::conversation::Ask;
use super::credential::refuse_credentials;
use super::kind::Settings;
use super::path::Path;
use crate::ground::key::{Key, Takes, Usual, key};
use crate::ground::{compare_numbers, origin, percent_encode, quoted};
use crate::http::{Credentials, IN_BODY, Policy, header_name};

const fn within(bounds: (u64, u64)) -> Takes {
    Takes::Number(bounds.0, bounds.1)
}

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("url", Takes::Text, Usual::Required, "address of the backend, `http://` or `https://`; its query is kept", r#"{"url":"https://api.example.com/sync"}"#),
    key("headers", Takes::Map(&Takes::Text), Usual::Nothing, "headers that are sent as they are; for credentials use `token` and `secretHeaders`", r#"{"headers":{"X-App":"planes"}}"#),
    key("token", Takes::Text, Usual::Nothing, "name of the secret, given to `sync_secret`, that is sent as `Authorization: Bearer …`", r#"{"token":"airline"}"#),
    key("secretHeaders", Takes::Map(&Takes::Text), Usual::Nothing, "header to the name of the secret that is its value", r#"{"secretHeaders":{"X-Api-Key":"airline"}}"#),
    key("refreshUrl", Takes::Text, Usual::Nothing, "where a new token comes from when the backend answers 401: an address, or a path behind the origin of `url`; asked once in a sync", r#"{"refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshSecret", Takes::Text, Usual::Nothing, "name of the secret that gets the new token; sent as `Authorization: Bearer …`, or in `refreshBody`", r#"{"refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshBody", Takes::Text, Usual::Nothing, "body of that request, JSON or a form, with `{secret}` where the secret belongs", r#"{"refreshBody":"grant_type=refresh_token&refresh_token={secret}","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshTokenPath", Takes::Text, Usual::Json("\"$.token\""), "where the answer has the new token", r#"{"refreshTokenPath":"$.access_token","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("refreshSecretPath", Takes::Text, Usual::Nothing, "where the answer has the secret for the next time, if it comes with each", r#"{"refreshSecretPath":"$.refresh_token","refreshUrl":"/auth/refresh","token":"airline","refreshSecret":"airline-refresh"}"#),
    key("watchUrl", Takes::Text, Usual::Nothing, "where `sync_auto` with `watch` listens for news: an address, or a path behind the origin of `url`; it answers with a stream of events (`text/event-stream`), or as soon as there is news (long poll). `{cursor}` in it is where the next pull starts", r#"{"watchUrl":"/events?since={cursor}"}"#),
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
    check_refresh(settings)?;
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
    for key in ["refreshTokenPath", "refreshSecretPath"] {
        if let Some(path) = settings.optional_text(key) {
            Path::parse(path).map_err(|problem| format!("{key} {problem}"))?;
        }
    }
    Ok(())
}

/// An address, or a path behind the origin of `url`.
fn check_place(key: &str, place: Option<&str>) -> Result<(), String> {
    let begins = |place: &str| {
        ["/", "http://", "https://"]
            .iter()
            .any(|start| place.starts_with(start))
    };
    match place.filter(|place| !begins(place)) {
        None => Ok(()),
        Some(place) => Err(format!(
            "{key} is {}; write an address, or a path that begins with a slash",
            quoted(place)
        )),
    }
}

/// The address that [`check_place`] has let pass.
fn placed(settings: &Settings, place: &str) -> String {
    match place.starts_with('/') {
        true => format!("{}{place}", origin(settings.text("url"))),
        false => place.to_owned(),
    }
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
];

/// How a new token is got when the backend does not know the old one.
#[derive(Debug, Clone, PartialEq)]
pub struct Refresh {
    pub url: String,
    /// The name of the secret that gets it.
    pub secret: String,
    /// With a place for the secret; none: it goes into a header.
    pub body: Option<String>,
    /// Where the answer has the token.
    pub token_path: Path,
    /// Where the answer has the secret for the next time.
    pub secret_path: Option<Path>,
    /// The name of the secret that is the token.
    pub token: String,
    /// The address that the token is for.
    pub token_url: String,
}

/// How a new token is got; none where that is not configured.
pub fn refresh(settings: &Settings) -> Option<Refresh> {
    let url = settings.optional_text("refreshUrl")?;
    let token_url = settings.text("url");
    let path = |key| Path::parse(settings.optional_text(key)?).ok();
    Some(Refresh {
        url: placed(settings, url),
        secret: settings.optional_text("refreshSecret")?.to_owned(),
        body: settings.optional_text("refreshBody").map(str::to_owned),
        token_path: path("refreshTokenPath")?,
        secret_path: path("refreshSecretPath"),
        token: settings.optional_text("token")?.to_owned(),
        token_url: token_url.to_owned(),
    })
}

/// The secrets that go with every request.
pub fn credentials(settings: &Settings) -> Credentials {
    let headers = settings.texts("secretHeaders");
    Credentials {
        token: settings.optional_text("token").map(str::to_owned),
        headers: headers
            .map(|(header, name)| (header.to_owned(), name.to_owned()))
            .collect(),
        body: None,
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
