//! The reference backend as a program.
//!
//! ```sh
//! cargo run --example backend -- --port 8787 --schema examples/data/schema.sql \
//!     --csv airlines=examples/data/airlines.csv --csv airports=examples/data/airports.csv \
//!     --csv planes=examples/data/planes.csv --csv flights=examples/data/flights.csv
//! ```
//!
//! With `--oversync a` it is instead the stand-in for an oversync server of protocol A, with the tables of the
//! example server: `users`, `posts`, `files`, `file_reviews` in the schema `business`.
//! With `--oversync b` it is instead the stand-in for an oversync server of protocol B, with the eight tables of
//! the published example server in the schema `business`; with `b-later` in the later revision of the protocol.
//!
//! Prints `listening on http://127.0.0.1:PORT` when it is ready, and nothing else on stdout.

use std::path::PathBuf;
use std::process::ExitCode;

use syncscope_backend::oversync::{A, B, a, b};
use syncscope_backend::{Backend, Options, Place};

const USAGE: &str = "\
usage: backend --schema FILE [options]
       backend --oversync a [--port N] [--max-body BYTES]
       backend --oversync b|b-later [--port N] [--max-body BYTES]
  --schema FILE      CREATE TABLE statements; each table needs a TEXT or INTEGER primary key
  --csv TABLE=FILE   fill a table from a CSV file with a header line; may be repeated
  --null TEXT        the CSV text that means NULL (NA)
  --db FILE          keep the data in FILE; :memory: is a temporary file (:memory:)
  --port N           port on 127.0.0.1; 0 takes a free one (8787)
  --token TEXT       answer 401 without `Authorization: Bearer TEXT`
  --max-body BYTES   answer 413 to larger requests (268435456)
  --oversync a       be an oversync server of protocol A, with its example tables, in memory;
                     POST /dummy-signin {\"user\",\"password\",\"device\"} gives a token
  --oversync b       be an oversync server of protocol B, with its example tables, in memory;
                     POST /dummy-signin {\"user\"} gives a token
  --oversync b-later the same in the later revision of the protocol
  --help             print this";

/// What is to be served.
enum Wanted {
    Backend(Options),
    OversyncA(a::Options),
    OversyncB(b::Options),
}

fn main() -> ExitCode {
    let wanted = match parse(std::env::args().skip(1)) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("backend: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("backend: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(wanted: Wanted) -> Result<(), String> {
    match wanted {
        Wanted::Backend(options) => {
            let backend = Backend::start_with(options)?;
            println!("listening on {}", backend.url());
            backend.run_until_signal()
        }
        Wanted::OversyncA(options) => {
            let server = A::start(options)?;
            println!("listening on {}", server.url());
            server.run_until_signal()
        }
        Wanted::OversyncB(options) => {
            let server = B::start(options)?;
            println!("listening on {}", server.url());
            server.run_until_signal()
        }
    }
}

/// `None` if help was asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Wanted>, String> {
    let mut options = Options {
        port: 8787,
        log_requests: false,
        ..Options::default()
    };
    let mut oversync = None;
    let mut others = Vec::new();
    while let Some(flag) = arguments.next() {
        if flag == "--help" {
            return Ok(None);
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{flag}: a value must follow"))?;
        if flag == "--oversync" {
            oversync = Some(value);
            continue;
        }
        apply(&mut options, &flag, &value)?;
        if !["--port", "--max-body"].contains(&flag.as_str()) {
            others.push(flag);
        }
    }
    let Some(protocol) = oversync else {
        if options.schema_sql.is_empty() {
            return Err("--schema FILE is missing".to_string());
        }
        return Ok(Some(Wanted::Backend(options)));
    };
    if let Some(flag) = others.first() {
        return Err(format!("{flag} does not go with --oversync"));
    }
    match protocol.as_str() {
        "a" => Ok(Some(Wanted::OversyncA(a::Options {
            port: options.port,
            max_body: options.max_body,
            log_requests: options.log_requests,
            ..a::Options::default()
        }))),
        "b" | "b-later" => Ok(Some(Wanted::OversyncB(b::Options {
            revision: match protocol.as_str() {
                "b" => b::Revision::Recorded,
                _ => b::Revision::Later,
            },
            port: options.port,
            max_body: options.max_body,
            log_requests: options.log_requests,
            ..b::Options::default()
        }))),
        _ => Err(format!(
            "--oversync {protocol}: the protocol is a, b or b-later"
        )),
    }
}

fn apply(options: &mut Options, flag: &str, value: &str) -> Result<(), String> {
    match flag {
        "--schema" => {
            options.schema_sql =
                std::fs::read_to_string(value).map_err(|error| format!("{value}: {error}"))?;
        }
        "--csv" => {
            let (table, file) = value
                .split_once('=')
                .ok_or_else(|| format!("--csv {value}: write TABLE=FILE"))?;
            options.csv.push((table.to_string(), PathBuf::from(file)));
        }
        "--null" => options.null_text = value.to_string(),
        "--db" if value == ":memory:" => options.place = Place::Temporary,
        "--db" => options.place = Place::File(PathBuf::from(value)),
        "--port" => options.port = number(flag, value)?,
        "--token" => options.token = Some(value.to_string()),
        "--max-body" => options.max_body = number(flag, value)?,
        _ => return Err(format!("unknown option {flag}")),
    }
    Ok(())
}

fn number<N: std::str::FromStr>(flag: &str, value: &str) -> Result<N, String> {
    value
        .parse()
        .map_err(|_| format!("{flag} {value}: not a number in range"))
}
