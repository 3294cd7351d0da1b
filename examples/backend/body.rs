//! Streamed answers: written by a blocking thread, sent at the client's pace, a few chunks in
//! memory at most. Also gzip, and the ways in which a body goes wrong.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::mpsc;

const CHUNK: usize = 64 * 1024;
const CHUNKS_IN_FLIGHT: usize = 4;

/// What happens to a body on its way.
#[derive(Clone, Debug, Default)]
pub struct BodyPlan {
    pub gzip: bool,
    /// Break the connection after so many bytes on the wire.
    pub truncate: Option<usize>,
    /// End properly after so many bytes of JSON.
    pub cut: Option<usize>,
    /// Pause in the middle of the first chunk.
    pub delay: Option<Duration>,
}

impl BodyPlan {
    fn is_plain(&self) -> bool {
        !self.gzip && self.truncate.is_none() && self.cut.is_none() && self.delay.is_none()
    }
}

enum Piece {
    Data(Bytes),
    /// The body is complete. Without this piece the connection breaks.
    End,
}

/// A writer and the body that carries what it writes. Writing blocks until the client reads, and
/// fails when the client is gone.
pub fn channel(plan: BodyPlan) -> (BodyWriter, Body) {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let chunks = ChunkSender {
        sender,
        buffer: Vec::new(),
        truncate: plan.truncate,
    };
    let encoder = if plan.gzip {
        Encoder::Gzip(GzEncoder::new(chunks, Compression::fast()))
    } else {
        Encoder::Plain(chunks)
    };
    let writer = BodyWriter {
        inner: io::BufWriter::with_capacity(CHUNK, encoder),
        left: plan.cut,
    };
    (writer, body_of(receiver, plan.delay))
}

/// A body that is known already; with a length, unless the plan has other ideas.
pub fn known(text: String, plan: BodyPlan) -> Body {
    if plan.is_plain() {
        return Body::from(text);
    }
    let (mut writer, body) = channel(plan);
    tokio::task::spawn_blocking(move || {
        // An error means that the client has gone.
        let _ = writer
            .write_all(text.as_bytes())
            .and_then(|()| writer.finish());
    });
    body
}

/// Takes the plain JSON of an answer. Call [`BodyWriter::finish`]: a writer that is only dropped
/// leaves the client with a broken body, as it should.
pub struct BodyWriter {
    inner: io::BufWriter<Encoder>,
    left: Option<usize>,
}

impl BodyWriter {
    pub fn finish(self) -> io::Result<()> {
        let encoder = self
            .inner
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        match encoder {
            Encoder::Plain(chunks) => chunks.finish(),
            Encoder::Gzip(gzip) => gzip.finish()?.finish(),
        }
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = &mut self.left else {
            return self.inner.write(bytes);
        };
        let kept = bytes.len().min(*left);
        *left -= kept;
        self.inner.write_all(&bytes[..kept])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

enum Encoder {
    Plain(ChunkSender),
    Gzip(GzEncoder<ChunkSender>),
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Plain(chunks) => chunks.write(bytes),
            Encoder::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Plain(chunks) => chunks.flush(),
            Encoder::Gzip(gzip) => gzip.flush(),
        }
    }
}

struct ChunkSender {
    sender: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
    truncate: Option<usize>,
}

impl ChunkSender {
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if self.truncate.is_some() {
            return Err(broken("truncated on request"));
        }
        self.send(Piece::End)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        self.sender
            .blocking_send(piece)
            .map_err(|_| broken("the client has gone"))
    }
}

impl Write for ChunkSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        let is_over = self
            .truncate
            .is_some_and(|limit| self.buffer.len() >= limit);
        if is_over || self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.buffer);
        let Some(limit) = &mut self.truncate else {
            if chunk.is_empty() {
                return Ok(());
            }
            return self.send(Piece::Data(Bytes::from(chunk)));
        };
        let is_over = chunk.len() >= *limit;
        chunk.truncate(*limit);
        *limit -= chunk.len();
        if !chunk.is_empty() {
            self.send(Piece::Data(Bytes::from(chunk)))?;
        }
        if is_over {
            return Err(broken("truncated on request"));
        }
        Ok(())
    }
}

struct Incoming {
    receiver: mpsc::Receiver<Piece>,
    delay: Option<Duration>,
    /// Second half of the first chunk, to be sent after the delay.
    rest: Option<(Bytes, Duration)>,
    is_over: bool,
}

fn body_of(receiver: mpsc::Receiver<Piece>, delay: Option<Duration>) -> Body {
    let start = Incoming {
        receiver,
        delay,
        rest: None,
        is_over: false,
    };
    Body::from_stream(stream::unfold(start, next_chunk))
}

async fn next_chunk(mut incoming: Incoming) -> Option<(io::Result<Bytes>, Incoming)> {
    if incoming.is_over {
        return None;
    }
    if let Some((rest, delay)) = incoming.rest.take() {
        tokio::time::sleep(delay).await;
        return Some((Ok(rest), incoming));
    }
    match incoming.receiver.recv().await {
        Some(Piece::Data(mut chunk)) => {
            if let Some(delay) = incoming.delay.take() {
                let rest = chunk.split_off(chunk.len() / 2);
                incoming.rest = Some((rest, delay));
            }
            Some((Ok(chunk), incoming))
        }
        Some(Piece::End) => None,
        None => {
            incoming.is_over = true;
            Some((Err(broken("the answer ends early")), incoming))
        }
    }
}

fn broken(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, text)
}
