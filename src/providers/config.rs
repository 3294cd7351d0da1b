//! What `sync_provider` is told about a backend.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// Whether pushed rows carry `_status` and `_changed`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub send_meta: bool,
    /// Whether the pull names the entities it is for in a parameter `tables`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub send_tables: bool,
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

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|part| name.contains(part))
}

impl Config {
    /// Parses and checks the object.
    ///
    /// # Errors
    /// `<key> <problem>; <what to do>`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self =
            serde_json::from_str(text).map_err(|error| format!("config: {error}"))?;
        config.check()?;
        Ok(config)
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
        Ok(())
    }

    /// How long to go on trying when the database is locked.
    pub fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms.unwrap_or(10_000))
    }
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
    fn defaults_are_not_written_out() {
        let text = r#"{"kind":"watermelon","url":"http://x"}"#;
        let config = Config::parse(text).unwrap();
        assert!(config.retry_once && config.send_meta);
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }
}
