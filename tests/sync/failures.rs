//! Every way a backend or the network can fail: its class, code, status, and what may be retried.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{
    Backend, Canned, Device, NOBODY, SCHEMA, assert_equal, backend_rows, closing, head, seen,
    status_answer,
};

/// A device with something to push.
fn with_an_edit(url: &str) -> Device {
    // What is refused as a whole is refused here; cutting it up is tested in refused_rows.
    let device = Device::with_options(url, json!({"splitRefused": false}));
    device.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    device
}

/// Class, code, status, retryable; and words that the message must hold.
fn assert_error(
    error: &Value,
    class: &str,
    code: &str,
    status: Value,
    retryable: bool,
    said: &[&str],
) {
    assert_eq!(error["class"], class, "{error}");
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["status"], status, "{error}");
    assert_eq!(error["retryable"], retryable, "{error}");
    let message = error["message"].as_str().expect("a message");
    for word in said {
        assert!(message.contains(word), "{word:?} is missing: {message}");
    }
    let keys: Vec<_> = error
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["class", "code", "status", "message", "retryable"]);
}

fn network(error: &Value, said: &[&str]) {
    assert_error(
        error,
        "network",
        "SYNC_ERROR_NETWORK",
        Value::Null,
        true,
        said,
    );
}

fn protocol(error: &Value, said: &[&str]) {
    assert_error(
        error,
        "protocol",
        "SYNC_ERROR_PROTOCOL",
        Value::Null,
        false,
        said,
    );
}

fn nothing_lost(device: &Device) {
    assert_eq!(device.pending(), "task|n|created|[]");
    assert_eq!(device.ask("SELECT id, title FROM task"), "n|new");
    assert_eq!(device.ask("SELECT count(*) FROM _syncLease"), "0");
    let run = "SELECT state, finishedAt >= startedAt FROM _syncRun ORDER BY id DESC LIMIT 1";
    assert_eq!(device.ask(run), "failed|1");
}

#[test]
fn nobody_listens() {
    let device = with_an_edit(&format!("{NOBODY}/sync"));
    network(&device.failed(), &["refused"]);
    nothing_lost(&device);
}

#[test]
fn the_host_is_unknown() {
    let device = with_an_edit("http://nonexistent.invalid/sync");
    network(&device.failed(), &["nonexistent.invalid"]);
    nothing_lost(&device);
}

#[test]
fn the_backend_is_silent_in_the_middle_of_a_body() {
    let backend = Backend::start(SCHEMA);
    backend.faults().add(json!({"delayBodyMs": 600_000}));
    let device = with_an_edit(&backend.sync_url());
    device.provider(&backend.sync_url(), json!({"timeoutMs": 200}));
    network(&device.failed(), &[]);
    nothing_lost(&device);
}

#[test]
fn the_connection_breaks() {
    for fault in [
        json!({"drop": true}),
        json!({"truncate": 20}),
        json!({"truncate": 0}),
    ] {
        let backend = Backend::start(SCHEMA);
        backend.faults().add(fault);
        let device = with_an_edit(&backend.sync_url());
        network(&device.failed(), &[]);
        nothing_lost(&device);
    }
    // With a length that promises more.
    let server = Canned::start();
    let whole = r#"{"changes":{"task":{"created":[{"id":"r"}]}},"timestamp":5}"#;
    server.pull_raw(move |_| closing(whole, whole.len() + 1));
    let device = with_an_edit(&server.url());
    network(&device.failed(), &[]);
    nothing_lost(&device);
}

#[test]
fn the_answer_of_a_push_breaks_off() {
    let server = Canned::start();
    let device = with_an_edit(&server.url());
    server.push_raw(|_| closing("{", 10));
    network(&device.failed(), &[]);
    nothing_lost(&device);
    device.synced();
}

#[test]
fn statuses_of_a_push() {
    for (status, class, requests) in [
        (400, "server", 4),
        (401, "auth", 2),
        (403, "auth", 2),
        (404, "server", 4),
        (409, "server", 4),
        (413, "server", 4),
        (422, "server", 4),
    ] {
        let backend = Backend::start(SCHEMA);
        let device = with_an_edit(&backend.sync_url());
        backend
            .faults()
            .add(json!({"on": "push", "status": status}));
        let error = device.failed();
        assert_eq!(
            (&error["class"], &error["status"]),
            (&json!(class), &json!(status)),
            "{error}"
        );
        assert_eq!(seen(&backend).len(), requests, "{status}");
        nothing_lost(&device);
        backend.faults().clear();
        device.synced();
        assert_equal(&device, &backend, &["task"]);
    }
}

#[test]
fn up_to_500_bytes_of_the_body_are_told() {
    let server = Canned::start();
    let device = with_an_edit(&server.url());
    let long = format!("reason ż {}END", "x".repeat(600));
    server.pull_raw(move |_| status_answer(500, &[], &long));
    let error = device.failed();
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("reason ż xxx") && !message.contains("END"),
        "{message}"
    );
    assert!(message.len() < 700, "{message}");
}

#[test]
fn a_busy_backend_is_asked_again_and_the_sync_succeeds() {
    for fault in [
        json!({"status": 503}),
        json!({"status": 429, "retryAfter": "0"}),
        json!({"drop": true}),
        json!({"status": 408}),
        json!({"truncate": 10}),
        json!({"status": 425}),
    ] {
        for on in ["pull", "push"] {
            let backend = Backend::start(SCHEMA);
            let device = with_an_edit(&backend.sync_url());
            device.provider(&backend.sync_url(), json!({"attempts": 4}));
            let mut fault = fault.clone();
            fault["times"] = json!(2);
            fault["on"] = json!(on);
            backend.faults().add(fault.clone());
            let answer = device.synced();
            assert!(answer["requests"].as_u64() >= Some(4), "{fault}: {answer}");
            device.synced();
            assert_equal(&device, &backend, &["task"]);
        }
    }
}

