//! The configuration as this protocol uses it: read once, with every key checked.

use serde_json::Value as Json;

use super::keys::{PULL_METHODS, PUSH_METHODS};
use super::migration::Policy;
use crate::http;
use crate::providers::credential::refuse_credentials;
use crate::providers::fit::Leniency;
use crate::providers::kind::Settings;
use crate::providers::path::Path;
use crate::providers::table_keys;
use crate::providers::template::{Body, FirstToken, Params, Text, Url, Values};

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
    /// `_status` and `_changed` in a row are ignored.
    pub strip_meta: bool,
    pub values: Leniency,
    /// Rows are not to be announced as created.
    pub created_as_updated: bool,
    /// Timestamps may be text.
    pub opaque: bool,
    /// The answer is a bulk load: created and updated rows only, no replacement.
    pub turbo: bool,
    /// Nothing was pulled before: the answer is to have all there is.
    pub from_the_beginning: bool,
}

/// The configuration given to `sync_provider`, ready for use.
#[derive(Debug, Clone)]
pub struct Options {
    base: Url,
    pub pull: Call,
    pub push: Call,
    pub headers: Vec<(String, Text)>,
    pub first: FirstToken,
    pub opaque: bool,
    pub overlap: u64,
    pub layout: Layout,
    pub reading: Reading,
    pub rejected: Path,
    /// Rejected rows come as a list of `{table, id, reason}`, not as `{table: [ids]}`.
    pub rejected_as_list: bool,
    pub success: Option<Path>,
    pub send_meta: bool,
    pub send_tables: bool,
    pub send_empty_tables: bool,
    pub booleans_as_numbers: bool,
    pub ids_as_numbers: bool,
    pub retry_once: bool,
    /// Statuses by which the backend refuses a push for some of its rows.
    pub refusals: &'static [u16],
    pub migrations: Policy,
    /// In place of the file's own.
    pub schema_version: Option<i64>,
}

impl Options {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The key that is wrong, and how.
    pub fn resolve(settings: &Settings) -> Result<Self, String> {
        let unit = settings.text("cursorUnit");
        let opaque = unit == "opaque";
        let overlap = settings.optional_number("overlap");
        if opaque && overlap.is_some_and(|overlap| overlap > 0) {
            return Err(
                "overlap can't be subtracted from a cursor of cursorUnit \"opaque\"; leave it out"
                    .into(),
            );
        }
        let params = params(settings);
        let (pull, push) = (pull_call(settings, &params)?, push_call(settings, &params)?);
        let options = Self {
            base: url(settings, "url", "", &params)?,
            headers: headers(settings, &params)?,
            first: first_token(settings),
            opaque,
            overlap: overlap.unwrap_or(u64::from(unit == "s")),
            layout: layout(settings)?,
            reading: Reading {
                strict: !settings.flag("lenient"),
                strip_meta: settings.flag("stripMeta"),
                values: Leniency {
                    js_numbers: settings.flag("jsNumbers"),
                    coerce: settings.flag("coerce"),
                    booleans_as_numbers: settings.text("boolAs") == "0/1",
                },
                created_as_updated: settings.flag("sendCreatedAsUpdated"),
                opaque,
                turbo: false,
                from_the_beginning: false,
            },
            rejected: path(settings, "rejectedPath")?,
            rejected_as_list: settings.text("rejectedFormat") == "list",
            success: match settings.is_set("successPath") {
                true => Some(path(settings, "successPath")?),
                false => None,
            },
            send_meta: settings.flag("sendMeta"),
            send_tables: settings
                .optional_flag("sendTables")
                .unwrap_or(!settings.is_set("pullUrl")),
            send_empty_tables: settings.flag("sendEmptyTables"),
            booleans_as_numbers: settings.text("boolAs") == "0/1",
            ids_as_numbers: settings.text("idAs") == "number",
            retry_once: settings.flag("retryOnce"),
            refusals: table_keys::refusals(settings),
            migrations: Policy::parse(
                settings.get("migrations"),
                settings
                    .optional_number("migrationsEnabledAtVersion")
                    .map(u64::cast_signed),
            )?,
            schema_version: settings
                .optional_number("schemaVersion")
                .map(u64::cast_signed),
            pull,
            push,
        };
        options.require_a_place_for_migrations()?;
        options.refuse_secrets(&params)?;
        Ok(options)
    }

    /// Migrations that nobody hears of would lose rows in silence.
    fn require_a_place_for_migrations(&self) -> Result<(), String> {
        let body = self.pull.body.as_ref();
        let is_sent = self.pull.url.has_migration()
            || body.is_some_and(Body::has_migration)
            || self.headers.iter().any(|(_, value)| value.has_migration());
        if is_sent || self.migrations.is_never() {
            return Ok(());
        }
        Err(
            "migrations are configured, but the pull has no {migration}; add it to pullUrl or \
             pullBody"
                .into(),
        )
    }

