//! The configuration as this protocol uses it: read once, with every key checked.

use serde_json::Value as Json;

use super::migration::Policy;
use crate::providers::config::{BoolAs, Config, CursorUnit, IdAs, RejectedFormat, is_credential};
use crate::providers::path::Path;
use crate::providers::template::{Body, FirstToken, Params, Text, Url, Values};
use crate::providers::values::Leniency;

/// How one of the two requests is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: &'static str,
    pub url: Url,
    pub body: Option<Body>,
}

/// Where a pull answer keeps what.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub timestamp: Path,
    pub changes: Path,
}

/// How strictly pull answers are read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Nothing may be missing or stand twice.
    pub strict: bool,
    /// `_status` and `_changed` in a row are passed over.
    pub strip_meta: bool,
    pub values: Leniency,
    /// Rows are not to be announced as created.
    pub created_as_updated: bool,
    /// Timestamps may be text.
    pub opaque: bool,
    /// The answer is a bulk load: created and updated rows only, no replacement.
    pub turbo: bool,
}

/// Everything `sync_provider` was told, ready for use.
#[derive(Debug, Clone)]
pub struct Options {
    pub pull: Call,
    pub push: Call,
    pub headers: Vec<(String, Text)>,
    pub first: FirstToken,
    pub opaque: bool,
    pub overlap: u64,
    pub layout: Layout,
    pub reading: Reading,
    pub rejected: Path,
    pub rejected_format: RejectedFormat,
    pub success: Option<Path>,
    pub send_meta: bool,
    pub send_tables: bool,
    pub send_empty_tables: bool,
    pub booleans_as_numbers: bool,
    pub ids_as_numbers: bool,
    pub retry_once: bool,
    pub migrations: Policy,
    /// In place of the file's own.
    pub schema_version: Option<i64>,
}

const PULL_URL: &str =
    "?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}";
const PUSH_URL: &str = "?last_pulled_at={lastPulledAt}";

impl Options {
    /// Reads a configuration whose preset has been filled in.
    ///
    /// # Errors
    /// The key that is wrong, and how.
    pub fn resolve(config: &Config) -> Result<Self, String> {
        let opaque = config.cursor_unit == Some(CursorUnit::Opaque);
        if opaque && config.overlap.is_some_and(|overlap| overlap > 0) {
            return Err(
                "overlap can't be subtracted from a cursor of cursorUnit \"opaque\"; leave it out"
                    .into(),
            );
        }
        let (pull, push) = (pull_call(config)?, push_call(config)?);
        let options = Self {
            headers: headers(config)?,
            first: first_token(config.first_token.as_ref())?,
            opaque,
            overlap: config.overlap(),
            layout: layout(config)?,
            reading: Reading {
                strict: !config.lenient,
                strip_meta: config.strip_meta,
                values: Leniency {
                    js_numbers: config.js_numbers,
                    coerce: config.coerce,
                },
                created_as_updated: config.send_created_as_updated.unwrap_or(false),
                opaque,
                turbo: false,
            },
            rejected: path(
                "rejectedPath",
                &config.rejected_path,
                "$.experimentalRejectedIds",
            )?,
            rejected_format: config.rejected_format.unwrap_or(RejectedFormat::Tables),
            success: match &config.success_path {
                None => None,
                given => Some(path("successPath", given, "$")?),
            },
            send_meta: config.send_meta,
            send_tables: config.send_tables.unwrap_or(config.pull_url.is_none()),
            send_empty_tables: config.send_empty_tables,
            booleans_as_numbers: config.bool_as == Some(BoolAs::Numbers),
            ids_as_numbers: config.id_as == IdAs::Number,
            retry_once: config.retry_once,
            migrations: Policy::parse(
                config.migrations.as_ref(),
                config.migrations_enabled_at_version,
            )?,
            schema_version: config.schema_version,
            pull,
            push,
        };
        options.require_a_place_for_migrations()?;
        options.refuse_secrets(config)?;
        Ok(options)
    }

    /// Migrations that nobody hears of would lose rows in silence.
    fn require_a_place_for_migrations(&self) -> Result<(), String> {
        let body = self.pull.body.as_ref();
        let told = self.pull.url.has_migration()
            || body.is_some_and(Body::has_migration)
            || self.headers.iter().any(|(_, value)| value.has_migration());
        if told || self.migrations.is_never() {
            return Ok(());
        }
        Err(
            "migrations are to be told, but the pull has no {migration}; add it to pullUrl or \
             pullBody"
                .into(),
        )
    }

    fn refuse_secrets(&self, config: &Config) -> Result<(), String> {
        let refuse = |place: &str, name: &str| {
            Err(format!(
                "{place} {name} would write a secret into the database; use token or secretHeaders \
                 with the name given to sync_secret"
            ))
        };
        if let Some(name) = config.params.keys().find(|name| is_credential(name)) {
            return refuse("params", name);
        }
        for (call, url, body) in [
            (&self.pull, "pullUrl", "pullBody"),
            (&self.push, "pushUrl", "pushBody"),
        ] {
            let names = call.url.written_parameters();
            if let Some(name) = names.iter().find(|name| is_credential(name)) {
                return refuse(&format!("the parameter of {url}"), name);
            }
            let keys = call.body.iter().flat_map(Body::written_keys);
            if let Some(key) = keys.into_iter().find(|key| is_credential(key)) {
                return refuse(&format!("the key of {body}"), &key);
            }
        }
        Ok(())
    }

