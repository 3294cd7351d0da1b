//! Runs `tests/sql/*.sql` in the real sqlite3 shell and compares what it prints with the `.out` beside.
//!
//! A line `.load` gets the path of the built library. A script that names `http://127.0.0.1:8787` gets a
//! reference backend of its own at whatever port is free, with the tables of [`BACKEND_TABLES`]. Every
//! script runs on a fresh database, with recursive_triggers ON and OFF, and must print the same both
//! times. `UPDATE_GOLDEN=1 cargo test --test sql_scripts` rewrites the golden files; look at the
//! difference before you commit it.

#[path = "../examples/backend/mod.rs"]
mod backend;
mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The address that scripts name, and what the backend there keeps.
const BACKEND_ADDRESS: &str = "http://127.0.0.1:8787";
const BACKEND_TABLES: &str = "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, \
     done BOOLEAN NOT NULL DEFAULT 0, points INTEGER);";

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut scripts: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("tests/sql")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    scripts.sort();
    scripts
}

/// What the shell prints: its output, then its errors, without what differs between shell versions.
fn run(script: &Path, recursive: &str) -> String {
    let mut text = fs::read_to_string(script).expect("a script");
    let server = text
        .contains(BACKEND_ADDRESS)
        .then(|| backend::Backend::start(BACKEND_TABLES));
    if let Some(server) = &server {
        text = text.replace(BACKEND_ADDRESS, &server.url());
    }
    let mut input = format!("PRAGMA recursive_triggers = {recursive};\n");
    for line in text.lines() {
        if line.trim() == ".load" {
            input.push_str(&format!(".load {}\n", common::library().display()));
        } else {
            input.push_str(line);
            input.push('\n');
        }
    }
    let directory = TempDir::new().expect("a temporary directory");
    let mut shell = Command::new("sqlite3")
        .args(["-batch", "-init", "/dev/null"])
        .arg(directory.path().join("app.db"))
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the sqlite3 shell");
    let mut stdin = shell.stdin.take().expect("stdin");
    stdin
        .write_all(input.as_bytes())
        .expect("the shell listens");
    drop(stdin);
    let output = shell.wait_with_output().expect("the shell ends");
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors: String = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter_map(error_text)
        .collect();
    if !errors.is_empty() {
        printed.push_str("-- errors\n");
        printed.push_str(&errors);
    }
    match server {
        Some(server) => printed.replace(&server.url(), BACKEND_ADDRESS),
        None => printed,
    }
}

/// `Runtime error near line 7: sync_x: what is wrong (19)` without the parts that the shell's
/// version decides: the words before the message, the code after it, excerpts of the SQL.
fn error_text(line: &str) -> Option<String> {
    if line.starts_with("-- Loading resources") || line.starts_with("  ") {
        return None;
    }
    let message = match line.split_once(" line ") {
        Some((_, rest)) => rest.split_once(": ").map_or(rest, |(_, message)| message),
        None => line,
    };
    let message = message.strip_prefix("stepping, ").unwrap_or(message);
    let message = match message.rsplit_once(" (") {
        Some((message, code)) if code.trim_end_matches(')').parse::<u32>().is_ok() => message,
        _ => message,
    };
    Some(format!("{message}\n"))
}

/// The first lines that differ.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let mut shown = String::new();
    for number in 0..expected.len().max(found.len()) {
        let (left, right) = (expected.get(number), found.get(number));
        if left != right {
            shown.push_str(&format!("line {}\n", number + 1));
            shown.push_str(&format!("  expected: {}\n", left.unwrap_or(&"(nothing)")));
            shown.push_str(&format!("  found:    {}\n", right.unwrap_or(&"(nothing)")));
        }
    }
    shown
}

#[test]
fn every_script_prints_what_its_golden_file_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = String::new();
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no scripts found");
    for script in scripts {
        let golden = script.with_extension("out");
        let name = script
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        for recursive in ["ON", "OFF"] {
            let found = run(&script, recursive);
            if update && recursive == "ON" {
                fs::write(&golden, &found).expect("the golden file");
                continue;
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if found != expected {
                let shown = difference(&expected, &found);
                failures.push_str(&format!(
                    "{name} (recursive_triggers {recursive})\n{shown}\n"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}
