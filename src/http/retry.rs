//! When to try again, and after how long.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime};

use super::policy::Policy;

/// Whether an answer with this status is worth another attempt: the server says that it is busy,
/// down or was too slow, not that the request is wrong.
pub(super) fn worth_retrying(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// Whether the server may have done what was asked although it answered with a status that is
/// [worth another attempt](worth_retrying).
pub(super) fn may_have_been_done(status: u16) -> bool {
    !matches!(status, 425 | 429)
}

/// The pause before the next attempt, or `None` to stop here: attempts used up, the server asks for a
/// longer wait than the policy grants, or the time left would not outlast the pause.
///
/// `failed` is the number of attempts so far (from 1), `left` the time until the total deadline,
/// `luck` a number in `0.0..1.0` (see [`luck`]).
pub(super) fn pause(
    policy: &Policy,
    failed: u32,
    retry_after: Option<Duration>,
    left: Duration,
    luck: f64,
) -> Option<Duration> {
    if failed >= policy.attempts {
        return None;
    }
    let doubled = 2u32.saturating_pow(failed.saturating_sub(1));
    let bound = policy
        .backoff_base
        .saturating_mul(doubled)
        .min(policy.backoff_max);
    let mut pause = bound.mul_f64(luck.clamp(0.0, 1.0));
    if let Some(asked) = retry_after {
        if asked > policy.retry_after_max {
            return None;
        }
        pause = pause.max(asked);
    }
    (pause < left).then_some(pause)
}

/// Reads a `Retry-After`: whole seconds or an HTTP date. The past and negative numbers mean now;
/// what is neither is ignored.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let digits = value.strip_prefix('-').unwrap_or(value);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = if digits.len() < value.len() {
            0
        } else {
            digits.parse().unwrap_or(u64::MAX)
        };
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO))
}

/// A number in `0.0..1.0`, different for each call and process. Not for cryptography.
pub fn luck() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn which_statuses() {
        for yes in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(worth_retrying(yes), "{yes}");
        }
        for no in [200, 304, 400, 401, 403, 404, 409, 413, 422, 600] {
            assert!(!worth_retrying(no), "{no}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_bound() {
        let policy = Policy {
            attempts: 100,
            ..Policy::default()
        };
        let longest: Vec<_> = (1..=8)
            .map(|n| pause(&policy, n, None, LONG, 1.0).unwrap().as_millis())
            .collect();
        assert_eq!(longest, [300, 600, 1200, 2400, 4800, 9600, 10000, 10000]);
        assert_eq!(pause(&policy, 99, None, LONG, 1.0), Some(ms(10000)));
        assert_eq!(pause(&policy, 1, None, LONG, 0.0), Some(ms(0)));
        assert_eq!(pause(&policy, 2, None, LONG, 0.5), Some(ms(300)));
    }

    #[test]
    fn stops_when_attempts_or_time_are_used_up() {
        let policy = Policy::default();
        assert!(pause(&policy, 3, None, LONG, 1.0).is_some());
        assert_eq!(pause(&policy, 4, None, LONG, 0.0), None);
        assert_eq!(pause(&policy, 1, None, ms(200), 1.0), None);
        assert_eq!(pause(&policy, 1, Some(ms(2000)), ms(2000), 1.0), None);
        assert_eq!(pause(&policy, 1, None, Duration::ZERO, 0.0), None);
    }

    #[test]
    fn the_servers_wish_counts_up_to_the_limit() {
        let policy = Policy::default();
        assert_eq!(pause(&policy, 1, Some(ms(5000)), LONG, 0.3), Some(ms(5000)));
        assert_eq!(pause(&policy, 1, Some(ms(0)), LONG, 1.0), Some(ms(300)));
        assert_eq!(
            pause(&policy, 1, Some(ms(60_000)), LONG, 0.3),
            Some(ms(60_000))
        );
        assert_eq!(pause(&policy, 1, Some(ms(60_001)), LONG, 0.3), None);
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let read = |text| retry_after(text, now).map(|d| d.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("-5"), Some(0));
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for junk in ["", "-", "soon", "1.5", "1e3", "5 s"] {
            assert_eq!(read(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn luck_is_spread() {
        let drawn: Vec<f64> = (0..200).map(|_| luck()).collect();
        assert!(drawn.iter().all(|l| (0.0..1.0).contains(l)));
        assert!(drawn.iter().any(|l| *l < 0.3) && drawn.iter().any(|l| *l > 0.7));
    }
}
