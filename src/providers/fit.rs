//! Fitting a JSON value to a column: what the column will hold of it, and whether that would go up again as the
//! same value. Where it would not, the value is kept aside ([`Slot::Kept`]).
//!
//! What SQLite makes of a value (its affinity, the types of a STRICT table) is worked out here, and the outcome
//! is what is bound: no row has to be read back to know what it holds.

use std::borrow::Cow;

use super::affinity::stored;
use super::base64;
use super::mend::mended;
use super::values::write_value;
use super::wire::{Kept, Slot, Uuid, UuidForm, WireColumn, WireType, fallback};
use crate::coordination::canonical::number;
use crate::ground::{Affinity, is_too_deep, uuid};
use crate::store::ValueRef;

/// How far the values of an answer may be from what their column holds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Leniency {
    /// Integers beyond 2^53 lose digits, as in JavaScript.
    pub js_numbers: bool,
    /// Values of another type are converted where that makes sense.
    pub coerce: bool,
    /// Booleans are sent as 0 and 1.
    pub booleans_as_numbers: bool,
}

/// Beyond it JavaScript has no place for every integer.
pub(super) const JS_EXACT: u64 = 1 << 53;

/// What a column gets of a value, given as its JSON text.
pub fn fit<'a>(column: &WireColumn, leniency: Leniency, raw: &'a str) -> Slot<'a> {
    let came = Came::read(raw);
    // By far the most values: nothing is to be worked out.
    match (&came, column.kind, column.holds.affinity) {
        (Came::Text(Cow::Borrowed(text)), WireType::String, Affinity::Text) => {
            return Slot::Text(Cow::Borrowed(text));
        }
        (Came::Integer(whole), WireType::Number, Affinity::Integer)
            if whole.unsigned_abs() <= JS_EXACT =>
        {
            return Slot::Integer(*whole);
        }
        _ => {}
    }
    let wanted = Wanted::of(column.kind, leniency, &came, raw);
    let stored = wanted.and_then(|wanted| {
        let stored = stored(column.holds, wanted.slot)?;
        Some((stored, wanted.agreed))
    });
    let (local, agreed) = match stored {
        Some(stored) => stored,
        None => {
            let local = fallback(column);
            if goes_up_as(column.kind, leniency, local.value(), &came, raw) {
                return local;
            }
            return aside(local, raw, false);
        }
    };
    if agreed || goes_up_as(column.kind, leniency, local.value(), &came, raw) {
        return local;
    }
    aside(local.into_owned(), raw, true)
}

fn aside(local: Slot<'static>, raw: &str, close: bool) -> Slot<'static> {
    Slot::Kept(Box::new(Kept {
        local,
        json: raw.to_owned(),
        close,
    }))
}

/// A JSON value, as far as it matters to a column.
enum Came<'a> {
    Null,
    Truth(bool),
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    /// Text with half a surrogate pair, which no Unicode text can hold, mended.
    Broken(String),
    /// A list or an object, or a number beyond every double.
    Other,
}

impl<'a> Came<'a> {
    fn read(raw: &'a str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => Self::text(raw),
            Some(b'-' | b'0'..=b'9') => Self::number(raw),
            Some(b't') => Self::Truth(true),
            Some(b'f') => Self::Truth(false),
            Some(b'n') => Self::Null,
            _ => Self::Other,
        }
    }

    fn text(raw: &'a str) -> Self {
        let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
            return Self::Text(Cow::Borrowed(inside));
        }
        if let Ok(text) = serde_json::from_str::<String>(raw) {
            return Self::Text(Cow::Owned(text));
        }
        let whole = mended(raw.as_bytes()).and_then(|text| serde_json::from_slice(&text).ok());
        whole.map_or(Self::Other, Self::Broken)
    }

    fn number(raw: &'a str) -> Self {
        if let Ok(whole) = raw.parse() {
            return Self::Integer(whole);
        }
        match raw.parse::<f64>() {
            Ok(real) if real.is_finite() => Self::Real(real),
            _ => Self::Other,
        }
    }
}

/// What a column is to get of a value, before SQLite has its say.
struct Wanted<'a> {
    slot: Slot<'a>,
    /// The user has asked for just this change, so that nothing is lost.
    agreed: bool,
}

