//! Saying what ureq and the system report in words that a user can act on.

use std::io;

use ureq::Timeout;

use super::agents;
use super::error::{HttpError, Kind, Wait};
use super::outgoing::BodyLost;
use super::policy::Policy;
use super::url::Url;

/// Says in our words what ureq reports. `sending` is the length of the request's body while that may still be under way.
pub(super) fn explain(
    error: ureq::Error,
    url: &Url,
    sending: Option<u64>,
    policy: &Policy,
) -> HttpError {
    let origin = &url.origin;
    let proxy = agents::proxy_for(origin);
    let to = match &proxy {
        Some(proxy) => format!("{origin} (proxy {}:{})", proxy.host(), proxy.port()),
        None => origin.to_string(),
    };
    let of = |kind, message: String| HttpError::new(kind, message);
    match error {
        ureq::Error::Timeout(which) => match which {
            Timeout::Resolve | Timeout::Connect => of(
                Kind::Timeout(Wait::Connect),
                format!(
                    "no connection to {to} within {:?}; check the network and the address",
                    policy.connect
                ),
            ),
            Timeout::Global | Timeout::PerCall => late(url, policy),
            _ => of(
                Kind::Timeout(Wait::Idle),
                format!(
                    "{to} was silent for {:?}; try again, or raise timeoutMs",
                    policy.idle
                ),
            ),
        },
        ureq::Error::HostNotFound => unknown_host(&to, ""),
        ureq::Error::Io(error) => explain_io(&error, &to, sending),
        ureq::Error::Rustls(error) => explain_tls(&error.to_string(), &to),
        ureq::Error::Tls(text) => explain_tls(text, &to),
        ureq::Error::ConnectProxyFailed(text) => of(
            Kind::Proxy,
            format!(
                "the proxy did not connect to {to}: {text}; check the proxy variables of the environment"
            ),
        ),
        ureq::Error::InvalidProxyUrl => of(
            Kind::Proxy,
            "the proxy URL of the environment is not valid".into(),
        ),
        ureq::Error::LargeResponseHeader(..) => of(
            Kind::TooLarge,
            format!("the headers of the answer of {url} are too large; correct the server"),
        ),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => of(
            Kind::BadUrl,
            format!("the URL {url} can't be used; correct it"),
        ),
        ureq::Error::Protocol(error) => of(
            Kind::BadResponse,
            format!("what {to} answered is not proper HTTP ({error}); check the address and port"),
        ),
        other => of(
            Kind::Closed,
            format!("the request to {to} failed: {other}; try again"),
        ),
    }
}

/// The error for a call that used up its total time.
pub(super) fn late(url: &Url, policy: &Policy) -> HttpError {
    HttpError::new(
        Kind::Timeout(Wait::Total),
        format!(
            "no complete answer of {url} within {:?}; try again, or raise totalTimeoutMs",
            policy.total
        ),
    )
}

fn explain_io(error: &io::Error, to: &str, sending: Option<u64>) -> HttpError {
    if error.get_ref().is_some_and(|inner| inner.is::<BodyLost>()) {
        return HttpError::new(
            Kind::Storage,
            format!("the request's body can't be read: {error}"),
        );
    }
    let text = error.to_string();
    let unresolved = matches!(error.raw_os_error(), Some(11001..=11004)) && cfg!(windows);
    if unresolved || text.contains("failed to lookup address information") {
        return unknown_host(to, &text);
    }
    let (kind, message) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            Kind::Refused,
            format!("nothing answers at {to} (connection refused); is the server running?"),
        ),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => (
            Kind::Unreachable,
            format!("{to} can't be reached ({text}); check the network"),
        ),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => (
            Kind::Timeout(Wait::Idle),
            format!("{to} was silent for too long; try again"),
        ),
        // rustls wraps its own errors so.
        io::ErrorKind::InvalidData => return explain_tls(&text, to),
        _ => match sending {
            Some(bytes) => (
                Kind::Closed,
                format!(
                    "{to} closed the connection before answering ({text}); if it happens again, it may refuse a body \
                     of {bytes} bytes"
                ),
            ),
            None => (
                Kind::Closed,
                format!("{to} closed the connection before answering ({text}); try again"),
            ),
        },
    };
    HttpError::new(kind, message)
}

fn explain_tls(text: &str, to: &str) -> HttpError {
    if text.contains("certificate") {
        return HttpError::new(
            Kind::Certificate,
            format!(
                "the certificate of {to} is not accepted: {text}; correct it, or this machine's clock"
            ),
        );
    }
    HttpError::new(
        Kind::Tls,
        format!("no encrypted connection to {to}: {text}; is it an https server?"),
    )
}

fn unknown_host(to: &str, text: &str) -> HttpError {
    let why = if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    };
    HttpError::new(
        Kind::Dns,
        format!("the host of {to} can't be found{why}; check its name and the network"),
    )
}
