//! How an API wants to know who asks: what belongs into the provider's configuration. Never a credential itself.

use serde_json::{Map, Value as Json, json};

use super::document::Document;
use super::text::shown;
use crate::ground::origin;

/// Most schemes of a document.
const MOST: usize = 50;

/// One way, with the JSON that a provider takes, and the names of the secrets in it.
fn way(scheme: &str, config: Json, origins: &str, secrets: &[(&str, &str)]) -> Json {
    let quote = |text: &str| text.replace('\'', "''");
    let secrets = secrets.iter().map(|(name, what)| {
        format!(
            "SELECT sync_secret('{}', '{what}', '{}');",
            quote(name),
            quote(origins)
        )
    });
    json!({"scheme": scheme, "config": config, "secrets": secrets.collect::<Vec<_>>()})
}

fn none(scheme: &str, why: &str) -> Json {
    json!({"scheme": scheme, "why": why})
}

/// The schemes of an OpenAPI document.
pub fn of_openapi<'d>(
    source: &Document<'d>,
    document: &'d Map<String, Json>,
    url: &str,
) -> Vec<Json> {
    let schemes = document
        .get("components")
        .and_then(|components| components.get("securitySchemes"))
        .and_then(Json::as_object);
    let schemes = schemes.into_iter().flatten().take(MOST);
    schemes
        .map(|(name, scheme)| {
            let name = shown(name).trim_matches('"').to_owned();
            match source.resolve(scheme) {
                Ok(scheme) => of_scheme(&name, scheme, url),
                Err(why) => none(&name, &why),
            }
        })
        .collect()
}

fn of_scheme(name: &str, scheme: &Json, url: &str) -> Json {
    let text = |key: &str| scheme.get(key).and_then(Json::as_str).unwrap_or_default();
    match (text("type"), text("scheme").to_ascii_lowercase().as_str()) {
        ("http", "bearer") => bearer(name, url),
        ("http", "basic") => basic(name, url),
        ("apiKey", _) => api_key(name, text("in"), text("name"), url),
        ("oauth2", _) => oauth(name, scheme.get("flows").unwrap_or(&Json::Null), url),
        ("openIdConnect", _) => none(
            name,
            "OpenID Connect needs a browser: have your program get the token, give it to sync_secret, and name it in token",
        ),
        ("mutualTLS", _) => none(name, "certificates of clients are not supported"),
        _ => none(name, "the document does not say how it is sent"),
    }
}

fn bearer(name: &str, url: &str) -> Json {
    way(
        name,
        json!({"token": name}),
        origin(url),
        &[(name, "TOKEN")],
    )
}

fn basic(name: &str, url: &str) -> Json {
    way(
        name,
        json!({"basic": name}),
        origin(url),
        &[(name, "USER:PASSWORD")],
    )
}

fn api_key(name: &str, place: &str, key: &str, url: &str) -> Json {
    let key: String = key.chars().take(200).collect();
    let config = match place {
        "header" => "secretHeaders",
        "query" => "secretQuery",
        "cookie" => "secretCookies",
        _ => return none(name, "the document does not say where its key goes"),
    };
    way(
        name,
        json!({config: {key: name}}),
        origin(url),
        &[(name, "KEY")],
    )
}

/// The grants that need no browser; else the token is the program's business.
fn oauth(name: &str, flows: &Json, url: &str) -> Json {
    let flow = |kind: &str| {
        let flow = flows.get(kind)?;
        Some((flow.get("tokenUrl")?.as_str()?, flow))
    };
    if let Some((place, flow)) = flow("clientCredentials") {
        let mut login = json!({"url": placed(place), "grant": "client_credentials", "clientId": "ID", "clientSecret": name});
        let scopes = flow.get("scopes").and_then(Json::as_object);
        let scopes: Vec<&str> = scopes
            .into_iter()
            .flatten()
            .take(50)
            .map(|(scope, _)| scope.as_str())
            .collect();
        if !scopes.is_empty() {
            login["scope"] = scopes.join(" ").into();
        }
        return login_way(name, login, place, url, "CLIENT SECRET");
    }
    if let Some((place, _)) = flow("password") {
        let body = format!("grant_type=password&username=USER&password={{secret:{name}}}");
        let login = json!({"url": placed(place), "body": body, "token": "$.access_token", "expires": "$.expires_in"});
        return login_way(name, login, place, url, "PASSWORD");
    }
    if let Some((place, _)) = flow("authorizationCode") {
        let login = json!({"url": placed(place), "grant": "refresh_token", "clientId": "ID", "refreshToken": name});
        return login_way(name, login, place, url, "REFRESH TOKEN");
    }
    bearer(name, url)
}

/// An address as `login` takes it: a path without a slash is one, too.
fn placed(place: &str) -> String {
    match place.contains("://") || place.starts_with('/') {
        true => place.to_owned(),
        false => format!("/{}", place.trim_start_matches("./")),
    }
}

/// The secret of a login belongs to where one logs in, and the token to the API.
fn login_way(name: &str, login: Json, place: &str, url: &str, what: &str) -> Json {
    let (there, here) = (origin(place), origin(url));
    let origins = match place.contains("://") && there != here {
        true => format!("{there} {here}"),
        false => here.to_owned(),
    };
    way(name, json!({"login": login}), &origins, &[(name, what)])
}

/// What a Postman collection says of all its requests.
pub fn of_postman(document: &Map<String, Json>, url: &str) -> Vec<Json> {
    let Some(auth) = document.get("auth") else {
        return Vec::new();
    };
    let kind = auth.get("type").and_then(Json::as_str).unwrap_or_default();
    // Values can be credentials; only where a key goes is read.
    let said = |key: &str| {
        let list = auth.get(kind)?.as_array()?;
        let found = list
            .iter()
            .find(|one| one.get("key").and_then(Json::as_str) == Some(key))?;
        found.get("value")?.as_str().map(str::to_owned)
    };
    let way = match kind {
        "" | "noauth" => return Vec::new(),
        "bearer" => bearer(kind, url),
        "basic" => basic(kind, url),
        "apikey" => {
            let place = said("in").unwrap_or_else(|| "header".into());
            let key = said("key").unwrap_or_default();
            api_key(kind, &place, &key, url)
        }
        "oauth2" => oauth(kind, &Json::Null, url),
        other => none(shown(other).trim_matches('"'), "this way is not supported"),
    };
    vec![way]
}
