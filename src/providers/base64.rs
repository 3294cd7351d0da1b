//! Base64 in all its forms.

use base64::Engine;
use base64::alphabet::{STANDARD as USUAL, URL_SAFE};
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const ANY_USUAL: GeneralPurpose = GeneralPurpose::new(&USUAL, LENIENT);
const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The bytes that a text stands for: with line breaks or without, padded or not, of either alphabet.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let bare: String = text
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .collect();
    let other = ANY_URL_SAFE.decode(&bare);
    ANY_USUAL.decode(&bare).or(other).ok()
}

/// The one form in which blobs are sent.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v9_base64_is_read_in_all_its_forms() {
        let bytes: &[u8] = &[0xfb, 0xff, 0xfe, 0x00];
        for form in [
            "+//+AA==",
            "+//+AA",
            "-__-AA==",
            "-__-AA",
            "+//\r\n+AA==\n",
            " -_ _-A\tA ",
        ] {
            assert_eq!(decode(form).as_deref(), Some(bytes), "{form:?}");
        }
        assert_eq!(encode(bytes), "+//+AA==");
        assert_eq!(decode("").as_deref(), Some(&[][..]));
        for none in ["https://x/y.png", "a", "+_+_!", "ä", "====", "=AAA"] {
            assert_eq!(decode(none), None, "{none:?}");
        }
    }
}
