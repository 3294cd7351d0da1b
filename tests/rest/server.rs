//! A server of rows, in memory: it gives them out by any kind of paging, breaks on request, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use support::{Listener, PATIENCE};

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// As sent, still encoded.
    pub target: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// A value by its name, in the query, a header or the body.
    fn value(&self, name: &str) -> Option<String> {
        let sent = self.query(name).or_else(|| self.header(name));
        sent.map(str::to_owned)
            .or_else(|| match &self.json()[name] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.value(name)?.parse().ok()
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(key, _)| key == name)?;
    Some(&pair.1)
}

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The length that is promised; more than the body has, where it breaks off.
    pub promised: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            headers: vec![("Content-Type".to_owned(), kind.to_owned())],
            body: body.into(),
            promised: None,
        }
    }

    pub fn json(value: &Value) -> Answer {
        Answer::new(200, "application/json", value.to_string())
    }

    /// JSON as it is written, for numbers and doubled names.
    pub fn text(text: &str) -> Answer {
        Answer::new(200, "application/json", text)
    }

    pub fn with(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// How rows are given out at `/rows`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Paging {
    Whole,
    /// `page`, from 1, and `per_page`.
    Page,
    /// `offset` and `limit`.
    Offset,
    /// `cursor` and `limit`; the next one is `cursor` in the body.
    CursorInBody,
    /// The same; the next one is in the header `X-Cursor`.
    CursorInHeader,
    /// The whole address of the next page is `next` in the body.
    NextInBody,
    /// In the header `X-Next`.
    NextInHeader,
    /// A `Link` header.
    Link,
    /// `after` is the id of the last row, and `limit`.
    Keyset,
}

/// What goes wrong, in the request of this number (from 0) if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Nothing,
    /// This page and all after it are the page before.
    Repeat(usize),
    /// This page says that the first one is next.
    Loop(usize),
    /// This page names itself as the next.
    Itself(usize),
    /// No page has more rows than this, whatever is asked for.
    Cap(usize),
    /// Pages lack what is beyond so many rows, and the next one begins behind it all the same.
    Lose(usize),
    /// This page is empty though rows are left.
    Empty(usize),
    /// This page says that the next is on another server.
    Elsewhere(usize),
    /// `total` says that there are so many more.
    TotalMore(usize),
    /// From this page on `total` is another.
    TotalMoves(usize),
    /// 429 with Retry-After, once.
    Wait(usize),
    /// 500 once or for ever.
    Broken(usize),
    /// A page of HTML with status 200.
    Html(usize),
    /// The answer breaks off.
    Cut(usize),
    /// The answer is JSON that breaks off, though its length is right.
    HalfJson(usize),
    /// `items` is missing.
    NoItems(usize),
}

pub struct State {
    pub rows: Vec<Value>,
    pub paging: Paging,
    pub fault: Fault,
    /// Where the other server is.
    pub elsewhere: String,
    /// Whether answers have an ETag, and 304 is said.
    pub etag: bool,
    /// Rows are only given out from this value of `updated` on, if the request names one in `since`.
    pub since: bool,
    /// With `since`: the status with which such a request is refused.
    pub refuse_since: Option<u16>,
    /// Rows of a page, if nothing is asked for.
    pub size: usize,
    asked: Vec<Asked>,
    /// Requests of `/rows` since the fault was set.
    number: usize,
}

type Say = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    routes: Mutex<Vec<(String, Say)>>,
}

/// Served until it is dropped.
pub struct Api {
    shared: Arc<Shared>,
    listener: Listener,
}