impl<'a> Wanted<'a> {
    /// None: nothing of the value fits.
    fn of(kind: WireType, leniency: Leniency, came: &Came<'a>, raw: &'a str) -> Option<Self> {
        if kind == WireType::Json {
            let text = || Self::plain(Slot::Text(Cow::Borrowed(raw)));
            return (!matches!(came, Came::Null) && !is_too_deep(raw)).then(text);
        }
        match came {
            Came::Null | Came::Other => None,
            Came::Truth(truth) => Self::truth(kind, leniency, *truth),
            Came::Integer(whole) => Self::integer(kind, leniency, *whole),
            Came::Real(real) => Self::real(kind, leniency, *real),
            Came::Text(text) => Self::text(kind, leniency, text.clone()),
            Came::Broken(text) => Self::text(kind, leniency, Cow::Owned(text.clone())),
        }
    }

    fn plain(slot: Slot<'a>) -> Self {
        Self {
            slot,
            agreed: false,
        }
    }

    fn agreed(slot: Slot<'a>) -> Option<Self> {
        Some(Self { slot, agreed: true })
    }

    fn text(kind: WireType, leniency: Leniency, text: Cow<'a, str>) -> Option<Self> {
        match kind {
            WireType::String | WireType::Any => Some(Self::plain(Slot::Text(text))),
            WireType::Base64 => base64::decode(&text).map(|bytes| Self::plain(Slot::Blob(bytes))),
            WireType::Uuid(kind) => Self::uuid(kind, text),
            WireType::Number | WireType::Boolean if leniency.coerce => {
                Self::parsed(kind, leniency, text.trim())
            }
            WireType::Number | WireType::Boolean | WireType::Json => None,
        }
    }

    /// A UUID in any spelling, or its bytes. What is no UUID stays what it is.
    fn uuid(kind: Uuid, text: Cow<'a, str>) -> Option<Self> {
        // In full, as they are sent, where any other text may be meant.
        const LENGTH: usize = 24;
        let may_be_bytes = kind.here == UuidForm::Bytes || text.len() == LENGTH;
        let bytes = || base64::decode(&text).filter(|_| may_be_bytes);
        let usual = uuid::canonical(&text).or_else(|| uuid::text(&bytes()?));
        match (kind.here, usual) {
            // Both forms say the same.
            (UuidForm::Text, Some(usual)) => Self::agreed(Slot::Text(Cow::Owned(usual))),
            (UuidForm::Text, None) => Some(Self::plain(Slot::Text(text))),
            (UuidForm::Bytes, Some(usual)) => {
                uuid::bytes(&usual).and_then(|bytes| Self::agreed(Slot::Blob(bytes.into())))
            }
            (UuidForm::Bytes, None) => bytes().map(|bytes| Self::plain(Slot::Blob(bytes))),
        }
    }

    /// A number or boolean that was sent as text.
    fn parsed(kind: WireType, leniency: Leniency, text: &str) -> Option<Self> {
        let found = match text {
            "true" => return Self::agreed(Slot::Integer(1)),
            "false" => return Self::agreed(Slot::Integer(0)),
            _ => match text.parse() {
                Ok(whole) => Self::integer(kind, leniency, whole),
                Err(_) => {
                    let real: f64 = text.parse().ok()?;
                    real.is_finite()
                        .then(|| Self::real(kind, leniency, real))
                        .flatten()
                }
            },
        };
        Self::agreed(found?.slot)
    }

    fn integer(kind: WireType, leniency: Leniency, whole: i64) -> Option<Self> {
        match kind {
            WireType::Number | WireType::Any
                if leniency.js_numbers && whole.unsigned_abs() > JS_EXACT =>
            {
                Self::agreed(Slot::Integer(whole as f64 as i64))
            }
            WireType::Number | WireType::Any => Some(Self::plain(Slot::Integer(whole))),
            WireType::Boolean if matches!(whole, 0 | 1) => Some(Self::plain(Slot::Integer(whole))),
            WireType::Boolean if leniency.coerce => Self::agreed(Slot::Integer(1)),
            WireType::String if leniency.coerce => {
                Self::agreed(Slot::Text(Cow::Owned(whole.to_string())))
            }
            _ => None,
        }
    }

