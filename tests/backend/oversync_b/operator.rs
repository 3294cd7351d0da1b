//! What was done beside HTTP while a conversation was recorded, and with which settings.

use std::time::Duration;

use serde_json::json;
use syncscope_backend::oversync::B;
use syncscope_backend::oversync::b::{Health, Options};

/// The settings of the server that a file was recorded from.
pub fn options(file: &str) -> Options {
    let mut options = Options::default();
    let seconds = Duration::from_secs;
    match &file[..2] {
        "02" => {
            options.limits.rows_per_push_chunk = 3;
            options.limits.rows_per_committed_chunk = 2;
            options.limits.rows_per_snapshot_chunk = 2;
            options.limits.rows_per_snapshot = Some(5);
            options.limits.rows_per_bundle = Some(4);
            options.lifetimes.push_session = seconds(30);
            options.lifetimes.snapshot = seconds(40);
            options.lifetimes.lease = seconds(50);
            options.watch.is_on = false;
        }
        "12" => options.retained_bundles = Some(3),
        "16" => {
            // 700 ms when it was recorded; the pace is not compared.
            options.watch.heartbeat = Duration::from_millis(100);
            options.watch.refused = Some("nowatch".to_string());
        }
        "17" => {
            options.lifetimes.push_session = seconds(1);
            options.lifetimes.snapshot = seconds(1);
            options.lifetimes.lease = Duration::from_millis(1500);
        }
        "19" => options.json_405 = true,
        _ => {}
    }
    options
}

/// Does what the operator did at a step that has no request. Headings need nothing.
pub fn act(server: &B, file: &str, step: u64) {
    let category = |number: u32, name: &str| {
        let id = format!("b0000013-0000-4000-8000-{number:012x}");
        json!({"id": id, "name": name})
    };
    let write = |writer: &str, user: &str, row| server.put_as(writer, user, "categories", &[row]);
    match (&file[..2], step) {
        ("11", 17) => server.prune("mara", 3),
        ("11", 33) => server.prune("mara", 6),
        ("17", 34) => server.expire_lease("pia"),
        ("17", 45) => server.wipe_user("nils"),
        ("19", 5) => write("nightly-job", "mara", category(2, "By the job")),
        ("19", 6) => write("nightly-job", "mara", category(1, "Renamed by the job")),
        ("19", 14) => write("phone-a", "mara", category(3, "Usurped")),
        ("19", 21) => write("nightly-job", "nils", category(10, "Welcome")),
        ("20", 14) => server.faults().add(json!({
            "on": "push", "path": "/commit", "times": 1, "drop": true
        })),
        ("20", 22) => server.set_health(Health::Broken),
        ("20", 33) => server.set_health(Health::Well),
        _ => {}
    }
}

/// How far the server's clock stands when a step is sent that says nothing of the time.
pub fn at(file: &str, step: u64) -> Option<u64> {
    match (&file[..2], step) {
        ("17", 19) => Some(3400),
        // The snapshot of step 22 has run out.
        ("17", 23) => Some(5105),
        _ => None,
    }
}

/// Steps that are left out, and why.
pub const LEFT_OUT: [(&str, u64, &str); 2] = [
    (
        "15",
        27,
        "two heartbeats at the usual pace take 50 s; 16:7 compares heartbeats",
    ),
    (
        "16",
        11,
        "a door of the recording set-up, not of the protocol",
    ),
];

/// What else changes from one run to the next: values that the server made of its clock.
pub fn volatile(file: &str, step: u64) -> &'static [&'static str] {
    match (&file[..2], step) {
        ("08", 36 | 37) => &[
            "\"created_at\":\"",
            "\"updated_at\":\"",
            "\"bundle_hash\":\"",
        ],
        _ => &[],
    }
}
