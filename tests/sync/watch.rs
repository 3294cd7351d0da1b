//! O3: a thread that listens for news, and brings it at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::listener::Listener;
use support::{Device, ask, wait_for};

/// What the station does with who wants to listen.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Keeps the connection and sends events.
    Stream,
    /// Answers when there is news.
    LongPoll,
    /// Says no.
    Refuse(u16),
}

struct State {
    mood: Mood,
    /// The row that everybody pulls, and the cursor behind it.
    name: &'static str,
    cursor: u64,
    /// Those who listen now.
    open: Vec<TcpStream>,
    /// What was asked, without pulls.
    asked: Vec<String>,
    pulls: usize,
}

/// A backend with one row, and a place where it says when that has changed.
struct Station {
    listener: Listener,
    state: Arc<Mutex<State>>,
}

impl Station {
    fn start(mood: Mood) -> Self {
        let state = Arc::new(Mutex::new(State {
            mood,
            name: "first",
            cursor: 1,
            open: Vec::new(),
            asked: Vec::new(),
            pulls: 0,
        }));
        let its = Arc::clone(&state);
        Self {
            listener: Listener::start(move |_, stream| serve(&its, stream)),
            state,
        }
    }

    fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().expect("state"))
    }

    /// Changes the row, and says so.
    fn change(&self, name: &'static str) {
        self.with(|state| {
            (state.name, state.cursor) = (name, state.cursor + 1);
            let text = match state.mood {
                Mood::Stream => ": alive\n\nevent: news\ndata: now\n\n".to_owned(),
                _ => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_owned()
                }
            };
            for stream in &mut state.open {
                let _ = stream.write_all(text.as_bytes());
            }
            if state.mood != Mood::Stream {
                state.open.clear();
            }
        });
    }

    fn listeners(&self) -> usize {
        self.with(|state| state.open.len())
    }

    /// A device that listens, and the connection whose thread does.
    fn device(&self) -> (Device, rusqlite::Connection) {
        let device = Device::with_options(
            &format!("{}/sync", self.listener.origin()),
            json!({"watchUrl": "/events?since={cursor}", "token": "key"}),
        );
        self.know(&device, "key");
        let other = device.second();
        self.know_by(&other, "key");
        device
            .ask(r#"SELECT sync_auto('api', '{"every":"1h","downloadEvery":"1h","watch":true}')"#);
        assert_eq!(ask(&other, "SELECT sync_worker_start()"), "1");
        (device, other)
    }

    fn know(&self, device: &Device, token: &str) {
        self.know_by(&device.db, token);
    }

    fn know_by(&self, db: &rusqlite::Connection, token: &str) {
        let origin = self.listener.origin();
        ask(
            db,
            &format!("SELECT sync_secret('key', '{token}', '{origin}')"),
        );
    }
}

fn serve(state: &Mutex<State>, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone"));
    let (mut line, mut head) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        head.push_str(&line);
        line.clear();
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let text = {
        let mut state = state.lock().expect("state");
        if !path.starts_with("/events") {
            state.pulls += 1;
            let list =
                json!({"created": [], "updated": [{"id": "a", "name": state.name}], "deleted": []});
            let body: Value = json!({"changes": {"list": list}, "timestamp": state.cursor});
            whole("200 OK", &body.to_string())
        } else {
            let is_behind = path != format!("/events?since={}", state.cursor);
            state.asked.push(path);
            match state.mood {
                Mood::LongPoll if is_behind => whole("200 OK", "{}"),
                Mood::Refuse(status) => whole(&format!("{status} No"), "{}"),
                Mood::LongPoll => String::new(),
                Mood::Stream => {
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
                        .to_owned()
                }
            }
        }
    };
    let _ = stream.write_all(text.as_bytes());
    if text.contains("Content-Length") {
        return;
    }
    let port = stream.peer_addr().map(|address| address.port()).ok();
    let mine = |open: &TcpStream| open.peer_addr().map(|address| address.port()).ok() == port;
    state.lock().expect("state").open.push(stream);
    // Until the other end hangs up.
    let _ = reader.read(&mut [0; 1]);
    state.lock().expect("state").open.retain(|open| !mine(open));
}

