//! Two devices at a server that is reached by its address alone: the stand-ins, and running servers where there are any.
//! `OVERSYNC_A_URL` and `OVERSYNC_B_URL` name them: the published example servers, with their sign-in and their tables.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::Random;
use support::backend::oversync::{A, B};
use support::sample::seeds;

use crate::client::{Device, Served};

/// A server by its address, as a user that nobody else is.
struct Live {
    url: String,
    user: String,
    generation: &'static str,
}

impl Live {
    fn at(url: &str, generation: &'static str) -> Live {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock").as_nanos();
        Live {
            url: url.trim_end_matches('/').to_owned(),
            user: format!("syncscope-{now}"),
            generation,
        }
    }

    /// Keys of rows: on the servers of generation A all users share the tables.
    fn id(&self, number: u32) -> String {
        let run = self.user.rsplit('-').next().unwrap_or_default();
        format!("{:0>8}-0000-4000-8000-{number:012}", &run[run.len() - 8..])
    }
}

impl Served for Live {
    fn address(&self) -> String {
        self.url.clone()
    }

    fn token_of(&self, device: &str) -> String {
        let body = json!({"user": self.user, "password": "any", "device": device}).to_string();
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("a server");
        write!(
            stream,
            "POST /dummy-signin HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
        // It may come in chunks.
        let json = &json[json.find('{').expect("JSON")..=json.rfind('}').expect("JSON")];
        let answer: Value = serde_json::from_str(json).expect("JSON");
        answer["token"].as_str().expect("a token").to_owned()
    }

    fn generation(&self) -> &'static str {
        self.generation
    }
}

fn everything(device: &Device) -> String {
    let users = device.ask("SELECT id, name, email FROM users ORDER BY id");
    users + "\n" + &device.ask("SELECT id, title, author_id FROM posts ORDER BY id")
}

fn two_devices(server: &Live) {
    let device = |name: &str| {
        let name = format!("{}-{name}", server.user);
        let device = Device::with(server, &name, json!({}));
        device.exec("SELECT sync_resolver('users', 'columns'), sync_resolver('posts', 'columns')");
        device
    };
    let (phone, tablet) = (device("phone"), device("tablet"));
    let ids: Vec<String> = (1..=4).map(|number| server.id(number)).collect();
    phone.exec(&format!(
        "INSERT INTO users (id, name, email) VALUES ('{0}', 'Ann', 'a@x'), ('{1}', 'Bob', 'b@x');
         INSERT INTO posts (id, title, content, author_id) VALUES ('{2}', 'One', '<&>', '{0}'), ('{3}', 'Two', 'c', '{1}')",
        ids[0], ids[1], ids[2], ids[3]
    ));
    phone.sync();
    tablet.sync();
    assert_eq!(everything(&tablet), everything(&phone));
    // Each changes another column of one row, and one of them a row that the other deletes.
    phone.exec(&format!(
        "UPDATE users SET name = 'Ada' WHERE id = '{}'",
        ids[0]
    ));
    tablet.exec(&format!(
        "UPDATE users SET email = 'new@x' WHERE id = '{}'; DELETE FROM posts WHERE id = '{}'",
        ids[0], ids[3]
    ));
    for _ in 0..2 {
        phone.sync();
        tablet.sync();
    }
    phone.sync();
    assert_eq!(everything(&tablet), everything(&phone));
    let merged = phone.ask(&format!(
        "SELECT name, email FROM users WHERE id = '{}'",
        ids[0]
    ));
    assert_eq!(merged, "Ada|new@x");
    assert_eq!(phone.ask("SELECT count(*) FROM posts"), "1");
    assert_eq!(phone.pending() + &tablet.pending(), "");
    for device in [&phone, &tablet] {
        assert_eq!(device.call("sync_check", "{}")["state"], "equal");
    }
}

