//! How often a server is asked. Times are only bounded from below: that nothing waits too long is the business of a bench.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::phone::{Phone, numbered};
use crate::server::{Answer, Api};

#[test]
fn s1_no_more_requests_begin_in_a_second_than_the_provider_says() {
    let api = Api::start();
    api.set(numbered(3));
    let phone = Phone::with(&api, json!({"requestsPerSecond": 2}));
    phone.function("list", json!({"path": "/rows", "records": "$.items"}));
    let begin = Instant::now();
    for _ in 0..5 {
        phone.done("book", "list");
    }
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(api.asked().len(), 5);
    for (key, wrong) in [("requestsPerSecond", 0), ("requestsPerMinute", 10_001)] {
        let config = json!({"kind": "rest", "url": api.url(), key: wrong}).to_string();
        let refused = phone
            .try_call("sync_provider", &["api", &config])
            .unwrap_err();
        assert!(refused.contains(key), "{refused}");
    }
}

/// A server that says with each answer that nothing remains.
fn exhausted(reset: &'static str) -> (Api, Phone) {
    let api = Api::start();
    api.on("/all", move |_| {
        Answer::json(&json!([{"id": 1}]))
            .with("X-RateLimit-Remaining", "0")
            .with("X-RateLimit-Reset", reset)
    });
    let phone = Phone::with(&api, json!({"maxRetryAfterMs": 5000}));
    phone.function("list", json!({"path": "/all"}));
    (api, phone)
}

#[test]
fn s1_a_server_that_says_that_nothing_remains_is_asked_when_it_says() {
    let (api, phone) = exhausted("1");
    let begin = Instant::now();
    phone.done("book", "list");
    phone.done("book", "list");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(api.asked().len(), 2);
}

#[test]
fn s1_a_server_that_wants_more_time_than_is_granted_is_asked_all_the_same() {
    let (api, phone) = exhausted("3600");
    phone.done("book", "list");
    phone.done("book", "list");
    assert_eq!(api.asked().len(), 2);
}
