//! Connections kept between requests: a sync of many pages would else pay a TCP and TLS handshake for each.
//!
//! An agent serves one request at a time and then rests here, so that cancelling a request can shut its
//! agent down without touching any other request of the process.

use std::process;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::http::Uri;
use ureq::{Agent, Proxy};

use super::origin::Origin;
use super::policy::Policy;

/// Most agents at rest; each holds at most one open connection.
const MOST: usize = 8;
/// How long a connection may rest. Servers commonly close theirs after 5 to 75 s.
const REST: Duration = Duration::from_secs(15);

/// What an agent was made for; requests that agree in it can share a connection.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Purpose {
    pub origin: Origin,
    connect: Duration,
    idle: Duration,
    /// A child process made by fork must not use its parent's connections.
    process: u32,
}

struct Resting {
    purpose: Purpose,
    agent: Agent,
    since: Instant,
}

static RESTING: Mutex<Vec<Resting>> = Mutex::new(Vec::new());

/// An agent for requests to `origin`: one at rest, or a new one.
pub(super) fn take(origin: &Origin, policy: &Policy) -> (Purpose, Agent) {
    let purpose = Purpose {
        origin: origin.clone(),
        connect: policy.connect,
        idle: policy.idle,
        process: process::id(),
    };
    let mut stale = Vec::new();
    let found = {
        let mut resting = RESTING.lock();
        stale.extend(resting.extract_if(.., |r| {
            r.since.elapsed() > REST || r.purpose.process != purpose.process
        }));
        let at = resting.iter().rposition(|r| r.purpose == purpose);
        at.map(|at| resting.remove(at).agent)
    };
    drop(stale); // closes connections: not under the lock
    let agent = found.unwrap_or_else(|| make(&purpose));
    (purpose, agent)
}

/// Puts an agent to rest after a request that went well.
pub(super) fn give_back(purpose: Purpose, agent: Agent) {
    let mut resting = RESTING.lock();
    resting.push(Resting {
        purpose,
        agent,
        since: Instant::now(),
    });
    let oldest = (resting.len() > MOST).then(|| resting.remove(0));
    drop(resting);
    drop(oldest);
}

/// Closes every connection at rest. For the moment when a host closes its last database.
pub fn close_idle() {
    let all = std::mem::take(&mut *RESTING.lock());
    drop(all);
}

/// The proxy of the environment (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, minus `NO_PROXY`), except for this machine.
pub(super) fn proxy_for(origin: &Origin) -> Option<Proxy> {
    if origin.is_loopback() {
        return None;
    }
    let uri: Uri = origin.to_string().parse().ok()?;
    Proxy::try_from_env().filter(|proxy| !proxy.is_no_proxy(&uri))
}

fn make(purpose: &Purpose) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy_for(&purpose.origin))
        .user_agent(concat!("syncscope/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("gzip")
        .timeout_resolve(Some(purpose.connect))
        .timeout_connect(Some(purpose.connect))
        .timeout_per_read(Some(purpose.idle))
        .timeout_per_write(Some(purpose.idle))
        .max_idle_connections(1)
        .max_idle_age(REST)
        .build()
        .new_agent()
}