    fn real(kind: WireType, leniency: Leniency, real: f64) -> Option<Self> {
        let slot = match kind {
            WireType::Number | WireType::Any if real == 0.0 => Slot::Integer(0),
            WireType::Number | WireType::Any => Slot::Real(real),
            WireType::Boolean if real == 1.0 => Slot::Integer(1),
            WireType::Boolean if real == 0.0 => Slot::Integer(0),
            WireType::Boolean if leniency.coerce => return Self::agreed(Slot::Integer(1)),
            WireType::String if leniency.coerce => {
                return Self::agreed(Slot::Text(Cow::Owned(real.to_string())));
            }
            _ => return None,
        };
        let agreed = leniency.js_numbers && real.trunc() == real && real.abs() > JS_EXACT as f64;
        Some(Self { slot, agreed })
    }

    fn truth(kind: WireType, leniency: Leniency, truth: bool) -> Option<Self> {
        match kind {
            WireType::Boolean | WireType::Any => Some(Self::plain(Slot::Integer(truth.into()))),
            WireType::Number if leniency.coerce => Self::agreed(Slot::Integer(truth.into())),
            WireType::String if leniency.coerce => {
                Self::agreed(Slot::Text(Cow::Owned(truth.to_string())))
            }
            _ => None,
        }
    }
}

/// Whether what a column holds goes up as the value that came.
fn goes_up_as(
    kind: WireType,
    leniency: Leniency,
    local: ValueRef<'_>,
    came: &Came<'_>,
    raw: &str,
) -> bool {
    let numbers = match kind {
        WireType::Boolean => leniency.booleans_as_numbers,
        WireType::Number | WireType::Any | WireType::Json => true,
        WireType::String | WireType::Base64 | WireType::Uuid(_) => false,
    };
    match (came, local) {
        (_, ValueRef::Text(text)) if kind == WireType::Json => text == raw,
        (Came::Null, ValueRef::Null) => true,
        (Came::Truth(truth), ValueRef::Integer(whole)) => {
            kind == WireType::Boolean && !numbers && whole == i64::from(*truth)
        }
        (Came::Integer(_) | Came::Real(_), _) => numbers && is_exact(raw, local),
        (Came::Text(text), ValueRef::Text(local)) => {
            matches!(kind, WireType::String | WireType::Any | WireType::Uuid(_)) && text == local
        }
        (Came::Text(_), ValueRef::Integer(_) | ValueRef::Real(_)) if kind == WireType::String => {
            let mut sent = Vec::new();
            write_value(&mut sent, kind, local).is_ok() && same_text(raw.as_bytes(), &sent)
        }
        (Came::Text(text), ValueRef::Blob(bytes))
            if matches!(kind, WireType::Base64 | WireType::Uuid(_)) =>
        {
            *text == base64::encode(bytes)
        }
        _ => false,
    }
}

/// Whether two JSON strings are the same text.
fn same_text(one: &[u8], two: &[u8]) -> bool {
    let text = |json| serde_json::from_slice::<Cow<'_, str>>(json).ok();
    one == two || (text(one).is_some() && text(one) == text(two))
}

/// Whether what a column holds goes up as the very number that came, to its last digit.
fn is_exact(raw: &str, local: ValueRef<'_>) -> bool {
    let sent = match local {
        ValueRef::Integer(whole) => whole.to_string(),
        // So few digits come back as they went.
        ValueRef::Real(real) if real.is_normal() && digits(raw) <= f64::DIGITS => return true,
        ValueRef::Real(real) => match serde_json::to_string(&real) {
            Ok(sent) => sent,
            Err(_) => return false,
        },
        _ => return false,
    };
    sent == raw || number(&sent) == number(raw)
}

/// How many digits a number is written with, or more: zeros at the end that only give its size are counted too.
fn digits(number: &str) -> u32 {
    let mantissa = number
        .bytes()
        .take_while(|byte| !matches!(byte, b'e' | b'E'));
    let digits = mantissa.filter(u8::is_ascii_digit);
    let from_first = digits.skip_while(|digit| *digit == b'0');
    u32::try_from(from_first.count()).unwrap_or(u32::MAX)
}

