//! The document that FastAPI writes of an app is all that a sync with it needs. `make own-backends` installs FastAPI; without
//! it the test is skipped, which CI does not accept.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::client::get;
use support::{World, root};

use crate::phone::Phone;

struct App {
    process: Child,
    url: String,
}

impl App {
    /// None where FastAPI is not installed.
    fn start() -> Option<App> {
        let python = root().join("tests/python/venv/bin/python3");
        if !python.exists() {
            assert!(
                std::env::var("CI").is_err(),
                "{} is missing; run make own-backends",
                python.display()
            );
            eprintln!("skipped: FastAPI is missing; to run this test: make own-backends");
            return None;
        }
        let mut process = Command::new("sh")
            .current_dir(root().join("tests/rest"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["-c", "exec \"$0\" -m uvicorn notes_app:app --port 0 2>&1"])
            .arg(python)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let announced = "running on http://127.0.0.1:";
        let mut lines = lines.map_while(Result::ok);
        let port = lines
            .find_map(|line| Some(line.split_once(announced)?.1.to_owned()))
            .expect("it says where it listens");
        // Nobody else reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let url = format!("http://127.0.0.1:{port}");
        Some(App { process, url })
    }

    fn note(&self, id: &str) -> Value {
        get(&format!("{}/notes/{id}", self.url))
            .expect("an answer")
            .json()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a3_the_openapi_document_of_a_fastapi_app_imports_and_syncs_without_a_function_by_hand() {
    let Some(app) = App::start() else { return };
    let world = World::new(false);
    let phone = Phone {
        db: world.open(),
        world,
    };
    phone.provider(&app.url, json!({}));
    let document = get(&format!("{}/openapi.json", app.url)).expect("an answer");
    let answer = phone.call(
        "sync_import_openapi",
        &["api", &document.json().to_string()],
    );
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let functions = answer["functions"].as_array().expect("a list");
    let list = functions
        .iter()
        .find(|function| function["path"] == "/notes/" && function["method"] == "GET")
        .expect("the function that lists notes");
    assert_eq!(
        list["paging"],
        json!({"kind": "offset", "param": "skip", "sizeParam": "limit", "size": 2})
    );
    assert_eq!(list["writes"]["mints"], true, "{list}");
    // Neither an action nor the state of the app is rows.
    let mut left: Vec<&Value> = answer["notMade"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["what"])
        .collect();
    left.sort_by_key(|what| what.to_string());
    assert_eq!(
        left,
        ["GET /health", "POST /notes/{note_id}/publish"],
        "{answer}"
    );
    let function = list["id"].as_str().expect("an id");
    phone.table(
        "CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT NOT NULL, done BOOLEAN NOT NULL DEFAULT FALSE, points REAL)",
        "note",
    );
    phone.done("note", function);
    assert_eq!(phone.ids("note"), "1 2 3 4 5");
    phone.exec(
        "UPDATE note SET title = 'mine' WHERE id = 2; DELETE FROM note WHERE id = 3;
         INSERT INTO note (id, title) VALUES (77, 'new')",
    );
    phone.done("note", function);
    assert_eq!(
        app.note("2"),
        json!({"id": 2, "title": "mine", "done": false, "points": 1.0})
    );
    assert_eq!(app.note("3")["detail"], "there is no such note");
    assert_eq!(app.note("6")["title"], "new");
    // The key of the new note is the app's.
    assert_eq!(
        (phone.ids("note"), phone.pending()),
        ("1 2 4 5 6".into(), String::new())
    );
    // One note, by the function of one note.
    let one = functions
        .iter()
        .find(|function| {
            function["path"] == "/notes/{param:note_id}" && function["method"] == "GET"
        })
        .expect("the function that reads a note");
    let read = phone.read_with(
        "one",
        one["id"].as_str().expect("an id"),
        json!({"note_id": 2}),
    );
    assert_eq!(
        (&read["state"], &read["pulled"]),
        (&json!("synced"), &json!(1)),
        "{read}"
    );
}
