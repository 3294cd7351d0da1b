//! URLs: taken apart strictly, joined with a redirect's target, shown without secrets.

use std::fmt;

use super::origin::Origin;

/// An absolute http or https URL. `Display` hides query values; [`Url::text`] is the real thing.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub origin: Origin,
    path: String,
    query: Option<String>,
}

/// Whether a text is a URL that requests can be sent to; says what is wrong with it.
///
/// # Errors
/// Another scheme than http or https, user information, white space and the like.
pub fn check(text: &str) -> Result<(), String> {
    Url::parse(text)
        .map(drop)
        .map_err(|problem| format!("has {problem}"))
}

impl Url {
    /// Reads a URL. Letters beyond ASCII in path and query are percent-encoded, a fragment is dropped;
    /// white space, control characters and backslashes are refused, since parsers disagree on them.
    pub fn parse(text: &str) -> Result<Url, String> {
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(
                "white space, a control character or a backslash; percent-encode it".into(),
            );
        }
        let (origin, rest) = Origin::split(text)?;
        let (path, query) = path_and_query(rest);
        let path = if path.is_empty() {
            "/".into()
        } else {
            escape(path)
        };
        Ok(Url {
            origin,
            path,
            query: query.map(escape),
        })
    }

    /// Resolves a `Location` against this URL, by RFC 3986 section 5.
    pub fn join(&self, location: &str) -> Result<Url, String> {
        let location = location.trim();
        if location.chars().any(|c| c.is_control() || c == '\\') {
            return Err("its target has a control character or a backslash".into());
        }
        let location = location.replace(' ', "%20");
        if has_scheme(&location) {
            return Url::parse(&location);
        }
        if location.starts_with("//") {
            let scheme = if self.origin.is_https() {
                "https:"
            } else {
                "http:"
            };
            return Url::parse(&format!("{scheme}{location}"));
        }
        let (path, query) = path_and_query(&location);
        let (path, query) = match path {
            "" => (
                self.path.clone(),
                query.map(escape).or_else(|| self.query.clone()),
            ),
            p if p.starts_with('/') => (without_dots(&escape(p)), query.map(escape)),
            p => {
                let folder = self.path.rfind('/').map_or("/", |at| &self.path[..=at]);
                (
                    without_dots(&format!("{folder}{}", escape(p))),
                    query.map(escape),
                )
            }
        };
        Ok(Url {
            origin: self.origin.clone(),
            path,
            query,
        })
    }

    /// The whole URL, as it is sent. May hold secrets in its query: not for messages.
    pub fn text(&self) -> String {
        match &self.query {
            Some(query) => format!("{}{}?{query}", self.origin, self.path),
            None => format!("{}{}", self.origin, self.path),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)?;
        let Some(query) = &self.query else {
            return Ok(());
        };
        f.write_str("?")?;
        for (i, pair) in query.split('&').enumerate() {
            if i > 0 {
                f.write_str("&")?;
            }
            // A pair without "=" may itself be a token.
            match pair.split_once('=') {
                Some((name, _)) => write!(f, "{name}=…")?,
                None => f.write_str("…")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// A URL as it may be shown: without user information, fragment and query values.
/// What is not a URL at all is not shown at all.
pub fn redacted(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "(not a usable URL)".into(), |url| url.to_string())
}

fn path_and_query(rest: &str) -> (&str, Option<&str>) {
    let rest = rest.split('#').next().unwrap_or("");
    match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    }
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// Percent-encodes what is not allowed in a path or query; leaves `%` alone, it is encoded already.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Resolves `.` and `..` in an absolute path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn shown_without_values() {
        assert_eq!(
            url("https://h/sync?token=hunter2&page=3&bare#frag").to_string(),
            "https://h/sync?token=…&page=…&…"
        );
        assert_eq!(redacted("https://user:hunter2@h/x"), "(not a usable URL)");
        assert_eq!(redacted("http://h:80"), "http://h/");
        assert!(!format!("{:?}", url("https://h/?k=hunter2")).contains("hunter2"));
    }

    #[test]
    fn sent_with_all_of_it_but_the_fragment() {
        assert_eq!(url("http://h?a=1#f").text(), "http://h/?a=1");
        assert_eq!(
            url("http://h:8080/\u{e4}?q=\u{20ac}").text(),
            "http://h:8080/%C3%A4?q=%E2%82%AC"
        );
        assert_eq!(
            url("http://h/a%20b?x={1}").text(),
            "http://h/a%20b?x=%7B1%7D"
        );
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        for bad in [
            "http://h/a b",
            "http://h\\@evil/",
            "http://h/\r\nX: y",
            "javascript:alert(1)",
            "/x",
            "http://h/\t",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn joins_like_rfc_3986() {
        let base = url("http://h/a/b/c?q=1");
        for (location, joined) in [
            ("/x", "http://h/x"),
            ("x", "http://h/a/b/x"),
            ("./x/", "http://h/a/b/x/"),
            ("../x?y=1#z", "http://h/a/x?y=1"),
            ("../../../x", "http://h/x"),
            ("..", "http://h/a/"),
            ("?y", "http://h/a/b/c?y"),
            ("", "http://h/a/b/c?q=1"),
            ("//other/x", "http://other/x"),
            ("https://h/x y", "https://h/x%20y"),
            ("HTTP://H:80/a//b", "http://h/a//b"),
        ] {
            assert_eq!(base.join(location).unwrap().text(), joined, "{location}");
        }
        for bad in [
            "ftp://h/",
            "mailto:x@y",
            "http://u:p@h/",
            "/\\evil",
            "/a\u{0}b",
        ] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
    }
}
