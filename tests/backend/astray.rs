//! Requests that are not in the preset's shape are refused, and told what would be right.

use serde_json::json;
use support::client::shape::*;
use support::client::*;

/// In `docs` the first cursor may be missing, and nothing tells its milliseconds from seconds.
fn pulls_alike(receiver: Preset, sender: Preset) -> bool {
    (receiver, sender) == (Preset::Docs, Preset::Seconds)
}

/// Also, `seed` and `camel_query` push the same body.
fn pushes_alike(receiver: Preset, sender: Preset) -> bool {
    let pair = (receiver, sender);
    pulls_alike(receiver, sender)
        || pair == (Preset::Seed, Preset::CamelQuery)
        || pair == (Preset::CamelQuery, Preset::Seed)
}

/// The request must be refused, by name, with the right shape in the text.
fn assert_refused(reply: &Reply, receiver: Preset, sender: Preset) {
    assert_eq!(
        reply.status, 400,
        "{sender:?} to {receiver:?}: {:?}",
        reply.body
    );
    let answer = reply.json();
    assert_eq!(answer["error"], "request");
    let message = answer["message"].as_str().unwrap();
    let start = format!("preset {}: ", receiver.name());
    assert!(message.starts_with(&start), "{sender:?}: {message}");
    let path = receiver.pull_path().trim_end_matches("pull");
    assert!(message.contains(path), "{sender:?}: {message}");
}

#[test]
fn pulls_in_the_shape_of_another_preset_are_refused() {
    let (backend, cursor) = with_tasks();
    for receiver in Preset::ALL {
        for sender in Preset::ALL {
            if sender == receiver || pulls_alike(receiver, sender) {
                continue;
            }
            for shape in [first_pull(sender), next_pull(sender, cursor)] {
                let reply = shape.send(&backend.pull_url(receiver));
                assert_refused(&reply, receiver, sender);
            }
        }
    }
}

#[test]
fn pushes_in_the_shape_of_another_preset_are_refused_and_change_nothing() {
    let (backend, cursor) = with_tasks();
    let before = backend.dump("task");
    for receiver in Preset::ALL {
        for sender in Preset::ALL {
            if sender == receiver || pushes_alike(receiver, sender) {
                continue;
            }
            let shape = a_push(sender, cursor, &three_changes(sender));
            let reply = shape.send(&backend.push_url(receiver));
            assert_refused(&reply, receiver, sender);
        }
    }
    assert_eq!(backend.dump("task"), before);
}

#[test]
fn the_first_token_and_the_unit_of_another_preset_are_refused() {
    let (backend, cursor) = with_tasks();
    let seconds = backend.pull_url(Preset::Seconds);
    for wrong in ["null", "", "0", "x", &cursor.to_string()] {
        let reply = get(&format!("{seconds}?last_pulled_at={wrong}")).unwrap();
        assert_eq!(reply.status, 400, "seconds: {wrong}");
    }
    let camel = backend.pull_url(Preset::CamelQuery);
    for wrong in ["null", "", "-1", "x"] {
        let query = format!("lastPulledAt={wrong}&schemaVersion=1");
        let reply = get(&format!("{camel}?{query}")).unwrap();
        assert_eq!(reply.status, 400, "camel_query: {wrong}");
    }
    assert_eq!(get(&format!("{camel}?lastPulledAt=0")).unwrap().status, 400);
    for wrong in [json!(null), json!(""), json!(-1), json!("5"), json!(1.5)] {
        let reply = post(
            &backend.pull_url(Preset::Rpc),
            &json!({"last_pulled_at": wrong}),
        );
        assert_eq!(reply.unwrap().status, 400, "rpc: {wrong}");
    }
    for wrong in [json!(""), json!(-1), json!("null"), json!(1.5)] {
        let reply = post(
            &backend.pull_url(Preset::Seed),
            &json!({"lastPulledAt": wrong}),
        );
        assert_eq!(reply.unwrap().status, 400, "seed: {wrong}");
    }
}

#[test]
fn bodies_that_are_no_objects_and_other_methods_are_refused() {
    let backend = start();
    for preset in Preset::ALL {
        let url = backend.push_url(preset);
        for wrong in [json!([]), json!(5), json!(null)] {
            let reply = post(&format!("{url}?last_pulled_at=1"), &wrong).unwrap();
            assert_eq!(reply.status, 400, "{preset:?}: {wrong}");
        }
        let no_json = agent().post(&url).send("{");
        assert_eq!(answered(no_json).status, 400, "{preset:?}");
        let put = agent().put(&url).send("{}");
        assert_eq!(answered(put).status, 405, "{preset:?}");
    }
}

#[test]
fn a_token_guards_every_preset() {
    let options = Options {
        schema_sql: SCHEMA.to_string(),
        token: Some("secret".to_string()),
        ..Options::default()
    };
    let backend = Backend::start_with(options).unwrap();
    for preset in Preset::ALL {
        let pulled = first_pull(preset).send(&backend.pull_url(preset));
        assert_eq!(pulled.status, 401, "{preset:?}");
        assert_eq!(
            push_by(&backend, preset, 1, json!({})).status,
            401,
            "{preset:?}"
        );
    }
}
