//! A hostile server: answers made to break whoever reads them, to fill its memory or its time, or to get at
//! other tables and other servers. The sync fails with a clear error, or takes what is good; the rest of the
//! database is as it was.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::{Canned, Device, head, json_answer, query, status_answer};

const TOKEN: &str = "hunter2-5f3a9c-token";

/// A device that takes little.
fn frugal(server: &Canned) -> Device {
    Device::with_options(&server.url(), json!({"maxResponseBytes": 100_000}))
}

/// The sync fails like this; nothing is applied, and the next one works.
fn fails(device: &Device, what: &str, class: &str, said: &str) {
    let before = device.ask("SELECT group_concat(id) FROM task");
    let cursor = device.cursor("task");
    let error = device.failed();
    assert_eq!(error["class"], class, "{what}: {error}");
    let message = error["message"].as_str().expect("text");
    assert!(message.contains(said), "{what}: {message}");
    assert!(message.len() < 1_000, "{what}: {} bytes", message.len());
    let clean = !message.chars().any(char::is_control);
    assert!(clean, "{what}: {message:?}");
    assert_eq!(
        device.ask("SELECT group_concat(id) FROM task"),
        before,
        "{what}"
    );
    assert_eq!(device.cursor("task"), cursor, "{what}");
    device.synced();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn gzip_answer(body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let head = head(
        200,
        &[("Content-Encoding", "gzip"), ("Content-Length", &length)],
    );
    [head.as_bytes(), body].concat()
}

// --------------------------------------------------------------------------------- size and time

#[test]
fn a_gzip_bomb_ends_at_the_limit() {
    let server = Canned::start();
    let device = frugal(&server);
    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(bomb.len() < 100_000);
    server.pull_raw(move |_| gzip_answer(&bomb));
    fails(
        &device,
        "a bomb of spaces",
        "protocol",
        "larger than 100000 bytes",
    );
    let rows = format!(
        r#"{{"changes":{{"task":{{"created":[{}]}}}},"timestamp":9}}"#,
        (0..50_000)
            .map(|n| format!(r#"{{"id":"{n}"}}"#))
            .collect::<Vec<_>>()
            .join(",")
    );
    let bomb = gzip(rows.as_bytes());
    server.pull_raw(move |_| gzip_answer(&bomb));
    fails(
        &device,
        "a bomb of rows",
        "protocol",
        "larger than 100000 bytes",
    );
    // Nothing at all, for ever.
    server.pull_by(|_, stream| {
        stream.write_all(head(200, &[("Content-Encoding", "gzip")]).as_bytes())?;
        loop {
            stream.write_all(&gzip(b""))?;
        }
    });
    fails(
        &device,
        "empty members",
        "protocol",
        "larger than 100000 bytes",
    );
}

#[test]
fn an_endless_answer_ends_at_the_limit() {
    let server = Canned::start();
    let device = frugal(&server);
    for (what, piece) in [
        ("rows", r#"{"id":"x"},"#),
        ("spaces", "                "),
        ("nesting", "[[[[[[[["),
        ("one text", r#"\"\"\"\""#),
    ] {
        server.pull_by(move |_, stream| {
            stream.write_all(head(200, &[]).as_bytes())?;
            stream.write_all(br#"{"timestamp":5,"changes":{"task":{"created":["#)?;
            loop {
                stream.write_all(piece.as_bytes())?;
            }
        });
        fails(&device, what, "protocol", "larger than 100000 bytes");
    }
}

#[test]
fn an_answer_that_drips_ends_with_the_time() {
    let chunked = || head(200, &[("Transfer-Encoding", "chunked")]).into_bytes();
    let drips = [
        ("a body", head(200, &[]).into_bytes(), &b" "[..]),
        ("a header", b"HTTP/1.1 200 OK\r\nX: ".to_vec(), b"x"),
        ("headers", b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n"),
        ("a status line", b"HTTP/1.1 200 ".to_vec(), b"O"),
        ("interim answers", Vec::new(), b"HTTP/1.1 103 Early\r\n\r\n"),
        ("chunks", chunked(), b"1\r\n \r\n"),
        ("a chunk's size", chunked(), b"0"),
    ];
    // All at once, for each waits for its time to be up.
    std::thread::scope(|scope| {
        for (what, start, byte) in drips {
            scope.spawn(move || {
                let server = Canned::start();
                let device = frugal(&server);
                device.provider(&server.url(), json!({"totalTimeoutMs": 1_000}));
                server.pull_by(move |_, stream| {
                    stream.write_all(&start)?;
                    loop {
                        stream.write_all(byte)?;
                        stream.flush()?;
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
                let error = device.failed();
                assert!(
                    error["class"] == "network" || error["class"] == "protocol",
                    "{what}: {error}"
                );
                // In case that the time was up before the request went out.
                server.reset();
                device.provider(&server.url(), json!({}));
                device.synced();
            });
        }
    });
}

#[test]
fn heads_without_end_are_refused() {
    let server = Canned::start();
    let device = frugal(&server);
    for (what, start, piece) in [
        (
            "one header",
            "HTTP/1.1 200 OK\r\nX: ",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ),
        ("many headers", "HTTP/1.1 200 OK\r\n", "X: y\r\n"),
        ("interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        server.pull_by(move |_, stream| {
            stream.write_all(start.as_bytes())?;
            loop {
                stream.write_all(piece.as_bytes())?;
            }
        });
        let error = device.failed();
        assert!(
            error["class"] == "network" || error["class"] == "protocol",
            "{what}: {error}"
        );
        device.synced();
    }
}

#[test]
fn a_large_answer_to_a_push_loses_no_rejection() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.synced();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    server.push_raw(|_| {
        let padding = " ".repeat(17 << 20);
        json_answer(&format!(
            r#"{{{padding}"experimentalRejectedIds":{{"task":["a"]}}}}"#
        ))
    });
    let error = device.failed();
    assert_eq!(error["class"], "protocol", "{error}");
    assert_eq!(device.pending(), "task|a|created|[]");
    device.synced();
    assert_eq!(device.pending(), "");
}

// --------------------------------------------------------------------------------- what is in it

#[test]
fn the_type_of_the_content_is_not_asked_for_its_word() {
    let server = Canned::start();
    let device = frugal(&server);
    let good = r#"{"changes":{"task":{"created":[{"id":"a"}]}},"timestamp":5}"#;
    for kind in [
        "text/html",
        "application/octet-stream",
        "image/png; charset=utf-16",
        "",
    ] {
        server.pull_raw(move |_| status_answer(200, &[("Content-Type", kind)], good));
        device.synced();
        assert_eq!(device.ask("SELECT id FROM task"), "a", "{kind}");
    }
    for body in [
        "<html><script>alert(1)</script>",
        "\u{feff}{}",
        "PK\u{3}\u{4}",
        "%PDF-1.7",
    ] {
        server.pull(body);
        fails(&device, body, "protocol", "nothing was applied");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_wherever_it_stands() {
    let server = Canned::start();
    let device = frugal(&server);
    for template in [
        r#"{"changes":{"task":{"created":[{"id":"@"}]}},"timestamp":5}"#,
        r#"{"changes":{"task":{"created":[{"id":"a","@":1}]}},"timestamp":5}"#,
        r#"{"changes":{"task":{"deleted":["@"]}},"timestamp":5}"#,
        r#"{"changes":{"@":{"created":[]}},"timestamp":5}"#,
        r#"{"changes":{"task":{"@":[]}},"timestamp":5}"#,
        r#"{"changes":{},"timestamp":5,"@":1}"#,
        r#"{"changes":{},"timestamp":5,"x":"@"}"#,
        r#"{"changes":{},"timestamp":@}"#,
    ] {
        for broken in [
            &b"\xff"[..],
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf5\x80\x80\x80",
        ] {
            let (before, after) = template.split_once('@').expect("a place");
            let body = [before.as_bytes(), broken, after.as_bytes()].concat();
            let head = head(200, &[("Content-Length", &body.len().to_string())]);
            server.pull_raw(move |_| [head.as_bytes(), &body].concat());
            fails(&device, template, "protocol", "nothing was applied");
        }
    }
}

/// What nobody asked for is passed over as bytes.
#[test]
fn text_that_is_not_utf8_in_tables_of_others_is_not_looked_at() {
    let server = Canned::start();
    let device = frugal(&server);
    let body = b"{\"changes\":{\"other\":{\"created\":[\"\xff\"]}},\"timestamp\":5}";
    let head = head(200, &[("Content-Length", &body.len().to_string())]);
    server.pull_raw(move |_| [head.as_bytes(), body].concat());
    device.synced();
}

/// Of a name that stands twice in an object, the last counts; a list that stands twice counts twice.
#[test]
fn names_that_stand_twice() {
    let server = Canned::start();
    let device = frugal(&server);
    server.pull(
        r#"{"timestamp":5,"changes":{"task":{"created":[{"id":"a","id":"b","title":"1","title":"2"}]}},
            "changes":{"task":{"created":[{"id":"c"}],"created":[{"id":"d"}]}},"timestamp":6,
            "x":1,"x":{"y":2}}"#,
    );
    let summary = device.synced();
    assert_eq!(
        device.ask("SELECT id, title FROM task"),
        "b|2\nc|NULL\nd|NULL"
    );
    assert_eq!(
        (device.cursor("task").as_str(), &summary["rest"]),
        ("6", &json!({"x": {"y": 2}}))
    );
    assert_eq!(device.pending(), "");
}

#[test]
fn numbers_keep_their_digits_or_become_reals_as_documented() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE n (id TEXT PRIMARY KEY NOT NULL, i INTEGER, a)",
        &["n"],
        &server.url(),
    );
    let real = |number: f64| format!("{number}|real");
    for (sent, kept) in [
        ("9007199254740993", "9007199254740993|integer"),
        ("-9007199254740993", "-9007199254740993|integer"),
        ("9223372036854775807", "9223372036854775807|integer"),
        ("-9223372036854775808", "-9223372036854775808|integer"),
        ("9223372036854775808", &real(9_223_372_036_854_775_808.0)),
        ("-9223372036854775809", &real(-9_223_372_036_854_775_808.0)),
        ("18446744073709551616", &real(18_446_744_073_709_551_616.0)),
        (
            "123456789012345678901234567890",
            &real(1.2345678901234568e29),
        ),
        ("0.1", &real(0.1)),
        ("5e-324", &real(5e-324)),
        ("-0.0", "0|integer"),
    ] {
        server.pull(&format!(
            r#"{{"changes":{{"n":{{"updated":[{{"id":"x","i":{sent},"a":{sent}}}]}}}},"timestamp":7}}"#
        ));
        device.synced();
        for column in ["i", "a"] {
            let found = device.ask(&format!("SELECT {column}, typeof({column}) FROM n"));
            assert_eq!(found, kept, "{sent} in {column}");
        }
    }
    // A timestamp goes back as it came, whatever it is.
    for sent in [
        "9007199254740993",
        "18446744073709551616",
        "1.50",
        "1e3",
        "0.1",
    ] {
        server.pull(&format!(r#"{{"changes":{{}},"timestamp":{sent}}}"#));
        device.synced();
        server.clear();
        server.pull(r#"{"changes":{},"timestamp":1}"#);
        device.synced();
        assert_eq!(
            query(&server.seen()[0].path, "last_pulled_at").as_deref(),
            Some(sent)
        );
    }
}

#[test]
fn a_timestamp_without_end_is_refused() {
    let server = Canned::start();
    let plain = Device::new(&server.url());
    server.pull(&format!(
        r#"{{"changes":{{}},"timestamp":0.{}1}}"#,
        "0".repeat(100_000)
    ));
    fails(
        &plain,
        "digits",
        "protocol",
        "timestamp is longer than 16 KiB",
    );
    let opaque = Device::with_options(&server.url(), json!({"cursorUnit": "opaque"}));
    server.pull(&format!(
        r#"{{"changes":{{}},"timestamp":"{}"}}"#,
        "x".repeat(100_000)
    ));
    fails(
        &opaque,
        "text",
        "protocol",
        "timestamp is longer than 16 KiB",
    );
    // The longest that is taken still makes a request.
    server.pull(&format!(
        r#"{{"changes":{{}},"timestamp":"{}"}}"#,
        "€".repeat(5_000)
    ));
    opaque.synced();
    opaque.synced();
}

/// The server's text goes into an address, a header, a body. It stays in its place.
#[test]
fn a_timestamp_of_text_breaks_out_of_no_place() {
    let server = Canned::start();
    let body = json!({"cursorUnit": "opaque", "pullMethod": "POST", "pullUrl": "/pull?c={lastPulledAt}",
        "pullBody": {"since": "{lastPulledAt}"}});
    let device = Device::with_options(&server.url(), body);
    let word = "a&b=c#d \"e\" \r\nX-Evil: 1\0'\u{1f600}\\";
    server.pull_raw({
        let answer = json_answer(&json!({"changes": {}, "timestamp": word}).to_string());
        move |_| answer.clone()
    });
    device.synced();
    server.clear();
    device.synced();
    let seen = &server.seen()[0];
    assert_eq!(seen.json()["since"], word);
    assert_eq!(seen.header("x-evil"), None);
    assert_eq!(
        query(&seen.path, "c").as_deref(),
        Some("a%26b%3Dc%23d%20%22e%22%20%0D%0AX-Evil%3A%201%00%27%F0%9F%98%80%5C")
    );
    // In a header it can't be sent, and so nothing is.
    server.pull(&json!({"changes": {}, "timestamp": word}).to_string());
    device.synced();
    device.provider(
        &server.url(),
        json!({"cursorUnit": "opaque", "headers": {"X-Since": "{lastPulledAt}"}}),
    );
    server.clear();
    let error = device.failed();
    assert!(
        error["message"]
            .as_str()
            .expect("text")
            .contains("line break"),
        "{error}"
    );
    assert_eq!(server.seen().len(), 0);
}

// ------------------------------------------------------------------------------ where it must not reach

/// A server that answers with a timestamp would say where the next request goes. Found by fuzzing.
#[test]
fn a_timestamp_is_no_part_of_a_host() {
    let server = Canned::start();
    let device = frugal(&server);
    let origin = server.origin();
    let config = |keys: Value| {
        let mut config = json!({"kind": "watermelon", "url": server.url(), "cursorUnit": "opaque"});
        for (key, value) in keys.as_object().expect("an object") {
            config[key] = value.clone();
        }
        config.to_string()
    };
    for (keys, said) in [
        (json!({"url": "http://{lastPulledAt}/sync"}), "url has"),
        (json!({"url": "http://api.{lastPulledAt}.org"}), "url has"),
        (
            json!({"pullUrl": format!("{origin}{{schemaVersion}}/")}),
            "pullUrl has",
        ),
        (
            json!({"pushUrl": "http://127.0.0.1:{lastPulledAt}"}),
            "pushUrl has",
        ),
    ] {
        let text = device.refused(&format!("SELECT sync_provider('api', '{}')", config(keys)));
        let clear = text.contains(said) && text.contains("a placeholder in its host");
        assert!(clear, "{text}");
    }
    // Nor where a file brings such a configuration.
    let stored = config(json!({"pushUrl": "http://127.0.0.1:{lastPulledAt}"}));
    device.exec(&format!("UPDATE _syncProvider SET config = '{stored}'"));
    let text = device.refused(r#"SELECT sync_entities('all', 'api', '["task"]')"#);
    assert!(text.contains("a placeholder in its host"), "{text}");
    assert_eq!(server.seen().len(), 0);
    // What the program itself gives may stand there.
    let host = origin.replace("http://127.0.0.1:", "");
    let keys = json!({"url": "http://127.0.0.{param:last}:{param:port}/sync",
        "params": {"last": 1, "port": host.parse::<u16>().expect("a port")}});
    device.ask(&format!("SELECT sync_provider('api', '{}')", config(keys)));
    device.synced();
    assert!(!server.seen().is_empty());
}

#[test]
fn tables_that_the_server_invents_are_not_made_and_ours_are_not_written() {
    let server = Canned::start();
    let device = frugal(&server);
    device.exec(
        "CREATE TABLE private (id TEXT PRIMARY KEY, x); INSERT INTO private VALUES ('p', 'mine')",
    );
    device.ask(r#"SELECT sync_track('private', '{"existing":"skip"}')"#);
    let schema = device.ask("SELECT group_concat(name || sql) FROM sqlite_master");
    let providers = device.ask("SELECT * FROM _syncProvider");
    let rows = json!({"created": [{"id": "p", "x": "theirs", "kind": "host", "config": "{}", "name": "x",
        "sql": "CREATE TABLE y (z)"}], "deleted": ["p", "api"]});
    let mut changes = json!({});
    for name in [
        "private",
        "PRIVATE",
        "main.private",
        "\"private\"",
        "Task",
        "task ",
        "_syncProvider",
        "_syncMeta",
        "sqlite_master",
        "sqlite_sequence",
        "sync_scope",
        "new",
        "__proto__",
        "",
        "x\0y",
        "a;DROP TABLE task",
    ] {
        changes[name] = rows.clone();
    }
    server.changes(changes);
    let summary = device.synced();
    assert_eq!(summary["pulled"], 0, "{summary}");
    assert_eq!(device.ask("SELECT * FROM private"), "p|mine");
    assert_eq!(
        device.ask("SELECT group_concat(name || sql) FROM sqlite_master"),
        schema
    );
    assert_eq!(device.ask("SELECT * FROM _syncProvider"), providers);
    assert_eq!(device.pending(), "");
}

#[test]
fn a_server_reaches_only_the_entities_that_were_asked_of_it() {
    let (mine, theirs) = (Canned::start(), Canned::start());
    let device = frugal(&mine);
    device.ask(&format!(
        r#"SELECT sync_provider('other', '{{"kind":"watermelon","url":"{}","attempts":1}}')"#,
        theirs.url()
    ));
    let sync = |provider: &str, entity: &str| {
        let sql = format!(
            r#"SELECT sync_entities('{provider}', '{provider}', '["{entity}"]') ->> 'state'"#
        );
        device.ask(&sql)
    };
    assert_eq!(
        (sync("api", "task"), sync("other", "list")),
        ("synced".into(), "synced".into())
    );
    let changes = json!({"list": {"created": [{"id": "l", "name": "theirs"}]}, "task": {"created": [{"id": "t"}]}});
    mine.changes(changes.clone());
    theirs.changes(changes);
    assert_eq!(sync("api", "task"), "synced");
    assert_eq!(device.ask("SELECT count(*) FROM list"), "0");
    assert_eq!(sync("other", "list"), "synced");
    assert_eq!(
        device.ask("SELECT id FROM task UNION ALL SELECT id FROM list"),
        "t\nl"
    );
    // A table is one provider's.
    let text = device.refused(r#"SELECT sync_entities('x', 'other', '["task"]')"#);
    assert!(text.contains("task") && text.contains("api"), "{text}");
}

#[test]
fn redirects_to_other_origins_are_refused_with_and_without_a_token() {
    let (home, evil) = (Canned::start(), Canned::start());
    let bare = evil.origin().replace("http://", "");
    for token in [false, true] {
        let more = if token {
            json!({"token": "t"})
        } else {
            json!({})
        };
        let device = Device::with_options(&home.url(), more);
        device.ask(&format!(
            "SELECT sync_secret('t', '{TOKEN}', '{}')",
            home.origin()
        ));
        device.synced();
        for target in [
            evil.url(),
            format!("//{bare}/sync"),
            format!("HTTP://{bare}"),
            format!("{}@{bare}/", home.origin()),
            format!("/\\{bare}/"),
            format!("\\\\{bare}/"),
            format!("https://{}/", home.origin().replace("http://", "")),
            "file:///etc/passwd".into(),
            "javascript:alert(1)".into(),
            "http://[::1".into(),
            format!("{}\t.evil/", home.origin()),
        ] {
            for status in [301, 302, 303, 307, 308] {
                let answer = status_answer(status, &[("Location", &target)], "");
                home.pull_raw(move |_| answer.clone());
                let error = device.failed();
                assert_eq!(error["class"], "protocol", "{target}: {error}");
            }
            device.exec("INSERT OR REPLACE INTO task (id, title) VALUES ('a', hex(randomblob(4)))");
            let answer = status_answer(307, &[("Location", &target)], "");
            home.push_raw(move |_| answer.clone());
            let error = device.failed();
            assert_eq!(error["class"], "protocol", "{target}: {error}");
            assert!(!error.to_string().contains(TOKEN), "{error}");
            device.synced();
        }
    }
    assert_eq!(evil.seen().len(), 0);
}

#[test]
fn an_answer_s_headers_do_nothing() {
    let server = Canned::start();
    let device = frugal(&server);
    let body = r#"{"changes":{"task":{"created":[{"id":"a"}]}},"timestamp":5}"#;
    for header in [
        ("Set-Cookie", "session=hunter2; Path=/"),
        ("Location", "http://127.0.0.1:1/"),
        ("Refresh", "0; url=http://127.0.0.1:1/"),
        ("Upgrade", "h2c"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Alt-Svc", "h2=\"127.0.0.1:1\""),
        ("WWW-Authenticate", "Basic"),
    ] {
        server.pull_raw(move |_| status_answer(200, &[header], body));
        device.synced();
        server.clear();
        device.synced();
        assert_eq!(server.seen()[0].header("cookie"), None);
        assert_eq!(device.ask("SELECT id FROM task"), "a", "{header:?}");
    }
}

#[test]
fn what_a_server_says_is_shown_in_one_clean_line() {
    let server = Canned::start();
    let device = frugal(&server);
    for body in [
        "\x1b[2J\x1b]0;title\x07 gone\r\nSELECT 1;\0",
        &"x".repeat(50_000),
        "<html>\n<h1>\u{202e}evil",
    ] {
        let answer = status_answer(500, &[], body);
        server.pull_raw(move |_| answer.clone());
        fails(&device, body, "server", "HTTP 500");
    }
    for body in [
        "\x1b[2J",
        "{\"\x1b[2J\":1}",
        "{\"changes\":\x1b[2J}",
        "{\"changes\":{\"task\":{\"created\":[\"\x1b\"]}}}",
    ] {
        server.pull(body);
        fails(&device, body, "protocol", "nothing was applied");
    }
}
