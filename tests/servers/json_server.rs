//! json-server.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use support::root;

use crate::device::Device;
use crate::recipe::Recipe;
use crate::relay::Relay;
use crate::server::{Server, call, done};
use crate::{program, trials};

const TOKEN: &str = "a-token-of-your-own";
const BEARER: (&str, &str) = ("Authorization", "Bearer a-token-of-your-own");

/// It has to know its lists when it starts: one for each trial.
const LISTS: &[&str] = &[
    "page", "pages", "gone", "news", "empty", "two", "token", "lost", "etag", "random", "full",
];

struct JsonServer {
    relay: Relay,
    list: String,
    /// Of its list, past the relay.
    url: String,
}

fn port() -> Option<u16> {
    static PORT: OnceLock<Option<u16>> = OnceLock::new();
    *PORT.get_or_init(|| {
        let modules = root().join("tests/servers/node_modules");
        if !program::is_there(&modules.join("json-server/package.json"), "servers") {
            return None;
        }
        let folder = program::folder();
        let code = Recipe::of("json-server", &[]).only("js");
        std::fs::write(folder.join("server.js"), code).expect("the program");
        let lists: Map<String, Value> = LISTS
            .iter()
            .map(|list| ((*list).to_owned(), json!([])))
            .collect();
        std::fs::write(folder.join("db.json"), json!(lists).to_string()).expect("its data");
        let modules = modules.to_string_lossy();
        let settings = [("NODE_PATH", &*modules), ("TOKEN", TOKEN), ("PORT", "0")];
        Some(program::start(
            &folder,
            &["node", "server.js"],
            &settings,
            "listening on ",
        ))
    })
}

/// A list of its own for each trial.
fn json_server(list: &str) -> Option<JsonServer> {
    assert!(LISTS.contains(&list), "{list} is not there");
    let port = port()?;
    Some(JsonServer {
        relay: Relay::to(port),
        list: format!("\"path\":\"/{list}"),
        url: format!("http://127.0.0.1:{port}/{list}"),
    })
}

impl Server for JsonServer {
    fn recipe(&self, changes: &[(&str, &str)]) -> Recipe {
        let origin = self.relay.origin();
        let own = [
            ("http://127.0.0.1:3000", &*origin),
            ("\"path\":\"/book", &*self.list),
        ];
        Recipe::of("json-server", &[&own, changes].concat())
    }

    fn provider(&self) -> &'static str {
        "jsonserver"
    }

    fn relay(&self) -> &Relay {
        &self.relay
    }

    fn put(&self, number: usize, title: &str, price: f64) {
        let url = format!("{}/{number}", self.url);
        let row = json!({"id": number, "title": title, "price": price});
        match call("PUT", &url, BEARER, Some(&row)) {
            (404, _) => done("POST", &self.url, BEARER, Some(&row)),
            (_, said) => said,
        };
    }

    fn remove(&self, number: usize) {
        let url = format!("{}/{number}", self.url);
        done("DELETE", &url, BEARER, None);
    }

    fn rows(&self) -> Vec<Value> {
        let said = done("GET", &self.url, BEARER, None);
        said.as_array().expect("rows").clone()
    }
}

#[test]
fn json_server_is_synced_as_the_page_shows() {
    if let Some(server) = json_server("page") {
        trials::the_page_is_true(&server);
    }
}

#[test]
fn json_server_gives_out_pages_with_a_link_header() {
    if let Some(server) = json_server("pages") {
        trials::pages_are_read_to_the_end(&server);
    }
}

#[test]
fn json_server_says_what_has_not_changed() {
    if let Some(server) = json_server("etag") {
        server.put(1, "Emma", 1.0);
        let device = Device::of(&server);
        device.synced();
        let answer = device.synced();
        assert_eq!(answer["rest"]["unchanged"], true, "{answer}");
        server.put(1, "Emma, annotated", 1.0);
        assert_eq!(device.synced()["pulled"], 1);
        device.agrees_with(&server);
    }
}

#[test]
fn json_server_gives_out_all_and_what_is_new_is_seen() {
    if let Some(server) = json_server("news") {
        trials::what_is_new_comes(&server, None);
    }
}

#[test]
fn json_server_does_not_name_what_is_gone() {
    if let Some(server) = json_server("gone") {
        trials::what_is_gone_goes(&server, false);
    }
}

#[test]
fn json_server_shows_nothing_and_nothing_is_removed() {
    if let Some(server) = json_server("empty") {
        trials::an_empty_answer_empties_nothing(&server);
    }
}

#[test]
fn json_server_keeps_two_devices_in_step() {
    if let Some(server) = json_server("two") {
        trials::two_devices_agree(&server, false);
    }
}

#[test]
fn json_server_refuses_a_bad_token_and_nothing_is_lost() {
    if let Some(server) = json_server("token") {
        trials::a_bad_token_loses_nothing(&server, TOKEN, "wrong");
    }
}

#[test]
fn json_server_is_not_sent_twice_what_got_no_answer() {
    if let Some(server) = json_server("lost") {
        trials::a_lost_answer_doubles_and_loses_nothing(&server, &[""]);
    }
}

#[test]
fn json_server_and_two_devices_come_together_after_random_edits_and_losses() {
    if let Some(server) = json_server("random") {
        // It gives the id of a deleted row again, so none is deleted.
        trials::random_edits_come_together(&server, "", false, false);
    }
}

#[test]
fn json_server_gives_out_a_row_behind_a_page_that_was_full() {
    if let Some(server) = json_server("full") {
        let device = Device::with(&server, &[("\"size\":100", "\"size\":3")]);
        for number in 1..=3 {
            server.put(number, &format!("Book {number}"), number as f64);
        }
        device.synced();
        server.put(4, "Book 4", 4.0);
        device.synced();
        device.agrees_with(&server);
    }
}
