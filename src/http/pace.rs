//! Asking a server no more often than it likes: as often as the configuration says, and not before the time that its last
//! answer named. Counted for each origin over all connections of the process; another process counts for itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::origin::Origin;
use super::policy::Policy;
use super::response::Headers;
use super::retry::retry_after;
use super::watch;

static SERVERS: Mutex<BTreeMap<Origin, Server>> = Mutex::new(BTreeMap::new());

/// What is known of a server.
#[derive(Default)]
struct Server {
    /// When the last requests began, the oldest first: as many as the limits ask about.
    begun: VecDeque<Instant>,
    /// It has said that it takes none before.
    closed_until: Option<Instant>,
}

/// Waits until a request may begin, and counts it. How long that took; none when the caller gave up.
pub(super) fn wait(
    origin: &Origin,
    policy: &Policy,
    cancelled: &dyn Fn() -> bool,
) -> Option<Duration> {
    let since = Instant::now();
    while let Some(pause) = begin(origin, policy, Instant::now()) {
        if !watch::sleep(pause, cancelled) {
            return None;
        }
    }
    Some(since.elapsed())
}

/// Counts a request that begins now; or how long it has to wait.
fn begin(origin: &Origin, policy: &Policy, now: Instant) -> Option<Duration> {
    let mut servers = SERVERS.lock();
    let Some(server) = servers.get_mut(origin) else {
        if most(policy) > 0 {
            servers
                .entry(origin.clone())
                .or_default()
                .begun
                .push_back(now);
        }
        return None;
    };
    server.pause(policy, now).or_else(|| {
        server.begun.push_back(now);
        let surplus = server.begun.len().saturating_sub(most(policy));
        server.begun.drain(..surplus);
        None
    })
}

/// How many requests the limits ask about.
fn most(policy: &Policy) -> usize {
    let most = policy.per_second.max(policy.per_minute);
    most.unwrap_or_default() as usize
}

impl Server {
    fn pause(&self, policy: &Policy, now: Instant) -> Option<Duration> {
        let windows = [(policy.per_second, 1), (policy.per_minute, 60)];
        let full = windows.into_iter().filter_map(|(most, seconds)| {
            let place = self.begun.len().checked_sub(most? as usize)?;
            Some(*self.begun.get(place)? + Duration::from_secs(seconds))
        });
        let free = full.chain(self.closed_until).max()?;
        let pause = free.saturating_duration_since(now);
        (!pause.is_zero()).then_some(pause)
    }
}

/// Remembers that the server takes no further request before a time, if an answer says so. A longer wait than
/// [`Policy::retry_after_max`] is not waited for: the server will say so itself, and the sync ends.
pub(super) fn hear(origin: &Origin, headers: &Headers, policy: &Policy) {
    let wait = closed_for(headers, SystemTime::now());
    let Some(wait) = wait.filter(|wait| *wait <= policy.retry_after_max) else {
        return;
    };
    let mut servers = SERVERS.lock();
    servers.entry(origin.clone()).or_default().closed_until = Some(Instant::now() + wait);
}

/// How long the server takes no request after this answer: nothing remains, until a time.
fn closed_for(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let in_two = ["RateLimit", "X-RateLimit", "X-Rate-Limit"]
        .iter()
        .filter_map(|prefix| {
            let remaining = headers.get(&format!("{prefix}-Remaining"))?;
            let reset = headers.get(&format!("{prefix}-Reset"))?;
            is_none_left(remaining).then(|| until(reset, now)).flatten()
        });
    // "default";r=0;t=30, one for each of the server's limits.
    let in_one = headers
        .get("RateLimit")
        .unwrap_or_default()
        .split(',')
        .filter_map(|limit| {
            let value = |name| {
                limit
                    .split(';')
                    .find_map(|part| part.trim().strip_prefix(name))
            };
            is_none_left(value("r=")?)
                .then(|| until(value("t=")?, now))
                .flatten()
        });
    in_two.chain(in_one).max()
}

fn is_none_left(remaining: &str) -> bool {
    remaining.trim() == "0"
}

/// Seconds, or a time: of Unix in seconds or milliseconds, or as HTTP writes it.
fn until(reset: &str, now: SystemTime) -> Option<Duration> {
    const LONGEST: u64 = 1_000_000_000;
    let at = match reset.trim().parse::<u64>() {
        Ok(time) if time >= LONGEST * 1000 => Duration::from_millis(time),
        Ok(time) if time >= LONGEST => Duration::from_secs(time),
        _ => return retry_after(reset, now),
    };
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(per_second: Option<u32>, per_minute: Option<u32>) -> Policy {
        Policy {
            per_second,
            per_minute,
            ..Policy::default()
        }
    }

    #[test]
    fn no_more_requests_begin_in_any_window_than_the_limit() {
        let origin = Origin::parse("http://pace.test").expect("an origin");
        let (policy, start) = (policy(Some(3), Some(5)), Instant::now());
        let mut now = start;
        let mut begun = Vec::new();
        while begun.len() < 12 {
            match begin(&origin, &policy, now) {
                Some(pause) => now += pause,
                None => begun.push((now - start).as_secs()),
            }
        }
        assert_eq!(begun, [0, 0, 0, 1, 1, 60, 60, 60, 61, 61, 120, 120]);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let origin = Origin::parse("http://free.test").expect("an origin");
        for _ in 0..1000 {
            assert_eq!(begin(&origin, &policy(None, None), Instant::now()), None);
        }
        assert!(!SERVERS.lock().contains_key(&origin));
    }

    #[test]
    fn what_the_server_says_of_its_limits() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let closed = |list: &[(&str, &str)]| {
            let list = list.iter();
            let list = list
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            closed_for(&Headers { list }, now).map(|wait| wait.as_secs())
        };
        let left = |reset| closed(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)]);
        assert_eq!(left("30"), Some(30));
        assert_eq!(left("1700000020"), Some(20));
        assert_eq!(left("1700000020000"), Some(20));
        assert_eq!(left("1600000000"), Some(0));
        assert_eq!(left("Tue, 14 Nov 2023 22:13:30 GMT"), Some(10));
        assert_eq!(left("soon"), None);
        assert_eq!(
            closed(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")]),
            Some(7)
        );
        assert_eq!(
            closed(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "7")]),
            None
        );
        assert_eq!(closed(&[("ratelimit-remaining", "0")]), None);
        let both = r#""second";r=0;t=1, "day";r=12;t=80000"#;
        assert_eq!(closed(&[("ratelimit", both)]), Some(1));
        assert_eq!(closed(&[("ratelimit", r#""day";r=1;t=9"#)]), None);
    }
}
