//! A request as a provider makes it, completed with what every request has: Accept, Content-Type, credentials.

use std::collections::BTreeMap;

use super::logins;
use super::places::{self, Escape, secrets_in};
use super::request::{Body, Method, Request};
use super::secret::{Secret, SecretError};
use super::secrets::Secrets;
use super::spool::Spool;
use super::url::Url;
use crate::ground::percent_encode;

/// A request without its credentials.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Spool>,
    /// It is not sent again once it may have arrived.
    pub once: bool,
}

/// Which secrets go with every request of a provider, by the names given to `sync_secret`.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<String>,
    /// Sent as `Authorization: Basic …`.
    pub basic: Option<String>,
    /// Header to the name of the secret that is its value.
    pub headers: BTreeMap<String, String>,
    /// The same of parameters of the address.
    pub query: BTreeMap<String, String>,
    /// The same of cookies.
    pub cookies: BTreeMap<String, String>,
    /// A token that is got by logging in.
    pub session: Option<SessionToken>,
    /// The request has places for secrets itself, see [`secrets_in`].
    pub has_places: bool,
}

/// How a token is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentAs {
    /// As `Authorization: Bearer …`.
    Bearer,
    Header(String),
    Query(String),
    Cookie(String),
}

/// A token that another request gets.
#[derive(Debug, Clone)]
pub struct SessionToken {
    /// That request, with places for its secrets.
    pub login: Outgoing,
    /// Where its answer has the token.
    pub spot: String,
    pub sent_as: SentAs,
}

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
        once: outgoing.once,
        hidden: Vec::new(),
    }
}

/// Completes a request.
///
/// # Errors
/// A secret that is not set, or bound to another origin than the request's; no token yet where one is got by logging in.
pub fn prepare(
    outgoing: &Outgoing,
    credentials: &Credentials,
    secrets: &Secrets,
) -> Result<Request, SecretError> {
    let url = outgoing.url.as_str();
    let mut request = without_credentials(outgoing);
    let mut cookies = Vec::new();
    if let Some(name) = &credentials.token {
        let token = secrets.lookup(name, url)?.bearer();
        request.credentials.push((AUTHORIZATION.to_owned(), token));
    }
    if let Some(name) = &credentials.basic {
        let pair = secrets.lookup(name, url)?.basic();
        request.credentials.push((AUTHORIZATION.to_owned(), pair));
    }
    for (header, name) in &credentials.headers {
        let secret = secrets.lookup(name, url)?;
        request.credentials.push((header.clone(), secret));
    }
    for (parameter, name) in &credentials.query {
        let secret = secrets.lookup(name, url)?;
        add_parameter(&mut request, parameter, secret);
    }
    for (cookie, name) in &credentials.cookies {
        cookies.push((cookie.as_str(), secrets.lookup(name, url)?));
    }
    if let Some(session) = &credentials.session {
        let token = session_token(session, url, secrets)?;
        match &session.sent_as {
            SentAs::Bearer => {
                request
                    .credentials
                    .push((AUTHORIZATION.to_owned(), token.bearer()));
            }
            SentAs::Header(header) => request.credentials.push((header.clone(), token)),
            SentAs::Query(parameter) => add_parameter(&mut request, parameter, token),
            SentAs::Cookie(cookie) => cookies.push((cookie, token)),
        }
    }
    add_cookies(&mut request, cookies)?;
    if credentials.has_places {
        fill(&mut request, outgoing, secrets)?;
    }
    Ok(request)
}

const AUTHORIZATION: &str = "Authorization";

/// The token of a session, for the origin that it is got for.
fn session_token(
    session: &SessionToken,
    url: &str,
    secrets: &Secrets,
) -> Result<Secret, SecretError> {
    let origin = Url::parse(url).map_err(SecretError::Url)?.origin;
    for name in names_in(&session.login) {
        let used = secrets.lookup(&name, &session.login.url)?;
        if !used.reaches(&origin) {
            let wanted = origin;
            return Err(SecretError::Reach { name, wanted });
        }
    }
    let granted = logins::look(&shape_of(&session.login, &session.spot, secrets));
    let granted = granted.ok_or(SecretError::NotLoggedIn)?;
    Secret::new(&granted.token, origin)
}

/// The names of the secrets that a request has places for.
pub fn names_in(outgoing: &Outgoing) -> Vec<String> {
    let body = outgoing.body.as_ref().and_then(|body| body.text().ok());
    let headers = outgoing.headers.iter().map(|(_, value)| value.as_str());
    let texts = headers.chain(body.as_deref());
    texts.flat_map(secrets_in).map(str::to_owned).collect()
}

