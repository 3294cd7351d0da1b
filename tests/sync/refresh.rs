//! A token that the backend no longer knows: a new one is got once, and the sync goes on.

use serde_json::{Value, json};
use support::backend::Options;
use support::{Backend, Canned, Device, SCHEMA, file_holds, json_answer, status_answer, wait_for};

const TOKEN: &str = "new-5f3a9c-token";

/// A backend that knows one token only, a device that has another, and the server that gives out tokens.
struct Scene {
    backend: Backend,
    tokens: Canned,
    device: Device,
}

impl Scene {
    fn new(more: Value) -> Scene {
        let options = Options {
            schema_sql: SCHEMA.into(),
            token: Some(TOKEN.into()),
            ..Options::default()
        };
        let backend = Backend::start_with(options).expect("a backend");
        backend.sql(|db| db.execute_batch("INSERT INTO task (id, title) VALUES ('r1', 'remote')"));
        let tokens = Canned::start();
        let device = Device::new(&backend.sync_url());
        let mut config = json!({"token": "main", "refreshSecret": "more",
            "refreshUrl": tokens.origin() + "/push/refresh"});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        device.provider(&backend.sync_url(), config);
        device.ask(&format!(
            "SELECT sync_secret('main', 'old-token', '{}'), sync_secret('more', 'first-refresh&secret', '{}')",
            backend.url(),
            tokens.origin()
        ));
        Scene {
            backend,
            tokens,
            device,
        }
    }

    fn gives(&self, answer: Value) {
        self.tokens
            .push_raw(move |_| json_answer(&answer.to_string()));
    }

    fn refreshes(&self) -> usize {
        self.tokens.seen().len()
    }

    fn pulled(&self) -> String {
        self.device.ask("SELECT id FROM task WHERE id LIKE 'r%'")
    }
}

#[test]
fn a_new_token_is_got_once_and_the_sync_goes_on() {
    let scene = Scene::new(json!({}));
    scene.gives(json!({"token": TOKEN}));
    scene
        .device
        .exec("INSERT INTO task (id, title) VALUES ('l1', 'local')");
    let answer = scene.device.sync();
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(scene.pulled(), "r1");
    assert_eq!(scene.device.ask("SELECT count(*) FROM sync_pending"), "0");
    assert_eq!(scene.refreshes(), 1);
    let asked = &scene.tokens.seen()[0];
    assert_eq!(
        asked.header("authorization"),
        Some("Bearer first-refresh&secret")
    );
    assert_eq!(asked.body, "");
    // The next sync has it.
    assert_eq!(scene.device.sync()["state"], "synced");
    assert_eq!(scene.refreshes(), 1);
    scene.device.exec("PRAGMA wal_checkpoint");
    for secret in [TOKEN, "first-refresh", "old-token"] {
        assert!(!file_holds(&scene.device.world.path(), secret), "{secret}");
    }
}

