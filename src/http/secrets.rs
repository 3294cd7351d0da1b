//! The tokens of this process: in memory, by name, never in a database.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::origin::Origin;
use super::secret::{Secret, SecretError, variable};
use super::url::Url;

/// The secrets of this process, by name. Safe to share between threads; never written anywhere.
#[derive(Default)]
pub struct Secrets {
    known: Mutex<BTreeMap<String, Secret>>,
    /// Counts what is set and removed.
    changes: AtomicU64,
    serial: OnceLock<u64>,
}

impl Secrets {
    /// An empty set; also usable for a `static`.
    pub const fn new() -> Secrets {
        Secrets {
            known: Mutex::new(BTreeMap::new()),
            changes: AtomicU64::new(0),
            serial: OnceLock::new(),
        }
    }

    /// Sets or replaces a secret and binds it to `origin` (`scheme://host[:port]` exactly; further ones behind spaces are for
    /// tokens that are got with it). A value of
    /// `None` removes it, whatever the origin; then the answer says whether there was one.
    pub fn set(
        &self,
        name: &str,
        value: Option<&str>,
        origin: Option<&str>,
    ) -> Result<bool, SecretError> {
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err(SecretError::Name);
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        let Some(value) = value else {
            return Ok(self.known.lock().remove(name).is_some());
        };
        let origin = origin.ok_or_else(|| {
            SecretError::Origin("it is missing; give scheme://host[:port]".into())
        })?;
        let secret = bound(value, origin, "")?.set_now();
        Ok(self.known.lock().insert(name.to_owned(), secret).is_some())
    }

    /// The secret of that name for a request to `url`. One set here goes first; else the environment's
    /// `SYNCSCOPE_SECRET_<NAME>`, which counts only together with `SYNCSCOPE_SECRET_<NAME>_ORIGIN`, so that a database
    /// file can't redirect a token of the environment. NAME is the name in capitals with every
    /// character other than A-Z and 0-9 as `_`.
    pub fn lookup(&self, name: &str, url: &str) -> Result<Secret, SecretError> {
        self.lookup_in(name, url, |variable| std::env::var(variable).ok())
    }

    /// Gives a secret a new value, for the same origin. `url`: where it is sent.
    ///
    /// # Errors
    /// As [`Secrets::lookup`]; a value that no secret can have.
    pub fn renew(&self, name: &str, value: &str, url: &str) -> Result<(), SecretError> {
        let secret = self.lookup(name, url)?.replaced(value)?.set_now();
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.known.lock().insert(name.to_owned(), secret);
        Ok(())
    }

    /// Tells these from those of all other connections.
    pub(super) fn serial(&self) -> u64 {
        static SERIALS: AtomicU64 = AtomicU64::new(0);
        *self
            .serial
            .get_or_init(|| SERIALS.fetch_add(1, Ordering::Relaxed))
    }

    /// How often one was set or removed: with the same number, they are the same.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Names and origins of what has been set here, by name: for a listing without values.
    pub fn names(&self) -> Vec<(String, Origin)> {
        self.known
            .lock()
            .iter()
            .map(|(name, s)| (name.clone(), s.origin().clone()))
            .collect()
    }