impl Api {
    pub fn start() -> Api {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                rows: Vec::new(),
                paging: Paging::Whole,
                fault: Fault::Nothing,
                elsewhere: String::new(),
                etag: false,
                since: true,
                refuse_since: None,
                size: 1000,
                asked: Vec::new(),
                number: 0,
            }),
            routes: Mutex::new(Vec::new()),
        });
        let its = Arc::clone(&shared);
        let listener = Listener::start(move |_, stream| {
            // The client may go when it likes.
            let _ = serve(&its, stream);
        });
        Api { shared, listener }
    }

    pub fn url(&self) -> String {
        self.listener.origin()
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("lock")
    }

    pub fn set(&self, rows: Vec<Value>) {
        self.state().rows = rows;
    }

    pub fn paging(&self, paging: Paging) {
        self.state().paging = paging;
    }

    pub fn fault(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = fault;
        state.number = 0;
    }

    /// What is asked of a path from now on is answered by this.
    pub fn on(&self, path: &str, say: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
        let mut routes = self.shared.routes.lock().expect("lock");
        routes.retain(|(known, _)| known != path);
        routes.push((path.to_owned(), Arc::new(say)));
    }

    /// The same answer each time.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.on(path, move |_| answer.clone());
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(asked) = request(&mut reader, &mut stream)? else {
        return Ok(());
    };
    shared.state.lock().expect("lock").asked.push(asked.clone());
    // An answer may take its time, and ask for others.
    let say = {
        let routes = shared.routes.lock().expect("lock");
        let route = routes.iter().find(|(path, _)| *path == asked.path);
        route.map(|(_, say)| Arc::clone(say))
    };
    let answer = match say {
        Some(say) => say(&asked),
        None if asked.path == "/rows" => rows(&mut shared.state.lock().expect("lock"), &asked),
        None => Answer::new(404, "text/plain", "nothing here"),
    };
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.status != 304 && answer.status != 204 {
        let length = answer.promised.unwrap_or(answer.body.len());
        head += &format!("Content-Length: {length}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if answer.status != 304 {
        stream.write_all(&answer.body)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    Ok(())
}

fn request(
    reader: &mut BufReader<TcpStream>,
    stream: &mut TcpStream,
) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if find(&headers, "expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = find(&headers, "content-length").and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect();
    Ok(Some(Asked {
        method,
        path: path.to_owned(),
        query,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        target,
    }))
}

pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3);
        match (
            bytes[at],
            hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Rows by the paging that is set, with its fault.
fn rows(state: &mut State, asked: &Asked) -> Answer {
    let number = state.number;
    state.number += 1;
    match state.fault {
        Fault::Wait(at) if at == number => {
            return Answer::new(429, "text/plain", "later").with("Retry-After", "0");
        }
        Fault::Broken(at) if number >= at => {
            return Answer::new(500, "text/plain", "broken");
        }
        Fault::Html(at) if at == number => {
            return Answer::new(
                200,
                "text/html",
                "<!DOCTYPE html><html><body>Log in</body></html>",
            );
        }
        _ => {}
    }
    let since = asked.value("since");
    if let (Some(status), Some(_)) = (state.refuse_since, &since) {
        return Answer::new(status, "application/json", r#"{"error":"cursor is gone"}"#);
    }
    let rows: Vec<Value> = state
        .rows
        .iter()
        .filter(|row| match (&since, state.since) {
            (Some(since), true) => at_least(&row["updated"], since),
            _ => true,
        })
        .cloned()
        .collect();
    let limit = asked.number("limit").or(asked.number("per_page"));
    let size = limit.unwrap_or(state.size).max(1);
    let size = match state.fault {
        Fault::Cap(most) => size.min(most),
        _ => size,
    };
    let mut start = match state.paging {
        Paging::Whole => 0,
        Paging::Page => (asked.number("page").unwrap_or(1).max(1) - 1) * size,
        Paging::Offset | Paging::NextInBody | Paging::NextInHeader | Paging::Link => {
            asked.number("offset").unwrap_or(0)
        }
        Paging::CursorInBody | Paging::CursorInHeader => {
            let cursor = asked.value("cursor");
            cursor
                .and_then(|text| text.strip_prefix("c-")?.parse().ok())
                .unwrap_or(0)
        }
        Paging::Keyset => match asked.value("after") {
            Some(after) => {
                let last = rows.iter().position(|row| plain(&row["id"]) == after);
                last.map_or(0, |at| at + 1)
            }
            None => 0,
        },
    };
    if let Fault::Repeat(at) = state.fault
        && number >= at
    {
        start = (at.max(1) - 1) * size;
    }
    let whole = state.paging == Paging::Whole;
    let start = start.min(rows.len());
    let end = if whole {
        rows.len()
    } else {
        (start + size).min(rows.len())
    };
    let mut page = rows[start..end].to_vec();
    let mut more = end < rows.len();
    let mut next = end;
    match state.fault {
        Fault::Empty(at) if at == number => page.clear(),
        Fault::Lose(most) => page.truncate(most),
        Fault::Loop(at) if number >= at => (more, next) = (true, 0),
        Fault::Itself(at) if number >= at => (more, next) = (true, start),
        _ => {}
    }
    let total = match state.fault {
        Fault::TotalMore(more) => rows.len() + more,
        Fault::TotalMoves(at) if number >= at => rows.len() + 1,
        _ => rows.len(),
    };
    let mut body = json!({"items": page, "total": total, "more": more});
    if state.fault == Fault::NoItems(number) {
        body = json!({"data": page, "count": total});
    }
    let mut headers = vec![("X-Total", total.to_string()), ("X-More", more.to_string())];
    let host = match state.fault {
        Fault::Elsewhere(at) if at == number => state.elsewhere.clone(),
        _ => format!("http://{}", asked.header("host").unwrap_or_default()),
    };
    let mut address = format!("{host}/rows?offset={next}&limit={size}");
    if let Some(since) = &since {
        address += &format!("&since={since}");
    }
    if let Fault::Elsewhere(at) = state.fault
        && at == number
    {
        more = true;
    }
    if more {
        match state.paging {
            Paging::CursorInBody => body["cursor"] = json!(format!("c-{next}")),
            Paging::CursorInHeader => headers.push(("X-Cursor", format!("c-{next}"))),
            Paging::NextInBody => body["next"] = json!(address),
            Paging::NextInHeader => headers.push(("X-Next", address)),
            Paging::Link => headers.push((
                "Link",
                format!(
                    "<{host}/rows?offset=0&limit={size}>; rel=\"first\", <{address}>; rel=\"next\""
                ),
            )),
            _ => {}
        }
    }
    let mut answer = Answer::json(&body);
    for (name, value) in headers {
        answer = answer.with(name, &value);
    }
    if state.etag {
        let tag = format!("\"{:x}\"", sum(&answer.body));
        if asked.header("if-none-match") == Some(tag.as_str()) {
            return Answer::new(304, "application/json", "").with("ETag", &tag);
        }
        answer = answer.with("ETag", &tag);
    }
    match state.fault {
        Fault::Cut(at) if at == number => {
            answer.promised = Some(answer.body.len());
            answer.body.truncate(answer.body.len() / 2);
        }
        Fault::HalfJson(at) if at == number => answer.body.truncate(answer.body.len() / 2),
        _ => {}
    }
    answer
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn at_least(value: &Value, since: &str) -> bool {
    match (value, since.parse::<i64>()) {
        (Value::Number(number), Ok(since)) => number.as_i64() >= Some(since),
        // A row without a time is given out by each server of this kind.
        (Value::Null, _) => true,
        (value, _) => *plain(value) >= *since,
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(14695981039346656037, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(1099511628211)
    })
}
