//! Recordings of a running server played to the client: given the answers that were recorded, it sends the requests that
//! were recorded. What differs from run to run is in the answers, so it is the same in the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::canned::{Canned, Seen, status_answer};
use support::database::root;

use super::SCHEMA;
use crate::client::{Device, Served};

/// A server that answers what was recorded, in order, whatever it is asked.
struct Recorded {
    canned: Canned,
    /// The requests that belong to the answers.
    expected: Vec<Value>,
    played: Arc<AtomicUsize>,
}

impl Served for Recorded {
    fn address(&self) -> String {
        self.canned.origin()
    }

    fn token_of(&self, _: &str) -> String {
        "token".to_owned()
    }

    fn generation(&self) -> &'static str {
        "b"
    }
}

/// The steps of a recording, by their number.
fn steps(file: &str) -> Vec<Value> {
    let path = root().join(format!("tests/fixtures/oversync/b/{file}.jsonl"));
    let text = std::fs::read_to_string(path).expect("a recording");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What the server said of itself where the recordings were made; `limits` are put over its own.
fn capabilities(limits: &Value) -> Value {
    let steps = steps("01-signin-auth-and-capabilities");
    let mut step = steps
        .into_iter()
        .find(|step| {
            step["request"]["path"] == "/sync/capabilities" && step["response"]["status"] == 200
        })
        .expect("capabilities");
    for (key, limit) in limits.as_object().into_iter().flatten() {
        step["response"]["body"]["bundle_limits"][key] = limit.clone();
    }
    step
}

impl Recorded {
    /// The capabilities come first.
    fn start(source: &str, limits: &Value) -> Self {
        let mut server = Self {
            canned: Canned::start(),
            expected: Vec::new(),
            played: Arc::default(),
        };
        server.plan(&capabilities(limits), true);
        // Every device gets the same.
        server.expected[0]["headers"]["oversync-source-id"] = json!(source);
        server
    }

    /// Plays a step next that was recorded of another device.
    fn play_as(&mut self, source: &str, file: &str, number: usize) {
        self.play(file, &[number]);
        if let Some(request) = self.expected.last_mut() {
            request["headers"]["oversync-source-id"] = json!(source);
        }
    }

    /// A device connects, and finds nothing to read.
    fn connect(&mut self, source: &str) {
        self.play_as(source, "03-connect", 36);
        self.play_as(source, "03-connect", 37);
    }

    /// A look at the last bundle that was read comes next. It was recorded of another: number and hash are put in.
    fn compare(&mut self, source: &str, seq: i64, hash: &Value) {
        let mut step = steps("04-push-and-replay")[10].clone();
        let path = format!("/sync/committed-bundles/{seq}/rows?max_rows=1");
        step["request"]["path"] = json!(path);
        step["request"]["headers"]["oversync-source-id"] = json!(source);
        step["response"]["body"]["bundle_seq"] = json!(seq);
        step["response"]["body"]["bundle_hash"] = hash.clone();
        self.plan(&step, true);
    }

    /// Plays steps of a recording next.
    fn play(&mut self, file: &str, numbers: &[usize]) {
        let steps = steps(file);
        numbers
            .iter()
            .for_each(|number| self.plan(&steps[*number], true));
    }

    /// The request of a step comes next, and gets no answer.
    fn lose(&mut self, file: &str, number: usize) {
        self.plan(&steps(file)[number], false);
    }

    fn plan(&mut self, step: &Value, answered: bool) {
        let (request, response) = (&step["request"], &step["response"]);
        self.expected.push(request.clone());
        let status = response["status"].as_u64().expect("a status") as u16;
        let body = match &response["body"] {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let played = Arc::clone(&self.played);
        let say = move |_: &Seen| {
            played.fetch_add(1, Ordering::Relaxed);
            match answered {
                true => status_answer(status, &[("Content-Type", "application/json")], &body),
                false => Vec::new(),
            }
        };
        let is_pull = request["method"] == "GET";
        match is_pull {
            true => self.canned.pull_raw(say),
            false => self.canned.push_raw(say),
        }
    }

    /// All requests came, each as it was recorded.
    fn assert_played(&self) {
        let seen: Vec<String> = self.canned.seen().iter().map(sent).collect();
        let expected: Vec<String> = self.expected.iter().map(recorded).collect();
        assert_eq!(seen.join("\n"), expected.join("\n"));
        assert_eq!(self.played.load(Ordering::Relaxed), expected.len());
    }
}

fn sent(seen: &Seen) -> String {
    let body = serde_json::from_str(&seen.body).unwrap_or_default();
    let source = seen.header("oversync-source-id").unwrap_or_default();
    line(&seen.method, &seen.path, source, &body)
}

fn recorded(request: &Value) -> String {
    let word = |json: &Value| json.as_str().unwrap_or_default().to_owned();
    let source = word(&request["headers"]["oversync-source-id"]);
    line(
        &word(&request["method"]),
        &word(&request["path"]),
        &source,
        &request["body"],
    )
}

/// A request as a line. The parameters in order, without those that say what goes without saying.
fn line(method: &str, path: &str, source: &str, body: &Value) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let usual = [
        "",
        "after_row_ordinal=0",
        "after_bundle_seq=0",
        "max_rows=1000",
        "max_bundles=1000",
    ];
    let mut query: Vec<&str> = query
        .split('&')
        .filter(|part| !usual.contains(part))
        .collect();
    query.sort_unstable();
    format!("{method} {path} {} {source} {body}", query.join("&"))
}

/// A device with some tables of the server, under the name that it has in the recordings.
fn device(server: &Recorded, name: &str, tables: &[&str], more: Value) -> Device {
    let mut config = json!({"pullBundles": 1000});
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    Device::of(server, name, (SCHEMA, tables), config)
}

/// The rows of a recorded chunk, written here. They are in the order of their recording.
fn write_chunk(device: &Device, file: &str, numbers: &[usize]) {
    let steps = steps(file);
    for number in numbers {
        let rows = steps[*number]["request"]["body"]["rows"]
            .as_array()
            .expect("rows")
            .clone();
        for row in rows {
            let payload = row["payload"].as_object().expect("a payload");
            let names: Vec<&str> = payload.keys().map(String::as_str).collect();
            let values: Vec<String> = payload
                .values()
                .map(|value| match value {
                    Value::String(text) => format!("'{}'", text.replace('\'', "''")),
                    other => other.to_string(),
                })
                .collect();
            device.exec(&format!(
                "PRAGMA foreign_keys = OFF; INSERT INTO {} ({}) VALUES ({})",
                row["table"].as_str().unwrap_or_default(),
                names.join(", "),
                values.join(", ")
            ));
        }
    }
}

#[test]
fn recording_04_a_push_in_chunks_whose_answer_is_lost_is_replayed() {
    let file = "04-push-and-replay";
    let limits =
        json!({"default_rows_per_push_chunk": 2, "default_rows_per_committed_bundle_chunk": 1});
    let mut server = Recorded::start("phone-a", &limits);
    server.connect("phone-a");
    let device = device(&server, "phone-a", &["categories"], json!({}));
    device.sync();
    // It reads nothing meanwhile.
    device.ask("SELECT sync_pause('downloads', 'api')");
    write_chunk(&device, file, &[3, 4]);
    server.play(file, &[2, 3, 4]);
    server.lose(file, 5);
    device.failed("sync_once");
    server.play(file, &[7, 10, 11, 12]);
    device.sync();
    server.assert_played();
    device.assert_settled();
    assert_eq!(
        device.ask("SELECT count(*), min(version), max(version) FROM _syncVersion"),
        "3|1|1"
    );
    assert_eq!(device.next_bundle(), "2");
}

#[test]
fn recording_06_conflicts_settle_by_their_image() {
    // Step of the open, and what is left of the row here.
    for (open, left) in [(8, true), (38, false)] {
        let file = "06-push-conflicts";
        let mut server = Recorded::start("tablet-b", &json!({}));
        let device = device(&server, "tablet-b", &["categories"], json!({}));
        device.ask("SELECT sync_pause('downloads', 'api')");
        server.play_as("tablet-b", "03-connect", 31);
        write_chunk(&device, file, &[open + 1]);
        let answer = &steps(file)[open + 2]["response"]["body"]["conflict"];
        server.play(file, &[open, open + 1, open + 2]);
        device.sync();
        server.assert_played();
        device.assert_settled();
        let name = answer["server_row"]["name"].as_str().unwrap_or_default();
        assert_eq!(device.ask("SELECT name FROM categories"), name);
        assert_eq!(!name.is_empty(), left);
        let version = device.ask("SELECT version, deleted FROM _syncVersion");
        assert_eq!(
            version,
            format!("{}|{}", answer["server_row_version"], u8::from(!left))
        );
    }
}

#[test]
fn recording_10_pages_go_up_to_the_first_stable_bundle() {
    let file = "10-pull";
    let mut server = Recorded::start("tablet-b", &json!({}));
    let device = device(
        &server,
        "tablet-b",
        &["categories"],
        json!({"pullBundles": 2}),
    );
    server.play(file, &[17]);
    device.done("sync_download_once", "{}");
    let last = |step: usize| {
        let bundles = steps(file)[step]["response"]["body"]["bundles"].clone();
        let last = bundles.as_array().and_then(|bundles| bundles.last());
        last.map(|bundle| bundle["bundle_hash"].clone())
            .unwrap_or_default()
    };
    server.compare("tablet-b", 2, &last(17));
    server.play(file, &[21, 22]);
    // The first page has said how far: a call of its own asks for it by name.
    device.done("sync_download_all", r#"{"until":5}"#);
    server.compare("tablet-b", 5, &last(22));
    server.play(file, &[23]);
    device.done("sync_download_all", "{}");
    server.assert_played();
    let there = steps(file)[33]["response"]["body"]["bundles"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut names = std::collections::BTreeMap::new();
    for row in there
        .iter()
        .flat_map(|bundle| bundle["rows"].as_array().cloned().unwrap_or_default())
    {
        let key = row["key"]["id"].as_str().unwrap_or_default().to_owned();
        match row["op"] == "DELETE" {
            true => names.remove(&key),
            false => names.insert(
                key,
                row["payload"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            ),
        };
    }
    let names: Vec<String> = names.into_values().collect();
    assert_eq!(
        device.ask("SELECT name FROM categories ORDER BY id"),
        names.join("\n")
    );
}

#[test]
fn recording_13_a_snapshot_page_by_page() {
    let file = "13-snapshots";
    let mut server = Recorded::start("tablet-b", &json!({"default_rows_per_snapshot_chunk": 3}));
    let device = device(&server, "tablet-b", super::TABLES, json!({}));
    server.play(file, &[12]);
    let seq = steps(file)[12]["response"]["body"]["snapshot_bundle_seq"].as_i64();
    server.compare("tablet-b", seq.unwrap_or(0), &json!("any"));
    server.play(file, &[16, 17, 18, 35]);
    device.download();
    server.assert_played();
    let rows: Vec<Value> = [16, 17, 18]
        .iter()
        .flat_map(|number| {
            steps(file)[*number]["response"]["body"]["rows"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .collect();
    for row in &rows {
        let table = row["table"].as_str().unwrap_or_default();
        let id = row["key"]["id"].as_str().unwrap_or_default();
        let version = "SELECT version FROM _syncVersion WHERE pk = ";
        assert_eq!(
            device.ask(&format!("SELECT count(*) FROM {table} WHERE id = '{id}'")),
            "1",
            "{row}"
        );
        assert_eq!(
            device.ask(&format!("{version}'{id}'")),
            row["row_version"].to_string()
        );
    }
    let all = super::TABLES
        .iter()
        .map(|table| format!("(SELECT count(*) FROM {table})"));
    let all = all.collect::<Vec<_>>().join(" + ");
    assert_eq!(device.ask(&format!("SELECT {all}")), rows.len().to_string());
}

#[test]
fn recording_14_a_retired_source_asks_for_another_name() {
    let file = "14-source-replacement";
    let mut server = Recorded::start("phone-a", &json!({}));
    let device = device(&server, "phone-a", &["categories"], json!({}));
    server.connect("phone-a");
    device.sync();
    device.ask("SELECT sync_pause('downloads', 'api')");
    write_chunk(&device, file, &[4]);
    server.play(file, &[3, 4, 5, 32]);
    device.sync();
    device.ask("SELECT sync_resume('downloads', 'api')");
    // Bundle 3 is refused when it is opened; this device would have sent 2.
    device.exec("UPDATE categories SET name = 'mine'");
    server.compare(
        "phone-a",
        1,
        &steps(file)[32]["response"]["body"]["bundle_hash"],
    );
    server.play(file, &[28, 20]);
    server.expected[8]["body"]["source_bundle_id"] = json!(2);
    let snapshot = &steps(file)[20]["response"]["body"];
    assert_eq!(snapshot["row_count"], 3);
    // Its pages were not recorded.
    let error = device.failed("sync_once");
    assert!(error["message"].is_string(), "{error}");
    let seen = server.canned.seen();
    let asked = seen
        .iter()
        .find(|seen| seen.path == "/sync/snapshot-sessions")
        .expect("a snapshot");
    let replacement = asked.json();
    let new = replacement["source_replacement"]["new_source_id"].clone();
    assert_eq!(new.as_str().map(str::len), Some(36), "{new}");
    server.expected[9]["body"]["source_replacement"]["new_source_id"] = new;
    server.expected[9]["body"]["source_replacement"]["reason"] = json!("source_retired");
    let sent: Vec<String> = seen.iter().take(10).map(sent).collect();
    let expected: Vec<String> = server.expected.iter().map(recorded).collect();
    assert_eq!(sent.join("\n"), expected.join("\n"));
    assert_eq!(device.pending().lines().count(), 1);
}
