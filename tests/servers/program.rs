//! Programs that run as long as the tests do.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use support::PATIENCE;

/// The shell ends the program, and removes its folder, when the pipe that it reads is closed: however the tests end.
const KEEPER: &str = "\"$@\" </dev/null 2>&1 & read -r _; kill $!; wait; cd /; rm -rf \"$FOLDER\"";

/// A new folder for a program.
pub fn folder() -> PathBuf {
    tempfile::Builder::new()
        .prefix("server-")
        .tempdir()
        .expect("a folder")
        .keep()
}

/// Starts a program in its folder; the port that it names in the line that says it is ready, behind `announced`.
pub fn start(folder: &Path, command: &[&str], settings: &[(&str, &str)], announced: &str) -> u16 {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", KEEPER, "sh"])
        .args(command)
        .current_dir(folder)
        .env("FOLDER", folder)
        .env("TMPDIR", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut shell = shell.spawn().expect("a shell");
    let lines = BufReader::new(shell.stdout.take().expect("its output")).lines();
    // It is closed when this process ends, and not before.
    std::mem::forget(shell.stdin.take());
    let (words, heard) = mpsc::channel();
    std::thread::spawn(move || {
        // To the end, since a program whose output nobody takes stops.
        for line in lines.map_while(Result::ok) {
            let _ = words.send(line);
        }
        let _ = shell.wait();
    });
    let mut said = Vec::new();
    while let Ok(line) = heard.recv_timeout(PATIENCE) {
        if let Some((_, rest)) = line.split_once(announced) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().expect("a port");
        }
        said.push(line);
    }
    panic!("{command:?} does not start: {}", said.join("\n"));
}

/// Runs a program to its end; what it prints.
pub fn run(command: &[&str]) -> String {
    let output = Command::new(command[0])
        .args(&command[1..])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// Whether what a test needs is there; where it is not, one line says how to get it.
pub fn is_there(needed: &Path, target: &str) -> bool {
    if needed.exists() {
        return true;
    }
    let needed = needed.display();
    assert!(
        std::env::var("CI").is_err(),
        "{needed} is missing; run make {target}"
    );
    eprintln!("skipped: {needed} is missing; to run this test: make {target}");
    false
}
