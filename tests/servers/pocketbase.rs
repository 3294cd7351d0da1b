//! PocketBase.

use std::sync::OnceLock;

use serde_json::{Value, json};
use support::root;

use crate::device::Device;
use crate::recipe::Recipe;
use crate::relay::Relay;
use crate::server::{Server, call, done};
use crate::{program, trials};

const PASSWORD: &str = "secret-secret";

/// The one that all tests share.
struct Shared {
    port: u16,
    superuser: String,
    /// Of a user.
    token: String,
}

struct PocketBase {
    shared: &'static Shared,
    relay: Relay,
    /// `collections/NAME/`
    collection: String,
    /// Of its records, past the relay.
    url: String,
}

fn login(api: &str, collection: &str, name: &str) -> String {
    let url = format!("{api}/collections/{collection}/auth-with-password");
    let given = json!({"identity": name, "password": PASSWORD});
    let said = done("POST", &url, ("Accept", "*/*"), Some(&given));
    said["token"].as_str().expect("a token").to_owned()
}

fn shared() -> Option<&'static Shared> {
    static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let program = root().join("tests/servers/pocketbase/pocketbase");
        if !program::is_there(&program, "pocketbase") {
            return None;
        }
        let program = program.to_string_lossy();
        let folder = program::folder();
        let data = format!("--dir={}", folder.join("data").display());
        program::run(&[&program, "superuser", "upsert", "admin@example.com", PASSWORD, &data]);
        let command = [&*program, "serve", "--http=127.0.0.1:0", &data];
        let port = program::start(&folder, &command, &[], "listening on 127.0.0.1:");
        let api = format!("http://127.0.0.1:{port}/api");
        let superuser = login(&api, "_superusers", "admin@example.com");
        let header = ("Authorization", &*superuser);
        let settings = json!({"batch": {"enabled": true, "maxRequests": 50, "timeout": 3}});
        done("PATCH", &format!("{api}/settings"), header, Some(&settings));
        let user = json!({"email": "phone@example.com", "password": PASSWORD, "passwordConfirm": PASSWORD});
        done("POST", &format!("{api}/collections/users/records"), header, Some(&user));
        Some(Shared {
            port,
            token: login(&api, "users", "phone@example.com"),
            superuser,
        })
    });
    shared.as_ref()
}

/// A collection of its own for each trial.
fn pocketbase(trial: &str) -> Option<PocketBase> {
    let shared = shared()?;
    let name = format!("book_{trial}");
    let text = Recipe::of("PocketBase", &[]).only("json");
    let mut collection: Value = serde_json::from_str(&text).expect("JSON");
    collection["name"] = json!(name);
    let api = format!("http://127.0.0.1:{}/api/collections", shared.port);
    let header = ("Authorization", &*shared.superuser);
    done("POST", &api, header, Some(&collection));
    Some(PocketBase {
        shared,
        relay: Relay::to(shared.port),
        collection: format!("collections/{name}/"),
        url: format!("{api}/{name}/records"),
    })
}

impl PocketBase {
    fn superuser(&self) -> (&str, &str) {
        ("Authorization", &self.shared.superuser)
    }

    fn users(&self) -> String {
        format!(
            "http://127.0.0.1:{}/api/collections/users/records",
            self.shared.port
        )
    }

    /// A new user's.
    fn token_of(&self, name: &str) -> String {
        let user = json!({"email": name, "password": PASSWORD, "passwordConfirm": PASSWORD});
        done("POST", &self.users(), self.superuser(), Some(&user));
        let api = format!("http://127.0.0.1:{}/api", self.shared.port);
        login(&api, "users", name)
    }

    /// A new password ends all tokens.
    fn end_tokens_of(&self, name: &str) {
        let found = done(
            "GET",
            &format!("{}?filter=email='{name}'", self.users()),
            self.superuser(),
            None,
        );
        let id = found["items"][0]["id"].as_str().expect("the user");
        let new = json!({"password": "another-secret", "passwordConfirm": "another-secret"});
        done(
            "PATCH",
            &format!("{}/{id}", self.users()),
            self.superuser(),
            Some(&new),
        );
    }
}