/// Random edits of rows that refer to each other, of blobs and of long texts, while now one device syncs, now the other.
fn random_edits(server: &Live, seed: u64) {
    let mut random = Random(seed);
    let devices = ["watch", "desk"].map(|name| {
        let name = format!("{}-{name}", server.user);
        let device = Device::with(
            server,
            &name,
            json!({"uploadLimit": 7, "pullBundles": 3, "downloadLimit": 5}),
        );
        for (table, policy) in [
            ("users", "clientWins"),
            ("posts", "serverWins"),
            ("files", "columns"),
        ] {
            device.ask(&format!("SELECT sync_resolver('{table}', '{policy}')"));
        }
        device
    });
    for _ in 0..120 {
        let device = &devices[random.below(2) as usize];
        let number = 100 + random.below(8) as u32;
        let (user, post, file) = (
            server.id(number),
            server.id(number + 100),
            server.id(number + 200),
        );
        let text = format!("t{} <&>\u{2028}é", random.below(1000));
        match random.below(9) {
            0..=2 => device.exec(&format!(
                "INSERT INTO users (id, name, email) VALUES ('{user}', '{text}', 'e') ON CONFLICT (id) DO UPDATE SET name = '{text}'"
            )),
            3 => device.exec(&format!(
                "INSERT INTO posts (id, title, content, author_id) SELECT '{post}', '{text}', '', id FROM users \
                 WHERE true LIMIT 1 ON CONFLICT (id) DO UPDATE SET title = excluded.title"
            )),
            4 => device.exec(&format!("DELETE FROM posts WHERE id = '{post}'")),
            5 => device.exec(&format!(
                "INSERT INTO files (id, name, data) VALUES ('{file}', '{text}', randomblob({0})) \
                 ON CONFLICT (id) DO UPDATE SET data = randomblob({0})",
                random.below(40)
            )),
            6 => device.exec(&format!("DELETE FROM files WHERE id = '{file}'")),
            _ => drop(device.call("sync_once", "{}")),
        }
    }
    for _ in 0..3 {
        for device in &devices {
            device.sync();
        }
    }
    let files = "SELECT id, name, hex(data) FROM files ORDER BY id";
    assert_eq!(
        everything(&devices[0]),
        everything(&devices[1]),
        "seed {seed}"
    );
    assert_eq!(devices[0].ask(files), devices[1].ask(files), "seed {seed}");
    for device in &devices {
        assert_eq!(device.pending(), "", "seed {seed}");
        let check = device.call("sync_check", "{}");
        assert_eq!(check["state"], "equal", "seed {seed}: {check}");
    }
}

/// The running server that a variable names; says so in one line where there is none.
fn running(variable: &str, generation: &'static str) -> Option<Live> {
    match std::env::var(variable) {
        Ok(url) => Some(Live::at(&url, generation)),
        Err(_) => {
            let line =
                format!("{variable} is not set: this generation was tried at its stand-in only");
            let _ = writeln!(std::io::stderr(), "{line}");
            None
        }
    }
}

#[test]
fn two_devices_agree_at_a_server_of_generation_a() {
    let stand_in = A::example();
    two_devices(&Live::at(&stand_in.url(), "a"));
    running("OVERSYNC_A_URL", "a").iter().for_each(two_devices);
}

#[test]
fn random_edits_agree_at_any_server() {
    let (a, b) = (A::example(), B::example());
    let stand_ins = [(a.url(), "a"), (b.url(), "auto")];
    let running = [("OVERSYNC_A_URL", "a"), ("OVERSYNC_B_URL", "auto")];
    let running =
        running.map(|(variable, generation)| Some((std::env::var(variable).ok()?, generation)));
    for (url, generation) in stand_ins.into_iter().chain(running.into_iter().flatten()) {
        for seed in seeds(module_path!(), 2, 4) {
            random_edits(&Live::at(&url, generation), seed);
        }
    }
}

#[test]
fn two_devices_agree_at_a_server_of_generation_b() {
    let stand_in = B::example();
    two_devices(&Live::at(&stand_in.url(), "auto"));
    running("OVERSYNC_B_URL", "auto")
        .iter()
        .for_each(two_devices);
}
