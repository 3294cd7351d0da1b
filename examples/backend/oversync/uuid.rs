//! UUIDs in all spellings that are taken.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The usual spelling in lower case, from this one, `urn:uuid:`, braces or 32 digits.
pub fn parse(text: &str) -> Option<String> {
    if text.len() == 32 {
        return from_digits(text);
    }
    let text = match text.len() {
        45 if text.to_ascii_lowercase().starts_with("urn:uuid:") => text.get(9..)?,
        38 => text.strip_prefix('{')?.strip_suffix('}')?,
        _ => text,
    };
    let bytes = text.as_bytes();
    let hyphens = [8, 13, 18, 23];
    if bytes.len() != 36 || hyphens.iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    let digits: Vec<u8> = (0..36)
        .filter(|at| !hyphens.contains(at))
        .map(|at| bytes[at])
        .collect();
    from_digits(&String::from_utf8(digits).ok()?)
}

/// As it stands in a foreign key: base64 of the 16 bytes, or, where the text is no base64, a UUID.
pub fn parse_reference(text: &str) -> Option<String> {
    match BASE64_STANDARD.decode(text) {
        Ok(bytes) => from_bytes(&bytes),
        Err(_) => parse(text),
    }
}

/// None: not 16 bytes.
pub fn from_bytes(bytes: &[u8]) -> Option<String> {
    if bytes.len() != 16 {
        return None;
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    from_digits(&digits)
}

/// The usual spelling of 32 digits.
pub fn from_digits(digits: &str) -> Option<String> {
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.to_ascii_lowercase();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
    Some(parts.join("-"))
}

/// The 16 bytes of a UUID in the usual spelling.
pub fn to_bytes(uuid: &str) -> Vec<u8> {
    let digits: Vec<char> = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
    digits.chunks(2).filter_map(byte).collect()
}