impl Server for PocketBase {
    fn recipe(&self, changes: &[(&str, &str)]) -> Recipe {
        let origin = self.relay.origin();
        let own = [
            ("http://127.0.0.1:8090", &*origin),
            ("eyJ…", &*self.shared.token),
            ("collections/book/", &*self.collection),
        ];
        Recipe::of("PocketBase", &[&own, changes].concat())
    }

    fn provider(&self) -> &'static str {
        "pocketbase"
    }

    fn relay(&self) -> &Relay {
        &self.relay
    }

    fn put(&self, number: usize, title: &str, price: f64) {
        let row = json!({"id": format!("b{number}"), "title": title, "price": price});
        let url = self.url.split("/collections").next().unwrap_or_default();
        let path = &self.url[url.len() - "/api".len()..];
        let batch = json!({"requests": [{"method": "PUT", "url": path, "body": row}]});
        done(
            "POST",
            &format!("{url}/batch"),
            self.superuser(),
            Some(&batch),
        );
    }

    fn remove(&self, number: usize) {
        let url = format!("{}/b{number}", self.url);
        done("DELETE", &url, self.superuser(), None);
    }

    fn rows(&self) -> Vec<Value> {
        let url = format!("{}?perPage=500", self.url);
        let said = done("GET", &url, self.superuser(), None);
        said["items"].as_array().expect("rows").clone()
    }
}

#[test]
fn pocketbase_is_synced_as_the_page_shows() {
    if let Some(server) = pocketbase("page") {
        trials::the_page_is_true(&server);
    }
}

#[test]
fn pocketbase_gives_out_numbered_pages_with_a_total() {
    if let Some(server) = pocketbase("pages") {
        trials::pages_are_read_to_the_end(&server);
    }
}

#[test]
fn pocketbase_is_asked_only_for_what_is_new() {
    if let Some(server) = pocketbase("news") {
        trials::what_is_new_comes(&server, Some("filter="));
    }
}

#[test]
fn pocketbase_shows_what_is_gone_when_all_is_read() {
    if let Some(server) = pocketbase("gone") {
        trials::what_is_gone_goes(&server, true);
    }
}

#[test]
fn pocketbase_shows_nothing_and_nothing_is_removed() {
    if let Some(server) = pocketbase("empty") {
        trials::an_empty_answer_empties_nothing(&server);
    }
}

#[test]
fn pocketbase_keeps_two_devices_in_step() {
    if let Some(server) = pocketbase("two") {
        trials::two_devices_agree(&server, true);
    }
}

#[test]
fn pocketbase_is_sent_once_more_what_got_no_answer() {
    if let Some(server) = pocketbase("lost") {
        trials::a_lost_answer_doubles_and_loses_nothing(&server, trials::ATTEMPTS);
    }
}

#[test]
fn pocketbase_shows_nothing_to_an_expired_token_and_nothing_is_lost() {
    let Some(server) = pocketbase("token") else {
        return;
    };
    for number in 1..=3 {
        server.put(number, &format!("Book {number}"), number as f64);
    }
    let before = server.books();
    let device = Device::of(&server);
    let origin = server.relay.origin();
    device.secret(&server.token_of("expiring@example.com"), &origin);
    device.synced();
    server.end_tokens_of("expiring@example.com");
    let (status, said) = call("GET", &server.url, ("Accept", "*/*"), None);
    assert_eq!((status, &said["items"]), (200, &json!([])));
    // What is new is nothing; that all is nothing is not believed.
    assert_eq!(device.synced()["pulled"], 0);
    device.forget_cursor();
    assert_eq!(device.failed()["code"], "SYNC_ERROR_SHRINK");
    assert_eq!(device.books(), before);
    trials::edit(&device);
    for _ in 0..2 {
        device.failed();
        assert_eq!(device.books(), trials::EDITED);
        assert_eq!(server.books(), before);
    }
    device.secret(&server.shared.token, &origin);
    device.synced();
    assert_eq!(server.books(), trials::EDITED);
    device.agrees_with(&server);
}

#[test]
fn pocketbase_and_two_devices_come_together_after_random_edits_and_losses() {
    if let Some(server) = pocketbase("random") {
        trials::random_edits_come_together(&server, trials::ATTEMPTS[0], true, true);
    }
}
