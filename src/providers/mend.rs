//! JSON that is well-formed but says what can't be kept: half a surrogate pair, a number beyond every
//! double. JavaScript writes and reads both, so backends send them; `serde_json` refuses them.
//!
//! Looked for only after a piece was refused, so that ordinary answers pay nothing.

/// The text with U+FFFD for half a pair and `null` for a number without bounds; none when it has neither.
pub fn mended(text: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    let mut in_string = false;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        let (length, stand_in): (usize, Option<&[u8]>) = match byte {
            b'\\' => match surrogate(rest) {
                Some(high) if is_high(high) && surrogate(&rest[6..]).is_some_and(is_low) => {
                    (12, None)
                }
                Some(_) => (6, Some(b"\\ufffd")),
                None => (2, None),
            },
            b'"' => {
                in_string = !in_string;
                (1, None)
            }
            b'-' | b'0'..=b'9' if !in_string => {
                let length = number(rest);
                (length, is_unbounded(&rest[..length]).then_some(b"null"))
            }
            _ => (1, None),
        };
        changed |= stand_in.is_some();
        whole.extend_from_slice(stand_in.unwrap_or(&rest[..length.min(rest.len())]));
        at += length;
    }
    changed.then_some(whole)
}

/// The code unit of a `\uD800` to `\uDFFF` at this place.
fn surrogate(text: &[u8]) -> Option<u16> {
    let digits = text.get(..6)?.strip_prefix(b"\\u")?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (is_high(unit) || is_low(unit)).then_some(unit)
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// Length of the number at this place.
fn number(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        .unwrap_or(text.len())
}

fn is_unbounded(number: &[u8]) -> bool {
    std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .is_some_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_numbers_without_bounds_are_replaced() {
        for (text, whole) in [
            (r#""\ud83dx""#, r#""\ufffdx""#),
            (r#""\uDE00\uD83D\uDE00""#, r#""\ufffd\uD83D\uDE00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n\\""#, r#""\ufffd\n\\""#),
            (
                r#"{"a":1e400,"b":[-1E999,2]}"#,
                r#"{"a":null,"b":[null,2]}"#,
            ),
        ] {
            let found = mended(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(found.as_deref(), Some(whole), "{text}");
        }
    }

    #[test]
    fn what_is_whole_stays() {
        for text in [
            r#"{"a":"\ud83d\ude00","b":1e308,"c":"1e400","d":"\\ud83d"}"#,
            r#""\"1e400""#,
            "\"\\ud83",
            "\"\\",
            "-",
            "",
        ] {
            assert_eq!(mended(text.as_bytes()), None, "{text}");
        }
    }
}
