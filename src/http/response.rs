//! A complete answer.

use std::fmt;
use std::io::Read;
use std::time::SystemTime;

use super::error::HttpError;
use super::redact::Redactor;
use super::retry::retry_after;
use super::secret::Secret;
use super::spool::Spool;

/// Response headers: names in any case, values as text.
#[derive(Clone, Default)]
pub struct Headers {
    pub(super) list: Vec<(String, String)>,
}

impl Headers {
    /// The first value of that name, in any case of letters.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.list
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// All headers in the order they came; names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.list.iter().map(|(name, _)| name))
            .finish() // a value may be a cookie
    }
}

/// Any HTTP answer that came in full, also 4xx and 5xx once retries are used up.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 to 599, 1xx excluded.
    pub status: u16,
    /// Without `Content-Encoding` and `Content-Length` where the body has been decompressed.
    pub headers: Headers,
    /// The decoded body.
    pub body: Spool,
    /// Requests that were started to get it, the first included.
    pub attempts: u32,
    /// An earlier attempt may have been carried out, though nobody knows: this answer says nothing about that one.
    pub repeated: bool,
    /// False when an error answer (400 and above) broke off or was too large: `body` holds its beginning,
    /// since the status says more than the lack of the rest. Any other answer is complete or an error.
    pub complete: bool,
    pub(super) redactor: Redactor,
}

impl Response {
    /// An answer that the host program has fetched. Names of headers are in lower case. `sent`: the credentials
    /// that went with its request. `most`: bytes that a body may have.
    ///
    /// # Errors
    /// A larger body.
    pub fn given(
        status: u16,
        headers: Vec<(String, String)>,
        body: Spool,
        sent: &[(String, Secret)],
        most: u64,
    ) -> Result<Self, HttpError> {
        if body.len() > most {
            return Err(HttpError::too_large("the answer", most));
        }
        Ok(Self {
            status,
            headers: Headers { list: headers },
            body,
            attempts: 1,
            repeated: false,
            complete: true,
            redactor: Redactor::new(sent.iter().map(|(_, secret)| secret)),
        })
    }

    /// Blacks out the secrets that were sent along with the request.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Seconds after which the server wants to be asked again (`Retry-After`).
    pub fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get("Retry-After")?;
        retry_after(value, SystemTime::now()).map(|wait| wait.as_secs())
    }

    /// The beginning of the body as one line of text for a message, at most `most` bytes: secrets
    /// blacked out, control characters as spaces, bytes that are no UTF-8 replaced, `…` where cut.
    pub fn excerpt(&self, most: usize) -> String {
        // Read on by a secret's length: cutting inside one would leave a part of it.
        let wanted = most.saturating_add(self.redactor.longest()) as u64;
        let mut start = Vec::new();
        if self
            .body
            .reader()
            .take(wanted)
            .read_to_end(&mut start)
            .is_err()
        {
            return String::new();
        }
        let text = self.redactor.clean(&String::from_utf8_lossy(&start));
        let words: Vec<&str> = text
            .split(|c: char| c.is_control() || c == ' ')
            .filter(|w| !w.is_empty())
            .collect();
        let mut line = words.join(" ");
        let cut = line.len() > most || self.body.len() > wanted;
        if cut {
            let mut end = most.saturating_sub('…'.len_utf8()).min(line.len());
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.truncate(end);
            line.push('…');
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Secret};
    use super::*;

    fn response(body: &[u8]) -> Response {
        let secret = Secret::new("hunter2-token", Origin::parse("https://h").unwrap()).unwrap();
        Response {
            status: 500,
            headers: Headers {
                list: vec![("set-cookie".into(), "hunter2".into())],
            },
            body: Spool::from_bytes(body),
            attempts: 1,
            repeated: false,
            complete: true,
            redactor: Redactor::new([&secret].into_iter()),
        }
    }

    #[test]
    fn an_excerpt_is_short_clean_and_one_line() {
        assert_eq!(response(b"").excerpt(500), "");
        assert_eq!(response(b"no\r\n\tsuch\0 row").excerpt(500), "no such row");
        assert_eq!(response(b"\xff\xfe x").excerpt(500), "\u{fffd}\u{fffd} x");
        assert_eq!(
            response(b"token hunter2-token is bad").excerpt(500),
            "token [secret] is bad"
        );
        let long = "\u{20ac}".repeat(400);
        let short = response(long.as_bytes()).excerpt(500);
        assert!(
            short.len() <= 500 && short.ends_with('…'),
            "{}",
            short.len()
        );
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_part() {
        for before in 480..505 {
            let body = format!("{} hunter2-token and more", "x".repeat(before));
            assert!(
                !response(body.as_bytes()).excerpt(500).contains("hun"),
                "{before}"
            );
        }
    }

    #[test]
    fn headers_by_any_case_and_never_shown() {
        let response = response(b"");
        assert_eq!(response.headers.get("Set-Cookie"), Some("hunter2"));
        assert_eq!(response.headers.get("x"), None);
        assert!(!format!("{response:?}").contains("hunter2"));
    }
}
