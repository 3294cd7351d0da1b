//! Reading only what is new: the greatest value seen is where the next reading starts.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::given::{object, path_at, text_of};
use super::keys::INCREMENTAL;
use super::paging::{Part, Spot};
use super::path::Path;
use super::template::plain;
use crate::ground::compare_numbers;
use crate::providers::instant::Instant;
use crate::store::ValueRef;

#[derive(Debug, Clone)]
pub struct Incremental {
    /// What of a row says how new it is.
    pub from: Path,
    /// Where the cursor goes; none: the backend can't be asked so, and old rows are passed over here.
    pub send: Option<(Part, String)>,
    pub initial: Option<Json>,
    /// How far behind the cursor a reading begins.
    lookback: Option<Lookback>,
    /// Rows come in the order of it: each page moves the cursor.
    pub ascending: bool,
    /// Where an answer itself says the cursor.
    pub cursor: Option<Spot>,
}

#[derive(Debug, Clone, Copy)]
enum Lookback {
    /// Milliseconds.
    Time(i64),
    Number(i64),
}

/// Milliseconds of a text such as `90s`, `24h` or `7d`; none when it is none.
pub fn duration(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

impl Incremental {
    /// # Errors
    /// `incremental.<key> <problem>`.
    pub fn read(value: &Json) -> Result<Self, String> {
        let given = object("incremental", value, INCREMENTAL)?;
        let text = |key: &str| text_of(&given, INCREMENTAL, key);
        let from = text("from").ok_or(
            "incremental.from is missing; name the member of a row that says how new it is",
        )?;
        let wrong = "incremental.send must be {\"query\":\"NAME\"}, {\"header\":\"NAME\"}, {\"body\":\"NAME\"}, \"place\" (the \
                     function writes {cursor} itself) or \"nothing\" (old rows are passed over here)";
        let send = match given.get("send") {
            Some(Json::Object(members)) => {
                let (part, name) = members.iter().next().ok_or(wrong)?;
                let part = match part.as_str() {
                    "query" => Part::Query,
                    "header" => Part::Header,
                    "body" => Part::Body,
                    _ => return Err(wrong.into()),
                };
                Some((part, name.as_str().ok_or(wrong)?.to_owned()))
            }
            Some(Json::String(word)) if word == "place" => Some((Part::Query, String::new())),
            Some(Json::String(word)) if word == "nothing" => None,
            _ => return Err(wrong.into()),
        };
        let lookback = match text("lookback") {
            None => None,
            Some(text) => Some(match (duration(&text), text.parse()) {
                (Some(time), _) => Lookback::Time(time),
                (None, Ok(number)) => Lookback::Number(number),
                _ => {
                    return Err(format!(
                        "incremental.lookback is {text:?}; write a time such as \"5m\", or a number"
                    ));
                }
            }),
        };
        Ok(Self {
            from: path_at("incremental.from", &from)?,
            send,
            initial: given.get("initial").cloned(),
            lookback,
            ascending: text("order").as_deref() == Some("asc"),
            cursor: match text("cursor") {
                Some(text) => Some(Spot::parse("incremental.cursor", &text)?),
                None => None,
            },
        })
    }

    /// What is sent for a cursor; none: from the beginning.
    pub fn sent(&self, cursor: Option<&str>) -> Option<Json> {
        let Some(cursor) = cursor else {
            return self.initial.clone();
        };
        let value = value_of(cursor);
        Some(match self.lookback {
            Some(lookback) => earlier(&value, lookback).unwrap_or(value),
            None => value,
        })
    }
}

/// A cursor as a value; one that was set by hand may be plain text.
pub fn value_of(cursor: &str) -> Json {
    serde_json::from_str(cursor).unwrap_or_else(|_| cursor.into())
}

/// A value some time before it, written as it was.
fn earlier(value: &Json, lookback: Lookback) -> Option<Json> {
    match (value, lookback) {
        (Json::Number(number), Lookback::Number(less)) => {
            Some(number.as_i64()?.checked_sub(less)?.into())
        }
        (Json::String(text), Lookback::Number(less)) => Some(
            text.parse::<i64>()
                .ok()?
                .checked_sub(less)?
                .to_string()
                .into(),
        ),
        (Json::String(text), Lookback::Time(time)) => {
            let before = Instant::read(ValueRef::Text(text))?.before(time)?;
            Some(written_like(text, &before)?.into())
        }
        (Json::Number(number), Lookback::Time(time)) => {
            let number = number.as_i64()?;
            // Seconds until the year 5138; then milliseconds, microseconds, nanoseconds.
            let unit = match number {
                ..100_000_000_000 => time / 1_000,
                100_000_000_000..100_000_000_000_000 => time,
                100_000_000_000_000..100_000_000_000_000_000 => time.checked_mul(1_000)?,
                _ => time.checked_mul(1_000_000)?,
            };
            Some(number.checked_sub(unit)?.into())
        }
        _ => None,
    }
}

/// A time, `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, in the writing of another: many backends compare times as texts.
fn written_like(model: &str, time: &str) -> Option<String> {
    let (date, clock) = time.trim_end_matches('Z').split_once('T')?;
    let Some(separator) = model
        .chars()
        .find(|letter| matches!(letter, 'T' | 't' | ' '))
    else {
        return Some(match model.contains('-') {
            true => date.to_owned(),
            false => time.to_owned(),
        });
    };
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let (_, clock) = model.split_once(separator)?;
    let digits = match clock.split_once(['.', ',']) {
        Some((_, rest)) => rest.bytes().take_while(u8::is_ascii_digit).count(),
        None => 0,
    };
    let mut written = format!("{date}{separator}{seconds}");
    if digits > 0 {
        written.push('.');
        written.extend(fraction.chars().chain(std::iter::repeat('0')).take(digits));
    }
    let has_zone = clock.contains(['Z', 'z', '+', '-']);
    if has_zone {
        written.push('Z');
    }
    Some(written)
}

/// Which of two values says something newer.
pub fn compare(one: &Json, two: &Json) -> Ordering {
    let (one, two) = (plain(one), plain(two));
    let instants = (
        Instant::read(ValueRef::Text(&one)),
        Instant::read(ValueRef::Text(&two)),
    );
    match (compare_numbers(&one, &two), instants) {
        (Some(order), _) => order,
        (None, (Some(one), Some(two))) => one.cmp(&two),
        _ => one.cmp(&two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newer_of_two() {
        for (older, newer) in [
            (json!(9), json!(10)),
            (json!("9"), json!("10")),
            (
                json!("2024-01-01T00:30:00+01:00"),
                json!("2024-01-01T00:00:00Z"),
            ),
            (json!("a"), json!("b")),
        ] {
            assert_eq!(compare(&older, &newer), Ordering::Less, "{older} {newer}");
        }
    }

    #[test]
    fn a_reading_begins_a_little_earlier() {
        let sent = |lookback: &str, cursor: &str| {
            let given = json!({"from": "at", "send": {"query": "since"}, "lookback": lookback});
            Incremental::read(&given)
                .unwrap()
                .sent(Some(cursor))
                .unwrap()
        };
        assert_eq!(
            sent("1m", "\"2024-01-01T00:01:30Z\""),
            json!("2024-01-01T00:00:30Z")
        );
        // As the backend writes it.
        for (cursor, earlier) in [
            ("2024-01-01 00:01:30.500Z", "2024-01-01 00:00:30.500Z"),
            ("2024-01-01T00:01:30.000Z", "2024-01-01T00:00:30.000Z"),
            ("2024-01-01 00:01:30", "2024-01-01 00:00:30"),
            ("2024-01-01T01:01:30.25+01:00", "2024-01-01T00:00:30.25Z"),
            ("2024-01-02", "2024-01-01"),
        ] {
            assert_eq!(sent("1m", cursor), json!(earlier), "{cursor}");
        }
        assert_eq!(sent("1m", "1704067260"), json!(1_704_067_200));
        assert_eq!(sent("1m", "1704067260000"), json!(1_704_067_200_000_i64));
        assert_eq!(sent("5", "17"), json!(12));
    }
}
