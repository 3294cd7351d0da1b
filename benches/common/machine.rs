//! What the figures were measured on.

use std::process::Command;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Result;
use super::arguments::library;
use super::database::load;

/// Processor, system and versions; what a system does not report is left out.
pub fn facts() -> Result<Value> {
    let db = Connection::open_in_memory()?;
    load(&db, &library()?)?;
    let one = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0));
    let debug: Value = serde_json::from_str(&one("SELECT sync_debug()")?)?;
    Ok(json!({
        "processor": processor(),
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "system": said("uname", &["-srm"]),
        "rustc": said("rustc", &["--version"]),
        "sqlite": one("SELECT sqlite_version()")?,
        "syncscope": one("SELECT sync_version()")?,
        "commit": debug["commit"],
    }))
}

fn processor() -> Option<String> {
    let known = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = known.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}
