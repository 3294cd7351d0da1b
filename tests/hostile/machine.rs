//! A shared machine: what other users and other programs could find in temporary files, in the
//! environment, in child processes and beside the database. Each test runs in a process of its own, with a
//! folder for temporary files of its own.
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use support::{Canned, Device, again, head, wait_for};

const TOKEN: &str = "hunter2-5f3a9c-token";

/// Runs a test of this file again, alone; `SYNC_TEST_CHILD` tells it that it is the child.
fn alone(test: &str) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let output = again(module_path!(), test)
        .env("SYNC_TEST_CHILD", "1")
        .env("TMPDIR", folder.path())
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}{errors}");
}

fn is_child() -> bool {
    std::env::var_os("SYNC_TEST_CHILD").is_some()
}

fn names() -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).expect("the folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// Open files of this process in the folder for temporary files that have no name any more, and their sizes.
fn nameless() -> Vec<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("descriptors");
    let open = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let target = std::fs::read_link(&path)
            .ok()?
            .to_string_lossy()
            .into_owned();
        let ours = target.starts_with(&*std::env::temp_dir().to_string_lossy());
        let gone = target.ends_with("(deleted)");
        (ours && gone).then(|| std::fs::metadata(&path).map_or(0, |data| data.len()))
    });
    open.collect()
}

/// An answer and an upload too large for memory go through files that nobody else can open.
#[test]
fn temporary_files_have_no_name_and_go_with_the_sync() {
    if !is_child() {
        return alone("temporary_files_have_no_name_and_go_with_the_sync");
    }
    let server = Canned::start();
    let device = Device::new(&server.url());
    let before = names();
    let here = before.clone();
    server.pull_by(move |_, stream| {
        stream.write_all(head(200, &[]).as_bytes())?;
        stream.write_all(br#"{"timestamp":5,"changes":{"task":{"created":["#)?;
        let note = "n".repeat(1 << 20);
        for number in 0..12 {
            let comma = if number > 0 { "," } else { "" };
            write!(stream, r#"{comma}{{"id":"{number}","note":"{note}"}}"#)?;
        }
        stream.flush()?;
        wait_for("the use of a file", || {
            nameless().iter().any(|size| *size > 8 << 20)
        });
        assert_eq!(names(), here, "while an answer comes in");
        stream.write_all(b"]}}}")
    });
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM task"), "12");
    device.exec("UPDATE task SET title = note");
    let here = before.clone();
    server.push_raw(move |_| {
        assert!(
            nameless().iter().any(|size| *size > 8 << 20),
            "no file was used"
        );
        assert_eq!(names(), here, "while an upload goes out");
        support::json_answer("{}")
    });
    device.synced();
    assert_eq!((names(), nameless()), (before, Vec::new()));
    // Beside the database stands nothing of ours either.
    drop(device.db);
    let folder = device.world.path();
    let folder = folder.parent().expect("a folder");
    let beside = std::fs::read_dir(folder).expect("the folder").count();
    assert_eq!(beside, 1);
}

#[test]
fn a_secret_is_in_no_environment_and_no_command_line() {
    if !is_child() {
        return alone("a_secret_is_in_no_environment_and_no_command_line");
    }
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.provider(&server.url(), json!({"token": "t"}));
    device.ask(&format!(
        "SELECT sync_secret('t', '{TOKEN}', '{}')",
        server.origin()
    ));
    server.pull_raw(|seen| {
        assert_eq!(
            seen.header("authorization"),
            Some(&*format!("Bearer {TOKEN}"))
        );
        let child = Command::new("sh")
            .args(["-c", "cat /proc/self/environ /proc/$PPID/cmdline; env"])
            .output();
        let child = child.expect("a child");
        for text in [&child.stdout, &child.stderr] {
            assert!(!String::from_utf8_lossy(text).contains("hunter2"));
        }
        support::json_answer(r#"{"changes":{},"timestamp":5}"#)
    });
    device.synced();
    for place in [
        "/proc/self/environ",
        "/proc/self/cmdline",
        "/proc/self/comm",
    ] {
        let bytes = std::fs::read(place).expect(place);
        assert!(
            !String::from_utf8_lossy(&bytes).contains("hunter2"),
            "{place}"
        );
    }
}

#[test]
fn a_program_that_is_started_meanwhile_inherits_no_socket_and_no_file() {
    if !is_child() {
        return alone("a_program_that_is_started_meanwhile_inherits_no_socket_and_no_file");
    }
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.pull_raw(|_| {
        let child = Command::new("ls")
            .args(["-l", "/proc/self/fd"])
            .output()
            .expect("a child");
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        let inherited = text
            .lines()
            .filter(|line| line.contains("socket:") || line.contains("app.db"));
        assert_eq!(inherited.count(), 0, "{text}");
        support::json_answer(r#"{"changes":{},"timestamp":5}"#)
    });
    device.synced();
    assert_eq!(server.seen().len(), 1);
}
