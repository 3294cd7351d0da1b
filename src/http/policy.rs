//! The timeouts, limits and retry rules of a call.

use std::time::Duration;

/// How long to wait, how often to try, how much to take. [`Policy::default`] suits a public
/// backend; every field has a range that [`Policy::check`] holds it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Longest wait for a connection, TLS handshake and proxy included; the lookup of the host name
    /// has the same budget once more. 1 ms to 1 h, default 10 s.
    pub connect: Duration,
    /// Longest silence: until the answer's first byte, and between any two reads or writes.
    /// 1 ms to 24 h, default 30 s.
    pub idle: Duration,
    /// Longest duration of the whole call: all attempts, the pauses between them and the reading of
    /// the body; not the wait for a turn. 1 ms to 24 h, default 10 min.
    pub total: Duration,
    /// Most attempts, the first included. 1 to 100, default 4.
    pub attempts: u32,
    /// Upper bound of the pause after the first failure; it doubles with each further one. The pause is
    /// drawn evenly from zero to that bound (full jitter), so that clients cut off together don't
    /// come back together. 0 to 1 h, default 300 ms.
    pub backoff_base: Duration,
    /// Upper bound that the doubling stops at. 0 to 1 h, default 10 s.
    pub backoff_max: Duration,
    /// Longest `Retry-After` that is waited for; a longer one ends the call with that answer.
    /// 0 to 1 h, default 60 s.
    pub retry_after_max: Duration,
    /// Most requests to one origin that begin within a second. 1 to 1,000, default any number.
    pub per_second: Option<u32>,
    /// The same for a minute. 1 to 10,000, default any number.
    pub per_minute: Option<u32>,
    /// Most bytes of an answer after decompression. 1 byte to 1 TiB, default 1 GiB.
    pub max_response_bytes: u64,
    /// Bytes of an answer kept in memory; more goes to a temporary file. 0 to 1 GiB, default 8 MiB.
    pub spool_memory: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(600),
            attempts: 4,
            backoff_base: Duration::from_millis(300),
            backoff_max: Duration::from_secs(10),
            retry_after_max: Duration::from_secs(60),
            per_second: None,
            per_minute: None,
            max_response_bytes: 1 << 30,
            spool_memory: 8 << 20,
        }
    }
}

impl Policy {
    /// Bounds of [`Policy::connect`] in milliseconds.
    pub const CONNECT_MS: (u64, u64) = (1, HOUR);
    /// Bounds of [`Policy::idle`] in milliseconds.
    pub const IDLE_MS: (u64, u64) = (1, 24 * HOUR);
    /// Bounds of [`Policy::total`] in milliseconds.
    pub const TOTAL_MS: (u64, u64) = (1, 24 * HOUR);
    /// Bounds of the pauses between attempts in milliseconds.
    pub const PAUSE_MS: (u64, u64) = (0, HOUR);
    /// Bounds of [`Policy::attempts`].
    pub const ATTEMPTS: (u64, u64) = (1, 100);
    /// Bounds of [`Policy::per_second`].
    pub const PER_SECOND: (u64, u64) = (1, 1000);
    /// Bounds of [`Policy::per_minute`].
    pub const PER_MINUTE: (u64, u64) = (1, 10_000);
    /// Bounds of [`Policy::max_response_bytes`].
    pub const RESPONSE_BYTES: (u64, u64) = (1, 1 << 40);
    const SPOOL_BYTES: (u64, u64) = (0, 1 << 30);

    /// Refuses values out of range, as [`send`](super::send) does: the text names the field, its value and
    /// the range.
    pub fn check(&self) -> Result<(), String> {
        duration("connect", self.connect, Self::CONNECT_MS)?;
        duration("idle", self.idle, Self::IDLE_MS)?;
        duration("total", self.total, Self::TOTAL_MS)?;
        number("attempts", self.attempts.into(), Self::ATTEMPTS)?;
        duration("backoff_base", self.backoff_base, Self::PAUSE_MS)?;
        duration("backoff_max", self.backoff_max, Self::PAUSE_MS)?;
        duration("retry_after_max", self.retry_after_max, Self::PAUSE_MS)?;
        for (name, most, bounds) in [
            ("per_second", self.per_second, Self::PER_SECOND),
            ("per_minute", self.per_minute, Self::PER_MINUTE),
        ] {
            number(name, most.map_or(bounds.0, u64::from), bounds)?;
        }
        number(
            "max_response_bytes",
            self.max_response_bytes,
            Self::RESPONSE_BYTES,
        )?;
        number("spool_memory", self.spool_memory as u64, Self::SPOOL_BYTES)
    }
}

/// In milliseconds.
const HOUR: u64 = 3_600_000;

fn duration(name: &str, value: Duration, (low, high): (u64, u64)) -> Result<(), String> {
    if (Duration::from_millis(low)..=Duration::from_millis(high)).contains(&value) {
        return Ok(());
    }
    Err(format!(
        "{name} is {} ms; give {low} to {high} ms",
        value.as_millis()
    ))
}

fn number(name: &str, value: u64, (low, high): (u64, u64)) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{name} is {value}; give {low} to {high}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_in_range_and_strays_are_named() {
        assert_eq!(Policy::default().check(), Ok(()));
        let none = Policy {
            attempts: 0,
            ..Policy::default()
        };
        assert_eq!(none.check(), Err("attempts is 0; give 1 to 100".into()));
        let never = Policy {
            total: Duration::MAX,
            ..Policy::default()
        };
        assert!(never.check().unwrap_err().starts_with("total is "));
        let at_once = Policy {
            connect: Duration::ZERO,
            ..Policy::default()
        };
        assert_eq!(
            at_once.check(),
            Err("connect is 0 ms; give 1 to 3600000 ms".into())
        );
    }
}
