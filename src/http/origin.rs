//! Scheme, host and port: the border that credentials never cross.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where a request goes: `http` or `https`, host, port. Two URLs share an origin only if all three
/// are equal; `Display` leaves the scheme's own port out, as browsers do.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads exactly `scheme://host[:port]`: no path, query, user information or wildcard.
    pub fn parse(text: &str) -> Result<Origin, String> {
        let (origin, rest) = Origin::split(text)?;
        if rest.is_empty() {
            return Ok(origin);
        }
        Err(format!(
            "an origin is scheme://host[:port] and nothing after it; write {origin}"
        ))
    }

    /// Cuts a URL into its origin and what follows it (path, query, fragment).
    /// The error text never repeats what may be secret.
    pub(super) fn split(url: &str) -> Result<(Origin, &str), String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("no scheme; begin with https:// or http://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("only http and https are supported".into()),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(
                "credentials inside the URL; leave them out and use a secret bound to the origin"
                    .into(),
            );
        }
        let (host, port) = host_and_port(authority)?;
        let port = match port {
            "" => {
                if tls {
                    443
                } else {
                    80
                }
            }
            digits => match digits.parse::<u16>() {
                Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => port,
                _ => return Err("the port is not a number from 1 to 65535".into()),
            },
        };
        Ok((Origin { tls, host, port }, rest))
    }

    /// Whether the host is this machine itself, so that a proxy makes no sense.
    pub(super) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => {
                let name = bare.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.tls
    }
}

/// The host in canonical form (lower case, IPv6 in brackets) and the port's text, maybe empty.
fn host_and_port(authority: &str) -> Result<(String, &str), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (inside, after) = rest
            .split_once(']')
            .ok_or("an IPv6 address needs a closing ]")?;
        let address: Ipv6Addr = inside.parse().map_err(|_| "no valid IPv6 address in [ ]")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((format!("[{address}]"), port)),
            None if after.is_empty() => Ok((format!("[{address}]"), "")),
            None => Err("only a port may follow the IPv6 address".into()),
        };
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if host.is_empty() {
        return Err("no host".into());
    }
    if !host.is_ascii() {
        return Err("the host has letters beyond ASCII; write it in its xn-- form".into());
    }
    if !host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    {
        return Err("the host has a character that host names don't have".into());
    }
    Ok((host.to_ascii_lowercase(), port))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.tls {
            ("https", 443)
        } else {
            ("http", 80)
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn equal_means_scheme_host_and_port() {
        assert_eq!(
            origin("HTTPS://API.Example.com"),
            origin("https://api.example.com:443")
        );
        assert_eq!(
            origin("http://[::1]:80"),
            origin("http://[0:0:0:0:0:0:0:1]")
        );
        for other in [
            "http://api.example.com",
            "https://api.example.com:8443",
            "https://example.com",
            "https://api.example.com.",
            "https://api.example.com.evil.org",
        ] {
            assert_ne!(origin("https://api.example.com"), origin(other), "{other}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "example.com",
            "https://",
            "https:///x",
            "ftp://example.com",
            "file:///etc/passwd",
            "https://example.com/",
            "https://example.com/path",
            "https://example.com?x=1",
            "https://example.com#x",
            "https://u:p@example.com",
            "https://example.com\\@evil.org",
            "https://*.example.com",
            "https://exa mple.com",
            "https://example.com:0",
            "https://example.com:65536",
            "https://example.com:+80",
            "https://example.com:8x",
            "https://[::1",
            "https://[nope]",
            "https://[::1]x",
            "https://ex\u{e4}mple.com",
            "https://exam\nple.com",
            "https://a:b:c",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(
            !Origin::parse("https://u:hunter2@h")
                .unwrap_err()
                .contains("hunter2")
        );
    }

    #[test]
    fn shown_without_the_usual_port() {
        assert_eq!(origin("http://h:80").to_string(), "http://h");
        assert_eq!(origin("https://h:80").to_string(), "https://h:80");
        assert_eq!(origin("http://[::1]:8787").to_string(), "http://[::1]:8787");
    }

    #[test]
    fn loopback_is_recognised_in_all_its_spellings() {
        for yes in [
            "http://localhost",
            "http://app.localhost:1",
            "http://127.0.0.1",
            "http://127.9.9.9",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(origin(yes).is_loopback(), "{yes}");
        }
        for no in [
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://notlocalhost",
        ] {
            assert!(!origin(no).is_loopback(), "{no}");
        }
    }
}
