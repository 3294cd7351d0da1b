//! Kinto.

use std::sync::OnceLock;

use serde_json::{Value, json};
use support::root;

use crate::recipe::Recipe;
use crate::relay::Relay;
use crate::server::{Server, call, done};
use crate::{program, trials};

/// `phone:secret`, as in the recipe.
const GOOD: &str = "Basic cGhvbmU6c2VjcmV0";
/// `phone:wrong`.
const BAD: &str = "Basic cGhvbmU6d3Jvbmc=";

struct Kinto {
    relay: Relay,
    bucket: String,
    /// Of its records, past the relay.
    url: String,
}

/// The port of the one that all tests share; none: it is not installed.
fn port() -> Option<u16> {
    static PORT: OnceLock<Option<u16>> = OnceLock::new();
    *PORT.get_or_init(|| {
        let program = root().join("tests/python/venv/bin/kinto");
        if !program::is_there(&program, "servers") {
            return None;
        }
        let folder = program::folder();
        let settings = Recipe::of("Kinto", &[("127.0.0.1:8888", "127.0.0.1:0")]).only("ini");
        std::fs::write(folder.join("kinto.ini"), settings).expect("the settings");
        let program = program.to_string_lossy();
        let command = [&*program, "start", "--ini", "kinto.ini"];
        let port = program::start(&folder, &command, &[], "Serving on http://127.0.0.1:");
        let account = json!({"data": {"password": "secret"}});
        let url = format!("http://127.0.0.1:{port}/v1/accounts/phone");
        done("PUT", &url, ("Accept", "*/*"), Some(&account));
        Some(port)
    })
}

/// A bucket of its own for each trial.
fn kinto(bucket: &str) -> Option<Kinto> {
    let port = port()?;
    let url = format!("http://127.0.0.1:{port}/v1/buckets/{bucket}");
    done("PUT", &url, ("Authorization", GOOD), None);
    let url = format!("{url}/collections/book");
    done("PUT", &url, ("Authorization", GOOD), None);
    Some(Kinto {
        relay: Relay::to(port),
        bucket: format!("buckets/{bucket}/"),
        url: format!("{url}/records"),
    })
}

impl Server for Kinto {
    fn recipe(&self, changes: &[(&str, &str)]) -> Recipe {
        let origin = self.relay.origin();
        let own = [
            ("http://127.0.0.1:8888", &*origin),
            ("buckets/shop/", &*self.bucket),
        ];
        Recipe::of("Kinto", &[&own, changes].concat())
    }

    fn provider(&self) -> &'static str {
        "kinto"
    }

    fn relay(&self) -> &Relay {
        &self.relay
    }

    fn put(&self, number: usize, title: &str, price: f64) {
        let url = format!("{}/b{number}", self.url);
        let row = json!({"data": {"title": title, "price": price}});
        done("PUT", &url, ("Authorization", GOOD), Some(&row));
    }

    fn remove(&self, number: usize) {
        let url = format!("{}/b{number}", self.url);
        done("DELETE", &url, ("Authorization", GOOD), None);
    }

    fn rows(&self) -> Vec<Value> {
        let said = done("GET", &self.url, ("Authorization", GOOD), None);
        said["data"].as_array().expect("rows").clone()
    }
}

#[test]
fn kinto_is_synced_as_the_page_shows() {
    if let Some(server) = kinto("page") {
        trials::the_page_is_true(&server);
    }
}

#[test]
fn kinto_gives_out_pages_with_a_next_page_header() {
    if let Some(server) = kinto("pages") {
        trials::pages_are_read_to_the_end(&server);
    }
}

#[test]
fn kinto_is_asked_only_for_what_is_new() {
    if let Some(server) = kinto("news") {
        trials::what_is_new_comes(&server, Some("_since="));
    }
}

#[test]
fn kinto_shows_tombstones_of_what_is_gone() {
    if let Some(server) = kinto("gone") {
        trials::what_is_gone_goes(&server, false);
    }
}

#[test]
fn kinto_keeps_two_devices_in_step() {
    if let Some(server) = kinto("two") {
        trials::two_devices_agree(&server, false);
    }
}

#[test]
fn kinto_refuses_a_bad_password_and_nothing_is_lost() {
    if let Some(server) = kinto("token") {
        let (status, _) = call("GET", &server.url, ("Authorization", BAD), None);
        assert_eq!(status, 401);
        trials::a_bad_token_loses_nothing(&server, GOOD, BAD);
    }
}

#[test]
fn kinto_is_sent_once_more_what_got_no_answer() {
    if let Some(server) = kinto("lost") {
        trials::a_lost_answer_doubles_and_loses_nothing(&server, trials::ATTEMPTS);
    }
}

#[test]
fn kinto_and_two_devices_come_together_after_random_edits_and_losses() {
    if let Some(server) = kinto("random") {
        trials::random_edits_come_together(&server, trials::ATTEMPTS[0], true, false);
    }
}