    fn refuse_secrets(&self, params: &Params) -> Result<(), String> {
        refuse_credentials("params", params.keys().map(String::as_str))?;
        for (call, url, body) in [
            (&self.pull, "pullUrl", "pullBody"),
            (&self.push, "pushUrl", "pushBody"),
        ] {
            let names = call.url.written_parameters();
            let place = format!("the parameter of {url}");
            refuse_credentials(&place, names.iter().map(|name| &**name))?;
            let keys: Vec<String> = call.body.iter().flat_map(Body::written_keys).collect();
            let place = format!("the key of {body}");
            refuse_credentials(&place, keys.iter().map(String::as_str))?;
        }
        Ok(())
    }

    /// The addresses of requests as they will be, each with the key that says so.
    pub fn addresses(&self) -> [(&'static str, String); 3] {
        [
            ("url", self.base.fill(&SAMPLE)),
            ("pullUrl", self.pull.url.fill(&SAMPLE)),
            ("pushUrl", self.push.url.fill(&SAMPLE)),
        ]
    }
}

/// Checks a configuration as a whole.
///
/// # Errors
/// The key that is wrong, and how.
pub fn check(settings: &Settings) -> Result<(), String> {
    Options::resolve(settings)?
        .addresses()
        .iter()
        .try_for_each(|(key, address)| {
            http::check_url(address).map_err(|problem| format!("{key} {problem}"))
        })
}

const SAMPLE: Values<'static> = Values {
    cursor: Some("1"),
    first: FirstToken::Null,
    schema_version: 1,
    migration: None,
};

fn params(settings: &Settings) -> Params {
    let params = settings.map("params");
    params
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn pull_call(settings: &Settings, params: &Params) -> Result<Call, String> {
    let method = method(settings, "pullMethod", PULL_METHODS);
    let url = url(settings, "pullUrl", settings.text("pullUrl"), params)?;
    let body = body(settings, "pullBody", params)?;
    if body.is_some() && method == "GET" {
        return Err("pullBody can't go with a GET; set pullMethod to POST".into());
    }
    if body.as_ref().is_some_and(Body::has_changes) {
        return Err("pullBody has {changes}, which belongs in pushBody".into());
    }
    Ok(Call { method, url, body })
}

fn push_call(settings: &Settings, params: &Params) -> Result<Call, String> {
    let method = method(settings, "pushMethod", PUSH_METHODS);
    let url = url(settings, "pushUrl", settings.text("pushUrl"), params)?;
    let body = body(settings, "pushBody", params)?;
    if !body.as_ref().is_some_and(Body::has_changes) {
        return Err("pushBody has no {changes}, so nothing would be sent; add it".into());
    }
    Ok(Call { method, url, body })
}

fn method(settings: &Settings, key: &str, known: &[&'static str]) -> &'static str {
    let given = settings.text(key);
    let found = known
        .iter()
        .find(|method| method.eq_ignore_ascii_case(given));
    found.copied().unwrap_or_default()
}

fn url(settings: &Settings, key: &str, template: &str, params: &Params) -> Result<Url, String> {
    let base = settings.text("url");
    Url::parse(base, template, params).map_err(|problem| {
        // A placeholder may be in either.
        let key = match Url::parse(base, "", params) {
            Ok(_) => key,
            Err(_) => "url",
        };
        format!("{key} {problem}")
    })
}

fn body(settings: &Settings, key: &str, params: &Params) -> Result<Option<Body>, String> {
    settings
        .get(key)
        .map(|template| Body::parse(template, params))
        .transpose()
        .map_err(|problem| format!("{key} {problem}"))
}

fn headers(settings: &Settings, params: &Params) -> Result<Vec<(String, Text)>, String> {
    let mut headers = Vec::new();
    for (name, value) in settings.texts("headers") {
        let value =
            Text::parse(value, params).map_err(|problem| format!("headers: {name} {problem}"))?;
        if value.has_changes() {
            return Err(format!(
                "headers: {name} has {{changes}}, which belongs in pushBody"
            ));
        }
        headers.push((name.to_owned(), value));
    }
    Ok(headers)
}

fn first_token(settings: &Settings) -> FirstToken {
    match settings.get("firstToken") {
        None | Some(Json::Null) => FirstToken::Null,
        Some(Json::String(word)) if word == "omitted" => FirstToken::Omitted,
        Some(Json::String(_)) => FirstToken::Empty,
        Some(_) => FirstToken::Zero,
    }
}

fn path(settings: &Settings, key: &str) -> Result<Path, String> {
    Path::parse(settings.text(key)).map_err(|problem| format!("{key} {problem}"))
}

fn layout(settings: &Settings) -> Result<Layout, String> {
    let timestamp = path(settings, "timestampPath")?;
    let changes = path(settings, "changesPath")?;
    for (key, path) in [("timestampPath", &timestamp), ("changesPath", &changes)] {
        if path.is_root() {
            return Err(format!("{key} is the whole answer; name a part of it"));
        }
    }
    if timestamp.overlaps(&changes) {
        return Err(format!(
            "of timestampPath {timestamp} and changesPath {changes} one is inside the other; give them separate places"
        ));
    }
    Ok(Layout { timestamp, changes })
}
