//! How a configuration, and the options of a call, are used.

use serde_json::{Map, Value as Json};

use crate::providers::conversation::CLOSED;
use crate::providers::kind::Settings;

/// A configuration.
#[derive(Debug, Clone)]
pub struct Options {
    url: String,
    upload_path: String,
    download_path: String,
    pub headers: Vec<(String, String)>,
    pub schema: String,
    /// The name of this device.
    pub source: Option<String>,
    /// See `generation` of the keys.
    pub generation: String,
    /// Statuses by which the server, or one before it, refuses an upload for some of its changes, or fails with them.
    pub refusals: &'static [u16],
    pub download_limit: u64,
    pub pull_bundles: u64,
    pub lookback: i64,
}

impl Options {
    pub fn of(settings: &Settings) -> Self {
        let headers = settings.texts("headers");
        Self {
            url: settings.text("url").to_owned(),
            upload_path: settings.text("uploadPath").to_owned(),
            download_path: settings.text("downloadPath").to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            schema: settings.text("serverSchema").to_owned(),
            source: settings.optional_text("sourceId").map(str::to_owned),
            generation: settings.text("generation").to_owned(),
            refusals: match settings.flag("splitRefused") {
                true => &[CLOSED, 400, 409, 413, 422, 500],
                false => &[],
            },
            download_limit: settings.number("downloadLimit"),
            pull_bundles: settings.number("pullBundles"),
            lookback: i64::try_from(settings.number("lookback")).unwrap_or(i64::MAX),
        }
    }

    pub fn upload_url(&self) -> String {
        self.address(&self.upload_path, None)
    }

    pub fn download_url(&self, query: &str) -> String {
        self.address(&self.download_path, Some(query))
    }

    /// A path behind that of `url`, whose query is kept.
    pub fn address(&self, path: &str, query: Option<&str>) -> String {
        let (base, own) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let mut url = format!("{}{path}", base.trim_end_matches('/'));
        let parts = [Some(own), query].into_iter().flatten();
        for part in parts.filter(|part| !part.is_empty()) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(part);
        }
        url
    }
}

/// The options of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    pub limit: Option<u64>,
    pub include_self: Option<bool>,
    pub until: Option<i64>,
    pub from: Option<i64>,
    /// Later pages go up to where the first one said that the log ends.
    pub windowed: bool,
}

/// The options that [`Call`] reads.
pub const PAGING: &[&str] = &["limit", "includeSelf", "until", "windowed", "from"];

impl Call {
    /// `most`: what the backend gives out at a time.
    ///
    /// # Errors
    /// An option that is out of range; what to do.
    pub fn read(options: &Map<String, Json>, most: u64) -> Result<Self, String> {
        let number = |key: &str| options.get(key).and_then(Json::as_u64);
        let place = |key: &str| number(key).map(|place| i64::try_from(place).unwrap_or(i64::MAX));
        let switch = |key: &str| options.get(key).and_then(Json::as_bool);
        if number("limit").is_some_and(|limit| limit > most) {
            return Err(format!(
                "options.limit is more than the {most} changes that the backend gives out at a time; lower it"
            ));
        }
        Ok(Self {
            limit: number("limit"),
            include_self: switch("includeSelf"),
            until: place("until"),
            from: place("from"),
            windowed: switch("windowed").unwrap_or(true),
        })
    }
}
