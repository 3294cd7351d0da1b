//! The stand-in for oversync servers of protocol A answers as the real one did: every recorded request is sent
//! to it, in order.

mod answer;
mod api;
mod client;
mod defects;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::time::Duration;

use serde_json::Value;
use support::backend::oversync::A;
use support::backend::oversync::a::{Breakdown, Defects, Held, Holder, Mount, Options};
use support::{PATIENCE, wait_for};

use crate::recording::{Step, files, read};
use crate::wire::Exchange;
use answer::{Answer, masked, with_tokens};

/// A recording, how many of its steps are compared, and which are left out for which reason.
type File = (&'static str, usize, &'static [(u64, &'static str)]);

const FILES: &[File] = &[
    ("01-signin-and-first-calls", 12, &[]),
    ("02-authentication", 24, &[]),
    ("03-bad-requests", 50, &[]),
    ("04-insert-update-delete", 20, &[]),
    ("05-version-gate", 25, &[]),
    ("06-conflict-and-resolution", 20, &[]),
    ("07-replay-and-idempotency", 19, &[]),
    ("08-invalid-changes", 40, &[]),
    ("09-null-foreign-key", 11, &[]),
    ("10-limits", 8, &[]),
    ("11-projection-failures", 25, &[]),
    ("12-same-row-twice", 26, &[]),
    ("13-phantoms", 23, &[]),
    ("14-late-commit", 8, &[]),
    ("15-paging", 25, &[]),
    ("16-payload-types", 42, &[]),
    ("17-foreign-key-order", 26, &[]),
    ("18-two-users", 14, &[]),
    ("19-source-reuse", 9, &[]),
    ("20-concurrency", 19, &[]),
    (
        "21-server-trouble",
        10,
        &[(
            16,
            "the server is stopped: another test may take its port at once",
        )],
    ),
    ("22-delete-against-new-child", 16, &[]),
];

#[test]
fn every_recording_is_in_the_list() {
    let listed: Vec<String> = FILES
        .iter()
        .map(|(name, ..)| format!("{name}.jsonl"))
        .collect();
    assert_eq!(files("a"), listed);
}

#[test]
fn the_stand_in_answers_as_the_server_did() {
    let differences = replay_all(&Defects::default());
    let shown: Vec<String> = differences.into_values().flatten().collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

/// What differs, by the number of the file.
fn replay_all(defects: &Defects) -> BTreeMap<&'static str, Vec<String>> {
    std::thread::scope(|scope| {
        let replay = |file| scope.spawn(move || Replay::run(file, defects));
        let replays: Vec<_> = FILES
            .iter()
            .map(|file| (&file.0[..2], replay(file)))
            .collect();
        let mut all = BTreeMap::new();
        for (number, replay) in replays {
            match replay.join() {
                Ok(differences) if differences.is_empty() => {}
                Ok(differences) => {
                    all.insert(number, differences);
                }
                Err(panic) => resume_unwind(panic),
            }
        }
        all
    })
}

/// A file and the server that its requests are sent to.
struct Replay {
    name: &'static str,
    /// By name.
    devices: Value,
    server: A,
    compared: usize,
    differences: Vec<String>,
}

impl Replay {
    fn run((name, count, left_out): &File, defects: &Defects) -> Vec<String> {
        let (devices, steps) = read("a", &format!("{name}.jsonl"));
        let mut replay = Replay {
            name,
            devices,
            server: server(name, defects),
            compared: 0,
            differences: Vec::new(),
        };
        let mut rest = steps.as_slice();
        while let Some((step, after)) = rest.split_first() {
            rest = after;
            if step.is_operator {
                let holder = operate(name, step, &replay.server);
                let overlapping = rest.iter().take_while(|step| step.sent.is_some()).count();
                let (together, after) = rest.split_at(overlapping);
                if let Some((holder, ending)) = holder {
                    replay.send_together(together, holder, ending);
                    rest = after;
                }
                continue;
            }
            if step.request.is_none() {
                continue;
            }
            if left_out.iter().any(|(number, _)| *number == step.number) {
                continue;
            }
            assert_eq!(step.sent, None, "{name} {}: nothing is held", step.number);
            let answer = Answer::of(replay.send(step));
            replay.compare(step, &answer);
        }
        assert_eq!(replay.compared, *count, "{name}: steps compared");
        let requests = steps.iter().filter(|step| step.request.is_some()).count();
        assert_eq!(requests, count + left_out.len(), "{name}: requests");
        replay.differences
    }

    fn send(&self, step: &Step) -> Exchange {
        let request = step.request.as_ref().expect("a request");
        Exchange::send(&self.server.url(), &with_tokens(request, &self.devices))
    }

    fn compare(&mut self, step: &Step, came: &Answer) {
        self.compared += 1;
        let [recorded, came] = [&Answer::recorded(step), came].map(|answer| Answer {
            body: masked(&answer.body),
            ..answer.clone()
        });
        if came != recorded {
            let (name, number, note) = (self.name, step.number, &step.note);
            let difference = format!("{name} step {number}: {note}\n{recorded:?}\n{came:?}");
            self.differences.push(difference);
        }
    }

    /// Sends overlapping requests in the order in which they were sent, each when those before it wait or are
    /// answered, and then lets go of what the operator held.
    fn send_together(&mut self, steps: &[Step], holder: Holder, ending: Ending) {
        let mut in_order: Vec<&Step> = steps.iter().collect();
        in_order.sort_by_key(|step| step.sent);
        let answers = std::thread::scope(|scope| {
            let mut answers = Vec::new();
            let server = &self.server;
            for step in in_order {
                let waiting = server.waiting();
                let sent = self.send(step);
                if step.is_given_up {
                    wait_for("the request waits", || server.waiting() > waiting);
                    sent.give_up();
                    wait_for("the server sees it", || server.waiting() == waiting);
                    answers.push((step, scope.spawn(Answer::default)));
                    continue;
                }
                let answer = scope.spawn(|| Answer::of(sent));
                wait_for("the request waits, or its answer", || {
                    server.waiting() > waiting || answer.is_finished()
                });
                answers.push((step, answer));
            }
            match ending {
                Ending::Commit => holder.commit(),
                Ending::RollBack => holder.roll_back(),
                Ending::TooLate => {
                    wait_for("the answers", || {
                        answers.iter().all(|(_, a)| a.is_finished())
                    });
                    holder.roll_back();
                }
            }
            let came = answers.into_iter();
            came.map(|(step, answer)| (step, answer.join().expect("an answer")))
                .collect::<Vec<_>>()
        });
        for (step, answer) in answers {
            self.compare(step, &answer);
        }
    }
}

/// The server that a file was recorded with.
fn server(name: &str, defects: &Defects) -> A {
    let usual = Options {
        defects: defects.clone(),
        lock_wait: PATIENCE,
        ..Options::default()
    };
    let options = match name {
        "10-limits" => Options {
            max_changes: Some(3),
            max_payload: Some(200),
            admin: true,
            ..usual
        },
        "11-projection-failures" => Options {
            admin: true,
            ..usual
        },
        _ => usual,
    };
    A::start(options).expect("a server")
}

#[derive(Clone, Copy)]
enum Ending {
    Commit,
    RollBack,
    /// It outlasts the patience of the server.
    TooLate,
}

/// Does what the operator did; what is held meanwhile, and how that ends.
fn operate(name: &str, step: &Step, server: &A) -> Option<(Holder, Ending)> {
    let row = || Held::Row {
        user: "mara".to_owned(),
        table: "users".to_owned(),
        pk: "a0000014-0000-4000-8000-000000000001".to_owned(),
    };
    let projected = |pk: &str| Held::Projected {
        table: "users".to_owned(),
        pk: pk.to_owned(),
    };
    let number = &name[..2];
    let (held, ending) = match (number, step.number) {
        ("02", 20) => {
            server.set(|options| options.mount = Mount::Bare);
            return None;
        }
        ("03", 46) => {
            server.set(|options| {
                options.mount = Mount::Bare;
                options.admin = true;
            });
            return None;
        }
        ("14", 3) => (
            projected("a000000e-0000-4000-8000-000000000001"),
            Ending::RollBack,
        ),
        ("20", 2 | 5) => (row(), Ending::Commit),
        ("20", 7 | 21) => (row(), Ending::RollBack),
        ("20", 9 | 13 | 18) => (
            projected("a0000014-0000-4000-8000-000000000001"),
            Ending::RollBack,
        ),
        ("20", 25) => {
            server.set(|options| options.lock_wait = Duration::from_millis(20));
            (row(), Ending::TooLate)
        }
        ("20", 27) => (Held::Table("users".to_owned()), Ending::TooLate),
        ("21", 2) => {
            server.break_down(Breakdown::Log);
            return None;
        }
        ("21", 10) => {
            server.break_down(Breakdown::Table("users".to_owned()));
            return None;
        }
        ("21", 8 | 13) => {
            server.break_down(Breakdown::None);
            return None;
        }
        // The request after it is left out.
        ("21", 15) => return None,
        _ => panic!("{name} step {}: what did the operator do?", step.number),
    };
    Some((server.hold(held), ending))
}