fn name(device: &Device) -> String {
    device.ask("SELECT name FROM list WHERE id = 'a'")
}

#[test]
fn o3_what_the_stream_says_is_brought_at_once() {
    let station = Station::start(Mood::Stream);
    let (device, other) = station.device();
    wait_for("listening", || {
        ask(&other, "SELECT watch FROM sync_worker") == "listening"
    });
    assert_eq!(
        device.ask("SELECT watch FROM sync_worker"),
        "by the thread of another connection"
    );
    for news in ["second", "third"] {
        station.change(news);
        wait_for(news, || name(&device) == news);
    }
    // It was asked once, and nobody else for it.
    assert_eq!(station.with(|state| state.asked.len()), 1);
    drop(other);
    wait_for("its end", || station.listeners() == 0);
    assert_eq!(
        device.ask("SELECT watch FROM sync_worker"),
        "no thread; call sync_worker_start"
    );
}

#[test]
fn o3_a_long_poll_is_asked_again_from_where_pulls_have_come() {
    let station = Station::start(Mood::LongPoll);
    let (device, other) = station.device();
    wait_for("the first pull", || name(&device) == "first");
    for (number, news) in ["second", "third"].iter().enumerate() {
        wait_for("a poll", || {
            let since = format!("since={}", number + 1);
            station.with(|state| {
                !state.open.is_empty()
                    && state
                        .asked
                        .last()
                        .is_some_and(|last| last.ends_with(&since))
            })
        });
        station.change(news);
        wait_for(news, || name(&device) == *news);
    }
    drop(other);
    wait_for("its end", || station.listeners() == 0);
}

#[test]
fn o3_a_pause_of_downloads_closes_the_connection() {
    let station = Station::start(Mood::Stream);
    let (device, _other) = station.device();
    wait_for("listening", || station.listeners() == 1);
    device.ask("SELECT sync_pause('downloads', 'api')");
    wait_for("its end", || station.listeners() == 0);
    device.ask("SELECT sync_resume('all', 'api')");
    wait_for("listening again", || station.listeners() == 1);
    // What was said meanwhile is brought with the connection.
    wait_for("news", || name(&device) == "first");
    device.ask(r#"SELECT sync_auto('api', '{"downloadEvery":"1h"}')"#);
    wait_for("its end", || station.listeners() == 0);
    assert_eq!(device.ask("SELECT watch FROM sync_worker"), "NULL");
}

#[test]
fn o3_a_server_that_does_not_know_the_token_is_asked_again_with_another() {
    let station = Station::start(Mood::Refuse(401));
    let (_device, other) = station.device();
    wait_for("the refusal", || {
        ask(&other, "SELECT watch FROM sync_worker") == "HTTP 401"
    });
    assert_eq!(station.with(|state| state.asked.len()), 1);
    station.with(|state| state.mood = Mood::Stream);
    station.know_by(&other, "new");
    wait_for("listening", || {
        ask(&other, "SELECT watch FROM sync_worker") == "listening"
    });
}

#[test]
fn o3_a_server_that_refuses_is_asked_again_later_and_pulls_go_on() {
    let station = Station::start(Mood::Refuse(503));
    let (device, other) = station.device();
    wait_for("the refusal", || {
        ask(&other, "SELECT watch FROM sync_worker") == "HTTP 503"
    });
    wait_for("the first pull", || name(&device) == "first");
    station.with(|state| state.mood = Mood::Stream);
    wait_for("listening", || station.listeners() == 1);
}

#[test]
fn o3_where_there_is_nothing_to_listen_to_that_is_said() {
    let device = Device::new("http://127.0.0.1:1/sync");
    assert_eq!(
        device.refused(r#"SELECT sync_auto('api', '{"watch":true}')"#),
        "sync_auto: options.watch: a backend of kind watermelon has no stream of news that is known; name one with \
         watchUrl in sync_provider"
    );
    assert_eq!(device.ask("SELECT count(*) FROM sync_worker"), "0");
    let wrong = r#"SELECT sync_provider('other', '{"kind":"watermelon","url":"http://h/s","watchUrl":"events"}')"#;
    assert!(
        device.refused(wrong).contains(
            "watchUrl is \"events\"; write an address, or a path that begins with a slash"
        ),
    );
}
