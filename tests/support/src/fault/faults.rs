//! Random ways for a backend to misbehave during one sync.

use std::time::Duration;

use serde_json::{Value, json};
use syncscope_backend::{Backend, Kind, Moment};

use crate::Random;

/// One kind of trouble.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// A fault of the backend.
    Fault(Value),
    /// It takes longer than the device waits; a push may be committed all the same.
    TooSlow { after_commit: bool },
    /// Nobody listens.
    Refused,
}

impl Trouble {
    pub fn any(random: &mut Random) -> Trouble {
        let times = 1 + random.below(2);
        let on = ["pull", "push", "push", "any"][random.below(4) as usize];
        let fault = |what: Value| {
            let mut fault = what;
            fault["times"] = json!(times);
            if fault["on"].is_null() {
                fault["on"] = json!(on);
            }
            Trouble::Fault(fault)
        };
        match random.below(20) {
            0 => fault(json!({"status": 500})),
            1 => fault(json!({"status": 503, "afterCommit": true})),
            2 => fault(json!({"status": 429, "retryAfter": "0"})),
            3 => fault(json!({"status": 401})),
            4 => fault(json!({"status": 409, "on": "push"})),
            5 => fault(json!({"status": 400})),
            6 | 7 => fault(json!({"drop": true, "afterCommit": true, "on": "push"})),
            8 => fault(json!({"drop": true})),
            9 => fault(json!({"truncate": random.below(120)})),
            10 => fault(json!({"truncate": 0, "on": "push"})),
            11 => fault(json!({"cut": random.below(300), "on": "pull"})),
            // A 2xx is success whatever it says, so only a push that was taken may be answered so.
            12 => fault(json!({"garbage": true, "afterCommit": true})),
            13 => fault(json!({"html": true, "afterCommit": true})),
            14 => fault(json!({"empty": true, "afterCommit": true})),
            15 => Trouble::TooSlow {
                after_commit: random.chance(60),
            },
            16 => Trouble::Refused,
            17 => fault(json!({"duplicates": true, "on": "pull"})),
            18 => fault(json!({"outOfOrder": true, "omitEmpty": true, "on": "pull"})),
            _ => fault(
                json!({"on": "push", "rejectIds": {"*": ["s1", "s2", "s3", "i1", "p2", "l3", "1", "2"]}}),
            ),
        }
    }

    /// Brings it about. `provider` declares the device's provider anew, with another address or further options.
    pub fn begin(&self, backend: &Backend, provider: &dyn Fn(&str, Value)) {
        match self {
            Trouble::Fault(fault) => backend.faults().add(fault.clone()),
            Trouble::TooSlow { after_commit } => {
                provider(&backend.sync_url(), json!({"timeoutMs": 40}));
                let (kind, moment) = match after_commit {
                    true => (Kind::Push, Moment::Committed),
                    false => (Kind::Pull, Moment::Arrived),
                };
                let nap = || std::thread::sleep(Duration::from_millis(120));
                backend.moments().plan(kind, moment, 0, nap);
            }
            // A free port might be taken by another test; this one never is.
            Trouble::Refused => provider("http://127.0.0.1:1/sync", json!({})),
        }
    }

    /// Whether rows may stay pending although the sync succeeds.
    pub fn rejects(&self) -> bool {
        matches!(self, Trouble::Fault(fault) if !fault["rejectIds"].is_null())
    }
}
