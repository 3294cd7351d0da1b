//! Runs `tests/sql/*.sql` in the real sqlite3 shell and compares what it prints with the `.out` beside.
//!
//! A line `.load` gets the path of the built library. A script that names `http://127.0.0.1:8787` gets a
//! reference backend of its own at whatever port is free, with the tables of [`BACKEND_TABLES`]. Every
//! script runs on a fresh database, with recursive_triggers ON and OFF, and must print the same both
//! times. `UPDATE_GOLDEN=1 cargo test --test sql` rewrites the golden files; look at the
//! difference before you commit it.
//!
//! With `SYNCSCOPE_VALGRIND=1` (`make valgrind`) the shell runs under valgrind, which must find no error and
//! no lost memory either.

mod valgrind;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::Backend;
use tempfile::TempDir;
use valgrind::Tally;

/// The address that scripts name, and what the backend there keeps.
const BACKEND_ADDRESS: &str = "http://127.0.0.1:8787";
const BACKEND_TABLES: &str = "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, \
     done BOOLEAN NOT NULL DEFAULT 0, points INTEGER);";

fn scripts() -> Vec<PathBuf> {
    let folder = support::root().join("tests/sql");
    let mut scripts: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("tests/sql")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    scripts.sort();
    scripts
}

/// What the shell prints: its output, then its errors, without what differs between shell versions; and
/// what valgrind says, if it watches.
fn run(script: &Path, recursive: &str, watched: bool) -> (String, Option<Tally>) {
    let mut text = fs::read_to_string(script).expect("a script");
    let server = text
        .contains(BACKEND_ADDRESS)
        .then(|| Backend::start(BACKEND_TABLES));
    if let Some(server) = &server {
        text = text.replace(BACKEND_ADDRESS, &server.url());
    }
    let mut input = format!("PRAGMA recursive_triggers = {recursive};\n");
    for line in text.lines() {
        if line.trim() == ".load" {
            input.push_str(&format!(".load {}\n", support::library().display()));
        } else {
            input.push_str(line);
            input.push('\n');
        }
    }
    let directory = TempDir::new().expect("a temporary directory");
    let report = directory.path().join("valgrind.txt");
    let mut command = match watched {
        true => valgrind::command(&report),
        false => Command::new("sqlite3"),
    };
    let mut shell = command
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
    if let Some(server) = server {
        printed = printed.replace(&server.url(), BACKEND_ADDRESS);
    }
    (printed, watched.then(|| Tally::read(&report)))
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

/// Runs a script as `recursive` says; what is wrong with what it printed.
fn check(script: &Path, recursive: &str, watched: bool) -> (Option<String>, Option<Tally>) {
    let golden = script.with_extension("out");
    let (found, tally) = run(script, recursive, watched);
    if std::env::var_os("UPDATE_GOLDEN").is_some() && recursive == "ON" {
        fs::write(&golden, &found).expect("the golden file");
        return (None, tally);
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    let wrong = (found != expected).then(|| {
        let shown = difference(&expected, &found);
        format!(
            "{} (recursive_triggers {recursive})\n{shown}",
            script.display()
        )
    });
    (wrong, tally)
}

#[test]
fn every_script_prints_what_its_golden_file_says() {
    let watched = std::env::var_os("SYNCSCOPE_VALGRIND").is_some();
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no scripts found");
    // The golden files that ON writes are what OFF is compared with.
    let mut wrong = Vec::new();
    let mut total = Tally::default();
    for recursive in ["ON", "OFF"] {
        std::thread::scope(|scope| {
            let runs: Vec<_> = scripts
                .iter()
                .map(|script| {
                    (
                        script,
                        scope.spawn(move || check(script, recursive, watched)),
                    )
                })
                .collect();
            for (script, run) in runs {
                let (difference, tally) = run.join().expect("a script runs");
                wrong.extend(difference);
                if let Some(tally) = tally {
                    wrong.extend(tally.complaint(script));
                    total.add(&tally);
                }
            }
        });
    }
    if watched {
        println!("valgrind: {total}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
