//! Secrets: sent to their own origin only, and written nowhere.

use serde_json::{Value, json};
use support::backend::Options;
use support::{Backend, Canned, Device, SCHEMA, again, file_holds, status_answer};

const TOKEN: &str = "hunter2-5f3a9c-token";

fn guarded() -> Backend {
    let options = Options {
        schema_sql: SCHEMA.into(),
        token: Some(TOKEN.into()),
        ..Options::default()
    };
    Backend::start_with(options).expect("a backend")
}

fn secret(device: &Device, origin: &str) {
    device.ask(&format!(
        "SELECT sync_secret('main', '{TOKEN}', '{origin}')"
    ));
}

/// The secret stands in no file, status, run, or answer.
fn written_nowhere(device: &Device, answers: &[Value]) {
    for answer in answers {
        assert!(!answer.to_string().contains(TOKEN), "{answer}");
    }
    device.exec("PRAGMA wal_checkpoint");
    for needle in [TOKEN, "hunter2"] {
        assert!(
            !file_holds(&device.world.path(), needle),
            "{needle} is in the file"
        );
    }
    for table in [
        "_syncRun",
        "_syncStatus",
        "_syncProvider",
        "_syncEvent",
        "sync_status",
        "sync_scope",
    ] {
        assert!(
            !device
                .ask(&format!("SELECT * FROM {table}"))
                .contains("hunter2"),
            "{table}"
        );
    }
    assert!(!device.ask("SELECT sync_debug()").contains("hunter2"));
}

#[test]
fn the_secret_of_one_connection_is_unknown_to_another() {
    let backend = guarded();
    let device = Device::new(&backend.sync_url());
    device.provider(&backend.sync_url(), json!({"token": "main"}));
    secret(&device, &backend.url());
    let second = device.second();
    let answer = support::sync_on(&second, "all", &["task"]);
    assert_eq!(answer["error"]["class"], "auth", "{answer}");
    device.synced();
}

#[test]
fn a_backend_that_repeats_the_token_does_not_get_it_written() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.provider(
        &server.url(),
        json!({"token": "main", "secretHeaders": {"X-Api-Key": "key"}, "splitRefused": false}),
    );
    secret(&device, &server.origin());
    device.ask(&format!(
        "SELECT sync_secret('key', 'hunter2-api-key', '{}')",
        server.origin()
    ));
    device.exec("INSERT INTO task (id) VALUES ('a')");
    let echo = |seen: &support::Seen| {
        format!(
            "bad {} and {}",
            seen.header("authorization").unwrap(),
            seen.header("x-api-key").unwrap()
        )
    };
    let mut answers = Vec::new();
    // In the body of an error.
    server.pull_raw(move |seen| status_answer(401, &[], &echo(seen)));
    answers.push(device.sync());
    server.push_raw(move |seen| status_answer(422, &[], &echo(seen)));
    server.push_raw(move |seen| status_answer(422, &[], &echo(seen)));
    answers.push(device.sync());
    // Cut off within the excerpt.
    server.pull_raw(move |seen| {
        status_answer(500, &[], &format!("{}{}", "x".repeat(485), echo(seen)))
    });
    answers.push(device.sync());
    // In an answer that is no protocol.
    server.pull_raw(move |seen| support::json_answer(&format!("{:?}", echo(seen))));
    answers.push(device.sync());
    server.pull_raw(move |seen| {
        support::json_answer(&json!({"changes": {}, "timestamp": echo(seen)}).to_string())
    });
    answers.push(device.sync());
    server.pull_raw(move |seen| {
        let strategy = json!({"changes": {}, "timestamp": 1, "experimentalStrategy": echo(seen)});
        support::json_answer(&strategy.to_string())
    });
    answers.push(device.sync());
    // No JSON, and cut within the secret, wherever that is.
    for more in 0..40 {
        server.pull_raw(move |seen| {
            support::json_answer(&format!("{}{}", "x".repeat(more), echo(seen)))
        });
        answers.push(device.sync());
    }
    // In a redirect.
    server.pull_raw(move |seen| {
        let target = format!(
            "http://127.0.0.1:1/?t={}",
            seen.header("authorization").unwrap().replace(' ', "+")
        );
        status_answer(302, &[("Location", &target)], "")
    });
    answers.push(device.sync());
    assert!(
        answers.iter().all(|answer| answer["state"] == "failed"),
        "{answers:?}"
    );
    written_nowhere(&device, &answers);
}

#[test]
fn a_backend_that_repeats_the_token_in_extra_keys_does_not_get_it_written() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.provider(&server.url(), json!({"token": "main"}));
    secret(&device, &server.origin());
    server.pull_raw(|seen| {
        let rest = json!({"changes": {}, "timestamp": 1, "session": seen.header("authorization")});
        support::json_answer(&rest.to_string())
    });
    let answer = device.synced();
    written_nowhere(&device, &[answer]);
}

#[test]
fn credentials_in_the_configuration_are_refused() {
    let device = Device::new("http://127.0.0.1:1/sync");
    for config in [
        json!({"kind": "watermelon", "url": "http://u:hunter2@h/sync"}),
        json!({"kind": "watermelon", "url": "http://h/sync", "headers": {"Authorization": "Bearer hunter2"}}),
        json!({"kind": "watermelon", "url": "http://h/sync", "headers": {"cookie": "hunter2"}}),
        json!({"kind": "watermelon", "url": "http://h/sync", "headers": {"X-API-Key": "hunter2"}}),
    ] {
        let sql = format!("SELECT sync_provider('bad', '{config}')");
        let text = device.refused(&sql);
        assert!(!text.contains("hunter2"), "{text}");
    }
    written_nowhere(&device, &[]);
}

/// Runs in a process of its own, with variables that the test below sets.
#[test]
fn child_with_secrets_in_its_environment() {
    let Ok(url) = std::env::var("SYNC_TEST_URL") else {
        return;
    };
    let device = Device::new(&url);
    device.provider(&url, json!({"token": "my-api"}));
    let answer = device.sync();
    written_nowhere(&device, std::slice::from_ref(&answer));
    println!(
        "state={} message={}",
        answer["state"], answer["error"]["message"]
    );
}

fn child(url: &str, variables: &[(&str, &str)]) -> String {
    let output = again(module_path!(), "child_with_secrets_in_its_environment")
        .env("SYNC_TEST_URL", url)
        .envs(variables.iter().copied())
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .find(|line| line.contains("state="))
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_secret_of_the_environment_counts_only_with_its_origin() {
    let backend = guarded();
    let (name, origin) = ("SYNCSCOPE_SECRET_MY_API", "SYNCSCOPE_SECRET_MY_API_ORIGIN");
    let line = child(
        &backend.sync_url(),
        &[(name, TOKEN), (origin, &backend.url())],
    );
    assert!(line.contains("\"synced\""), "{line}");
    backend.clear_requests();
    let line = child(&backend.sync_url(), &[(name, TOKEN)]);
    assert!(
        line.contains("\"failed\"") && line.contains(origin),
        "{line}"
    );
    let line = child(
        &backend.sync_url(),
        &[(name, TOKEN), (origin, "http://elsewhere.example")],
    );
    assert!(
        line.contains("\"failed\"") && line.contains("elsewhere.example"),
        "{line}"
    );
    let line = child(&backend.sync_url(), &[]);
    assert!(
        line.contains("\"failed\"") && line.contains("my-api"),
        "{line}"
    );
    assert!(backend.requests().is_empty());
}
