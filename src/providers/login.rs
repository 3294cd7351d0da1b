//! How a token is got: by `login`, or by `refreshUrl`, in one form.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::address::{check_place, placed};
use super::credential::refuse_credentials;
use super::instant::Instant;
use super::kind::Settings;
use super::path::Path;
use crate::ground::key::{Keys, Takes, Usual, check_keys, key};
use crate::ground::{percent_encode, quoted};
use crate::http::{
    Method, Outgoing, Response, SentAs, SessionToken, Spool, header_name, secrets_in,
};
use crate::store::ValueRef;

/// Where the secret belongs in `refreshBody`.
pub const IN_BODY: &str = "{secret}";

/// The keys of `login`.
#[rustfmt::skip]
pub const LOGIN: Keys = &[&[
    key("url", Takes::Text, Usual::Required, "", r#"{"url":"/login"}"#),
    key("grant", Takes::OneOf(&["client_credentials", "refresh_token"]), Usual::Nothing, "", ""),
    key("clientId", Takes::Text, Usual::Nothing, "", ""),
    key("clientSecret", Takes::Text, Usual::Nothing, "", ""),
    key("clientAuth", Takes::OneOf(&["basic", "body"]), Usual::Json("\"basic\""), "", ""),
    key("scope", Takes::Text, Usual::Nothing, "", ""),
    key("refreshToken", Takes::Text, Usual::Nothing, "", ""),
    key("method", Takes::Method(&["GET", "POST", "PUT"]), Usual::Json("\"POST\""), "", ""),
    key("headers", Takes::Map(&Takes::Text), Usual::Nothing, "", ""),
    key("body", Takes::Json, Usual::Nothing, "", ""),
    key("token", Takes::Text, Usual::Nothing, "", ""),
    key("expires", Takes::Text, Usual::Nothing, "", ""),
    key("nextRefreshToken", Takes::Text, Usual::Nothing, "", ""),
    key("as", Takes::Text, Usual::Json("\"bearer\""), "", ""),
]];

/// Where an answer has something.
#[derive(Debug, Clone, PartialEq)]
pub enum Spot {
    At(Path),
    Header(String),
    Cookie(String),
}

/// How a token is got.
#[derive(Debug, Clone)]
pub struct Login {
    /// The request, with places for its secrets.
    pub request: Outgoing,
    token: Spot,
    expires: Option<Path>,
    /// Where the answer has the secret for the next time, and that secret's name.
    next: Option<(Path, String)>,
    /// The name of the secret that the token takes the place of; none: it is one of its own.
    pub replaces: Option<String>,
    sent_as: SentAs,
}

/// What an answer gives.
pub struct Token {
    pub value: String,
    pub next: Option<String>,
    pub life: Option<Duration>,
}

impl Spot {
    fn parse(key: &str, text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("header:") {
            return Ok(Self::Header(name.trim().to_ascii_lowercase()));
        }
        if let Some(name) = text.strip_prefix("cookie:") {
            return Ok(Self::Cookie(name.trim().to_owned()));
        }
        Path::parse(text)
            .map(Self::At)
            .map_err(|why| format!("{key} {why}"))
    }

    fn find(&self, response: &Response, json: &Json) -> Option<String> {
        let found = match self {
            Self::At(path) => match path.find(json)? {
                Json::String(text) => text.clone(),
                Json::Number(number) => number.to_string(),
                _ => return None,
            },
            Self::Header(name) => {
                let value = response.headers.get(name)?;
                value.strip_prefix("Bearer ").unwrap_or(value).to_owned()
            }
            Self::Cookie(name) => response.headers.iter().find_map(|(header, value)| {
                let pair = value.split(';').next()?;
                let (known, value) = pair.split_once('=')?;
                let is_it = header.eq_ignore_ascii_case("set-cookie") && known.trim() == name;
                is_it.then(|| value.trim().to_owned())
            })?,
        };
        (!found.is_empty()).then_some(found)
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(path) => path.fmt(out),
            Self::Header(name) => write!(out, "header:{name}"),
            Self::Cookie(name) => write!(out, "cookie:{name}"),
        }
    }
}

impl Login {
    /// Where the answer has the token.
    pub fn spot(&self) -> String {
        self.token.to_string()
    }

    /// The name of the secret that each token brings anew.
    pub fn rotates(&self) -> Option<&str> {
        self.next.as_ref().map(|(_, name)| name.as_str())
    }

    /// What an answer gives, or why nothing.
    pub fn read(&self, response: &Response, now: i64) -> Result<Token, String> {
        let text = response.body.text().unwrap_or_default();
        let json: Json = serde_json::from_str(&text).unwrap_or_default();
        let Some(value) = self.token.find(response, &json) else {
            return Err(format!("nothing at {}", self.token));
        };
        let next = self.next.as_ref();
        let next = next.and_then(|(path, _)| Some(path.find(&json)?.as_str()?.to_owned()));
        let expires = self.expires.as_ref();
        Ok(Token {
            value,
            next: next.filter(|next| !next.is_empty()),
            life: expires.and_then(|path| life(path.find(&json)?, now)),
        })
    }

