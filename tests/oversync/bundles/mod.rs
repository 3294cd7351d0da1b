//! Generation B: bundles.

use serde_json::{Value, json};
use support::backend::oversync::B;

use crate::client::{Device, USER, id};

mod up;

fn server() -> B {
    B::example()
}

/// Method and path of what clients have sent, without what changes from run to run, one a line.
fn asked(server: &B) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests
        .map(|request| {
            let path = request.path.split('?').next().unwrap_or_default();
            let path = path.split('/').map(|part| match part.len() {
                36 => "*",
                _ => part,
            });
            format!("{} {}", request.method, path.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

/// A user that another device has written.
fn written(number: u32, name: &str) -> Value {
    json!({"id": id(number), "name": name, "email": "e"})
}

/// Number and name of the users that the server has.
fn users(server: &B) -> Vec<String> {
    let rows = server.rows(USER, "users").into_iter();
    rows.map(|row| {
        let id = row["id"].as_str().unwrap_or_default().to_owned();
        let number = id[24..].trim_start_matches('0').to_owned();
        format!("{number} {}", row["name"].as_str().unwrap_or_default())
    })
    .collect()
}

impl Device {
    /// Writes a user with all that the server's table wants.
    fn person(&self, number: u32, name: &str) {
        self.db
            .execute(
                "INSERT INTO users (id, name, email) VALUES (?1, ?2, 'e') \
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                [id(number), name.to_owned()],
            )
            .expect("a user");
    }
}
