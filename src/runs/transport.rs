//! Sending a run's requests with the HTTP room: headers, credentials, limits, cancelling.

use crate::ground::{Class, SyncError};
use crate::http::{self, Body, HttpError, Method, Response, Secrets};
use crate::providers::{Settings, policy};
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
    settings: &Settings,
    due: Due,
    cancel: &Cancel<'_>,
) -> Result<Result<Response, HttpError>, SyncError> {
    let secrets = session.part::<Secrets>();
    let mut credentials = Vec::new();
    let url = due.request.url.as_str();
    if let Some(name) = settings.optional_text("token") {
        let secret = secrets.lookup(name, url).map_err(unusable)?;
        credentials.push(("Authorization".to_owned(), secret.bearer()));
    }
    for (header, name) in settings.texts("secretHeaders") {
        credentials.push((
            header.to_owned(),
            secrets.lookup(name, url).map_err(unusable)?,
        ));
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
    Ok(http::send(&request, &policy(settings), &|| (cancel.0)()))
}

fn unusable(error: http::SecretError) -> SyncError {
    SyncError::new(Class::Auth, "SYNC_ERROR_AUTH", error.to_string(), false)
}
