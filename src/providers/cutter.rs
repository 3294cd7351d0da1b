//! Cuts a long JSON text into the pieces a protocol wants to look at one by one.
//!
//! A pull answer may hold a million rows. Instead of building all of it, the protocol walks the outer
//! structure and asks for each row as a slice, which is parsed on its own. Memory holds one window of
//! the text: the largest piece, at most [`LARGEST_PIECE`].

use std::io::Read;

use memchr::memchr2;

use super::mend::mended;
use crate::ground::{SyncError, complaint};

/// Bytes of the largest single piece (a row, a key, an extra top-level value).
pub const LARGEST_PIECE: usize = 64 << 20;

/// What some servers begin UTF-8 with.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes read at a time. Few when fuzzing: clearing the rest would take most of the time.
const CHUNK: usize = if cfg!(fuzzing) { 64 } else { 256 << 10 };

type Result<T, E = SyncError> = std::result::Result<T, E>;

/// A JSON text and how far it has been read.
pub struct Cutter<R> {
    source: R,
    window: Vec<u8>,
    /// First byte of the window that has not been consumed.
    at: usize,
    ended: bool,
    /// Bytes consumed before the window, for error messages.
    before: u64,
}

impl<R: Read> Cutter<R> {
    pub fn new(source: R) -> Self {
        Self {
            source,
            window: Vec::new(),
            at: 0,
            ended: false,
            before: 0,
        }
    }

    /// Passes over the mark with which some servers begin UTF-8, as JavaScript does.
    ///
    /// # Errors
    /// Reading the source.
    pub fn skip_byte_order_mark(&mut self) -> Result<()> {
        while self.window.len() < BYTE_ORDER_MARK.len() && self.read_chunk()? {}
        if self.window.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
        }
        Ok(())
    }

    /// The next byte that is not white space, not consumed; none at the end of the text.
    ///
    /// # Errors
    /// Reading the source.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            while let Some(byte) = self.window.get(self.at) {
                if !is_space(*byte) {
                    return Ok(Some(*byte));
                }
                self.at += 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Consumes the next byte if it is `wanted`.
    ///
    /// # Errors
    /// Reading the source.
    pub fn take(&mut self, wanted: u8) -> Result<bool> {
        let found = self.peek()? == Some(wanted);
        if found {
            self.at += 1;
        }
        Ok(found)
    }

    /// Consumes `wanted`.
    ///
    /// # Errors
    /// Something else is there.
    pub fn expect(&mut self, wanted: u8) -> Result<()> {
        if self.take(wanted)? {
            return Ok(());
        }
        Err(self.unexpected(&format!("\"{}\"", wanted as char)))
    }

    /// Consumes `null` if it comes next.
    ///
    /// # Errors
    /// Reading the source, malformed JSON.
    pub fn take_null(&mut self) -> Result<bool> {
        if self.peek()? != Some(b'n') {
            return Ok(false);
        }
        match self.value()? {
            b"null" => Ok(true),
            _ => Err(self.unexpected("null")),
        }
    }

    /// Walks the members of an object: `each` gets the key and must consume the value.
    ///
    /// # Errors
    /// Malformed JSON, those of `each`.
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.expect(b'{')?;
        if self.take(b'}')? {
            return Ok(());
        }
        loop {
            if self.peek()? != Some(b'"') {
                return Err(self.unexpected("a key"));
            }
            let key: String = parse_owned(self.value()?)?;
            self.expect(b':')?;
            each(self, &key)?;
            if self.take(b',')? {
                continue;
            }
            return self.expect(b'}');
        }
    }

    /// Walks the elements of an array: `each` must consume one value.
    ///
    /// # Errors
    /// Malformed JSON, those of `each`.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(b'[')?;
        if self.take(b']')? {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.take(b',')? {
                continue;
            }
            return self.expect(b']');
        }
    }

    /// Consumes one value and gives its text.
    ///
    /// The text is delimited, not checked: whoever parses it does that.
    ///
    /// # Errors
    /// No value, a text that ends inside it, a piece too large.
    pub fn value(&mut self) -> Result<&[u8]> {
        let Some(first) = self.peek()? else {
            return Err(self.ended_early());
        };
        self.compact();
        let start = self.at;
        let end = match first {
            b'{' | b'[' => self.scan_nested(start)?,
            b'"' => self.scan_string(start)?,
            _ => self.scan_scalar(start)?,
        };
        if end == start {
            return Err(self.unexpected("a value"));
        }
        self.at = end;
        Ok(&self.window[start..end])
    }

    /// Makes sure that nothing but white space follows.
    ///
    /// # Errors
    /// Something follows.
    pub fn end(&mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end")),
        }
    }

    fn scan_nested(&mut self, start: usize) -> Result<usize> {
        let mut depth = 0usize;
        let mut at = start;
        loop {
            let rest = self.window.get(at..).unwrap_or_default();
            let ahead = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
            let Some(place) = rest.iter().position(ahead) else {
                at = at.max(self.window.len());
                self.byte(at, start)?;
                continue;
            };
            let byte = rest[place];
            at += place + 1;
            match byte {
                b'"' => at = self.scan_string(at - 1)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                _ => {}
            }
        }
    }

    /// `start` is at the opening quote; the end is behind the closing one.
    fn scan_string(&mut self, start: usize) -> Result<usize> {
        let mut at = start + 1;
        loop {
            let rest = self.window.get(at..).unwrap_or_default();
            match memchr2(b'"', b'\\', rest) {
                Some(place) if rest[place] == b'"' => return Ok(at + place + 1),
                Some(place) => at += place + 2,
                None => {
                    // An escape may reach over the window's end.
                    at = at.max(self.window.len());
                    self.byte(at, start)?;
                }
            }
        }
    }

    fn scan_scalar(&mut self, start: usize) -> Result<usize> {
        let mut at = start;
        loop {
            if at >= self.window.len() && !self.more(start)? {
                return Ok(at);
            }
            match self.window[at] {
                b',' | b'}' | b']' | b':' | b'{' | b'[' | b'"' => return Ok(at),
                byte if is_space(byte) => return Ok(at),
                _ => at += 1,
            }
        }
    }

    /// The byte at a place of the window, which grows as needed.
    fn byte(&mut self, at: usize, start: usize) -> Result<u8> {
        while at >= self.window.len() {
            if !self.more(start)? {
                return Err(self.ended_early());
            }
        }
        Ok(self.window[at])
    }

    fn more(&mut self, start: usize) -> Result<bool> {
        if self.window.len().saturating_sub(start) > LARGEST_PIECE {
            return Err(SyncError::protocol(format!(
                "the answer holds a single value of over {} MiB; nothing was applied",
                LARGEST_PIECE >> 20
            )));
        }
        self.read_chunk()
    }

    fn fill(&mut self) -> Result<bool> {
        self.compact();
        self.read_chunk()
    }

    /// Forgets what was consumed, when that is worth the move.
    fn compact(&mut self) {
        if self.at >= CHUNK || self.at == self.window.len() {
            self.before += self.at as u64;
            self.window.drain(..self.at);
            self.at = 0;
        }
    }

    fn read_chunk(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let mut chunk = self.source.by_ref().take(CHUNK as u64);
        let read = chunk.read_to_end(&mut self.window).map_err(|error| {
            SyncError::network(format!("the answer could not be read back: {error}"))
        })?;
        self.ended = read == 0;
        Ok(read > 0)
    }

    fn ended_early(&self) -> SyncError {
        SyncError::protocol("the answer ends in the middle of its JSON; nothing was applied")
    }

    fn unexpected(&self, wanted: &str) -> SyncError {
        let rest = &self.window[self.at.min(self.window.len())..];
        let shown = String::from_utf8_lossy(&rest[..rest.len().min(40)]).into_owned();
        let place = self.before + self.at as u64;
        if rest.is_empty() {
            return self.ended_early();
        }
        SyncError::protocol(format!(
            "the answer is not the JSON expected: {wanted} should be at byte {place}; nothing was applied"
        ))
        .saying(&shown)
    }
}

