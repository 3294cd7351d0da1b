//! A request checked before anything leaves: URL, headers, credentials.

use std::sync::Arc;

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{HttpError, Kind};
use super::meter::Meter;
use super::request::{Body, Method, Request};
use super::spool::Spool;
use super::url::Url;

/// A request that has passed every check and can be sent as often as needed.
pub(super) struct Plan {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Spool>,
    /// Counts the bytes.
    pub meter: Arc<Meter>,
}

/// Headers that say how bytes travel: set here, or meaningless through a client like this.
const OURS: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Plan {
    /// Checks URL, headers and that every credential belongs to the URL's origin.
    pub fn new(request: &Request, meter: &Arc<Meter>) -> Result<Plan, HttpError> {
        let url = Url::parse(&request.url)
            .map_err(|why| HttpError::new(Kind::BadUrl, format!("the URL can't be used: {why}")))?;
        url.text().parse::<ureq::http::Uri>().map_err(|_| {
            HttpError::new(
                Kind::BadUrl,
                format!("the URL {url} can't be used: it is too long or malformed"),
            )
        })?;
        if request.method == Method::Get && request.body.is_some() {
            return Err(HttpError::new(
                Kind::BadOption,
                "a GET request can't have a body; use POST",
            ));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            add(&mut headers, name, value, false)?;
        }
        for (name, secret) in &request.credentials {
            if *secret.origin() != url.origin {
                return Err(HttpError::new(
                    Kind::Credential,
                    format!(
                        "the credential for {name} belongs to {} and is not sent to {}; correct the URL or the \
                         secret's origin",
                        secret.origin(),
                        url.origin
                    ),
                ));
            }
            add(&mut headers, name, &secret.header_text(), true)?;
        }
        let body = request.body.as_ref().map(|body| match body {
            Body::Bytes(bytes) => Spool::from_bytes(bytes.as_slice()),
            Body::Spool(spool) => spool.clone(),
        });
        Ok(Plan {
            method: request.method,
            url,
            headers,
            meter: Arc::clone(meter),
            body,
        })
    }
}

/// Checks a request that somebody else is about to send, who may know other addresses than `http` and `https`.
///
/// # Errors
/// What is wrong with its headers or its address.
pub fn check(request: &Request) -> Result<(), HttpError> {
    if request.url.starts_with("http://") || request.url.starts_with("https://") {
        return Plan::new(request, &Arc::default()).map(drop);
    }
    if request.url.contains(|c: char| c.is_control() || c == ' ') {
        let why = "the address has a space or a control character; encode it";
        return Err(HttpError::new(Kind::BadUrl, why));
    }
    let mut headers = HeaderMap::new();
    let plain = request.headers.iter().cloned();
    let secret = request.credentials.iter();
    plain
        .chain(secret.map(|(name, secret)| (name.clone(), secret.header_text().to_string())))
        .try_for_each(|(name, value)| add(&mut headers, &name, &value, true))
}

/// Reads the name of a header.
///
/// # Errors
/// What is wrong with it.
pub fn header_name(name: &str) -> Result<HeaderName, String> {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("\"{shown}\" is not a header name; use letters, digits and -"))?;
    match OURS.contains(&parsed.as_str()) {
        true => Err(format!(
            "the header {shown} is set by syncscope itself; leave it out"
        )),
        false => Ok(parsed),
    }
}

fn add(headers: &mut HeaderMap, name: &str, value: &str, sensitive: bool) -> Result<(), HttpError> {
    let parsed = header_name(name).map_err(|why| HttpError::new(Kind::BadHeader, why))?;
    // Not HeaderValue's own rule: it also takes bytes beyond ASCII, which servers read differently.
    if !value
        .bytes()
        .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    {
        return Err(HttpError::new(
            Kind::BadHeader,
            format!(
                "the value of header {parsed} has a line break or another character that can't be sent; encode it"
            ),
        ));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        HttpError::new(
            Kind::BadHeader,
            format!("the value of header {name} can't be sent"),
        )
    })?;
    value.set_sensitive(sensitive);
    let full = headers.try_append(parsed, value).is_err();
    if full {
        return Err(HttpError::new(Kind::BadHeader, "too many headers"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Secret};
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        Request {
            method: Method::Post,
            url: "https://h/sync?key=hunter2".into(),
            headers: headers
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect(),
            body: Some(Body::Bytes(b"hunter2".to_vec())),
            credentials: Vec::new(),
            once: false,
            hidden: Vec::new(),
        }
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_by_name() {
        for (name, value) in [
            ("X", "a\r\nEvil: 1"),
            ("X", "a\0"),
            ("X", "\u{e9}"),
            ("", "v"),
            ("a b", "v"),
            ("a:b", "v"),
            ("a\nb", "v"),
            ("Host", "evil"),
            ("content-LENGTH", "3"),
            ("Transfer-Encoding", "chunked"),
            ("Accept-Encoding", "br"),
        ] {
            let refused = Plan::new(&request(&[(name, value)]), &Arc::default())
                .err()
                .map(|e| e.kind());
            assert_eq!(refused, Some(Kind::BadHeader), "{name:?}: {value:?}");
        }
        assert!(
            Plan::new(
                &request(&[
                    ("X-Tab", "a\tb"),
                    ("Accept", "application/json"),
                    ("x-tab", "c")
                ]),
                &Arc::default()
            )
            .is_ok()
        );
    }

    #[test]
    fn credentials_of_another_origin_stop_everything() {
        let mut request = request(&[]);
        let secret = Secret::new("hunter2-token", Origin::parse("https://h:444").unwrap()).unwrap();
        request
            .credentials
            .push(("Authorization".into(), secret.bearer()));
        let refused = Plan::new(&request, &Arc::default()).err().unwrap();
        assert_eq!(refused.kind(), Kind::Credential);
        for shown in [
            format!("{refused}"),
            format!("{refused:?}"),
            format!("{request:?}"),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn urls_and_methods_are_checked() {
        for url in [
            "",
            "h",
            "ftp://h/",
            "http://u:hunter2@h/",
            "http://h/a b",
            "http://h/\n",
        ] {
            let request = Request {
                url: url.into(),
                ..request(&[])
            };
            let refused = Plan::new(&request, &Arc::default()).err().unwrap();
            assert_eq!(refused.kind(), Kind::BadUrl, "{url:?}");
            assert!(!refused.to_string().contains("hunter2"));
        }
        let get = Request {
            method: Method::Get,
            ..request(&[])
        };
        assert_eq!(
            Plan::new(&get, &Arc::default()).err().unwrap().kind(),
            Kind::BadOption
        );
        assert_eq!(Method::parse("patch"), Some(Method::Patch));
        assert_eq!(Method::parse("TRACE"), None);
    }
}
