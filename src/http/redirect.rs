//! Which redirects are followed: few, and never to another origin.

use super::error::{HttpError, Kind};
use super::request::Method;
use super::url::Url;

/// Most redirects followed for one attempt.
pub(super) const MOST: u32 = 5;

/// The URL to go to, or `None` when the answer is not a redirect and belongs to the caller.
///
/// - To another origin: an error, for whoever receives the request learns its headers and body.
/// - GET follows 301, 302, 303, 307 and 308; the other methods only 307 and 308, which keep method
///   and body. A 302 answer to a POST would turn it into a GET and lose the changes without a word.
/// - A 3xx without `Location`, and 300 and 304, are plain answers.
pub(super) fn decide(
    method: Method,
    status: u16,
    location: Option<&str>,
    at: &Url,
    followed: u32,
) -> Result<Option<Url>, HttpError> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = location else {
        return Ok(None);
    };
    let target = at.join(location).map_err(|why| {
        HttpError::new(
            Kind::BadRedirect,
            format!("{at} answered {status} with a redirect that can't be followed: {why}; give the final URL"),
        )
    })?;
    if target.origin != at.origin {
        return Err(HttpError::new(
            Kind::ForeignRedirect,
            format!(
                "{} redirects ({status}) to another origin, {}; nothing was sent there. If that is your backend, \
                 use its URL directly",
                at.origin, target.origin
            ),
        ));
    }
    if method != Method::Get && !matches!(status, 307 | 308) {
        return Err(HttpError::new(
            Kind::BadRedirect,
            format!(
                "{at} answered {method} with {status} to {target}, which would drop the request's body; \
                 use the final URL directly"
            ),
        ));
    }
    if followed >= MOST {
        return Err(HttpError::new(
            Kind::TooManyRedirects,
            format!("{at} still redirects after {MOST} redirects; use the final URL directly"),
        ));
    }
    Ok(Some(target))
}

/// Where a redirect leads, for the fuzzers: `Err` when `at` is not a URL.
#[cfg(fuzzing)]
pub fn follow(status: u16, location: &str, at: &str) -> Result<Option<String>, String> {
    let at = Url::parse(at)?;
    let next = decide(Method::Get, status, Some(location), &at, 0);
    Ok(next.ok().flatten().map(|url| url.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(
        method: Method,
        status: u16,
        location: Option<&str>,
        followed: u32,
    ) -> Result<Option<String>, Kind> {
        let at = Url::parse("https://h/a?k=hunter2").unwrap();
        match decide(method, status, location, &at, followed) {
            Ok(next) => Ok(next.map(|u| u.text())),
            Err(e) => {
                assert!(!e.to_string().contains("hunter2"), "{e}");
                Err(e.kind())
            }
        }
    }

    #[test]
    fn get_follows_all_within_the_origin() {
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(
                go(Method::Get, status, Some("/b"), 0),
                Ok(Some("https://h/b".into()))
            );
        }
    }

    #[test]
    fn other_methods_follow_only_what_keeps_the_body() {
        for method in [Method::Post, Method::Put, Method::Patch, Method::Delete] {
            for status in [307, 308] {
                assert_eq!(
                    go(method, status, Some("/b"), 0),
                    Ok(Some("https://h/b".into()))
                );
            }
            for status in [301, 302, 303] {
                assert_eq!(go(method, status, Some("/b"), 0), Err(Kind::BadRedirect));
            }
        }
    }

    #[test]
    fn never_to_another_origin() {
        for to in [
            "http://h/b",
            "https://h:444/b",
            "//other/b",
            "https://h.evil/b",
        ] {
            assert_eq!(
                go(Method::Get, 302, Some(to), 0),
                Err(Kind::ForeignRedirect),
                "{to}"
            );
            assert_eq!(
                go(Method::Post, 307, Some(to), 0),
                Err(Kind::ForeignRedirect),
                "{to}"
            );
        }
    }

    #[test]
    fn the_rest_is_an_answer_or_an_end() {
        assert_eq!(go(Method::Get, 304, Some("/b"), 0), Ok(None));
        assert_eq!(go(Method::Get, 200, Some("/b"), 0), Ok(None));
        assert_eq!(go(Method::Get, 302, None, 0), Ok(None));
        assert_eq!(
            go(Method::Get, 302, Some("ftp://h/"), 0),
            Err(Kind::BadRedirect)
        );
        assert_eq!(
            go(Method::Get, 302, Some("/b"), MOST - 1),
            Ok(Some("https://h/b".into()))
        );
        assert_eq!(
            go(Method::Get, 302, Some("/b"), MOST),
            Err(Kind::TooManyRedirects)
        );
    }
}
