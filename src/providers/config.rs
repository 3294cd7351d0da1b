//! What `sync_provider` is told about a backend.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use super::conversation::ApplyRules;
use super::watermelon::{Options, Preset, sample_base};

/// Who moves the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The host program; it reports with `sync_set_status`.
    Host,
    Watermelon,
}

impl Kind {
    pub const ALL: &'static [&'static str] = &["host", "watermelon"];
}

/// What a cursor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CursorUnit {
    Ms,
    S,
    /// Any number or text, never calculated with.
    Opaque,
}

/// How booleans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoolAs {
    #[serde(rename = "true/false")]
    Words,
    #[serde(rename = "0/1")]
    Numbers,
}

/// How ids of INTEGER keys are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdAs {
    #[default]
    String,
    Number,
}

/// What a push answer names rejected rows with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RejectedFormat {
    /// `{table: [ids]}`
    Tables,
    /// A list of `{table, id, reason}`.
    List,
}

/// The JSON object of `sync_provider`. Times are milliseconds. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    pub kind: Kind,
    /// Address of the sync endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers sent as they stand. Secrets don't belong here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Name of the secret sent as `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Further headers whose values are secrets: header to name of the secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, String>,
    /// Entity to the table of another name that keeps it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub table_map: BTreeMap<String, String>,
    /// Table to columns that are not synced with this provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exclude_columns: BTreeMap<String, Vec<String>>,
    /// Schema version told to the backend. Default `PRAGMA user_version`, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// The schema's history, or "auto": what has changed since the last sync is told by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Json>,
    /// The first schema version whose migrations the backend understands. 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations_enabled_at_version: Option<i64>,
    /// A backend of well-known shape: fills in keys that are not given. `url` is its base address then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// GET, POST, PUT or PATCH. Default GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_method: Option<String>,
    /// What follows `url` in a pull, or an address of its own; with placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_url: Option<String>,
    /// JSON with placeholders. Default: no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_body: Option<Json>,
    /// POST, PUT or PATCH. Default POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_method: Option<String>,
    /// As `pull_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_url: Option<String>,
    /// As `pull_body`. Default `{changes}` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_body: Option<Json>,
    /// Values of the placeholders `{param:NAME}`. Secrets don't belong here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Json>,
    /// What stands for the cursor in the first pull: null, 0, "omitted" or "empty". Default null.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub first_token: Option<Json>,
    /// Default ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_unit: Option<CursorUnit>,
    /// Subtracted from the cursor of a pull, in its unit. Default 1 for s, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<u64>,
    /// Place of the timestamp in a pull answer. Default `$.timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_path: Option<String>,
    /// Place of the changes in a pull answer. Default `$.changes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_path: Option<String>,
    /// Place of the rejected rows in a push answer. Default `$.experimentalRejectedIds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_path: Option<String>,
    /// Default tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_format: Option<RejectedFormat>,
    /// Place in a push answer that must hold true. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_path: Option<String>,
    /// Whether pushed rows carry `_status` and `_changed`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub send_meta: bool,
    /// Whether the pull names the entities it is for in a parameter `tables`. Default: unless there is a
    /// preset or `pull_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_tables: Option<bool>,
    /// Whether a push names entities that it has no rows of.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub send_empty_tables: bool,
    /// Default true/false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bool_as: Option<BoolAs>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub id_as: IdAs,
    /// Whether an answer may leave lists out and name rows twice.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub lenient: bool,
    /// Whether `_status` and `_changed` in pulled rows are passed over, not refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strip_meta: bool,
    /// Whether pulled integers beyond 2^53 lose digits, as in JavaScript.
    #[serde(default, skip_serializing_if = "is_default")]
    pub js_numbers: bool,
    /// Whether pulled values of another type than their column's are converted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub coerce: bool,
    /// Whether the backend announces created rows as updated. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_created_as_updated: Option<bool>,
    /// Whether a row created here stays when the backend deletes it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep_created: bool,
    /// Entity to the SQL condition on its rows that a replacement is about. Default: all rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replacement_where: BTreeMap<String, String>,
    /// Columns that don't count when a row comes back. Default created_at, updated_at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_ignore: Option<Vec<String>>,
    /// Most rows of one push; 0 sends all at once. 0 to 1,000,000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub push_batch: u64,
    /// Whether a refused push is answered by one more pull and push.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub retry_once: bool,
    /// Longest wait for a connection. 1 to 3,600,000; default 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u64>,
    /// Longest silence of the backend. 1 to 86,400,000; default 30,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Longest duration of one request, retries and all. 1 to 86,400,000; default 600,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    /// Attempts at one request, the first included. 1 to 100; default 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Bound of the first pause between attempts, doubled each time. 0 to 3,600,000; default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
    /// Bound that the doubling stops at. 0 to 3,600,000; default 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backoff_ms: Option<u64>,
    /// Longest Retry-After that is waited for. 0 to 3,600,000; default 60,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry_after_ms: Option<u64>,
    /// Most bytes of one answer, decompressed. Default 1 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<u64>,
    /// How long to go on trying when the database is locked in the middle of a sync. 0 to
    /// 3,600,000; default 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_timeout_ms: Option<u64>,
}