/// White space as JSON has it, which is less than ASCII has.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Parses one piece.
///
/// # Errors
/// It is not valid JSON, or not of that type.
pub fn parse<'a, T: serde::Deserialize<'a>>(piece: &'a [u8]) -> Result<T> {
    serde_json::from_slice(piece).map_err(|error| {
        let shown = String::from_utf8_lossy(&piece[..piece.len().min(60)]).into_owned();
        SyncError::protocol(format!(
            "malformed JSON in the answer, {}; nothing was applied",
            complaint(&error)
        ))
        .saying(&shown)
    })
}

/// Parses one piece that is not to be borrowed from, also one that JavaScript would read and
/// `serde_json` refuses.
///
/// # Errors
/// It is not valid JSON, or not of that type.
pub fn parse_owned<T: serde::de::DeserializeOwned>(piece: &[u8]) -> Result<T> {
    parse(piece).or_else(|error| match mended(piece) {
        Some(whole) => parse(&whole),
        None => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time, so that every border is met.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn pieces(text: &str) -> Result<Vec<String>> {
        let mut pieces = Vec::new();
        let mut cutter = Cutter::new(Drip(text.as_bytes()));
        cutter.object(|cutter, key| {
            let value = String::from_utf8_lossy(cutter.value()?).into_owned();
            pieces.push(format!("{key}={value}"));
            Ok(())
        })?;
        cutter.end()?;
        Ok(pieces)
    }

    #[test]
    fn values_are_cut_at_their_borders() {
        let text = r#" { "a\"" : [1,{"x":"]}"}] , "b":-1.5e3,"c" :"\\" ,"d":null} "#;
        assert_eq!(
            pieces(text),
            Ok(vec![
                r#"a"=[1,{"x":"]}"}]"#.into(),
                "b=-1.5e3".into(),
                r#"c="\\""#.into(),
                "d=null".into()
            ])
        );
    }

    #[test]
    fn what_is_not_json_is_said_so() {
        for text in [
            "",
            "{",
            "{\"a\":",
            "{\"a\":1",
            "<html>",
            "[]",
            "{\"a\":1}x",
            "{\"a\" 1}",
            "{,}",
            "\u{c}{}",
            "{}\u{c}",
        ] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_may_hold_half_a_surrogate_pair() {
        assert_eq!(pieces(r#"{"\ud83d":1}"#), Ok(vec!["\u{fffd}=1".to_owned()]));
        let value: serde_json::Value = parse_owned(br#"[1e400,"\ud83d"]"#).unwrap();
        assert_eq!(value, serde_json::json!([null, "\u{fffd}"]));
    }

    #[test]
    fn depth_is_no_matter() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!("{{\"a\":{deep},\"b\":1}}");
        assert_eq!(pieces(&text), Ok(vec![format!("a={deep}"), "b=1".into()]));
    }
}