/// Puts a secret into the address, in place of what it may have under that name.
fn add_parameter(request: &mut Request, name: &str, secret: Secret) {
    let mut pair = String::new();
    percent_encode(name, &mut pair);
    pair.push('=');
    percent_encode(&secret.header_text(), &mut pair);
    request.url = with_parameter(&request.url, name, &pair);
    request.hidden.push(secret);
}

fn with_parameter(url: &str, name: &str, pair: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (front, query) = url.split_once('?').unwrap_or((url, ""));
    let mut encoded = String::new();
    percent_encode(name, &mut encoded);
    let is_other = |known: &&str| {
        let known = known.split('=').next().unwrap_or_default();
        !known.is_empty() && known != encoded && known != name
    };
    let pairs: Vec<&str> = query.split('&').filter(is_other).chain([pair]).collect();
    format!("{front}?{}", pairs.join("&"))
}

/// All cookies go into one header.
fn add_cookies(request: &mut Request, cookies: Vec<(&str, Secret)>) -> Result<(), SecretError> {
    let Some((_, first)) = cookies.first() else {
        return Ok(());
    };
    let origin = first.origin().clone();
    let pairs: Vec<String> = cookies
        .iter()
        .map(|(name, secret)| format!("{name}={}", secret.header_text()))
        .collect();
    let all = Secret::new(&pairs.join("; "), origin)?;
    request.credentials.push(("Cookie".to_owned(), all));
    request
        .hidden
        .extend(cookies.into_iter().map(|(_, secret)| secret));
    Ok(())
}

/// Puts secrets into the places that headers and the body have for them.
fn fill(request: &mut Request, outgoing: &Outgoing, secrets: &Secrets) -> Result<(), SecretError> {
    let url = outgoing.url.as_str();
    let mut hidden = Vec::new();
    let mut secret = |name: &str| {
        let secret = secrets.lookup(name, url)?;
        let text = secret.header_text();
        hidden.push(secret);
        Ok(text)
    };
    for (_, value) in &mut request.headers {
        *value = places::filled(value, Escape::No, &mut secret)?;
    }
    if let Some(body) = &outgoing.body {
        let template = body.text().unwrap_or_default();
        let body = places::filled(&template, Escape::of(&template), &mut secret)?;
        request.body = Some(Body::Bytes(body.into_bytes()));
    }
    request.hidden.extend(hidden);
    Ok(())
}

