//! JSON as two other programs write it: a web server, and a database.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Without the white space between the values; each value keeps its spelling.
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut is_escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            ' ' | '\t' | '\n' | '\r' if !in_text => continue,
            '"' if !is_escaped => in_text = !in_text,
            _ => {}
        }
        is_escaped = in_text && letter == '\\' && !is_escaped;
        out.push(letter);
    }
    out
}

/// The members of an object. None: it is something else, or a number in it is beyond every range.
pub fn members(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(&whole_letters(text)) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// A piece of valid JSON where halves of surrogate pairs, which no text can hold, are U+FFFD.
fn whole_letters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match half(rest) {
            None => 2,
            Some(0xd800..=0xdbff) if matches!(rest.get(6..).and_then(half), Some(0xdc00..)) => 12,
            Some(_) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
        };
        let (escape, after) = rest.split_at(length);
        out.push_str(escape);
        rest = after;
    }
    out + rest
}

/// The half of a surrogate pair whose escape this text begins with.
fn half(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    (0xd800..0xe000).contains(&code).then_some(code)
}

/// The value as the database's own type for JSON gives it back: members in another order and without their
/// doubles, numbers without an exponent. None: it cannot hold the value.
pub fn image(text: &str) -> Option<String> {
    let text = text.trim();
    match text.bytes().next()? {
        b'{' => {
            let members: HashMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
            let parts = members.iter().map(|(name, value)| {
                let name = held(name)?;
                Some(format!("{name}:{}", image(value.get())?))
            });
            let parts: Option<Vec<String>> = parts.collect();
            Some(format!("{{{}}}", parts?.join(",")))
        }
        b'[' => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
            let parts: Option<Vec<String>> = items.iter().map(|item| image(item.get())).collect();
            Some(format!("[{}]", parts?.join(",")))
        }
        b'"' => held(&serde_json::from_str::<String>(text).ok()?),
        b'-' | b'0'..=b'9' => plain(text),
        _ => Some(text.to_string()),
    }
}

fn held(text: &str) -> Option<String> {
    (!text.contains('\0')).then(|| Value::from(text).to_string())
}

/// A number without an exponent. None: it has more digits than the database takes.
fn plain(number: &str) -> Option<String> {
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    if exponent.abs() > 16_000 {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    // Where the point stands among the digits.
    let point = whole.len() as i64 + exponent;
    let places = (fraction.len() as i64 - exponent).max(0) as usize;
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let digits = zeros(1 - point) + &digits;
    let digits = format!("{digits}{}", zeros(point.max(1) - digits.len() as i64));
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let sign = if is_zero { "" } else { sign };
    Some(match fraction {
        "" => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    })
}
