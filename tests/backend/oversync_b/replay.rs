//! Sends what was recorded, in order, and compares what comes back.

use std::time::Duration;

use serde_json::{Value, json};
use support::Held;
use syncscope_backend::oversync::b::{Health, Options};
use syncscope_backend::oversync::{B, token};
use syncscope_backend::{Kind, Moment};

use super::operator;
use super::volatile::{Ids, masked};
use crate::recording::{Request, Step, read};
use crate::wire::{Exchange, Reply};

/// Steps whose answer was under way while later lines were written: opened here, compared there.
struct Open {
    step: u64,
    exchange: Exchange,
}

/// A file on its way.
pub struct Replay {
    file: String,
    /// By name.
    devices: Value,
    server: B,
    ids: Ids,
    open: Vec<Open>,
    /// Milliseconds of the recording that have passed, where the time matters.
    clock: Option<u64>,
    /// A request that waits.
    held: Option<Held>,
    pub compared: usize,
    pub left_out: usize,
    pub wrong: Vec<String>,
}

/// Replays a whole file.
pub fn replay(file: &str) -> Replay {
    let (devices, steps) = read("b", file);
    let mut replay = Replay {
        file: file.to_string(),
        devices,
        server: B::start(operator::options(file)).expect("it starts"),
        ids: Ids::default(),
        open: Vec::new(),
        clock: None,
        held: None,
        compared: 0,
        left_out: 0,
        wrong: Vec::new(),
    };
    if file.starts_with("17") {
        replay.server.advance(Duration::ZERO);
        replay.clock = Some(0);
    }
    for step in &steps {
        replay.take(step, &steps);
    }
    replay
}

impl Replay {
    fn is(&self, file: &str, step: u64, number: u64) -> bool {
        self.file.starts_with(file) && step == number
    }

    fn take(&mut self, step: &Step, steps: &[Step]) {
        if step.request.is_none() {
            return self.act(step, steps);
        }
        let reason = operator::LEFT_OUT
            .iter()
            .find(|(file, number, _)| self.is(file, step.number, *number));
        if reason.is_some() {
            self.left_out += 1;
            return;
        }
        self.before(step, steps);
        self.pass_time(step);
        let place = self.open.iter().position(|open| open.step == step.number);
        let reply = match place {
            Some(place) => {
                let open = self.open.remove(place);
                self.close(step, open.exchange)
            }
            None => self.send(step).finish(),
        };
        self.compare(step, reply);
        self.after(step);
    }

    /// A step without a request.
    fn act(&mut self, step: &Step, steps: &[Step]) {
        if self.is("01", step.number, 27) {
            let options = Options {
                json_405: true,
                ..Options::default()
            };
            self.server = B::start(options).expect("it starts");
        }
        if self.is("16", step.number, 10) {
            self.open(steps, 25);
            self.hold();
            self.open(steps, 24);
            self.wait_until_held();
            self.server.set_health(Health::Closing);
        }
        if self.is("17", step.number, 34) {
            // The operator kept the session alive: the lease alone runs out.
            self.clock = Some(10234);
        }
        if self.is("15", step.number, 28) {
            self.open(steps, 29);
        }
        operator::act(&self.server, &self.file, step.number);
    }

    /// Opens what was under way when this step was sent.
    fn before(&mut self, step: &Step, steps: &[Step]) {
        if self.is("15", step.number, 3) {
            (12..=15).for_each(|number| self.open(steps, number));
        }
        if self.is("15", step.number, 18) {
            self.open(steps, 21);
        }
        for number in [16, 17, 22] {
            if self.is("15", step.number, number) {
                self.open(steps, number);
            }
        }
        if self.is("16", step.number, 4) {
            self.open(steps, 7);
        }
        if self.is("20", step.number, 10) {
            self.hold();
            self.open(steps, 11);
            self.wait_until_held();
        }
    }

    /// Events that come close together may be skipped, so each is waited for.
    fn after(&mut self, step: &Step) {
        let is_commit = step
            .request
            .as_ref()
            .is_some_and(|asked| asked.path.ends_with("/commit"));
        if self.file.starts_with("15") && is_commit && step.number <= 11 {
            let seq = (step.number - 2) / 3;
            let event = format!("\"bundle_seq\":{seq},");
            for open in self.open.iter_mut().filter(|open| open.step < 14) {
                open.exchange.wait_for(|body| body.contains(&event));
            }
        }
    }

    fn open(&mut self, steps: &[Step], number: u64) {
        let step = steps
            .iter()
            .find(|step| step.number == number)
            .expect("the step");
        let mut exchange = self.send(step);
        let is_stream = step.headers["content-type"] == "text/event-stream";
        if is_stream {
            exchange.head();
        }
        self.open.push(Open {
            step: number,
            exchange,
        });
    }

    /// The next commit is held when it arrives.
    fn hold(&mut self) {
        let (held, stop) = Held::new();
        let moments = self.server.moments();
        moments.plan_at(Kind::Push, "/commit", Moment::Arrived, stop);
        self.held = Some(held);
    }

    fn wait_until_held(&self) {
        self.held.as_ref().expect("something is held").wait();
    }

