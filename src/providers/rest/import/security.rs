//! How an API wants to know who asks: what belongs into the provider's configuration. Never a credential itself.

use serde_json::{Map, Value as Json, json};

use super::document::Document;
use super::text::shown;
use crate::ground::origin;

/// Most schemes of a document.
const MOST: usize = 50;

/// One way, with the JSON that a provider takes, and the names of the secrets in it.
fn way(scheme: &str, config: Json, url: &str, secrets: &[(&str, &str)]) -> Json {
    let quote = |text: &str| text.replace('\'', "''");
    let secrets = secrets.iter().map(|(name, what)| {
        format!(
            "SELECT sync_secret('{}', '{what}', '{}');",
            quote(name),
            quote(origin(url))
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
    way(name, json!({"token": name}), url, &[(name, "TOKEN")])
}

fn basic(name: &str, url: &str) -> Json {
    let config = json!({"secretHeaders": {"Authorization": name}});
    way(
        name,
        config,
        url,
        &[(name, "Basic BASE64 OF USER:PASSWORD")],
    )
}

fn api_key(name: &str, place: &str, key: &str, url: &str) -> Json {
    let key: String = key.chars().take(200).collect();
    match place {
        "header" => way(
            name,
            json!({"secretHeaders": {key: name}}),
            url,
            &[(name, "KEY")],
        ),
        _ => none(name, "a key that is no header is not supported"),
    }
}

fn oauth(name: &str, _: &Json, url: &str) -> Json {
    bearer(name, url)
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
