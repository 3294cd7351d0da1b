//! Points in time: read in the spellings that PostgreSQL takes, written as it writes them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, SubsecRound, Utc};

/// This moment as [`stored`] writes it.
pub fn now() -> String {
    stored(Utc::now())
}

/// Reads a time; one without a zone is UTC.
pub fn read(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let time = with_zone(text)
        .or_else(|| without_zone(text))
        .or_else(|| date(text))?;
    Some(time.round_subsecs(6))
}

fn with_zone(text: &str) -> Option<DateTime<Utc>> {
    let formats = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"];
    let read = |format| DateTime::parse_from_str(text, format).ok();
    let time = formats.into_iter().find_map(read)?;
    Some(time.with_timezone(&Utc))
}

fn without_zone(text: &str) -> Option<DateTime<Utc>> {
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let read = |format| NaiveDateTime::parse_from_str(text, format).ok();
    Some(formats.into_iter().find_map(read)?.and_utc())
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}

/// `2026-03-24T18:42:11.5+00:00`, as in a row: as few digits as it takes.
pub fn in_a_row(time: DateTime<Utc>) -> String {
    let text = time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}+00:00")
}

/// `2026-03-24T18:42:11.5Z`, as in an answer.
pub fn in_an_answer(time: DateTime<Utc>) -> String {
    let text = time.to_rfc3339_opts(SecondsFormat::Nanos, true);
    let text = text.trim_end_matches('Z').trim_end_matches('0');
    format!("{}Z", text.trim_end_matches('.'))
}

/// The same in microseconds, as it is once it has been through the database.
pub fn stored(time: DateTime<Utc>) -> String {
    in_an_answer(time.trunc_subsecs(6))
}
