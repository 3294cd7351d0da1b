//! URLs and redirects: two other readers of URLs see the same origin, and no redirect leaves it. A token goes
//! where the origin says, so a text that readers understand differently would send it elsewhere.

use syncscope::fuzzing::follow;
use syncscope::http::{Origin, check_url, redacted};

/// Scheme, host and port as the `url` crate has them.
fn theirs(text: &str) -> (String, String, u16) {
    let url = url::Url::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((url.username(), url.password()), ("", None), "{text}");
    let host = url.host_str().unwrap_or_default().to_owned();
    (
        url.scheme().to_owned(),
        host,
        url.port_or_known_default().unwrap_or_default(),
    )
}

pub fn run(data: (&str, &str)) {
    let (text, location) = data;
    if let Ok(origin) = Origin::parse(text) {
        assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
    }
    if check_url(text).is_err() {
        assert_eq!(redacted(text), "(not a usable URL)");
        return;
    }
    let shown = redacted(text);
    if let Some((_, query)) = shown.split_once('?') {
        assert!(query.split('&').all(|pair| pair.ends_with('…')), "{shown}");
    }
    let origin = shown.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let ours = Origin::parse(&origin).unwrap_or_else(|error| panic!("{error}: {origin}"));
    // Numbers as hosts are spelled in many ways, and readers make addresses of them.
    let host = origin.split("//").nth(1).unwrap_or_default();
    let is_name = host.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !host.contains("xn--")
        && !host.contains("..");
    if !is_name {
        return;
    }
    let Ok(parsed) = url::Url::parse(text) else {
        return;
    };
    let _ = parsed;
    let (scheme, host, port) = theirs(text);
    assert_eq!(
        Origin::parse(&format!("{scheme}://{host}:{port}")).as_ref(),
        Ok(&ours),
        "{text}"
    );
    for status in [301, 302, 303, 307, 308] {
        let Ok(Some(target)) = follow(status, location, text) else {
            continue;
        };
        assert!(check_url(&target).is_ok(), "{target}");
        let (scheme, host, port) = theirs(&target);
        let reached = Origin::parse(&format!("{scheme}://{host}:{port}"));
        assert_eq!(reached.as_ref(), Ok(&ours), "{text} to {location:?}");
    }
}