/// Fits the JSON text of one value to a column.
pub fn sanitise(column: &WireColumn, text: &str) -> Slot<'static> {
    fit(column, Leniency::default(), text.trim()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::wire::Holds;

    fn column(kind: WireType, declared: &str, required: bool) -> WireColumn {
        let (declared, strict) = match declared.strip_suffix(" STRICT") {
            Some(declared) => (declared, true),
            None => (declared, false),
        };
        WireColumn {
            name: "c".into(),
            kind,
            required,
            holds: Holds::of(declared, strict),
        }
    }

    /// What the column gets, and whether the value is kept aside.
    fn fitted(kind: WireType, declared: &str, raw: &str) -> (String, bool) {
        let slot = fit(&column(kind, declared, false), Leniency::default(), raw);
        (format!("{:?}", slot.value()), slot.kept().is_some())
    }

    #[test]
    fn v3_what_a_column_gets_and_what_is_kept_aside() {
        use WireType::*;
        for (kind, declared, raw, local, kept) in [
            (String, "TEXT", r#""a\u00e9""#, r#"Text("aé")"#, false),
            (String, "TEXT", "5", "Null", true),
            (String, "TEXT", r#"{"a":1}"#, "Null", true),
            (String, "TEXT", r#""\ud83dx""#, "Text(\"\u{fffd}x\")", true),
            (String, "DATE", r#""20240131""#, "Integer(20240131)", false),
            (String, "DATE", r#""02134""#, "Integer(2134)", true),
            (
                Number,
                "INTEGER",
                "9007199254740993",
                "Integer(9007199254740993)",
                false,
            ),
            (Number, "INTEGER", "1.5", "Real(1.5)", false),
            (Number, "INTEGER", r#""5""#, "Null", true),
            (Number, "INTEGER", "true", "Null", true),
            (Number, "INTEGER", "1e400", "Null", true),
            (
                Number,
                "REAL",
                "9007199254740993",
                "Real(9007199254740992.0)",
                true,
            ),
            (
                Number,
                "REAL",
                "9007199254740992",
                "Real(9007199254740992.0)",
                false,
            ),
            (Number, "REAL", "0.1", "Real(0.1)", false),
            (Number, "REAL", "0.10000000000000001", "Real(0.1)", true),
            (
                Number,
                "REAL",
                "0.30000000000000004",
                "Real(0.30000000000000004)",
                false,
            ),
            (
                Number,
                "REAL",
                "1234567890.12345678901",
                "Real(1234567890.1234567)",
                true,
            ),
            (Number, "REAL", "1.50000000000000000000", "Real(1.5)", false),
            (
                Number,
                "REAL",
                "18446744073709551616",
                "Real(1.8446744073709552e19)",
                true,
            ),
            (
                Number,
                "REAL",
                "18446744073709551617",
                "Real(1.8446744073709552e19)",
                true,
            ),
            (Number, "INTEGER STRICT", "1.5", "Null", true),
            (Number, "INTEGER STRICT", "1.0", "Integer(1)", false),
            (Number, "INTEGER STRICT", "1e300", "Null", true),
            (Number, "REAL STRICT", "1", "Real(1.0)", false),
            (Any, "DECIMAL(10,2)", r#""12.50""#, "Real(12.5)", true),
            (Any, "DECIMAL(10,2)", "12.50", "Real(12.5)", false),
            (
                Any,
                "UUID",
                r#""12345678901234567890123456789012""#,
                "Real(1.2345678901234567e31)",
                true,
            ),
            (Any, "STRING", r#"" +1.5e3 ""#, "Integer(1500)", true),
            (Any, "STRING", r#""1e""#, r#"Text("1e")"#, false),
            (Any, "STRING", r#""0x10""#, r#"Text("0x10")"#, false),
            (Any, "", r#""5""#, r#"Text("5")"#, false),
            (Any, "ANY STRICT", r#""5""#, r#"Text("5")"#, false),
            (Any, "", "true", "Integer(1)", true),
            (Any, "TEXT", "5", r#"Text("5")"#, true),
            (Boolean, "BOOLEAN", "true", "Integer(1)", false),
            (Boolean, "BOOLEAN", "1", "Integer(1)", true),
            (Base64, "BLOB", r#""aGk=""#, "Blob([104, 105])", false),
            (Base64, "BLOB", r#""aGk""#, "Blob([104, 105])", true),
            (Base64, "BLOB", r#""https://x/y.png""#, "Null", true),
            (
                Json,
                "JSON",
                r#"{"a": [1]}"#,
                r#"Text("{\"a\": [1]}")"#,
                false,
            ),
            (Json, "JSON", r#""5""#, r#"Text("\"5\"")"#, false),
            (Json, "JSON", "5", "Integer(5)", false),
            (Json, "JSON", "true", r#"Text("true")"#, false),
            (
                Json,
                "JSON",
                "12345678901234567890123",
                "Real(1.2345678901234568e22)",
                true,
            ),
            (
                Json,
                "TEXT",
                "12345678901234567890123",
                r#"Text("12345678901234567890123")"#,
                false,
            ),
            (Json, "JSON", "null", "Null", false),
            (
                Number,
                "REAL",
                "144115188075855872",
                "Real(1.4411518807585587e17)",
                true,
            ),
            (
                Number,
                "REAL",
                "144115188075855870",
                "Real(1.4411518807585587e17)",
                false,
            ),
            (
                Number,
                "REAL",
                "-9223372036854775808",
                "Real(-9.223372036854776e18)",
                true,
            ),
            (
                Number,
                "INTEGER",
                "-9223372036854775808",
                "Integer(-9223372036854775808)",
                false,
            ),
            (
                Number,
                "INTEGER",
                "9223372036854775808",
                "Real(9.223372036854776e18)",
                true,
            ),
            (
                Number,
                "INTEGER",
                "1.4411518807585587e17",
                "Integer(144115188075855872)",
                true,
            ),
            (
                Number,
                "INTEGER",
                "1e18",
                "Integer(1000000000000000000)",
                false,
            ),
            (
                Json,
                "JSON",
                "18446744073709551616",
                "Real(1.8446744073709552e19)",
                true,
            ),
            (
                Any,
                "",
                "340282366920938463463374607431768211456",
                "Real(3.402823669209385e38)",
                true,
            ),
            (Number, "REAL", "1e-400", "Real(0.0)", true),
            (Number, "REAL", "0e-400", "Real(0.0)", false),
            (Number, "REAL", "4.9e-324", "Real(5e-324)", true),
            (Number, "REAL", "5e-324", "Real(5e-324)", false),
            (
                Number,
                "REAL",
                "1.7976931348623158e308",
                "Real(1.7976931348623157e308)",
                true,
            ),
            (String, "DECIMAL(10,2)", r#""10""#, "Integer(10)", false),
            (String, "DECIMAL(10,2)", r#""10.0""#, "Integer(10)", true),
            (String, "REAL", r#""10.0""#, "Real(10.0)", true),
            (String, "REAL", r#""10""#, "Real(10.0)", false),
            (String, "REAL", r#""-0.0""#, "Real(-0.0)", true),
            (String, "REAL", r#""1.5""#, "Real(1.5)", false),
            (String, "REAL", r#""1\u002e5""#, "Real(1.5)", false),
        ] {
            assert_eq!(
                fitted(kind, declared, raw),
                (local.to_owned(), kept),
                "{kind:?} {declared} <- {raw}"
            );
        }
    }

    #[test]
    fn what_may_not_be_empty_gets_what_its_type_allows() {
        for (kind, declared, local) in [
            (WireType::String, "TEXT", "Text(\"\")"),
            (WireType::Number, "INTEGER STRICT", "Integer(0)"),
            (WireType::Number, "REAL STRICT", "Real(0.0)"),
            (WireType::Base64, "TEXT STRICT", "Text(\"\")"),
            (WireType::Any, "BLOB STRICT", "Blob([])"),
        ] {
            let slot = fit(&column(kind, declared, true), Leniency::default(), "null");
            assert_eq!(format!("{:?}", slot.value()), local, "{declared}");
            assert!(slot.kept().is_some());
        }
        let json = column(WireType::Json, "JSON", true);
        let slot = fit(&json, Leniency::default(), "null");
        assert_eq!(slot, Slot::Text("null".into()), "it goes up as it came");
    }
}