    /// Moves the clock to where it stood when this was sent.
    fn pass_time(&mut self, step: &Step) {
        let Some(clock) = self.clock else {
            return;
        };
        let now = step.sent.or(operator::at(&self.file, step.number));
        let passed = now.unwrap_or(clock).saturating_sub(clock);
        self.server.advance(Duration::from_millis(passed));
        self.clock = Some(clock + passed);
    }

    fn send(&self, step: &Step) -> Exchange {
        let asked = step.request.as_ref().expect("a request");
        let headers: Vec<(String, String)> = asked
            .headers
            .iter()
            .map(|(name, value)| match name.as_str() {
                "authorization" => (name.clone(), self.authorization(value)),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        let body = std::str::from_utf8(&asked.body).expect("a text");
        let request = Request {
            method: asked.method.clone(),
            path: self.ids.translate(&asked.path),
            headers,
            body: self.ids.translate(body).into_bytes(),
        };
        Exchange::send(&self.server.url(), &request)
    }

    /// Puts a token in the place of its description.
    fn authorization(&self, recorded: &str) -> String {
        let Some((scheme, description)) = recorded.split_once(" <") else {
            return recorded.to_string();
        };
        let description = description.trim_end_matches('>');
        let device = description
            .split(' ')
            .skip_while(|word| *word != "of")
            .nth(1);
        let user = device.and_then(|device| self.devices[device]["user"].as_str());
        let user = user.unwrap_or_default();
        let later = 4_102_444_800_i64;
        let claims = json!({"sub": user, "exp": later});
        let token = match description.split_once(' ').map_or("", |(first, _)| first) {
            "expired" => token::sign(user, None, -60),
            _ if description.ends_with("another key") => {
                token::encode("HS256", &claims, b"another key")
            }
            _ if description == "token without sub" => {
                token::encode("HS256", &json!({"exp": later}), token::KEY)
            }
            _ if description == "token with blank sub" => {
                token::encode("HS256", &json!({"sub": "  ", "exp": later}), token::KEY)
            }
            _ => token::sign(user, None, 3600),
        };
        format!("{scheme} {token}")
    }

    /// The answer of what was opened before, as far as it was recorded.
    fn close(&mut self, step: &Step, mut exchange: Exchange) -> Option<Reply> {
        if step.headers["content-type"] != "text/event-stream" {
            self.held = None;
            return exchange.finish();
        }
        if self.is("15", step.number, 22) {
            return self.burst(step, exchange);
        }
        if self.is("15", step.number, 29) || self.is("16", step.number, 25) {
            self.server.set_health(Health::Broken);
            let reply = exchange.finish();
            assert!(
                exchange.ended(),
                "{} {}: the server ends it",
                self.file,
                step.number
            );
            return reply;
        }
        let (events, beats) = parted(&step.body);
        exchange.wait_for(|body| {
            let (heard, heard_beats) = parted(body);
            heard.len() >= events.len() && heard_beats >= beats
        });
        exchange.so_far();
        Some(exchange.head())
    }

    /// Five bundles in one instant: some may be skipped, the last comes, and none goes back.
    fn burst(&mut self, step: &Step, mut exchange: Exchange) -> Option<Reply> {
        self.server.announce("mara", "burst", &[5, 6, 7, 8, 9]);
        let body = exchange.wait_for(|body| body.contains("\"bundle_seq\":9,"));
        let numbers: Vec<u32> = body
            .split("\"bundle_seq\":")
            .skip(1)
            .filter_map(|rest| rest.split(',').next()?.parse().ok())
            .collect();
        assert!(numbers.is_sorted() && numbers.last() == Some(&9), "{body}");
        let mut reply = exchange.head();
        reply.body = step.body.clone();
        Some(reply)
    }

    fn compare(&mut self, step: &Step, reply: Option<Reply>) {
        self.compared += 1;
        if let Err(wrong) = self.differs(step, reply) {
            let (file, number, note) = (&self.file, step.number, &step.note);
            self.wrong
                .push(format!("{file} {number} ({note}): {wrong}"));
        }
    }

    fn differs(&mut self, step: &Step, reply: Option<Reply>) -> Result<(), String> {
        let (status, reply) = match (step.status, reply) {
            (None, None) => return Ok(()),
            (Some(status), Some(reply)) => (status, reply),
            (_, reply) => return Err(format!("answered: {}", reply.is_some())),
        };
        if status != reply.status {
            return Err(format!(
                "{} instead of {status}: {}",
                reply.status, reply.body
            ));
        }
        for (name, value) in step.headers.as_object().into_iter().flatten() {
            let now = reply.header(name);
            if now != value.as_str() {
                return Err(format!("{name}: {now:?} instead of {value}"));
            }
        }
        let recorded = if step.body == "null" { "" } else { &step.body };
        let (recorded, _) = parted(recorded);
        let (now, _) = parted(&reply.body);
        let volatile = operator::volatile(&self.file, step.number);
        let (wanted, got) = (masked(&recorded, volatile), masked(&now, volatile));
        if wanted != got {
            return Err(format!("\n  recorded {wanted}\n  now      {got}"));
        }
        self.ids.learn(&recorded, &now)
    }
}

/// A body without heartbeats, and how many there were.
fn parted(body: &str) -> (String, usize) {
    const BEAT: &str = ": heartbeat\n\n";
    (body.replace(BEAT, ""), body.matches(BEAT).count())
}
