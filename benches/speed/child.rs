//! What this program does as a child of itself: things that want a process of their own.

use super::common::{Result, server};
use super::{load, memory};

/// `serve PID`, `load FILE`, `memory plain ROWS`, `memory ours ROWS URL`, `memory push ROWS URL`, `memory again ROWS URL`.
pub fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", measured] => server::serve(measured.parse()?),
        ["load", file] => load::child(file.as_ref()),
        ["memory", "plain", rows] => memory::plain(rows.parse()?),
        ["memory", "ours", rows, url] => memory::ours(rows.parse()?, url),
        ["memory", "push", rows, url] => memory::push(rows.parse()?, url, false),
        ["memory", "again", rows, url] => memory::push(rows.parse()?, url, true),
        _ => Err(format!("no such child: {words:?}").into()),
    }
}

/// Runs this program as a child; the numbers it prints.
pub fn numbers(words: &[&str]) -> Result<Vec<f64>> {
    let output = std::process::Command::new(std::env::current_exe()?)
        .arg("child")
        .args(words)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the child {words:?} failed").into());
    }
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.split_ascii_whitespace().map(str::parse);
    Ok(numbers.collect::<std::result::Result<_, _>>()?)
}
