//! UUIDs: as text, in whatever spelling it comes, and as 16 bytes.

/// Where a UUID has its hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The usual spelling in lower case: from this one in any case, with braces, with `urn:uuid:`, or from 32 digits.
pub fn canonical(text: &str) -> Option<String> {
    let text = match text.len() {
        45 if text.get(..9)?.eq_ignore_ascii_case("urn:uuid:") => text.get(9..)?,
        38 => text.strip_prefix('{')?.strip_suffix('}')?,
        _ => text,
    };
    let digits = match text.len() {
        32 => text.to_ascii_lowercase(),
        36 if has_hyphens(text) => text.replace('-', "").to_ascii_lowercase(),
        _ => return None,
    };
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to);
    Some(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8)?,
        part(8, 12)?,
        part(12, 16)?,
        part(16, 20)?,
        part(20, 32)?
    ))
}

fn has_hyphens(text: &str) -> bool {
    let bytes = text.as_bytes();
    HYPHENS.iter().all(|place| bytes.get(*place) == Some(&b'-'))
}

/// The bytes of a UUID in the usual spelling. None: it is in no spelling, or in another one, which would not come back.
pub fn bytes(text: &str) -> Option<[u8; 16]> {
    let usual = canonical(text).filter(|usual| usual == text)?;
    u128::from_str_radix(&usual.replace('-', ""), 16)
        .ok()
        .map(u128::to_be_bytes)
}

/// The usual spelling of a UUID's bytes. None: they are not 16.
pub fn text(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    canonical(&format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_1_a_blob_of_16_bytes_and_its_uuid_stand_for_each_other() {
        let usual = "00249ca5-1c88-4ee5-a754-cfc30b925eb4";
        let blob = bytes(usual).expect("a UUID");
        assert_eq!(blob[..3], [0, 0x24, 0x9c]);
        assert_eq!(text(&blob).as_deref(), Some(usual));
        assert_eq!(bytes(&usual.to_uppercase()), None);
        assert_eq!(bytes("7"), None);
        assert_eq!(text(&blob[1..]), None);
        assert_eq!(text(b""), None);
    }

    #[test]
    fn r10_every_spelling_of_a_uuid_is_the_same_key() {
        let usual = "65249ca5-1c88-4ee5-a754-cfc30b925eb4";
        for spelling in [
            usual,
            "65249CA5-1C88-4EE5-A754-CFC30B925EB4",
            "{65249ca5-1c88-4ee5-a754-cfc30b925eb4}",
            "urn:uuid:65249ca5-1c88-4ee5-a754-cfc30b925eb4",
            "URN:UUID:65249CA5-1c88-4ee5-a754-cfc30b925eb4",
            "65249ca51c884ee5a754cfc30b925eb4",
        ] {
            assert_eq!(canonical(spelling).as_deref(), Some(usual), "{spelling}");
        }
        for none in [
            "",
            "65249ca5-1c88-4ee5-a754-cfc30b925eb",
            "65249ca5-1c88-4ee5-a754-cfc30b925ebx",
            "65249ca5x1c88-4ee5-a754-cfc30b925eb4",
            "65249ca5-1c88-4ee5-a754-cfc3-b925eb4",
            "ääääääääääääääää",
            "{65249ca5-1c88-4ee5-a754-cfc30b925eb4",
        ] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }
}