fn yes() -> bool {
    true
}

fn is_true(truth: &bool) -> bool {
    *truth
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Keeps null apart from a key that is not there.
fn present<'de, D: Deserializer<'de>>(parser: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(parser).map(Some)
}

/// Parts of names of headers and URL parameters that carry credentials, which must come from
/// `sync_secret`.
const CREDENTIALS: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "apikey",
    "api-key",
    "api_key",
    "access_key",
];

/// Whether a name is one that credentials are sent under.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part);
    let is_author = has("author") && !has("authoriz") && !has("authoris");
    CREDENTIALS
        .iter()
        .any(|part| has(part) && !(*part == "auth" && is_author))
}

/// Columns that servers like to set themselves; a difference there does not make a row another's.
const SET_BY_SERVERS: &[&str] = &["created_at", "updated_at"];

/// Where the largest whole number of JavaScript lies.
const MOST_OVERLAP: u64 = 1 << 53;

impl Config {
    /// Parses and checks the object.
    ///
    /// # Errors
    /// `<key> <problem>; <what to do>`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| match wrong_key(text) {
            Some((key, problem)) => format!("config: {key}: {problem}"),
            None => format!("config: {error}"),
        })?;
        config.check()?;
        Ok(config)
    }

    /// The same with what its preset says, where it says nothing itself.
    ///
    /// # Errors
    /// `<key> <problem>; <what to do>`.
    pub fn effective(&self) -> Result<Self, String> {
        let Some(preset) = self.preset else {
            return Ok(self.clone());
        };
        let said = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let mut keys: Map<String, Json> = preset.keys()?;
        keys.extend(said.as_object().cloned().unwrap_or_default());
        serde_json::from_value(Json::Object(keys)).map_err(|error| format!("config: {error}"))
    }

    fn check(&self) -> Result<(), String> {
        for name in self.headers.keys() {
            if is_credential(name) {
                return Err(format!(
                    "config: header {name} would write a secret into the database; use token or \
                     secretHeaders with the name given to sync_secret"
                ));
            }
        }
        if self.schema_version.is_some_and(|version| version < 1) {
            return Err("config: schemaVersion must be 1 or more".into());
        }
        if self.busy_timeout_ms.is_some_and(|time| time > 3_600_000) {
            return Err("config: busyTimeoutMs must be 0 to 3600000".into());
        }
        if self.push_batch > 1_000_000 {
            return Err("config: pushBatch must be 0 to 1000000".into());
        }
        if self.overlap.is_some_and(|overlap| overlap > MOST_OVERLAP) {
            return Err(format!("config: overlap must be 0 to {MOST_OVERLAP}"));
        }
        if self.kind == Kind::Host {
            return match &self.url {
                None => Ok(()),
                Some(_) => Err(
                    "config: url makes no sense for kind host; the program itself moves \
                                the data"
                        .into(),
                ),
            };
        }
        let url = self.url.as_deref().unwrap_or_default();
        let parameters = url
            .split_once('?')
            .map_or("", |(_, query)| query)
            .split('&');
        let names = parameters.map(|parameter| parameter.split('=').next().unwrap_or_default());
        if let Some(name) = names.into_iter().find(|name| is_credential(name)) {
            return Err(format!(
                "config: the parameter {name} of url would write a secret into the database; use \
                 token or secretHeaders with the name given to sync_secret"
            ));
        }
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err("config: url must start with http:// or https://".into());
        }
        self.options().map(drop)
    }

    fn options(&self) -> Result<Options, String> {
        Options::resolve(&self.effective()?).map_err(|problem| format!("config: {problem}"))
    }

    /// The addresses that requests will go to, each with the key that says so.
    ///
    /// # Errors
    /// `<key> <problem>; <what to do>`.
    pub fn addresses(&self) -> Result<Vec<(&'static str, String)>, String> {
        if self.kind == Kind::Host {
            return Ok(Vec::new());
        }
        let [pull, push] = self.options()?.sample_urls();
        let base = sample_base(self).map_err(|problem| format!("config: {problem}"))?;
        Ok(vec![("url", base), ("pullUrl", pull), ("pushUrl", push)])
    }

    /// How far before the cursor a pull begins, in the cursor's unit.
    pub fn overlap(&self) -> u64 {
        let by_unit = u64::from(self.cursor_unit == Some(CursorUnit::S));
        self.overlap.unwrap_or(by_unit)
    }

    /// How pulled rows are applied.
    pub fn apply_rules(&self) -> ApplyRules {
        let usual = || SET_BY_SERVERS.iter().map(|name| (*name).to_owned());
        ApplyRules {
            keep_created: self.keep_created,
            created_as_updated: self.send_created_as_updated.unwrap_or(false),
            missing_is_default: true,
            echo_ignore: self
                .echo_ignore
                .clone()
                .unwrap_or_else(|| usual().collect()),
        }
    }

    /// How long to go on trying when the database is locked.
    pub fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms.unwrap_or(10_000))
    }
}