/// A request for a token, and where its answer has it, as a text that nobody has who can't make it. Where its secrets are not known here, since the
/// program has them, it is one of this connection alone.
pub fn shape_of(login: &Outgoing, spot: &str, secrets: &Secrets) -> String {
    let credentials = Credentials {
        has_places: true,
        ..Credentials::default()
    };
    let shape = |request: &Request, more: &str| {
        let body = match &request.body {
            Some(Body::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Some(Body::Spool(spool)) => spool.text().unwrap_or_default(),
            None => String::new(),
        };
        let (method, url, headers) = (request.method, &request.url, &request.headers);
        format!("{more}{spot} {method} {url} {headers:?} {body}")
    };
    match prepare(login, &credentials, secrets) {
        Ok(request) => shape(&request, ""),
        Err(_) => {
            let own = format!("{} ", secrets.serial());
            shape(&without_credentials(login), &own)
        }
    }
}

/// Address and headers of a request with the names of its secrets in their places, for a program that puts them in. A token
/// that was got by logging in has no name.
pub fn with_names(
    outgoing: &Outgoing,
    credentials: &Credentials,
    secrets: &Secrets,
) -> (String, Vec<(String, String)>) {
    let place = |name: &str| format!("{{secret:{name}}}");
    let (mut url, mut headers, mut cookies) =
        (outgoing.url.clone(), plain_headers(outgoing), Vec::new());
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    let parameter = |url: &str, name: &str, value: &str| {
        let mut encoded = String::new();
        percent_encode(name, &mut encoded);
        with_parameter(url, name, &format!("{encoded}={value}"))
    };
    if let Some(name) = &credentials.token {
        add(AUTHORIZATION, format!("Bearer {}", place(name)));
    }
    if let Some(name) = &credentials.basic {
        add(AUTHORIZATION, format!("Basic {}", place(name)));
    }
    for (header, name) in &credentials.headers {
        add(header, place(name));
    }
    for (name, secret) in &credentials.query {
        url = parameter(&url, name, &place(secret));
    }
    for (name, secret) in &credentials.cookies {
        cookies.push(format!("{name}={}", place(secret)));
    }
    if let Some(session) = &credentials.session
        && let Some(granted) = logins::look(&shape_of(&session.login, &session.spot, secrets))
    {
        let token = &granted.token;
        match &session.sent_as {
            SentAs::Bearer => add(AUTHORIZATION, format!("Bearer {token}")),
            SentAs::Header(name) => add(name, token.to_string()),
            SentAs::Query(name) => {
                let mut encoded = String::new();
                percent_encode(token, &mut encoded);
                url = parameter(&url, name, &encoded);
            }
            SentAs::Cookie(name) => cookies.push(format!("{name}={token}")),
        }
    }
    if !cookies.is_empty() {
        add("Cookie", cookies.join("; "));
    }
    (url, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(url: &str) -> Outgoing {
        Outgoing {
            once: false,
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(one, other)| ((*one).to_owned(), (*other).to_owned()));
        pairs.collect()
    }

    #[test]
    fn secrets_go_where_they_belong_and_are_blacked_out_in_every_form() {
        let secrets = Secrets::new();
        for (name, value) in [("k", "hunter2 key&"), ("c", "hunter3"), ("b", "me:hunter4")] {
            secrets.set(name, Some(value), Some("https://h")).unwrap();
        }
        let credentials = Credentials {
            basic: Some("b".into()),
            query: named(&[("api_key", "k")]),
            cookies: named(&[("s", "c"), ("t", "c")]),
            ..Credentials::default()
        };
        let request = prepare(
            &outgoing("https://h/x?api_key=old&y=1#z"),
            &credentials,
            &secrets,
        )
        .unwrap();
        assert_eq!(request.url, "https://h/x?y=1&api_key=hunter2%20key%26");
        let sent: Vec<(String, String)> = request
            .credentials
            .iter()
            .map(|(name, secret)| (name.clone(), secret.header_text()))
            .collect();
        assert_eq!(
            sent,
            [
                (
                    "Authorization".to_owned(),
                    "Basic bWU6aHVudGVyNA==".to_owned()
                ),
                ("Cookie".to_owned(), "s=hunter3; t=hunter3".to_owned())
            ]
        );
        let redactor = super::super::Redactor::new(request.secrets());
        let clean = redactor
            .clean("hunter2 key& hunter2%20key%26 hunter3 bWU6aHVudGVyNA== hunter4 me:hunter4");
        assert!(
            !clean.contains("hunter") && !clean.contains("bWU6"),
            "{clean}"
        );
        assert!(!format!("{request:?}").contains("hunter"));
    }

    #[test]
    fn a_token_goes_only_where_the_secrets_that_got_it_may_lead() {
        let secrets = Secrets::new();
        let login = Outgoing {
            once: false,
            body: Some(Spool::from_bytes(&b"p={secret:p}"[..])),
            ..outgoing("https://login/t")
        };
        let credentials = Credentials {
            session: Some(SessionToken {
                login: login.clone(),
                spot: "$.token".into(),
                sent_as: SentAs::Bearer,
            }),
            ..Credentials::default()
        };
        let sent = |url: &str| {
            prepare(&outgoing(url), &credentials, &secrets)
                .map(|request| request.credentials[0].1.header_text())
        };
        secrets
            .set("p", Some("hunter2"), Some("https://login"))
            .unwrap();
        assert!(matches!(
            sent("https://api/"),
            Err(SecretError::Reach { .. })
        ));
        assert_eq!(sent("https://login/x"), Err(SecretError::NotLoggedIn));
        secrets
            .set("p", Some("hunter2"), Some("https://login https://api"))
            .unwrap();
        let right = logins::take_right(&shape_of(&login, "$.token", &secrets)).unwrap();
        right.granted(logins::Granted::new("token-1", None, None), None);
        assert_eq!(sent("https://api/").as_deref(), Ok("Bearer token-1"));
        assert!(matches!(
            sent("https://evil/"),
            Err(SecretError::Reach { .. })
        ));
        // Who has other secrets has another token.
        secrets
            .set("p", Some("hunter3"), Some("https://login https://api"))
            .unwrap();
        assert_eq!(sent("https://api/"), Err(SecretError::NotLoggedIn));
    }
}
