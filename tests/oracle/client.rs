//! The WatermelonDB client in a Node process, fed with cases.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::case::Case;

/// What to do when the client is not there.
pub const SET_UP: &str = "make node-modules";

fn folder() -> PathBuf {
    support::root().join("tests/oracle")
}

/// The first number of Node's version.
fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.trim().strip_prefix('v')?.split('.').next()?;
    number.parse().ok()
}

/// A running client.
pub struct Client {
    process: Child,
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

/// What the client saw.
#[derive(Clone, Debug)]
pub struct Told {
    /// One picture for each step.
    pub steps: Vec<Value>,
    /// Differences that changed anything in the case.
    pub fired: Vec<String>,
    /// Cells of the decision table that the answers reached, and how often.
    pub cells: BTreeMap<String, u64>,
}

impl Client {
    /// Starts it. None, and a line that says why, when Node or the package is not there; with CI=true
    /// that is a failure.
    pub fn start() -> Option<Client> {
        let missing = match Self::try_start() {
            Ok(client) => return Some(client),
            Err(missing) => missing,
        };
        assert!(
            std::env::var("CI").is_err(),
            "the oracle needs {missing}; run {SET_UP}"
        );
        eprintln!("skipped: the oracle needs {missing}; to run it: {SET_UP}");
        None
    }

    fn try_start() -> Result<Client, &'static str> {
        let package = folder().join("../node/node_modules/@nozbe/watermelondb/package.json");
        if !package.exists() {
            return Err("the package @nozbe/watermelondb");
        }
        if node_version() < Some(20) {
            return Err("Node 20");
        }
        let mut process = Command::new("node")
            .arg(folder().join("client.js"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|_| "Node")?;
        let requests = process.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Ok(Client {
            process,
            requests,
            answers,
        })
    }

    /// Runs cases, each without the differences named beside it.
    pub fn run(&mut self, cases: &[(&Case, Vec<&str>)]) -> Vec<Told> {
        let mut writer = self.requests.take().expect("not in use");
        let (writer, told) = std::thread::scope(|scope| {
            let sender = scope.spawn(move || {
                for (case, off) in cases {
                    let request = json!({"case": case.request(), "off": off});
                    writeln!(writer, "{request}").expect("node reads");
                }
                writer.flush().expect("node reads");
                writer
            });
            let told = cases.iter().map(|(case, _)| self.read(case)).collect();
            (sender.join().expect("sent"), told)
        });
        self.requests = Some(writer);
        told
    }

    fn read(&mut self, case: &Case) -> Told {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("node writes");
        let answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{}: {error}: {line}", case.name));
        let Value::Array(steps) = &answer["steps"] else {
            return Told {
                steps: vec![answer],
                fired: Vec::new(),
                cells: BTreeMap::new(),
            };
        };
        Told {
            steps: steps.clone(),
            fired: serde_json::from_value(answer["fired"].clone()).expect("names"),
            cells: serde_json::from_value(answer["cells"].clone()).expect("counts"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.requests = None;
        let _ = self.process.wait();
    }
}
