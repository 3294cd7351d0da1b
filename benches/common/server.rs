//! A trivial backend on the loopback, in a process of its own so that its work is not counted as ours.
//!
//! `GET /created/ROUND/N` answers a pull with the first N rows of a round as created, `/edited/ROUND/N` with the
//! same rows edited as updated, `/nothing` with no change. A POST is read and taken; the first to `/taken/ROUND/N` and to
//! `/lost` is not answered: those pulled there afterwards have the rows as created, or nothing. For each request a line with the CPU time that the
//! measured process had used when it came in goes to stdout.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::rows::Row;
use super::{Result, clock};

/// The server as the measured process sees it.
pub struct Server {
    child: Child,
    lines: Mutex<BufReader<ChildStdout>>,
    origin: String,
}

impl Server {
    pub fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["child", "serve", &std::process::id().to_string()])
            .stdin(Stdio::piped()) // the server ends when it is closed
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(stdout);
        let mut origin = String::new();
        lines.read_line(&mut origin)?;
        Ok(Self {
            child,
            lines: Mutex::new(lines),
            origin: origin.trim().to_owned(),
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The CPU time of this process at the arrival of each of the last `count` requests; none where the
    /// system does not report it.
    pub fn arrivals(&self, count: usize) -> Result<Vec<Option<Duration>>> {
        let mut lines = self
            .lines
            .lock()
            .map_err(|_| "the server's output is lost")?;
        let mut arrivals = Vec::with_capacity(count);
        for _ in 0..count {
            let mut line = String::new();
            lines.read_line(&mut line)?;
            let nanoseconds = line.trim().parse().ok();
            arrivals.push(nanoseconds.map(Duration::from_nanos));
        }
        Ok(arrivals)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Answers = Arc<Mutex<Known>>;

#[derive(Default)]
struct Known {
    bodies: HashMap<String, Arc<Vec<u8>>>,
    /// Paths of pushes that were not answered.
    unanswered: HashSet<String>,
}

/// The server's own side; returns when its stdin is closed.
pub fn serve(measured: i32) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let answers = Answers::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || talk(stream?, measured, &answers));
        }
        Ok::<_, io::Error>(())
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// The requests of one connection.
fn talk(mut stream: TcpStream, measured: i32, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let arrived = clock::of_process(measured);
        println!("{}", arrived.map_or(-1, |time| time.as_nanos() as i64));
        let headers = read_headers(&mut reader)?;
        if headers.contains_key("expect") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = headers
            .get("content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        let path = head.split_ascii_whitespace().nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let body = match head.starts_with("POST") {
            true if stays_silent(path, answers)? => return Ok(()),
            true => Arc::new(b"{}".to_vec()),
            false => answer(path, answers)?,
        };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)?;
    }
}

/// Names in lower case.
fn read_headers(reader: &mut impl BufRead) -> io::Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(headers);
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

fn answer(path: &str, answers: &Answers) -> io::Result<Arc<Vec<u8>>> {
    let mut answers = answers
        .lock()
        .map_err(|_| io::Error::other("a request went wrong"))?;
    let meant = match path.strip_prefix("/taken") {
        Some(rows) if answers.unanswered.contains(path) => format!("/created{rows}"),
        Some(_) => "/nothing".into(),
        None => path.to_owned(),
    };
    if let Some(known) = answers.bodies.get(&meant) {
        return Ok(Arc::clone(known));
    }
    let made = Arc::new(make(&meant)?);
    answers.bodies.insert(meant, Arc::clone(&made));
    Ok(made)
}

/// Whether a push gets no answer.
fn stays_silent(path: &str, answers: &Answers) -> io::Result<bool> {
    let mut answers = answers
        .lock()
        .map_err(|_| io::Error::other("a request went wrong"))?;
    let is_meant = path.starts_with("/taken/") || path == "/lost";
    Ok(is_meant && answers.unanswered.insert(path.to_owned()))
}

fn make(path: &str) -> io::Result<Vec<u8>> {
    let mut words = path.split('/').skip(1);
    let kind = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (round, count) = (number(), number());
    let mut body = Vec::new();
    let mut list = |row: fn(usize, usize) -> Row| -> io::Result<()> {
        for number in 0..count {
            if number > 0 {
                body.push(b',');
            }
            row(round, number).write_json(&mut body)?;
        }
        Ok(())
    };
    let (before, after) = match kind {
        "created" => {
            list(Row::new)?;
            ("\"created\":[", "],\"updated\":[]")
        }
        "edited" => {
            list(Row::edited)?;
            ("\"created\":[],\"updated\":[", "]")
        }
        _ => ("\"created\":[", "],\"updated\":[]"),
    };
    let mut whole = format!("{{\"changes\":{{\"t\":{{{before}").into_bytes();
    whole.extend_from_slice(&body);
    whole.extend_from_slice(after.as_bytes());
    // Any growing number will do.
    let stamp = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(1, |time| time.as_millis());
    write!(whole, ",\"deleted\":[]}}}},\"timestamp\":{stamp}}}")?;
    Ok(whole)
}