#[test]
fn retry_after_is_honoured_up_to_its_limit() {
    let backend = Backend::start(SCHEMA);
    let device = with_an_edit(&backend.sync_url());
    device.provider(&backend.sync_url(), json!({"attempts": 2}));
    backend
        .faults()
        .add(json!({"on": "pull", "times": 1, "status": 429, "retryAfter": "1"}));
    let start = Instant::now();
    device.synced();
    assert!(
        start.elapsed() >= Duration::from_millis(1000),
        "{:?}",
        start.elapsed()
    );
    // Longer than allowed: no waiting at all.
    device.provider(
        &backend.sync_url(),
        json!({"attempts": 5, "maxRetryAfterMs": 500}),
    );
    backend
        .faults()
        .add(json!({"on": "pull", "times": 1, "status": 503, "retryAfter": "3600"}));
    let answer = device.sync();
    assert_eq!(answer["error"]["status"], 503, "{answer}");
}

#[test]
fn other_statuses_are_not_asked_again() {
    for status in [400, 401, 403, 404, 409, 413] {
        let backend = Backend::start(SCHEMA);
        let device = Device::new(&backend.sync_url());
        device.provider(&backend.sync_url(), json!({"attempts": 4}));
        backend.faults().add(json!({"status": status}));
        device.failed();
        assert_eq!(seen(&backend).len(), 1, "{status}");
    }
}

#[test]
fn answers_that_are_no_answers() {
    for fault in [
        json!({"html": true}),
        json!({"garbage": true}),
        json!({"cut": 25}),
        json!({"cut": 0}),
        json!({"empty": true}),
    ] {
        let backend = Backend::start(SCHEMA);
        backend.sql(|sql| sql.execute_batch("INSERT INTO task (id) VALUES ('r')"));
        let device = with_an_edit(&backend.sync_url());
        let mut fault = fault.clone();
        fault["on"] = json!("pull");
        backend.faults().add(fault);
        protocol(&device.failed(), &["nothing was applied"]);
        nothing_lost(&device);
        backend.faults().clear();
        device.synced();
        assert_equal(&device, &backend, &["task"]);
    }
    let server = Canned::start();
    let device = with_an_edit(&server.url());
    server.pull_raw(|_| status_answer(200, &[], ""));
    protocol(&device.failed(), &[]);
    nothing_lost(&device);
}

#[test]
fn any_2xx_is_success_of_a_push() {
    for (status, body) in [
        (204, ""),
        (200, ""),
        (201, "\"\""),
        (200, "<html>"),
        (202, "null"),
        (
            200,
            r#"{"timestamp":1,"changes":{"task":{"created":[{"id":"x"}]}}}"#,
        ),
        (200, "[1]"),
    ] {
        let server = Canned::start();
        let device = with_an_edit(&server.url());
        server.push_raw(move |_| status_answer(status, &[], body));
        let answer = device.synced();
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(device.pending(), "", "{status} {body}");
        assert_eq!(device.ask("SELECT id FROM task"), "n");
    }
}

#[test]
fn what_is_no_http_at_all() {
    let server = Canned::start();
    let device = with_an_edit(&server.url());
    server.pull_raw(|_| b"SSH-2.0-OpenSSH_9.6\r\n".to_vec());
    let error = device.failed();
    assert!(
        ["protocol", "network"].contains(&error["class"].as_str().unwrap()),
        "{error}"
    );
    nothing_lost(&device);
}

#[test]
fn a_redirect_within_the_origin_is_followed_with_its_body() {
    let backend = Backend::start(SCHEMA);
    let device = with_an_edit(&backend.sync_url());
    backend.faults().add(json!({"redirect": "/moved/sync"}));
    device.synced();
    assert_equal(&device, &backend, &["task"]);
    assert_eq!(backend_rows(&backend, "task").len(), 1);
}

#[test]
fn a_redirect_to_another_origin_is_not_followed_and_the_secret_stays_home() {
    let elsewhere = Canned::start();
    let backend = Backend::start(SCHEMA);
    let device = with_an_edit(&backend.sync_url());
    device.provider(
        &backend.sync_url(),
        json!({"token": "t", "secretHeaders": {"X-Key": "t"}}),
    );
    device.ask(&format!(
        "SELECT sync_secret('t', 'hunter2-token', '{}')",
        backend.url()
    ));
    for status in [301, 302, 303, 307, 308] {
        for on in ["pull", "push"] {
            backend.faults().clear();
            backend
                .faults()
                .add(json!({"on": on, "status": status, "redirect": elsewhere.url()}));
            let error = device.failed();
            assert!(
                ["protocol", "server"].contains(&error["class"].as_str().unwrap()),
                "{error}"
            );
            assert!(!error.to_string().contains("hunter2"), "{error}");
            nothing_lost(&device);
        }
    }
    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
}

#[test]
fn redirects_in_a_circle_end() {
    let server = Canned::start();
    let url = server.url();
    for _ in 0..30 {
        let url = url.clone();
        server.pull_raw(move |_| {
            head(302, &[("Location", &url), ("Content-Length", "0")]).into_bytes()
        });
    }
    let device = with_an_edit(&server.url());
    protocol(&device.failed(), &["redirect"]);
    assert!(server.seen().len() < 20);
}
