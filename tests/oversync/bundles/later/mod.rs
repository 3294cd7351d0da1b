//! Line 14: the later revision of the protocol. No server of it was there to be compared with.

use serde_json::Value;
use support::backend::oversync::B;
use support::backend::oversync::b::{Limits, Options, Revision};

use super::server_with;
use crate::client::{Device, id};

mod down;
mod up;
mod update;
mod values;

fn later() -> B {
    later_with(Limits::default())
}

fn later_with(limits: Limits) -> B {
    server_with(Options {
        revision: Revision::Later,
        limits,
        ..Options::default()
    })
}

const TYPED: &str = "SELECT ltrim(substr(id, 25), '0'), name, typeof(note), note, typeof(count_value), count_value, \
                     enabled_flag, typeof(rating), printf('%!.20g', rating), typeof(data), hex(data) \
                     FROM typed_rows ORDER BY id";

/// Writes a row of numbers.
fn typed(device: &Device, number: u32, count: &str, rating: &str) {
    device.exec(&format!(
        "INSERT INTO typed_rows (id, name, count_value, enabled_flag, rating) VALUES ('{}', 'n', {count}, 1, {rating}) \
         ON CONFLICT (id) DO UPDATE SET count_value = excluded.count_value, rating = excluded.rating",
        id(number)
    ));
}

/// The bodies of requests whose path ends so.
fn bodies(server: &B, end: &str) -> Vec<Value> {
    let requests = server.requests().into_iter();
    let meant = requests.filter(|request| request.method == "POST" && request.path.ends_with(end));
    meant
        .map(|request| serde_json::from_str(&request.body).expect("JSON"))
        .collect()
}

/// Whether the server is remembered as one that speaks the later revision.
fn is_later(device: &Device) -> bool {
    device.ask("SELECT memory ->> '$.limits.snapshotBytes' IS NOT NULL FROM _syncPeer") == "1"
}
