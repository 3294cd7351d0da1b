//! One text for equal parameters, so that the same operation finds its status row again.
//!
//! After RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16 code units, no spaces,
//! minimal escapes, numbers in the form ECMAScript prints. One departure: numbers are compared as
//! exact decimals, not as doubles, so that large integers (64-bit keys) stay apart.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::ground::{DEEPEST, syntax_problem};
use crate::store::{Error, Result};

/// The canonical form of the parameters of an operation. Absent, `null` and `{}` are equal.
///
/// # Errors
/// Not an object, or not JSON.
pub fn parameters(raw: Option<&RawValue>) -> Result<String> {
    let Some(raw) = raw else {
        return Ok("{}".into());
    };
    match raw.get().as_bytes().first() {
        Some(b'{') => canonical(raw),
        Some(b'n') => Ok("{}".into()),
        _ => Err(Error::argument("parameters must be an object")),
    }
}

/// The canonical form of any JSON value.
///
/// # Errors
/// Not JSON: a lone surrogate; nested too deep.
pub fn canonical(raw: &RawValue) -> Result<String> {
    let mut out = String::new();
    write_value(raw.get(), DEEPEST, &mut out)?;
    Ok(out)
}

/// The canonical form of a JSON text; none when it has none.
pub fn canonical_text(text: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    canonical(raw).ok()
}

/// `left`: levels that may still open.
fn write_value(text: &str, left: usize, out: &mut String) -> Result<()> {
    let deeper = || {
        left.checked_sub(1)
            .ok_or_else(|| Error::argument(format!("is nested deeper than {DEEPEST} levels")))
    };
    match text.as_bytes().first() {
        Some(b'{') => write_object(text, deeper()?, out),
        Some(b'[') => write_array(text, deeper()?, out),
        Some(b'"') => {
            let value: String = parse(text)?;
            write_string(&value, out)
        }
        Some(b'-' | b'0'..=b'9') => {
            out.push_str(&number(text));
            Ok(())
        }
        _ => {
            out.push_str(text);
            Ok(())
        }
    }
}

fn write_object(text: &str, left: usize, out: &mut String) -> Result<()> {
    let members: BTreeMap<String, Box<RawValue>> = parse(text)?;
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by_cached_key(|(key, _)| key.encode_utf16().collect::<Vec<_>>());
    out.push('{');
    for (position, (key, value)) in members.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_string(key, out)?;
        out.push(':');
        write_value(value.get(), left, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_array(text: &str, left: usize, out: &mut String) -> Result<()> {
    let items: Vec<Box<RawValue>> = parse(text)?;
    out.push('[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_value(item.get(), left, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_string(value: &str, out: &mut String) -> Result<()> {
    let quoted = serde_json::to_string(value)
        .map_err(|error| Error::argument(format!("cannot be written as JSON: {error}")))?;
    out.push_str(&quoted);
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::argument(format!("is not JSON: {}", syntax_problem(&error))))
}

/// The one form of a JSON number, as ECMAScript prints it: `1.50e1` is `15`, `-0.0` is `0`, from
/// 10²¹ on with an exponent.
pub fn number(token: &str) -> String {
    let (sign, magnitude) = match token.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", token),
    };
    let (mantissa, exponent) = magnitude
        .split_once(['e', 'E'])
        .map_or((magnitude, "0"), |(left, right)| (left, right));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let leading = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    if digits.is_empty() {
        return "0".into();
    }
    // An exponent beyond 64 bits names no number anybody uses: left as it was written.
    let Ok(exponent) = exponent.parse::<i64>() else {
        return token.into();
    };
    // The value is 0.DIGITS × 10^point.
    let point = exponent.saturating_add(whole.len() as i64 - leading as i64);
    let length = digits.len() as i64;
    let text = match point {
        _ if length <= point && point <= 21 => {
            format!("{digits}{}", "0".repeat((point - length) as usize))
        }
        1..=21 => format!(
            "{}.{}",
            &digits[..point as usize],
            &digits[point as usize..]
        ),
        -5..=0 => format!("0.{}{digits}", "0".repeat(-point as usize)),
        _ => {
            let power = point.saturating_sub(1);
            let plus = if power > 0 { "+" } else { "" };
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{plus}{power}")
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        let raw: Box<RawValue> = serde_json::from_str(text).expect("test input is JSON");
        canonical(&raw).expect("canonical")
    }

    #[test]
    fn key_order_and_spaces_do_not_matter() {
        assert_eq!(
            form(r#"{ "b" : [ 1 , {"d":null,"c":true} ] , "a" : "x" }"#),
            r#"{"a":"x","b":[1,{"c":true,"d":null}]}"#
        );
    }

    #[test]
    fn keys_sort_by_utf16_as_rfc_8785_says() {
        assert_eq!(
            form("{\"\u{fb33}\":1,\"\u{1f600}\":2}"),
            "{\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn a_number_has_one_form() {
        for (given, expected) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("1e2", "100"),
            ("1.50E+1", "15"),
            ("0.10", "0.1"),
            ("1e-6", "0.000001"),
            ("1e-7", "1e-7"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("0.0000012300", "0.00000123"),
            ("1000000000000000000000", "1e+21"),
            ("-12.5e0", "-12.5"),
            ("123e-2", "1.23"),
            ("0.000", "0"),
            ("1e99999999999999999999", "1e99999999999999999999"),
        ] {
            assert_eq!(number(given), expected, "{given}");
        }
    }

    #[test]
    fn large_integers_stay_exact() {
        assert_eq!(number("9007199254740993"), "9007199254740993");
        assert_ne!(
            number("123456789012345678901234567"),
            number("123456789012345678901234568")
        );
    }

    #[test]
    fn escapes_have_one_form() {
        assert_eq!(form(r#""\u0041\/\u000a\u001F""#), r#""A/\n\u001f""#);
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| {
            let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            let raw: Box<RawValue> = serde_json::from_str(&text).expect("JSON");
            canonical(&raw).map(|form| form == text)
        };
        assert_eq!(nested(DEEPEST).ok(), Some(true));
        assert!(nested(DEEPEST + 1).is_err());
        assert!(nested(100_000).is_err());
    }

    #[test]
    fn absent_null_and_empty_parameters_are_equal() {
        let null: Box<RawValue> = serde_json::from_str("null").expect("JSON");
        let empty: Box<RawValue> = serde_json::from_str("{ }").expect("JSON");
        assert_eq!(parameters(None), parameters(Some(&null)));
        assert_eq!(parameters(None), parameters(Some(&empty)));
        let list: Box<RawValue> = serde_json::from_str("[]").expect("JSON");
        assert!(parameters(Some(&list)).is_err());
    }
}
