//! One attempt: the request goes out, redirects within the origin are followed, the answer comes in.

use std::io;
use std::sync::atomic::AtomicBool;

use ureq::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, LOCATION,
};
use ureq::{Agent, SendBody, http};

use super::body::{self, Coding};
use super::error::{HttpError, Kind};
use super::explain::explain;
use super::meter::Meter;
use super::outgoing::Outgoing;
use super::plan::Plan;
use super::policy::Policy;
use super::redirect;
use super::request::Method;
use super::response::Headers;
use super::spool::Spool;
use super::url::Url;

/// What one attempt brought.
pub(super) struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Spool,
    pub complete: bool,
}

/// Sends the request once and reads the whole answer. `announce`: ask before sending the body
/// (`Expect: 100-continue`).
pub(super) fn attempt(
    agent: &Agent,
    plan: &Plan,
    policy: &Policy,
    announce: bool,
    stop: &AtomicBool,
) -> Result<Answer, HttpError> {
    let (answer, url) = reach(agent, plan, policy, announce)?;
    take(answer, &url, policy, &plan.meter, stop)
}

/// Sends the request once, wherever redirects within the origin lead. The beginning of the answer, and who gave it.
pub(super) fn reach(
    agent: &Agent,
    plan: &Plan,
    policy: &Policy,
    mut announce: bool,
) -> Result<(http::Response<ureq::Body>, Url), HttpError> {
    let mut url = plan.url.clone();
    let mut followed = 0;
    loop {
        let answer = ask(agent, plan, &url, announce)
            .map_err(|error| explain(error, &url, plan.body.as_ref().map(Spool::len), policy))?;
        let status = answer.status().as_u16();
        if status == 417 && announce {
            announce = false; // a server or proxy that doesn't know the announcement
            continue;
        }
        let location = text(answer.headers(), LOCATION);
        if let Some(next) =
            redirect::decide(plan.method, status, location.as_deref(), &url, followed)?
        {
            url = next;
            followed += 1;
            continue;
        }
        return Ok((answer, url));
    }
}

fn ask(
    agent: &Agent,
    plan: &Plan,
    url: &Url,
    announce: bool,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let mut request = http::Request::builder()
        .method(plan.method.as_str())
        .uri(url.text());
    if let Some(headers) = request.headers_mut() {
        *headers = plan.headers.clone();
    }
    // A POST without a body still has to say so; a GET or DELETE must not.
    let empty = Spool::from_bytes([]);
    let body = match (&plan.body, plan.method) {
        (None, Method::Get | Method::Delete) => return agent.run(request.body(())?),
        (body, _) => body.as_ref().unwrap_or(&empty),
    };
    request = request.header(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if announce {
        request = request.header(EXPECT, HeaderValue::from_static("100-continue"));
    }
    let body = Outgoing::new(body.reader(), &plan.meter);
    agent.run(request.body(SendBody::from_owned_reader(body))?)
}

fn take(
    answer: http::Response<ureq::Body>,
    url: &Url,
    policy: &Policy,
    meter: &Meter,
    stop: &AtomicBool,
) -> Result<Answer, HttpError> {
    let (head, body) = answer.into_parts();
    let status = head.status.as_u16();
    let coding = Coding::of(text(&head.headers, CONTENT_ENCODING).as_deref(), url);
    let gunzipped = matches!(coding, Ok(Coding::Gzip));
    let announced = body.content_length().unwrap_or(0);
    meter.answers(announced);
    let read = match coding {
        Err(error) => Err((Spool::from_bytes([]), error)),
        Ok(Coding::Plain) if announced > policy.max_response_bytes => {
            Err((Spool::from_bytes([]), body::too_large(url, policy)))
        }
        Ok(coding) => {
            let raw = Incoming {
                body: body.into_with_config().reader(),
                meter,
            };
            body::read(raw, coding, policy, stop, url)
        }
    };
    let (body, complete) = match read {
        Ok(body) => (body, true),
        Err((part, error)) if status >= 400 && error.kind() != Kind::Cancelled => (part, false),
        Err((_, error)) => return Err(error),
    };
    let list = head
        .headers
        .iter()
        .filter(|(name, _)| !(gunzipped && (*name == CONTENT_ENCODING || *name == CONTENT_LENGTH)))
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    Ok(Answer {
        status,
        headers: Headers { list },
        body,
        complete,
    })
}

/// The text of a header.
pub(super) fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The answer's body on its way in, as it comes over the wire.
struct Incoming<'a, R> {
    body: R,
    meter: &'a Meter,
}

impl<R: io::Read> io::Read for Incoming<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.meter.received(read as u64);
        Ok(read)
    }
}