/// The key whose value is of the wrong type, and what is wrong. The parser itself only tells the place.
fn wrong_key(text: &str) -> Option<(String, String)> {
    let keys: Map<String, Json> = serde_json::from_str(text).ok()?;
    keys.into_iter()
        .filter(|(key, _)| key != "kind")
        .find_map(|(key, value)| {
            let alone = serde_json::json!({"kind": "host", &key: value});
            let error = serde_json::from_value::<Config>(alone).err()?.to_string();
            (!error.starts_with("unknown field")).then_some((key, error))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        for (text, said) in [
            ("{", "EOF"),
            (r#"{"kind":"pigeon"}"#, "pigeon"),
            (r#"{"url":"http://x"}"#, "kind"),
            (r#"{"kind":"watermelon"}"#, "url"),
            (r#"{"kind":"watermelon","url":"ftp://x"}"#, "http://"),
            (
                r#"{"kind":"watermelon","url":"http://{lastPulledAt}.org"}"#,
                "config: url has a placeholder in its host",
            ),
            (r#"{"kind":"watermelon","url":"http://x","ulr":1}"#, "ulr"),
            (r#"{"kind":"host","url":"http://x"}"#, "no sense"),
            (
                r#"{"kind":"watermelon","url":"http://x","headers":{"authorization":"Bearer t"}}"#,
                "sync_secret",
            ),
        ] {
            let refusal = Config::parse(text).err().unwrap_or_default();
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn keys_of_a_wrong_type_are_named() {
        for (key, value) in [
            ("sendMeta", "5"),
            ("migrationsEnabledAtVersion", "\"9\""),
            ("migrationsEnabledAtVersion", "1.5"),
            ("cursorUnit", "\"days\""),
            ("boolAs", "\"yes\""),
            ("idAs", "1"),
            ("rejectedFormat", "\"map\""),
            ("preset", "\"nope\""),
            ("pushBatch", "-1"),
            ("pushBatch", "1000001"),
            ("overlap", "0.5"),
            ("overlap", "9007199254740993"),
            ("echoIgnore", "\"a\""),
            ("params", "[]"),
            ("firstToken", "\"null\""),
            ("firstToken", "1"),
            ("pullMethod", "\"FETCH\""),
            ("pushMethod", "\"GET\""),
            ("pullUrl", "\"?a={nope}\""),
            ("pullUrl", "\"http://{schemaVersion}.org\""),
            ("pushUrl", "\"?a={changes}\""),
            ("pullBody", "{}"),
            ("pushBody", "{}"),
            ("pushBody", "\"{changes\""),
            ("timestampPath", "\"timestamp\""),
            ("timestampPath", "\"$\""),
            ("changesPath", "\"$\""),
            ("changesPath", "\"$.timestamp.changes\""),
            ("rejectedPath", "\"\""),
            ("successPath", "\"$.a[0]\""),
            ("lenient", "null"),
            ("params", r#"{"apiKey":"x"}"#),
            ("pullUrl", "\"?token=x\""),
            ("pushBody", r#"{"changes":"{changes}","password":"x"}"#),
            ("headers", r#"{"X":"{param:x}"}"#),
            ("migrations", "5"),
        ] {
            let text = format!(r#"{{"kind":"watermelon","url":"http://x","{key}":{value}}}"#);
            let refusal = Config::parse(&text).err().unwrap_or_default();
            let said = refusal.strip_prefix("config: ").unwrap_or_default();
            assert!(said.contains(key), "{text}: {refusal}");
        }
    }

    #[test]
    fn combinations_that_make_no_sense() {
        for (keys, said) in [
            (r#""cursorUnit":"opaque","overlap":1"#, "overlap"),
            (r#""preset":"seed","pullMethod":"GET""#, "pullBody"),
            (r#""preset":"seed","migrations":"auto""#, "{migration}"),
            (r#""migrationsEnabledAtVersion":1"#, "no migrations"),
            (r#""pullMethod":"POST","pullBody":"{changes}""#, "pullBody"),
        ] {
            let text = format!(r#"{{"kind":"watermelon","url":"http://x",{keys}}}"#);
            let refusal = Config::parse(&text).err().unwrap_or_default();
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn every_preset_is_a_configuration_and_explicit_keys_win() {
        for preset in ["docs", "seed", "camel_query", "rpc", "seconds"] {
            let text =
                format!(r#"{{"kind":"watermelon","url":"http://x/v1","preset":"{preset}"}}"#);
            let config = Config::parse(&text).unwrap();
            assert_eq!(serde_json::to_string(&config).unwrap().len(), text.len());
            assert!(config.effective().unwrap().push_url.is_some(), "{preset}");
        }
        let text = r#"{"kind":"watermelon","url":"http://x","preset":"camel_query","firstToken":null,
            "rejectedFormat":"tables"}"#;
        let config = Config::parse(text).unwrap().effective().unwrap();
        assert_eq!(config.first_token, Some(Json::Null));
        assert_eq!(config.rejected_format, Some(RejectedFormat::Tables));
        assert_eq!(config.rejected_path.as_deref(), Some("$.rejected"));
    }

    #[test]
    fn authors_are_not_credentials() {
        for name in [
            "Authorization",
            "X-Auth",
            "x-api-key",
            "refreshToken",
            "authorisation",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["author", "author_id", "tables", "X-User"] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn defaults_are_not_written_out() {
        let text = r#"{"kind":"watermelon","url":"http://x"}"#;
        let config = Config::parse(text).unwrap();
        assert!(config.retry_once && config.send_meta);
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }
}
