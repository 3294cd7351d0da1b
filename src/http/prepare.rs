//! A request as a provider makes it, completed with what every request has: Accept, Content-Type, credentials.

use std::collections::BTreeMap;

use super::request::{Body, Method, Request};
use super::secret::SecretError;
use super::secrets::Secrets;
use super::spool::Spool;
use crate::ground::percent_encode;

/// A request without its credentials.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Spool>,
}

/// Which secrets go with every request of a provider, by the names given to `sync_secret`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Credentials {
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<String>,
    /// Header to the name of the secret that is its value.
    pub headers: BTreeMap<String, String>,
    /// Takes the place of [`IN_BODY`] in the body.
    pub body: Option<String>,
}

/// Where a secret belongs in a body.
pub const IN_BODY: &str = "{secret}";

/// The headers of a request that are no secrets: its own, and what is usual where it has none of that name.
pub fn plain_headers(outgoing: &Outgoing) -> Vec<(String, String)> {
    let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    if outgoing.body.is_some() {
        headers.push(("Content-Type".into(), "application/json".into()));
    }
    for (name, value) in &outgoing.headers {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    headers
}

/// A request as it is without its credentials.
pub fn without_credentials(outgoing: &Outgoing) -> Request {
    Request {
        method: outgoing.method,
        url: outgoing.url.clone(),
        headers: plain_headers(outgoing),
        body: outgoing.body.clone().map(Body::Spool),
        credentials: Vec::new(),
    }
}

/// Completes a request.
///
/// # Errors
/// A secret that is not set, or bound to another origin than the request's.
pub fn prepare(
    outgoing: &Outgoing,
    credentials: &Credentials,
    secrets: &Secrets,
) -> Result<Request, SecretError> {
    let url = outgoing.url.as_str();
    let mut secret = Vec::new();
    if let Some(name) = &credentials.token {
        let token = secrets.lookup(name, url)?;
        secret.push(("Authorization".to_owned(), token.bearer()));
    }
    for (header, name) in &credentials.headers {
        secret.push((header.clone(), secrets.lookup(name, url)?));
    }
    let mut request = Request {
        credentials: secret,
        ..without_credentials(outgoing)
    };
    if let (Some(name), Some(body)) = (&credentials.body, &outgoing.body) {
        let secret = secrets.lookup(name, url)?;
        let template = body.text().unwrap_or_default();
        request.body = Some(Body::Bytes(
            filled(&template, &secret.header_text()).into_bytes(),
        ));
    }
    Ok(request)
}

/// A body with a secret in its place: escaped for JSON, or for a form.
fn filled(template: &str, secret: &str) -> String {
    let is_json = template.trim_start().starts_with('{');
    let escaped = match is_json {
        true => {
            let quoted = serde_json::Value::from(secret).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        false => {
            let mut encoded = String::new();
            percent_encode(secret, &mut encoded);
            encoded
        }
    };
    template.replace(IN_BODY, &escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_body_is_escaped_as_the_body_wants_it() {
        let secret = r#"a"b&c=d"#;
        assert_eq!(filled(r#"{"t":"{secret}"}"#, secret), r#"{"t":"a\"b&c=d"}"#);
        assert_eq!(filled("t={secret}&u=1", secret), "t=a%22b%26c%3Dd&u=1");
    }
}
