//! The HTTP room against servers that misbehave: raw sockets on a free port, one connection a thread.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use support::{Listener, NOBODY, PATIENCE, wait_for};
use syncscope::http::{
    Body, HttpError, Kind, Method, Origin, Policy, Request, Response, Secret, SpoolWriter, Wait,
    close_idle, send,
};

/// What a server got: everything before the empty line, and the body.
#[derive(Clone)]
struct Seen {
    head: String,
    body: Vec<u8>,
}

/// A server on a free port.
struct Server {
    listener: Listener,
    requests: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Hands each connection, with its number from 0, to `talk` on a thread of its own.
    fn raw(talk: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Server {
        Server {
            listener: Listener::start(talk),
            requests: Arc::default(),
        }
    }

    /// Reads one request a connection and writes what `answer` makes of its number and text.
    fn new(answer: impl Fn(usize, &Seen) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let requests: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let seen = requests.clone();
        let server = Server::raw(move |number, mut stream| {
            let Some(request) = read_request(&mut stream) else {
                return;
            };
            seen.lock().unwrap().push(request.clone());
            let _ = stream.write_all(&answer(number, &request));
        });
        Server { requests, ..server }
    }

    fn url(&self, path: &str) -> String {
        self.listener.origin() + path
    }

    fn connections(&self) -> usize {
        self.listener.connections()
    }

    fn seen(&self) -> Vec<Seen> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn length(head: &str) -> usize {
    let line = head.lines().find_map(|l| {
        l.to_ascii_lowercase()
            .strip_prefix("content-length:")
            .map(str::to_owned)
    });
    line.map_or(0, |l| l.trim().parse().unwrap())
}

fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let head = read_head(stream)?;
    if head.to_ascii_lowercase().contains("expect: 100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = vec![0; length(&head)];
    stream.read_exact(&mut body).ok()?;
    Some(Seen { head, body })
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Patient with the server, and quick to try again.
fn quick() -> Policy {
    Policy {
        connect: PATIENCE,
        idle: PATIENCE,
        total: PATIENCE,
        backoff_base: Duration::from_millis(2),
        backoff_max: Duration::from_millis(10),
        ..Policy::default()
    }
}

fn once() -> Policy {
    Policy {
        attempts: 1,
        ..quick()
    }
}

fn request(method: Method, url: String) -> Request {
    Request {
        method,
        url,
        headers: Vec::new(),
        body: None,
        credentials: Vec::new(),
        once: false,
        hidden: Vec::new(),
    }
}

fn get(url: String, policy: &Policy) -> Result<Response, HttpError> {
    send(&request(Method::Get, url), policy, &|| false)
}

fn post(url: String, body: &[u8], policy: &Policy) -> Result<Response, HttpError> {
    let body = Some(Body::Bytes(body.to_vec()));
    send(
        &Request {
            body,
            ..request(Method::Post, url)
        },
        policy,
        &|| false,
    )
}

fn bytes(response: &Response) -> Vec<u8> {
    let mut out = Vec::new();
    response.body.reader().read_to_end(&mut out).unwrap();
    out
}

fn kind(result: Result<Response, HttpError>) -> Kind {
    match result {
        Ok(response) => panic!("an answer: {response:?}"),
        Err(error) => error.kind(),
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 88172645463325252u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

// ---- what goes out ----

#[test]
fn a_request_arrives_as_written() {
    let server = Server::new(|_, _| answer("201 Created", "X-Reply: yes\r\n", b"done"));
    let origin = Origin::parse(&server.url("")).unwrap();
    let mut request = request(Method::Post, server.url("/a%20b?x=1&y=\u{e4}#frag"));
    request.headers = vec![
        ("Content-Type".into(), "application/json".into()),
        ("X-App".into(), "7".into()),
    ];
    request.body = Some(Body::Bytes(b"{}".to_vec()));
    request.credentials = vec![
        (
            "Authorization".into(),
            Secret::new("hunter2", origin.clone()).unwrap().bearer(),
        ),
        ("X-Api-Key".into(), Secret::new("key-9", origin).unwrap()),
    ];
    let response = send(&request, &quick(), &|| false).unwrap();
    assert_eq!(
        (response.status, response.attempts, response.complete),
        (201, 1, true)
    );
    assert_eq!(response.headers.get("x-reply"), Some("yes"));
    assert_eq!(bytes(&response), b"done");

    let seen = &server.seen()[0];
    let head = seen.head.to_ascii_lowercase();
    assert!(
        head.starts_with("post /a%20b?x=1&y=%c3%a4 http/1.1\r\n"),
        "{head}"
    );
    for line in [
        "content-type: application/json",
        "content-length: 2",
        "x-app: 7",
        "x-api-key: key-9",
        "authorization: bearer hunter2",
        "accept-encoding: gzip",
        concat!("user-agent: syncscope/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(
            head.contains(&format!("\r\n{line}\r\n")),
            "{line} is missing in {head}"
        );
    }
    assert!(!head.contains("transfer-encoding") && !head.contains("expect"));
    assert_eq!(seen.body, b"{}");
}

#[test]
fn requests_without_a_body_say_so_only_where_they_must() {
    let server =
        Server::new(|_, _| b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec());
    for (method, says) in [
        (Method::Post, true),
        (Method::Put, true),
        (Method::Patch, true),
        (Method::Get, false),
        (Method::Delete, false),
    ] {
        let response = send(&request(method, server.url("/")), &once(), &|| false).unwrap();
        assert_eq!((response.status, response.body.len()), (204, 0));
        let head = server.seen().pop().unwrap().head.to_ascii_lowercase();
        assert_eq!(head.contains("content-length: 0"), says, "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    let body = Some(Body::Bytes(b"why".to_vec()));
    send(
        &Request {
            body,
            ..request(Method::Delete, server.url("/"))
        },
        &once(),
        &|| false,
    )
    .unwrap();
    assert_eq!(server.seen().pop().unwrap().body, b"why");
}

#[test]
fn what_can_not_be_sent_never_opens_a_connection() {
    let server = Server::new(|_, _| answer("200 OK", "", b""));
    let mut evil = request(Method::Get, server.url("/"));
    evil.headers.push(("X".into(), "a\r\nEvil: 1".into()));
    let mut foreign = request(Method::Get, server.url("/"));
    let secret = Secret::new("hunter2", Origin::parse("http://127.0.0.1:1").unwrap()).unwrap();
    foreign.credentials.push(("Authorization".into(), secret));
    for (request, expected) in [
        (evil, Kind::BadHeader),
        (foreign, Kind::Credential),
        (
            request(Method::Get, server.url("/").replace("http", "ftp")),
            Kind::BadUrl,
        ),
        (
            request(Method::Get, server.url("/").replace("://", "://u:hunter2@")),
            Kind::BadUrl,
        ),
    ] {
        let error = send(&request, &quick(), &|| false).unwrap_err();
        assert_eq!(
            (error.kind(), error.attempts(), error.retryable()),
            (expected, 0, false)
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    let never = Policy {
        attempts: 0,
        ..quick()
    };
    assert_eq!(kind(get(server.url("/"), &never)), Kind::BadOption);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_body_is_replayed_byte_for_byte_by_every_attempt() {
    for size in [1000, 3 << 20] {
        let server = Server::new(|n, _| match n {
            0 | 1 => answer("503 Service Unavailable", "", b"busy"),
            2 => Vec::new(), // read it all, then hang up
            _ => answer("200 OK", "", b"ok"),
        });
        let text = noise(size);
        let mut writer = SpoolWriter::new(4096);
        writer.write_all(&text).unwrap();
        let body = Some(Body::Spool(writer.finish()));
        let response = send(
            &Request {
                body,
                ..request(Method::Post, server.url("/push"))
            },
            &quick(),
            &|| false,
        )
        .unwrap();
        assert_eq!((response.status, response.attempts), (200, 4));
        let seen = server.seen();
        assert_eq!(seen.len(), 4);
        assert!(
            seen.iter().all(|s| s.body == text),
            "a body arrived changed"
        );
    }
}

#[test]
fn a_refusal_of_a_large_body_is_heard_by_asking_first() {
    let server = Server::raw(|number, mut stream| {
        let Some(head) = read_head(&mut stream) else {
            return;
        };
        let asks = head.to_ascii_lowercase().contains("expect: 100-continue");
        assert_eq!(asks, number > 0, "{head}");
        let _ = stream.write_all(&answer("413 Content Too Large", "", b"at most 1 MB"));
        if asks {
            let _ = stream.shutdown(Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(
                rest.is_empty(),
                "{} bytes of the refused body came",
                rest.len()
            );
        } // else hang up on a client that is still sending
    });
    let response = post(server.url("/"), &noise(8 << 20), &quick()).unwrap();
    assert_eq!((response.status, response.attempts), (413, 2));
    assert_eq!(response.excerpt(500), "at most 1 MB");
}

#[test]
fn a_server_that_knows_no_announcement_gets_the_body_all_the_same() {
    let server = Server::raw(|number, mut stream| {
        let Some(head) = read_head(&mut stream) else {
            return;
        };
        if number == 0 {
            return; // hangs up, so that the next attempt asks
        }
        if head.to_ascii_lowercase().contains("expect:") {
            let _ = stream.write_all(&answer("417 Expectation Failed", "", b""));
            return;
        }
        let mut body = vec![0; length(&head)];
        let whole = stream.read_exact(&mut body).is_ok() && body == noise(2 << 20);
        let _ = stream.write_all(&answer(if whole { "200 OK" } else { "400 Bad" }, "", b""));
    });
    let response = post(server.url("/"), &noise(2 << 20), &quick()).unwrap();
    assert_eq!(
        (response.status, response.attempts, server.connections()),
        (200, 2, 3)
    );
}

// ---- no answer ----

#[test]
fn nobody_listens() {
    let error = get(
        format!("{NOBODY}/sync?token=hunter2"),
        &Policy {
            attempts: 3,
            ..quick()
        },
    )
    .unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (Kind::Refused, 3));
    assert_eq!(
        (error.class(), error.code(), error.retryable()),
        ("network", "SYNC_ERROR_NETWORK", true)
    );
    let text = error.to_string();
    assert!(
        text.contains("is the server running?") && text.contains("3 attempts"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn an_unknown_host_is_a_network_error() {
    let error = get("http://no-such-host.invalid/".into(), &once()).unwrap_err();
    assert_eq!(error.class(), "network", "{error}");
}

#[test]
fn a_silent_server_ends_with_the_idle_timeout() {
    let server = Server::raw(|_, mut stream| {
        let _ = read_request(&mut stream);
        thread::sleep(PATIENCE);
    });
    let error = get(
        server.url("/"),
        &Policy {
            idle: Duration::from_millis(150),
            attempts: 2,
            ..quick()
        },
    )
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts()),
        (Kind::Timeout(Wait::Idle), 2)
    );
}

#[test]
fn a_server_silent_in_mid_body_ends_with_the_idle_timeout() {
    for head in [
        "Content-Length: 100\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Content-Encoding: gzip\r\n\r\n\x1f",
    ] {
        let server = Server::raw(move |_, mut stream| {
            let _ = read_request(&mut stream);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}");
            thread::sleep(PATIENCE);
        });
        let policy = Policy {
            idle: Duration::from_millis(150),
            ..once()
        };
        assert_eq!(
            kind(get(server.url("/"), &policy)),
            Kind::Timeout(Wait::Idle),
            "{head:?}"
        );
    }
}

#[test]
fn dripping_bytes_end_with_the_total_timeout() {
    for head in [
        "HTTP/1.1 200 OK\r\nX-Drip: ",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    ] {
        let server = Server::raw(move |_, mut stream| {
            let _ = read_request(&mut stream);
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        let start = Instant::now();
        let policy = Policy {
            total: Duration::from_millis(700),
            ..quick()
        };
        let error = get(server.url("/"), &policy).unwrap_err();
        assert_eq!(
            (error.kind(), error.attempts()),
            (Kind::Timeout(Wait::Total), 1),
            "{head:?}"
        );
        assert!(error.retryable());
        assert!(start.elapsed() >= Duration::from_millis(700));
    }
}

#[test]
fn a_server_that_does_not_read_ends_with_a_timeout() {
    let server = Server::raw(|_, _stream| thread::sleep(PATIENCE));
    let policy = Policy {
        idle: Duration::from_millis(200),
        ..once()
    };
    assert_eq!(
        kind(post(server.url("/"), &noise(64 << 20), &policy)),
        Kind::Timeout(Wait::Idle)
    );
}

#[test]
fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    let server = Server::raw(|_, _stream| thread::sleep(PATIENCE));
    let url = server.url("/").replace("http", "https");
    let policy = Policy {
        connect: Duration::from_millis(200),
        ..once()
    };
    assert_eq!(kind(get(url, &policy)), Kind::Timeout(Wait::Connect));
}

#[test]
fn https_to_a_plain_server_is_explained() {
    let server = Server::raw(|_, mut stream| {
        let mut some = [0; 64];
        let _ = stream.read(&mut some);
        let _ = stream.write_all(&answer("400 Bad Request", "", b"plain HTTP here"));
    });
    let error = get(server.url("/").replace("http", "https"), &once()).unwrap_err();
    assert_eq!(
        (error.kind(), error.class()),
        (Kind::Tls, "network"),
        "{error}"
    );
}

#[test]
fn a_connection_closed_without_an_answer_is_retried() {
    let server = Server::new(|n, _| match n {
        0 => Vec::new(),
        1 => b"HTTP/1.1 200 O".to_vec(),
        _ => answer("200 OK", "", b"ok"),
    });
    assert_eq!(get(server.url("/"), &quick()).unwrap().attempts, 3);
    let server = Server::new(|_, _| Vec::new());
    let error = get(
        server.url("/"),
        &Policy {
            attempts: 2,
            ..quick()
        },
    )
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts()),
        (Kind::Closed, 2),
        "{error}"
    );
}

#[test]
fn what_is_no_http_is_a_protocol_error() {
    let server = Server::new(|_, _| b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n".to_vec());
    let error = get(server.url("/"), &quick()).unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.attempts()),
        (Kind::BadResponse, "SYNC_ERROR_PROTOCOL", 1),
        "{error}"
    );
    let server = Server::new(|_, _| {
        answer(
            "200 OK",
            &format!("X-Flood: {}\r\n", "x".repeat(200_000)),
            b"",
        )
    });
    assert_eq!(kind(get(server.url("/"), &quick())), Kind::TooLarge);
}

// ---- half an answer ----

#[test]
fn a_body_that_breaks_off_is_never_taken_for_whole() {
    let packed = gzip(&noise(100_000));
    let cut = packed[..packed.len() / 2].to_vec();
    let nearly = packed[..packed.len() - 1].to_vec();
    let plain = |head: &str, body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes(), body].concat()
    };
    for (what, bytes) in [
        (
            "shorter than announced",
            plain("Content-Length: 1000\r\n", b"{\"changes\":{}}"),
        ),
        (
            "a chunk is missing",
            plain("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        ),
        (
            "a chunk is cut",
            plain("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n64\r\nabc"),
        ),
        (
            "gzip cut, length right",
            answer("200 OK", "Content-Encoding: gzip\r\n", &cut),
        ),
        (
            "gzip lacks its last byte",
            answer("200 OK", "Content-Encoding: gzip\r\n", &nearly),
        ),
        (
            "gzip cut, no length",
            plain("Content-Encoding: gzip\r\n", &cut),
        ),
        (
            "gzip cut, announced longer",
            plain("Content-Encoding: gzip\r\nContent-Length: 999999\r\n", &cut),
        ),
    ] {
        let server = Server::new(move |n, _| {
            if n < 2 {
                bytes.clone()
            } else {
                answer("200 OK", "", b"whole")
            }
        });
        let error = get(
            server.url("/"),
            &Policy {
                attempts: 2,
                ..quick()
            },
        )
        .unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.attempts()),
            (Kind::Truncated, "SYNC_ERROR_NETWORK", 2),
            "{what}"
        );
        assert_eq!(bytes_of(get(server.url("/"), &quick())), b"whole", "{what}");
    }
}

fn bytes_of(result: Result<Response, HttpError>) -> Vec<u8> {
    bytes(&result.unwrap())
}

#[test]
fn an_error_answer_that_breaks_off_keeps_its_status() {
    let server = Server::new(|_, _| {
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000\r\n\r\nno token".to_vec()
    });
    let response = get(server.url("/"), &quick()).unwrap();
    assert_eq!(
        (response.status, response.attempts, response.complete),
        (401, 1, false)
    );
    assert_eq!(response.excerpt(500), "no token");
}

// ---- encodings and sizes ----

#[test]
fn gzip_is_unpacked() {
    let text = b"{\"changes\":{}} ".repeat(50_000);
    for (label, spool) in [
        ("gzip", 8 << 20),
        ("GZIP", 1000),
        ("x-gzip", 0),
        ("identity, gzip", 0),
    ] {
        let packed = gzip(&text);
        assert!(packed.len() < text.len() / 20);
        let headers = format!("Content-Encoding: {label}\r\n");
        let server = Server::new(move |_, _| answer("200 OK", &headers, &packed));
        let response = get(
            server.url("/"),
            &Policy {
                spool_memory: spool,
                ..once()
            },
        )
        .unwrap();
        assert!(bytes(&response) == text, "{label}");
        assert_eq!(response.body.as_slice().is_some(), spool > text.len());
        assert_eq!(response.headers.get("content-encoding"), None);
        assert_eq!(response.headers.get("content-length"), None);
    }
}

#[test]
fn gzip_in_chunks_and_in_members_is_unpacked_whole() {
    let packed = [gzip(b"one "), gzip(b"two")].concat();
    let mut body = Vec::new();
    for piece in packed.chunks(7) {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let server = Server::new(move |_, _| [&head[..], &body].concat());
    assert_eq!(bytes_of(get(server.url("/"), &once())), b"one two");
}

#[test]
fn an_empty_body_that_says_gzip_is_empty() {
    let server = Server::new(|n, _| match n {
        0 => answer("200 OK", "Content-Encoding: gzip\r\n", b""),
        _ => b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
            .to_vec(),
    });
    for status in [200, 204] {
        let response = get(server.url("/"), &once()).unwrap();
        assert_eq!((response.status, response.body.len()), (status, 0));
    }
}

#[test]
fn other_encodings_and_corrupt_data_are_refused_at_once() {
    let mut corrupt = gzip(&noise(50_000));
    corrupt[20_000..20_100].fill(0);
    let mut checksum = gzip(b"hello hello hello");
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    for (what, bytes) in [
        (
            "brotli",
            answer("200 OK", "Content-Encoding: br\r\n", b"xx"),
        ),
        (
            "twice",
            answer(
                "200 OK",
                "Content-Encoding: gzip, gzip\r\n",
                &gzip(&gzip(b"x")),
            ),
        ),
        (
            "no gzip at all",
            answer("200 OK", "Content-Encoding: gzip\r\n", b"{\"changes\":{}}"),
        ),
        (
            "bad data",
            answer("200 OK", "Content-Encoding: gzip\r\n", &corrupt),
        ),
        (
            "bad checksum",
            answer("200 OK", "Content-Encoding: gzip\r\n", &checksum),
        ),
    ] {
        let server = Server::new(move |_, _| bytes.clone());
        let error = get(server.url("/"), &quick()).unwrap_err();
        assert_eq!(
            (error.kind(), error.attempts()),
            (Kind::BadEncoding, 1),
            "{what}: {error}"
        );
    }
}

#[test]
fn the_limit_counts_unpacked_bytes() {
    let policy = Policy {
        max_response_bytes: 100_000,
        spool_memory: 1000,
        ..quick()
    };
    let bomb = gzip(&vec![b' '; 50 << 20]);
    let exact = gzip(&noise(100_000));
    let one_more = gzip(&noise(100_001));
    for (what, packed, fits) in [
        ("bomb", bomb, false),
        ("exactly", exact, true),
        ("one more", one_more, false),
    ] {
        let server =
            Server::new(move |_, _| answer("200 OK", "Content-Encoding: gzip\r\n", &packed));
        match get(server.url("/"), &policy) {
            Ok(response) => assert!(fits && response.body.len() == 100_000, "{what}"),
            Err(error) => {
                assert!(!fits, "{what}");
                assert_eq!(
                    (error.kind(), error.attempts()),
                    (Kind::TooLarge, 1),
                    "{what}"
                );
            }
        }
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn endless_and_oversized_bodies_are_cut_short() {
    let policy = Policy {
        max_response_bytes: 1 << 20,
        ..quick()
    };
    for head in ["\r\n", "Content-Length: 9999999999\r\n\r\n"] {
        let server = Server::raw(move |_, mut stream| {
            let _ = read_request(&mut stream);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let error = get(server.url("/"), &policy).unwrap_err();
        assert_eq!(
            (error.kind(), error.attempts(), error.retryable()),
            (Kind::TooLarge, 1, false),
            "{head:?}"
        );
    }
    let nothing = gzip(b""); // endless, but unpacks to no byte at all
    let server = Server::raw(move |_, mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
        while stream.write_all(&nothing.repeat(100)).is_ok() {}
    });
    assert_eq!(kind(get(server.url("/"), &policy)), Kind::TooLarge);
}

#[test]
fn a_large_answer_and_a_large_body_pass_through_files() {
    let text = noise(24 << 20);
    let echoed = text.clone();
    let server = Server::new(move |_, seen| {
        assert!(seen.body == echoed);
        answer("200 OK", "", &seen.body)
    });
    let mut writer = SpoolWriter::new(1 << 16);
    writer.write_all(&text).unwrap();
    let body = writer.finish();
    assert!(body.as_slice().is_none());
    let body = Some(Body::Spool(body));
    let response = send(
        &Request {
            body,
            ..request(Method::Put, server.url("/"))
        },
        &quick(),
        &|| false,
    )
    .unwrap();
    assert!(response.body.as_slice().is_none() && bytes(&response) == text);
}

#[test]
fn a_body_file_that_shrank_is_a_local_error() {
    let server = Server::new(|_, _| answer("200 OK", "", b""));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"abc").unwrap();
    let body = Some(Body::Spool(syncscope::http::Spool::from_file(file, 100)));
    let error = send(
        &Request {
            body,
            ..request(Method::Post, server.url("/"))
        },
        &quick(),
        &|| false,
    )
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.class(), error.attempts()),
        (Kind::Storage, "data", 1),
        "{error}"
    );
}

// ---- retries ----

#[test]
fn busy_answers_are_retried_and_then_counted() {
    for status in [
        "408 Timeout",
        "425 Early",
        "429 Many",
        "500 Error",
        "502 Bad",
        "503 Busy",
        "504 Late",
    ] {
        let server = Server::new(move |n, _| match n {
            0..3 => answer(status, "", b"later"),
            _ => answer("200 OK", "", b"ok"),
        });
        assert_eq!(
            get(server.url("/"), &quick()).unwrap().attempts,
            4,
            "{status}"
        );
    }
    let server = Server::new(|_, _| answer("500 Error", "", b"broken"));
    let response = get(
        server.url("/"),
        &Policy {
            attempts: 3,
            ..quick()
        },
    )
    .unwrap();
    assert_eq!(
        (response.status, response.attempts, server.connections()),
        (500, 3, 3)
    );
    assert_eq!(response.excerpt(500), "broken");
}

#[test]
fn other_answers_are_not_retried() {
    for status in [
        "304 Not Modified",
        "400 Bad",
        "401 Who",
        "403 No",
        "404 None",
        "409 Conflict",
        "413 Large",
        "422 Odd",
    ] {
        let server = Server::new(move |_, _| answer(status, "", b""));
        let response = get(server.url("/"), &quick()).unwrap();
        assert_eq!(
            (response.attempts, server.connections()),
            (1, 1),
            "{status}"
        );
        assert!(status.starts_with(&response.status.to_string()));
    }
}

#[test]
fn retry_after_is_honoured_up_to_the_limit() {
    let server = Server::new(|n, _| match n {
        0 => answer("429 Many", "Retry-After: 1\r\n", b""),
        1 => answer(
            "503 Busy",
            "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            b"",
        ),
        2 => answer("503 Busy", "Retry-After: -3\r\n", b""),
        _ => answer("200 OK", "", b"ok"),
    });
    let start = Instant::now();
    assert_eq!(get(server.url("/"), &quick()).unwrap().attempts, 4);
    assert!(start.elapsed() >= Duration::from_secs(1));

    let server = Server::new(|_, _| answer("429 Many", "Retry-After: 61\r\n", b"tomorrow"));
    let response = get(server.url("/"), &quick()).unwrap();
    assert_eq!(
        (
            response.status,
            response.attempts,
            response.headers.get("Retry-After")
        ),
        (429, 1, Some("61"))
    );

    // A wait beyond the total deadline is not begun.
    let server = Server::new(|_, _| answer("429 Many", "Retry-After: 50\r\n", b""));
    let policy = Policy {
        total: Duration::from_secs(49),
        ..quick()
    };
    assert_eq!(get(server.url("/"), &policy).unwrap().attempts, 1);
}

// ---- redirects ----

#[test]
fn redirects_within_the_origin_are_followed() {
    for status in [
        "301 Moved",
        "302 Found",
        "303 Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let server = Server::new(move |_, seen| {
            if seen.head.starts_with("GET /a/old ") {
                answer(status, "Location: ../b/new?x=1\r\n", b"moved")
            } else {
                answer(
                    "200 OK",
                    "",
                    seen.head.split(' ').nth(1).unwrap().as_bytes(),
                )
            }
        });
        let response = get(server.url("/a/old"), &quick()).unwrap();
        assert_eq!(
            (bytes(&response).as_slice(), response.attempts),
            (&b"/b/new?x=1"[..], 1),
            "{status}"
        );
    }
}

#[test]
fn a_body_goes_along_only_where_the_redirect_keeps_it() {
    for (status, follows) in [
        ("307 T", true),
        ("308 P", true),
        ("301 M", false),
        ("302 F", false),
        ("303 O", false),
    ] {
        let server = Server::new(move |n, _| match n {
            0 => answer(status, "Location: /new\r\n", b""),
            _ => answer("200 OK", "", b""),
        });
        let result = post(server.url("/"), b"changes", &quick());
        if follows {
            assert_eq!(result.unwrap().status, 200);
            assert_eq!(server.seen()[1].body, b"changes");
            assert!(server.seen()[1].head.starts_with("POST /new "));
        } else {
            assert_eq!(kind(result), Kind::BadRedirect, "{status}");
            assert_eq!(server.connections(), 1);
        }
    }
}

#[test]
fn nothing_reaches_another_origin() {
    let thief = Server::new(|_, _| answer("200 OK", "", b"thanks"));
    let target = thief.url("/steal?from=you");
    for status in ["301 M", "302 F", "307 T", "308 P"] {
        let headers = format!("Location: {target}\r\n");
        let server = Server::new(move |_, _| answer(status, &headers, b""));
        for method in [Method::Get, Method::Post] {
            let secret = Secret::new("hunter2", Origin::parse(&server.url("")).unwrap()).unwrap();
            let request = Request {
                headers: vec![("X-Private".into(), "value".into())],
                body: (method == Method::Post).then(|| Body::Bytes(b"rows".to_vec())),
                credentials: vec![("X-Api-Key".into(), secret)],
                once: false,
                hidden: Vec::new(),
                ..request(method, server.url("/"))
            };
            let error = send(&request, &quick(), &|| false).unwrap_err();
            assert_eq!((error.kind(), error.attempts()), (Kind::ForeignRedirect, 1));
            let text = error.to_string();
            assert!(
                text.contains(&server.url("")) && text.contains(&thief.url("")),
                "{text}"
            );
            assert!(!text.contains("from=you"), "{text}");
        }
    }
    assert_eq!(thief.connections(), 0);
}

#[test]
fn a_circle_of_redirects_ends() {
    let server = Server::new(|_, _| answer("302 Found", "Location: /\r\n", b""));
    let error = get(server.url("/"), &quick()).unwrap_err();
    assert_eq!(
        (error.kind(), server.connections()),
        (Kind::TooManyRedirects, 6)
    );
}

// ---- giving up, connections, secrets ----

/// Cancels some time after the server was connected to.
fn after_a_while(server: &Server) -> impl Fn() -> bool {
    let since = OnceLock::new();
    move || {
        server.connections() > 0
            && since.get_or_init(Instant::now).elapsed() > Duration::from_millis(200)
    }
}

#[test]
fn cancelling_ends_a_silent_request() {
    let server = Server::raw(|_, mut stream| {
        let _ = read_request(&mut stream);
        thread::sleep(PATIENCE);
    });
    let cancelled = after_a_while(&server);
    let error = send(&request(Method::Get, server.url("/")), &quick(), &cancelled).unwrap_err();
    assert_eq!(
        (error.kind(), error.class(), error.attempts()),
        (Kind::Cancelled, "cancelled", 1)
    );
}

#[test]
fn cancelling_ends_an_endless_body_and_closes_the_connection() {
    let closed = Arc::new(AtomicBool::new(false));
    let flag = closed.clone();
    let server = Server::raw(move |_, mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"xxxx").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        flag.store(true, Ordering::SeqCst);
    });
    let cancelled = after_a_while(&server);
    let error = send(&request(Method::Get, server.url("/")), &quick(), &cancelled).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    wait_for("the end of the connection", || {
        closed.load(Ordering::SeqCst)
    });
}

#[test]
fn cancelling_ends_a_pause_and_comes_before_the_first_request() {
    let server = Server::new(|_, _| answer("429 Many", "Retry-After: 20\r\n", b""));
    let cancelled = after_a_while(&server);
    let error = send(&request(Method::Get, server.url("/")), &quick(), &cancelled).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    let error = send(&request(Method::Get, server.url("/")), &quick(), &|| true).unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts(), server.connections()),
        (Kind::Cancelled, 0, 1)
    );
}

#[test]
fn a_connection_is_used_again_and_a_dead_one_is_not() {
    let server = Server::raw(|number, mut stream| {
        let most = if number == 0 { 3 } else { 1 };
        for _ in 0..most {
            if read_request(&mut stream).is_none() {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    for _ in 0..3 {
        assert_eq!(bytes_of(get(server.url("/"), &quick())), b"ok");
    }
    assert_eq!(server.connections(), 1);
    for _ in 0..3 {
        assert_eq!(bytes_of(get(server.url("/"), &quick())), b"ok");
    }
    assert!(server.connections() >= 3, "{}", server.connections());
    close_idle();
}

#[test]
fn many_threads_at_once() {
    let server = Server::new(|_, seen| {
        answer(
            "200 OK",
            "",
            seen.head.split(' ').nth(1).unwrap().as_bytes(),
        )
    });
    thread::scope(|scope| {
        for i in 0..16 {
            let url = server.url(&format!("/{i}"));
            scope.spawn(move || {
                assert_eq!(bytes_of(get(url, &quick())), format!("/{i}").as_bytes())
            });
        }
    });
    assert_eq!(server.connections(), 16);
}

#[test]
fn no_message_ever_shows_a_token() {
    let echo = |seen: &Seen| {
        seen.head
            .lines()
            .find(|l| l.to_ascii_lowercase().starts_with("x-api-key"))
            .unwrap()
            .to_owned()
    };
    let server = Server::new(move |_, seen| {
        answer("403 No", "", format!("refused {}", echo(seen)).as_bytes())
    });
    let redirecting = Server::new(|_, _| answer("302 F", "Location: /hunter2-token/x\r\n", b""));
    let origin = |s: &Server| Origin::parse(&s.url("")).unwrap();
    let mut request = request(Method::Get, server.url("/?key=hunter2-token"));
    request.credentials.push((
        "X-Api-Key".into(),
        Secret::new("hunter2-token", origin(&server)).unwrap(),
    ));
    let response = send(&request, &quick(), &|| false).unwrap();
    assert!(
        response
            .excerpt(500)
            .to_ascii_lowercase()
            .contains("refused x-api-key: [secret]"),
        "{}",
        response.excerpt(500)
    );
    assert!(!format!("{response:?} {request:?}").contains("hunter2"));

    request.url = redirecting.url("/?key=hunter2-token");
    request.credentials[0].1 = Secret::new("hunter2-token", origin(&redirecting)).unwrap();
    let error = send(&request, &quick(), &|| false).unwrap_err();
    assert_eq!(error.kind(), Kind::TooManyRedirects);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}