    /// The addresses of pull and push as they will be, for a look at their form.
    pub fn sample_urls(&self) -> [String; 2] {
        [&self.pull, &self.push].map(|call| call.url.fill(&SAMPLE))
    }
}

const SAMPLE: Values<'static> = Values {
    cursor: Some("1"),
    first: FirstToken::Null,
    schema_version: 1,
    migration: None,
};

/// `url` with its placeholders filled in.
///
/// # Errors
/// The key that is wrong, and how.
pub fn sample_base(config: &Config) -> Result<String, String> {
    Ok(url(config, "url", "")?.fill(&SAMPLE))
}

fn pull_call(config: &Config) -> Result<Call, String> {
    let method = method(
        "pullMethod",
        config.pull_method.as_deref(),
        &["GET", "POST", "PUT", "PATCH"],
    )?;
    let url = url(
        config,
        "pullUrl",
        config.pull_url.as_deref().unwrap_or(PULL_URL),
    )?;
    let body = config
        .pull_body
        .as_ref()
        .map(|body| read_body("pullBody", body, &config.params))
        .transpose()?;
    if body.is_some() && method == "GET" {
        return Err("pullBody can't go with a GET; set pullMethod to POST".into());
    }
    if body.as_ref().is_some_and(Body::has_changes) {
        return Err("pullBody has {changes}, which belongs into pushBody".into());
    }
    Ok(Call { method, url, body })
}

fn push_call(config: &Config) -> Result<Call, String> {
    let method = method(
        "pushMethod",
        config.push_method.as_deref(),
        &["POST", "PUT", "PATCH"],
    )?;
    let url = url(
        config,
        "pushUrl",
        config.push_url.as_deref().unwrap_or(PUSH_URL),
    )?;
    let bare = Json::from("{changes}");
    let body = config.push_body.as_ref().unwrap_or(&bare);
    let body = read_body("pushBody", body, &config.params)?;
    if !body.has_changes() {
        return Err("pushBody has no {changes}, so nothing would be sent; add it".into());
    }
    Ok(Call {
        method,
        url,
        body: Some(body),
    })
}

/// The first of the allowed methods is the default.
fn method(
    key: &str,
    given: Option<&str>,
    allowed: &[&'static str],
) -> Result<&'static str, String> {
    let Some(given) = given else {
        return Ok(allowed[0]);
    };
    let found = allowed
        .iter()
        .find(|method| method.eq_ignore_ascii_case(given));
    found
        .copied()
        .ok_or_else(|| format!("{key} is {given:?}; give one of {}", allowed.join(", ")))
}

fn url(config: &Config, key: &str, template: &str) -> Result<Url, String> {
    let base = config.url.as_deref().unwrap_or_default();
    Url::parse(base, template, &config.params).map_err(|problem| {
        // A placeholder may stand in either.
        let key = match Url::parse(base, "", &config.params) {
            Ok(_) => key,
            Err(_) => "url",
        };
        format!("{key} {problem}")
    })
}

fn read_body(key: &str, template: &Json, params: &Params) -> Result<Body, String> {
    Body::parse(template, params).map_err(|problem| format!("{key} {problem}"))
}

fn headers(config: &Config) -> Result<Vec<(String, Text)>, String> {
    let mut headers = Vec::new();
    for (name, value) in &config.headers {
        let value = Text::parse(value, &config.params)
            .map_err(|problem| format!("headers: {name} {problem}"))?;
        if value.has_changes() {
            return Err(format!(
                "headers: {name} has {{changes}}, which belongs into pushBody"
            ));
        }
        headers.push((name.clone(), value));
    }
    Ok(headers)
}

fn first_token(given: Option<&Json>) -> Result<FirstToken, String> {
    match given {
        None | Some(Json::Null) => Ok(FirstToken::Null),
        Some(zero) if zero.as_i64() == Some(0) => Ok(FirstToken::Zero),
        Some(Json::String(word)) if word == "omitted" => Ok(FirstToken::Omitted),
        Some(Json::String(word)) if word == "empty" => Ok(FirstToken::Empty),
        Some(other) => Err(format!(
            "firstToken is {other}; give null, 0, \"omitted\" or \"empty\""
        )),
    }
}

fn path(key: &str, given: &Option<String>, usual: &str) -> Result<Path, String> {
    Path::parse(given.as_deref().unwrap_or(usual)).map_err(|problem| format!("{key} {problem}"))
}

fn layout(config: &Config) -> Result<Layout, String> {
    let timestamp = path("timestampPath", &config.timestamp_path, "$.timestamp")?;
    let changes = path("changesPath", &config.changes_path, "$.changes")?;
    for (key, path) in [("timestampPath", &timestamp), ("changesPath", &changes)] {
        if path.is_root() {
            return Err(format!("{key} is the whole answer; name a part of it"));
        }
    }
    if timestamp.overlaps(&changes) {
        return Err(format!(
            "timestampPath {timestamp} and changesPath {changes} lie within each other"
        ));
    }
    Ok(Layout { timestamp, changes })
}