#[test]
fn the_secret_goes_into_a_form_and_comes_anew_with_each_token() {
    let scene = Scene::new(json!({
        "refreshBody": "grant_type=refresh_token&refresh_token={secret}",
        "refreshTokenPath": "$.access.token", "refreshSecretPath": "$.refresh",
    }));
    scene.gives(json!({"access": {"token": TOKEN}, "refresh": "second"}));
    assert_eq!(scene.device.sync()["state"], "synced");
    let asked = scene.tokens.seen();
    assert_eq!(
        asked[0].body,
        "grant_type=refresh_token&refresh_token=first-refresh%26secret"
    );
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(
        asked[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    // The token is lost again: this time the other secret goes along.
    let origin = scene.backend.url();
    scene
        .device
        .ask(&format!("SELECT sync_secret('main', 'lost', '{origin}')"));
    scene.gives(json!({"access": {"token": TOKEN}}));
    assert_eq!(scene.device.sync()["state"], "synced");
    assert!(scene.tokens.seen()[1].body.ends_with("=second"));
}

#[test]
fn where_none_is_given_the_sync_fails_as_before() {
    for (answer, why) in [
        (status_answer(403, &[], "no"), "HTTP 403"),
        (json_answer("{}"), "nothing at $.token"),
        (json_answer(r#"{"token":"line\nbreak"}"#), "line break"),
    ] {
        let scene = Scene::new(json!({}));
        scene.tokens.push_raw(move |_| answer.clone());
        let answer = scene.device.sync();
        let error = &answer["error"];
        assert_eq!(
            (&answer["state"], &error["class"]),
            (&json!("failed"), &json!("auth"))
        );
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.contains(why) && message.contains("sync_secret"),
            "{message}"
        );
        assert_eq!(scene.refreshes(), 1);
        assert_eq!(
            scene.device.ask("SELECT state FROM sync_peer"),
            "needs-auth"
        );
    }
}

#[test]
fn a_new_token_that_is_not_known_either_is_the_end_of_it() {
    let scene = Scene::new(json!({}));
    scene.gives(json!({"token": "another-wrong-one"}));
    scene.gives(json!({"token": TOKEN}));
    let answer = scene.device.sync();
    assert_eq!(answer["error"]["status"], 401, "{answer}");
    assert_eq!(scene.refreshes(), 1);
}

#[test]
fn a_token_that_somebody_else_has_got_meanwhile_is_taken() {
    let scene = Scene::new(json!({}));
    let (url, origin) = (scene.backend.sync_url(), scene.tokens.origin());
    let mut config =
        json!({"kind": "watermelon", "url": url, "token": "main", "refreshSecret": "more"});
    config["refreshUrl"] = json!(origin + "/push/refresh");
    scene
        .device
        .ask(&format!("SELECT sync_provider('other', '{config}')"));
    scene.device.exec("CREATE TABLE lone (id TEXT PRIMARY KEY)");
    scene.device.ask("SELECT sync_track('lone')");
    // The server of the tokens is slow: both find the old token unknown before it answers.
    let (send, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    scene.tokens.push_raw(move |_| {
        let _ = wait.lock().expect("lock").recv();
        json_answer(&json!({"token": TOKEN}).to_string())
    });
    let background = |provider: &str, table: &str| {
        let call = format!(
            r#"SELECT sync_entities('{provider}', '{provider}', '["{table}"]', '{{"background":true}}')->>'runId'"#
        );
        scene.device.ask(&call)
    };
    let runs = [background("api", "task"), background("other", "lone")];
    wait_for("both to be refused", || scene.backend.requests().len() >= 2);
    wait_for("a request for a token", || scene.refreshes() == 1);
    send.send(()).expect("a listener");
    for run in runs {
        let state = format!("SELECT state FROM _syncRun WHERE id = {run}");
        wait_for("the end", || scene.device.ask(&state) != "running");
    }
    assert_eq!(scene.refreshes(), 1);
    assert_eq!(scene.pulled(), "r1");
}

#[test]
fn a_program_that_sends_the_requests_sends_this_one_too() {
    let scene = Scene::new(json!({"refreshBody": "{\"refresh\":\"{secret}\"}"}));
    let open = r#"SELECT sync_entities('s', 'api', '["task"]', '{"transport":"host","secrets":"names"}')->>'runId'"#;
    let run = scene.device.ask(open);
    let next = |run: &str| -> Value {
        serde_json::from_str(
            &scene
                .device
                .ask(&format!("SELECT sync_next_request({run})")),
        )
        .expect("JSON")
    };
    assert_eq!(
        next(&run)["headers"]["Authorization"],
        "Bearer {secret:main}"
    );
    scene
        .device
        .ask(&format!("SELECT sync_put_response({run}, 401, '{{}}', '')"));
    let refresh = next(&run);
    assert_eq!(refresh["url"], scene.tokens.origin() + "/push/refresh");
    assert_eq!(refresh["body"], r#"{"refresh":"{secret:more}"}"#);
    assert_eq!(refresh["headers"].get("Authorization"), None);
    scene.device.ask(&format!(
        "SELECT sync_put_response({run}, 200, '{{}}', '{}')",
        json!({"token": TOKEN})
    ));
    let again = next(&run);
    assert_eq!(again["method"], "GET");
    assert_eq!(again["headers"]["Authorization"], "Bearer {secret:main}");
    scene.device.ask("SELECT sync_interrupt()");
}

#[test]
fn rows_that_went_with_a_token_of_which_no_new_one_comes_are_pending_as_before() {
    let scene = Scene::new(json!({"attempts": 1}));
    scene.gives(json!({"token": TOKEN}));
    assert_eq!(scene.device.sync()["state"], "synced");
    scene
        .backend
        .faults()
        .add(json!({"on": "push", "status": 401}));
    scene.tokens.push_raw(|_| status_answer(403, &[], "{}"));
    scene
        .device
        .exec("INSERT INTO task (id, title) VALUES ('l1', 'local')");
    let push = r#"SELECT sync_upload_once('api')"#;
    let answer: Value = serde_json::from_str(&scene.device.ask(push)).expect("JSON");
    assert_eq!(answer["error"]["class"], "auth", "{answer}");
    // Nobody has to find out what became of the push: it was refused.
    assert_eq!(scene.device.ask("SELECT count(*) FROM _syncPush"), "0");
    assert_eq!(scene.device.ask("SELECT key FROM sync_pending"), "l1");
}

#[test]
fn who_waits_for_somebody_else_s_new_token_does_not_wait_for_ever() {
    let scene = Scene::new(json!({}));
    let open = r#"SELECT sync_entities('s', 'api', '["task"]', '{"transport":"host","secrets":"names"}')->>'runId'"#;
    let run = scene.device.ask(open);
    scene
        .device
        .ask(&format!("SELECT sync_next_request({run})"));
    scene
        .device
        .ask(&format!("SELECT sync_put_response({run}, 401, '{{}}', '')"));
    // The program asks for the new token, and never says what came of it.
    scene
        .device
        .ask(&format!("SELECT sync_next_request({run})"));
    let config = json!({"kind": "watermelon", "url": scene.backend.sync_url(), "token": "main", "refreshSecret": "more",
        "refreshUrl": scene.tokens.origin() + "/push/refresh", "totalTimeoutMs": 300});
    scene
        .device
        .ask(&format!("SELECT sync_provider('other', '{config}')"));
    scene.device.exec("CREATE TABLE lone (id TEXT PRIMARY KEY)");
    scene.device.ask("SELECT sync_track('lone')");
    let call = r#"SELECT sync_entities('t', 'other', '["lone"]')"#;
    let answer: Value = serde_json::from_str(&scene.device.ask(call)).expect("JSON");
    assert_eq!(answer["error"]["class"], "auth", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("has no answer yet"), "{message}");
    assert_eq!(scene.refreshes(), 0);
    scene.device.ask("SELECT sync_interrupt()");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let device = Device::new("http://127.0.0.1:9");
    for (more, said) in [
        (
            json!({"refreshSecret": "more"}),
            "refreshSecret goes with refreshUrl",
        ),
        (json!({"refreshUrl": "/r"}), "token is missing"),
        (
            json!({"refreshUrl": "/r", "token": "t"}),
            "refreshSecret is missing",
        ),
        (
            json!({"refreshUrl": "r", "token": "t", "refreshSecret": "m"}),
            "begins with a slash",
        ),
        (
            json!({"refreshUrl": "/r", "token": "t", "refreshSecret": "m", "refreshBody": "x=1"}),
            "no place for the secret",
        ),
        (
            json!({"refreshUrl": "/r", "token": "t", "refreshSecret": "m", "refreshTokenPath": "token"}),
            "refreshTokenPath is",
        ),
    ] {
        let mut config = json!({"kind": "watermelon", "url": "http://h"});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let problem = support::refused(
            &device.db,
            &format!("SELECT sync_provider('api', '{config}')"),
        );
        assert!(problem.contains(said), "{problem}");
    }
}

#[test]
fn a_login_comes_first_whatever_the_protocol_and_shows_nowhere() {
    let scene = Scene::new(json!({}));
    scene.gives(json!({"session": {"token": TOKEN, "seconds": 3600}}));
    let login = json!({"url": scene.tokens.origin() + "/login", "body": {"user": "mara", "password": "{secret:pw}"},
        "token": "$.session.token", "expires": "$.session.seconds"});
    let config = json!({"login": login, "token": null, "refreshUrl": null, "refreshSecret": null});
    scene.device.provider(&scene.backend.sync_url(), config);
    scene.device.ask(&format!(
        "SELECT sync_secret('pw', 'my-password', '{} {}')",
        scene.tokens.origin(),
        scene.backend.url()
    ));
    scene
        .device
        .exec("INSERT INTO task (id, title) VALUES ('l1', 'local')");
    let answer = scene.device.sync();
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!((scene.pulled(), scene.refreshes()), ("r1".into(), 1));
    assert_eq!(scene.device.ask("SELECT count(*) FROM sync_pending"), "0");
    assert_eq!(
        scene.tokens.seen()[0].body,
        r#"{"user":"mara","password":"my-password"}"#
    );
    // Nothing was asked with another token, or none.
    let wanted = format!("Bearer {TOKEN}");
    for request in scene.backend.requests() {
        let sent = request
            .headers
            .iter()
            .find(|(name, _)| name == "authorization");
        assert_eq!(sent.map(|(_, value)| value), Some(&wanted));
    }
    scene.device.exec("PRAGMA wal_checkpoint");
    for secret in [TOKEN, "my-password"] {
        assert!(!file_holds(&scene.device.world.path(), secret), "{secret}");
    }
}

#[test]
fn a_token_of_which_the_end_is_known_is_renewed_before() {
    let scene = Scene::new(json!({"refreshExpiresPath": "$.seconds"}));
    scene.gives(json!({"token": TOKEN, "seconds": 1}));
    assert_eq!(scene.device.sync()["state"], "synced");
    assert_eq!(scene.refreshes(), 1);
    std::thread::sleep(std::time::Duration::from_secs(1));
    // The backend would still know it.
    scene.gives(json!({"token": TOKEN, "seconds": 3600}));
    assert_eq!(scene.device.sync()["state"], "synced");
    assert_eq!(scene.refreshes(), 2);
    assert_eq!(scene.device.sync()["state"], "synced");
    assert_eq!(scene.refreshes(), 2);
}

#[test]
fn a_token_that_another_connection_has_got_is_taken() {
    let scene = Scene::new(json!({"refreshSecretPath": "$.next"}));
    let (url, origin) = (scene.backend.sync_url(), scene.tokens.origin());
    let other = Device::new(&url);
    let config = json!({"token": "main", "refreshSecret": "more", "refreshSecretPath": "$.next",
        "refreshUrl": origin.clone() + "/push/refresh"});
    other.provider(&url, config);
    other.ask(&format!(
        "SELECT sync_secret('main', 'old-token', '{}'), sync_secret('more', 'first-refresh&secret', '{origin}')",
        scene.backend.url()
    ));
    scene.gives(json!({"token": TOKEN, "next": "second-refresh"}));
    assert_eq!(scene.device.sync()["state"], "synced");
    assert_eq!(other.sync()["state"], "synced");
    assert_eq!(scene.refreshes(), 1);
    // The next one is asked for with the secret that came with the first.
    other.ask(&format!(
        "SELECT sync_secret('main', 'lost', '{}')",
        scene.backend.url()
    ));
    scene.gives(json!({"token": TOKEN}));
    assert_eq!(other.sync()["state"], "synced");
    assert_eq!(
        scene.tokens.seen()[1].header("authorization"),
        Some("Bearer second-refresh")
    );
}