    /// How requests get the token that it brings; none where that is a secret by name.
    pub fn session(&self) -> Option<SessionToken> {
        self.replaces.is_none().then(|| SessionToken {
            login: self.request.clone(),
            spot: self.spot(),
            sent_as: self.sent_as.clone(),
        })
    }
}

/// How long a token is good for: seconds, or the time when it ends.
fn life(expires: &Json, now: i64) -> Option<Duration> {
    /// A greater number is a time.
    const LONGEST: f64 = 1e9;
    let number = match expires {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    if let Some(seconds) = number.filter(|seconds| *seconds < LONGEST) {
        return (seconds > 0.0).then(|| Duration::from_secs_f64(seconds));
    }
    let ends = match expires {
        Json::Number(number) => Instant::read(ValueRef::Real(number.as_f64()?)),
        Json::String(text) => Instant::read(ValueRef::Text(text)),
        _ => None,
    };
    let left = ends?.milliseconds()?.checked_sub(now)?;
    u64::try_from(left).ok().map(Duration::from_millis)
}

/// How the token of a configuration is got; none where it is not.
///
/// # Errors
/// `<key> <problem>; <what to do>`.
pub fn read(settings: &Settings) -> Result<Option<Login>, String> {
    if let Some(given) = settings.get("login").and_then(Json::as_object) {
        return by_login(settings, given).map(Some);
    }
    Ok(by_refresh(settings))
}

fn by_refresh(settings: &Settings) -> Option<Login> {
    let url = settings.optional_text("refreshUrl")?;
    let secret = settings.optional_text("refreshSecret")?;
    let place = format!("{{secret:{secret}}}");
    let path = |key| Path::parse(settings.optional_text(key)?).ok();
    let body = settings
        .optional_text("refreshBody")
        .map(|body| body.replace(IN_BODY, &place));
    let mut headers = Vec::new();
    match &body {
        None => headers.push(("Authorization".to_owned(), format!("Bearer {place}"))),
        Some(body) if !body.trim_start().starts_with('{') || body.starts_with("{secret:") => {
            headers.push(form())
        }
        Some(_) => {}
    }
    Some(Login {
        request: Outgoing {
            once: false,
            method: Method::Post,
            url: placed(settings, url),
            headers,
            body: body.map(|body| Spool::from_bytes(body.into_bytes())),
        },
        token: Spot::At(path("refreshTokenPath")?),
        expires: path("refreshExpiresPath"),
        next: path("refreshSecretPath").map(|path| (path, secret.to_owned())),
        replaces: Some(settings.optional_text("token")?.to_owned()),
        sent_as: SentAs::Bearer,
    })
}

fn form() -> (String, String) {
    let form = "application/x-www-form-urlencoded";
    ("Content-Type".to_owned(), form.to_owned())
}

fn by_login(settings: &Settings, given: &Map<String, Json>) -> Result<Login, String> {
    let mut given = given.clone();
    check_keys(&mut given, LOGIN, "login.", "login")?;
    let text = |key: &str| given.get(key).and_then(Json::as_str);
    for key in ["token", "refreshUrl", "basic"] {
        if settings.is_set(key) {
            return Err(format!(
                "login and {key} exclude each other; leave one of them out"
            ));
        }
    }
    let url = text("url").unwrap_or_default();
    check_place("login.url", Some(url))?;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    refuse_written("the parameter of login.url", query)?;
    let grant = text("grant");
    let path = |key: &str, usual: Option<&str>| match text(key).or(usual) {
        Some(path) => Path::parse(path)
            .map(Some)
            .map_err(|why| format!("login.{key} {why}")),
        None => Ok(None),
    };
    let mut headers = headers(&given)?;
    let body = match grant {
        Some(grant) => Some(granting(&given, grant, &mut headers)?),
        None => {
            for key in [
                "clientId",
                "clientSecret",
                "scope",
                "refreshToken",
                "nextRefreshToken",
            ] {
                if given.contains_key(key) {
                    return Err(format!("login.{key} goes with login.grant; give that too"));
                }
            }
            match given.get("body") {
                Some(Json::String(body)) => {
                    refuse_written("login.body", body)?;
                    headers.push(form());
                    Some(body.clone())
                }
                Some(body) => {
                    refuse_members(body)?;
                    Some(body.to_string())
                }
                None => None,
            }
        }
    };
    let texts = headers
        .iter()
        .map(|(_, value)| value.as_str())
        .chain(body.as_deref());
    if texts.flat_map(secrets_in).next().is_none() {
        return Err("login names no secret; write {secret:NAME} into body or headers, with the name given to sync_secret".into());
    }
    let method = text("method")
        .and_then(Method::parse)
        .unwrap_or(Method::Post);
    if method == Method::Get && body.is_some() {
        return Err("login.body does not go with the method GET; leave one of them out".into());
    }
    let token = text("token").unwrap_or(match grant {
        Some(_) => "$.access_token",
        None => "$.token",
    });
    let rotates = text("refreshToken").filter(|_| grant == Some("refresh_token"));
    let next = match rotates {
        Some(name) => {
            path("nextRefreshToken", Some("$.refresh_token"))?.map(|path| (path, name.to_owned()))
        }
        None => None,
    };
    Ok(Login {
        request: Outgoing {
            once: false,
            method,
            url: placed(settings, url),
            headers,
            body: body.map(|body| Spool::from_bytes(body.into_bytes())),
        },
        token: Spot::parse("login.token", token)?,
        expires: path("expires", grant.map(|_| "$.expires_in"))?,
        next,
        replaces: None,
        sent_as: sent_as(text("as").unwrap_or("bearer"))?,
    })
}

/// Refuses a credential that a form has itself.
fn refuse_written(place: &str, form: &str) -> Result<(), String> {
    let pairs = form
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let written = pairs.filter(|(_, value)| !value.is_empty() && secrets_in(value).is_empty());
    refuse_credentials(place, written.map(|(name, _)| name))
}

/// The same of JSON.
fn refuse_members(body: &Json) -> Result<(), String> {
    match body {
        Json::Object(members) => members.iter().try_for_each(|(name, member)| match member {
            Json::String(value) if secrets_in(value).is_empty() => {
                refuse_credentials("login.body", [name.as_str()])
            }
            inner => refuse_members(inner),
        }),
        Json::Array(list) => list.iter().try_for_each(refuse_members),
        _ => Ok(()),
    }
}

fn headers(given: &Map<String, Json>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for (name, value) in given
        .get("headers")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        header_name(name).map_err(|why| format!("login.headers: {why}"))?;
        if secrets_in(value).is_empty() {
            refuse_credentials("the header of login", [name.as_str()])?;
        }
        headers.push((name.clone(), value.to_owned()));
    }
    Ok(headers)
}