    fn lookup_in(
        &self,
        name: &str,
        url: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Secret, SecretError> {
        let wanted = Url::parse(url).map_err(SecretError::Url)?.origin;
        let known = self.known.lock().get(name).cloned();
        let secret = match known {
            Some(secret) => secret,
            None => {
                let variable = variable(name);
                let value = environment(&variable)
                    .filter(|value| !value.trim().is_empty())
                    .ok_or_else(|| SecretError::Unknown {
                        name: name.to_owned(),
                    })?;
                let origin = environment(&format!("{variable}_ORIGIN")).ok_or_else(|| {
                    SecretError::Origin(format!(
                        "set {variable}_ORIGIN to scheme://host[:port] as well"
                    ))
                })?;
                bound(value.trim(), origin.trim(), &format!("{variable}_ORIGIN: "))?
            }
        };
        if *secret.origin() != wanted {
            let bound = secret.origin().clone();
            return Err(SecretError::OtherOrigin {
                name: name.to_owned(),
                bound,
                wanted,
            });
        }
        Ok(secret)
    }
}

/// A secret for an origin, and for what is got with it: `origin` may name further ones behind spaces.
fn bound(value: &str, origin: &str, place: &str) -> Result<Secret, SecretError> {
    let parse = |text: &str| {
        Origin::parse(text).map_err(|why| SecretError::Origin(format!("{place}{why}")))
    };
    let (own, beyond) = origin.split_once(' ').unwrap_or((origin, ""));
    let own = parse(own)?;
    let beyond = beyond.split(' ').filter(|text| !text.is_empty()).map(parse);
    Ok(Secret::new(value, own)?.reaching(beyond.collect::<Result<_, _>>()?))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://api.example.com/sync?x=1";

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn set_replace_remove() {
        let secrets = Secrets::new();
        let origin = Some("https://api.example.com");
        assert_eq!(secrets.set("t", Some("one-token"), origin), Ok(false));
        assert_eq!(secrets.set("t", Some("two-token"), origin), Ok(true));
        let got = secrets.lookup_in("t", URL, nothing).unwrap();
        assert_eq!(got.header_text(), "two-token");
        assert_eq!(got.bearer().header_text(), "Bearer two-token");
        assert_eq!(secrets.set("t", None, None), Ok(true));
        assert_eq!(secrets.set("t", None, None), Ok(false));
        assert!(matches!(
            secrets.lookup_in("t", URL, nothing),
            Err(SecretError::Unknown { .. })
        ));
    }

    #[test]
    fn another_origin_gets_nothing() {
        let secrets = Secrets::new();
        secrets
            .set("t", Some("hunter2-token"), Some("https://api.example.com"))
            .unwrap();
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://evil.org/",
            "https://api.example.com.evil.org/",
        ] {
            let refused = secrets.lookup_in("t", url, nothing).unwrap_err();
            assert!(matches!(refused, SecretError::OtherOrigin { .. }), "{url}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        }
    }

    #[test]
    fn bad_ones_are_refused() {
        let secrets = Secrets::new();
        let origin = Some("https://h");
        assert_eq!(secrets.set("", Some("v"), origin), Err(SecretError::Name));
        assert_eq!(
            secrets.set("a\nb", Some("v"), origin),
            Err(SecretError::Name)
        );
        for value in ["", "a\r\nX-Evil: 1", " padded", "caf\u{e9}", "a\0b"] {
            assert!(
                matches!(
                    secrets.set("t", Some(value), origin),
                    Err(SecretError::Value(_))
                ),
                "{value:?}"
            );
        }
        for bad in [None, Some(""), Some("h"), Some("https://h/path"), Some("*")] {
            assert!(
                matches!(
                    secrets.set("t", Some("v"), bad),
                    Err(SecretError::Origin(_))
                ),
                "{bad:?}"
            );
        }
        assert!(secrets.names().is_empty());
    }

    #[test]
    fn the_environment_counts_only_with_its_origin() {
        let secrets = Secrets::new();
        let value = |v: &str| (v == "SYNCSCOPE_SECRET_MY_API_2").then(|| "from-env\n".to_owned());
        assert!(matches!(
            secrets.lookup_in("my-api.2", URL, value),
            Err(SecretError::Origin(_))
        ));
        let both = |v: &str| match v {
            "SYNCSCOPE_SECRET_MY_API_2" => Some("from-env\n".to_owned()),
            "SYNCSCOPE_SECRET_MY_API_2_ORIGIN" => Some("https://api.example.com".to_owned()),
            _ => None,
        };
        assert_eq!(
            secrets
                .lookup_in("my-api.2", URL, both)
                .unwrap()
                .header_text(),
            "from-env"
        );
        assert!(matches!(
            secrets.lookup_in("my-api.2", "https://evil.org/", both),
            Err(SecretError::OtherOrigin { .. })
        ));
        secrets
            .set(
                "my-api.2",
                Some("from-sql"),
                Some("https://api.example.com"),
            )
            .unwrap();
        assert_eq!(
            secrets
                .lookup_in("my-api.2", URL, both)
                .unwrap()
                .header_text(),
            "from-sql"
        );
    }

    #[test]
    fn nothing_shows_a_value() {
        let secrets = Secrets::new();
        secrets
            .set("t", Some("hunter2-token"), Some("https://api.example.com"))
            .unwrap();
        let one = secrets.lookup_in("t", URL, nothing).unwrap();
        for text in [format!("{secrets:?}"), format!("{one:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
