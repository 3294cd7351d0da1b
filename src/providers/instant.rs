//! Instants as databases and backends write them, for `lastWriteWins`.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat};

use crate::store::{ValueRef, compare};

/// Nanoseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i128);

/// Whether one value is later than another, and whether both are instants; others are compared as they are.
pub fn is_later(this: ValueRef<'_>, that: ValueRef<'_>) -> (bool, bool) {
    match (Instant::read(this), Instant::read(that)) {
        (Some(this), Some(that)) => (this > that, true),
        _ => (compare(this, that) == Ordering::Greater, false),
    }
}

impl Instant {
    /// Reads ISO 8601 with any offset and any fraction, SQLite's `YYYY-MM-DD HH:MM:SS` (UTC), and seconds,
    /// milliseconds, microseconds or nanoseconds since 1970, told by magnitude; numbers also as text.
    pub fn read(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Integer(number) => Self::since_1970(&number.to_string()),
            ValueRef::Real(number) if number.is_finite() => {
                Self::since_1970(&format!("{number:.9}"))
            }
            ValueRef::Text(text) => {
                let text = text.trim();
                Self::since_1970(text).or_else(|| Self::written(text))
            }
            _ => None,
        }
    }

    /// Milliseconds since 1970; none when they are too many.
    pub fn milliseconds(self) -> Option<i64> {
        i64::try_from(self.0.div_euclid(1_000_000)).ok()
    }

    /// So many milliseconds earlier, in ISO 8601; none when that can't be written.
    pub fn before(self, milliseconds: i64) -> Option<String> {
        let nanoseconds = self.0 - i128::from(milliseconds) * 1_000_000;
        let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
        let rest = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?;
        let at = DateTime::from_timestamp(seconds, rest)?;
        Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    /// A number: `[-]digits[.digits]`.
    fn since_1970(text: &str) -> Option<Self> {
        let (sign, bare) = match text.strip_prefix('-') {
            Some(bare) => (-1, bare),
            None => (1, text),
        };
        let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 19 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole_number: i128 = whole.parse().ok()?;
        // Seconds until the year 5138; then the same for each unit that is a thousandth of the last.
        let unit: i128 = match whole_number {
            0..100_000_000_000 => 1_000_000_000,
            100_000_000_000..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1_000,
            _ => 1,
        };
        let mut nanoseconds = whole_number * unit;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            nanoseconds += i128::from(digit - b'0') * place;
        }
        Some(Self(sign * nanoseconds))
    }

    /// A date, or a date and a time with or without an offset. Without one it is UTC, as in SQLite.
    fn written(text: &str) -> Option<Self> {
        // "24:00", a lower-case t or z, a space before the offset: all are in use.
        let upper = text.to_ascii_uppercase();
        let (date, rest) = match upper.split_once(['T', ' ']) {
            Some((date, rest)) => (date, rest.trim()),
            None => (upper.as_str(), ""),
        };
        let date = ["%Y-%m-%d", "%Y%m%d"]
            .iter()
            .find_map(|form| NaiveDate::parse_from_str(date, form).ok())?;
        let (time, offset) = match rest.find(['Z', '+', '-']) {
            Some(place) => rest.split_at(place),
            None => (rest.strip_suffix("UTC").unwrap_or(rest), ""),
        };
        let (time, fraction) = match time.split_once(['.', ',']) {
            Some((time, fraction)) => (time, fraction),
            None => (time, ""),
        };
        let seconds = seconds_of(date, time.trim())? - i128::from(offset_seconds(offset)?);
        let fraction = fraction.trim();
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nine: String = fraction
            .chars()
            .chain("000000000".chars())
            .take(9)
            .collect();
        Some(Self(seconds * 1_000_000_000 + nine.parse::<i128>().ok()?))
    }
}

fn seconds_of(date: NaiveDate, time: &str) -> Option<i128> {
    let time = match time {
        "" => NaiveTime::MIN,
        time => ["%H:%M:%S", "%H:%M", "%H%M%S", "%H%M"]
            .iter()
            .find_map(|form| NaiveTime::parse_from_str(time, form).ok())?,
    };
    let at: DateTime<chrono::Utc> = NaiveDateTime::new(date, time).and_utc();
    // A leap second is counted as the one before it.
    Some(i128::from(at.timestamp()))
}

/// `Z`, `+02:00`, `-0530`, `+02` or nothing.
fn offset_seconds(text: &str) -> Option<i64> {
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    let (sign, digits) = match text.split_at(1) {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let bare: String = digits.chars().filter(|letter| *letter != ':').collect();
    if !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match bare.len() {
        2 => (bare.parse::<i64>().ok()?, 0),
        4 => (bare[..2].parse().ok()?, bare[2..].parse().ok()?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Instant> {
        Instant::read(ValueRef::Text(text))
    }

    #[test]
    fn v7_one_instant_in_all_its_forms() {
        let seconds: i64 = 1_714_989_600;
        let expected = Some(Instant(i128::from(seconds) * 1_000_000_000));
        for form in [
            "2024-05-06T10:00:00Z",
            "2024-05-06t10:00:00z",
            "2024-05-06T12:00:00+02:00",
            "2024-05-06T12:00:00.000+0200",
            "2024-05-06T12:00+02",
            "2024-05-06 04:30:00 -05:30",
            "2024-05-06 10:00:00",
            "2024-05-06 10:00",
            "2024-05-06 10:00:00.000000",
            "2024-05-06 10:00:00 UTC",
            "20240506T100000Z",
            "1714989600",
            "1714989600000",
            "1714989600000000",
            "1714989600000000000",
            "1714989600.000",
        ] {
            assert_eq!(read(form), expected, "{form}");
        }
        for number in [
            seconds,
            seconds * 1_000,
            seconds * 1_000_000,
            seconds * 1_000_000_000,
        ] {
            assert_eq!(Instant::read(number.into()), expected, "{number}");
        }
        assert_eq!(Instant::read(1_714_989_600.0.into()), expected);
        assert_eq!(Instant::read(1_714_989_600_000.0.into()), expected);
    }

    #[test]
    fn v7_instants_have_the_order_of_time() {
        for (earlier, later) in [
            ("2024-05-06T12:00:00+02:00", "2024-05-06T10:00:00.001Z"),
            ("2024-05-06 10:00:00", "2024-05-06T10:00:00.5Z"),
            ("2024-05-06T10:00:00.123456Z", "2024-05-06T10:00:00.123457Z"),
            ("2024-05-06T10:00:00.9Z", "2024-05-06T10:00:00.95Z"),
            ("1714989600", "1714989600001"),
            ("1969-12-31T23:59:59Z", "0"),
            ("-5", "1970-01-01"),
            ("2024-05-06", "2024-05-06T00:00:01Z"),
        ] {
            assert!(read(earlier) < read(later), "{earlier} {later}");
        }
    }

    #[test]
    fn v7_what_names_no_instant() {
        for text in [
            "",
            "soon",
            "2024-13-01",
            "v7",
            "12345678901234567890123",
            "1e9",
            "2024-05-06T25:00",
            "2024-05-06T10:00:00+99:00",
            "2024-05-06T10:00:00.x",
            "ä",
            "2024-05-06T10:00:00+ä",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(Instant::read(ValueRef::Null), None);
        assert_eq!(Instant::read(ValueRef::Real(f64::NAN)), None);
    }
}
