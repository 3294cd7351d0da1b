//! Sending a run's requests with the HTTP room: headers, credentials, limits, cancelling.

use std::time::Duration;

use crate::ground::{Class, SyncError};
use crate::http::{self, Body, HttpError, Method, Policy, Response, Secrets};
use crate::providers::Config;
use crate::store::Session;

use crate::runs::run::Due;

/// Tells whether a request is to be given up.
pub struct Cancel<'a>(Box<dyn Fn() -> bool + 'a>);

impl<'a> Cancel<'a> {
    pub fn when(cancelled: impl Fn() -> bool + 'a) -> Self {
        Self(Box::new(cancelled))
    }

    pub fn never() -> Self {
        Self::when(|| false)
    }
}

/// Sends one request. The outer error is ours, the inner one the network's.
///
/// # Errors
/// A secret that is not set, or bound to another origin.
pub fn send(
    session: &Session,
    config: &Config,
    due: Due,
    cancel: &Cancel<'_>,
) -> Result<Result<Response, HttpError>, SyncError> {
    let secrets = session.part::<Secrets>();
    let mut credentials = Vec::new();
    let url = due.request.url.as_str();
    if let Some(name) = &config.token {
        let secret = secrets.lookup(name, url).map_err(unusable)?;
        credentials.push(("Authorization".to_owned(), secret.bearer()));
    }
    for (header, name) in &config.secret_headers {
        credentials.push((header.clone(), secrets.lookup(name, url).map_err(unusable)?));
    }
    let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    if due.body.is_some() {
        headers.push(("Content-Type".into(), "application/json".into()));
    }
    for (name, value) in &due.request.headers {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    let request = http::Request {
        method: Method::parse(due.request.method).unwrap_or(Method::Get),
        url: due.request.url,
        headers,
        body: due.body.map(Body::Spool),
        credentials,
    };
    Ok(http::send(&request, &policy(config), &|| (cancel.0)()))
}

fn unusable(error: http::SecretError) -> SyncError {
    SyncError::new(Class::Auth, "SYNC_ERROR_AUTH", error.to_string(), false)
}

/// Checks the ranges of a provider's timeouts and limits.
///
/// # Errors
/// The key as the provider's config spells it, its value and its range.
pub fn check_policy(config: &Config) -> Result<(), String> {
    const SPELLINGS: &[(&str, &str)] = &[
        ("connect ", "connectTimeoutMs "),
        ("idle ", "timeoutMs "),
        ("total ", "totalTimeoutMs "),
        ("backoff_base ", "backoffMs "),
        ("backoff_max ", "maxBackoffMs "),
        ("retry_after_max ", "maxRetryAfterMs "),
        ("max_response_bytes ", "maxResponseBytes "),
    ];
    policy(config).check().map_err(|problem| {
        let spelled = SPELLINGS.iter().find_map(|(ours, theirs)| {
            problem
                .strip_prefix(ours)
                .map(|rest| format!("{theirs}{rest}"))
        });
        spelled.unwrap_or(problem)
    })
}

/// The provider's timeouts and limits; what it does not say stays at the default.
fn policy(config: &Config) -> Policy {
    let usual = Policy::default();
    let time = |set: Option<u64>, usual: Duration| set.map_or(usual, Duration::from_millis);
    Policy {
        connect: time(config.connect_timeout_ms, usual.connect),
        idle: time(config.timeout_ms, usual.idle),
        total: time(config.total_timeout_ms, usual.total),
        attempts: config.attempts.unwrap_or(usual.attempts),
        backoff_base: time(config.backoff_ms, usual.backoff_base),
        backoff_max: time(config.max_backoff_ms, usual.backoff_max),
        retry_after_max: time(config.max_retry_after_ms, usual.retry_after_max),
        max_response_bytes: config
            .max_response_bytes
            .unwrap_or(usual.max_response_bytes),
        spool_memory: usual.spool_memory,
    }
}