/// The form of an OAuth 2 grant.
fn granting(
    given: &Map<String, Json>,
    grant: &str,
    headers: &mut Vec<(String, String)>,
) -> Result<String, String> {
    let text = |key: &str| given.get(key).and_then(Json::as_str);
    if given.contains_key("body") || given.contains_key("method") {
        return Err("login.grant says itself what is sent; leave body and method out".into());
    }
    let encoded = |text: &str| {
        let mut encoded = String::new();
        percent_encode(text, &mut encoded);
        encoded
    };
    headers.push(form());
    let mut form = format!("grant_type={grant}");
    match (grant, text("refreshToken")) {
        ("refresh_token", Some(name)) => {
            form.push_str(&format!("&refresh_token={{secret:{name}}}"))
        }
        ("refresh_token", None) => {
            return Err("login.refreshToken is missing; give the name of the secret that is the refresh token".into());
        }
        _ => {}
    }
    if let Some(scope) = text("scope") {
        form.push_str(&format!("&scope={}", encoded(scope)));
    }
    match (text("clientId"), text("clientSecret"), text("clientAuth")) {
        (Some(id), Some(secret), Some("body")) => {
            form.push_str(&format!(
                "&client_id={}&client_secret={{secret:{secret}}}",
                encoded(id)
            ));
        }
        (Some(id), Some(secret), _) => {
            let value = format!("Basic {{basic:{}:{secret}}}", encoded(id));
            headers.push(("Authorization".to_owned(), value));
        }
        (Some(id), None, _) if grant == "refresh_token" => {
            form.push_str(&format!("&client_id={}", encoded(id)));
        }
        (None, None, _) if grant == "refresh_token" => {}
        (None, _, _) => return Err("login.clientId is missing; give it".into()),
        (_, None, _) => {
            return Err(
                "login.clientSecret is missing; give the name of the secret that is the client's"
                    .into(),
            );
        }
    }
    Ok(form)
}

fn sent_as(text: &str) -> Result<SentAs, String> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    let name = name.trim();
    match kind {
        "bearer" if name.is_empty() => Ok(SentAs::Bearer),
        "header" => {
            header_name(name).map_err(|why| format!("login.as: {why}"))?;
            Ok(SentAs::Header(name.to_owned()))
        }
        "query" if !name.is_empty() => Ok(SentAs::Query(name.to_owned())),
        "cookie" if is_cookie(name) => Ok(SentAs::Cookie(name.to_owned())),
        _ => Err(format!(
            "login.as is {}; write bearer, header:NAME, query:NAME or cookie:NAME",
            quoted(text)
        )),
    }
}

/// Whether a text can be the name of a cookie.
pub fn is_cookie(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_end_of_a_token_is_read_in_all_its_forms() {
        let now = 1_700_000_000_000;
        for (given, seconds) in [
            (json!(60), Some(60)),
            (json!("60"), Some(60)),
            (json!(1_700_000_060), Some(60)),
            (json!(1_700_000_060_000i64), Some(60)),
            (json!("2023-11-14T22:14:20Z"), Some(60)),
            (json!(0), None),
            (json!(-5), None),
            (json!(1_600_000_000), None),
            (json!("soon"), None),
            (json!(1e300), None),
            (json!(null), None),
        ] {
            let read = life(&given, now).map(|life| life.as_secs());
            assert_eq!(read, seconds, "{given}");
        }
    }
}
