//! A stream of events (server-sent events, `text/event-stream`), cut out of the bytes in which it comes.
//!
//! Only that there was one, and its data, matters here. Comments, such as heartbeats, are passed over.

/// The longest line that is kept, in bytes; of a longer one the rest is passed over.
const LONGEST: usize = 64 << 10;

/// What has come of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The line that is not complete.
    line: Vec<u8>,
    /// The data of the event that is not complete, its lines joined.
    data: Option<String>,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Events {
    /// Takes bytes in and calls `event` with the data of each event that they complete.
    pub fn feed(&mut self, bytes: &[u8], event: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => self.end_line(event),
                _ if self.line.len() < LONGEST => self.line.push(byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self, event: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
        if line.is_empty() {
            if let Some(data) = self.data.take() {
                event(&data);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field != "data" {
            return;
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut self.data {
            None => self.data = Some(value.to_owned()),
            Some(data) if data.len() < LONGEST => {
                data.push('\n');
                data.push_str(value);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: &[u8], at_once: usize) -> Vec<String> {
        let mut events = Events::default();
        let mut all = Vec::new();
        for part in stream.chunks(at_once) {
            events.feed(part, &mut |data| all.push(data.to_owned()));
        }
        all
    }

    #[test]
    fn o3_events_are_cut_wherever_the_bytes_are() {
        let stream = b"\xef\xbb\xbfevent: bundle\ndata: {\"n\":1}\n\n: heartbeat\n\nid: 7\r\ndata:a\r\ndata:  b\r\n\r\ndata\r\rretry: 5\n\nevent: none\n\ndata: cut";
        for at_once in [1, 2, 3, 7, 1000] {
            assert_eq!(
                events(stream, at_once),
                ["{\"n\":1}", "a\n b", ""],
                "{at_once}"
            );
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut events = Events::default();
        let mut all = Vec::new();
        for _ in 0..100 {
            events.feed(&[b'x'; 10_000], &mut |data| all.push(data.len()));
        }
        assert_eq!(events.line.len(), LONGEST);
        events.feed(b"\ndata: y\n\n", &mut |data| all.push(data.len()));
        assert_eq!(all, [1]);
    }
}
