//! What is shown of a run while it is running: in this process at once, elsewhere with each transaction.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::coordination::run_record::Progress;
use crate::ground::SyncError;
use crate::http::Meter;
use crate::hub::Stamp;
use crate::providers::sink::{Image, KnownVersion, RemoteRow, Scope, Sent, Sink, Verdict};
use crate::providers::wire::WireId;
use crate::store::{Session, Value};

/// A running run, as it is now.
pub struct Live {
    pub run: i64,
    at: Mutex<At>,
    /// Bytes of the requests and answers of this run.
    pub meter: Arc<Meter>,
    rows_up: AtomicU64,
    rows_down: AtomicU64,
    /// Rows of answers whose transaction is committed.
    committed: AtomicU64,
    /// Of the current step, the bytes in all (0: not known) and those done.
    total: AtomicU64,
    done: AtomicU64,
}

/// Where a run is.
#[derive(Debug, Clone)]
struct At {
    phase: &'static str,
    label: Option<&'static str>,
    /// From 1; 0 when nothing is being sent.
    part: usize,
    parts: usize,
    method: &'static str,
    url: String,
    rows_total: Option<i64>,
    since: Instant,
}

/// The numbers of a run at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    pub rows_up: i64,
    pub rows_down: i64,
    pub bytes_up: i64,
    pub bytes_down: i64,
    /// Bytes of the current step, when known.
    pub total: Option<i64>,
    pub fraction: Option<f64>,
    /// Bytes a second of the current step.
    pub rate: Option<f64>,
    pub seconds_left: Option<f64>,
}

/// A run that somebody may watch.
struct Watched {
    /// Names its file among all that this process has open.
    file: String,
    live: Weak<Live>,
}

/// The runs of this process.
static WATCHED: LazyLock<Mutex<Vec<Watched>>> = LazyLock::new(Mutex::default);

/// Names a file among all that this process has open; a database in memory is its connection's.
pub(super) fn place(session: &Session, schema: &str) -> String {
    let file = session.connection().file(schema);
    file.unwrap_or_else(|| format!("{} {schema}", session.token()))
}

/// The runs of this process on the file that is attached as `schema`.
pub fn here(session: &Session, schema: &str) -> Vec<Arc<Live>> {
    let place = place(session, schema);
    let watched = WATCHED.lock();
    let ours = watched.iter().filter(|run| run.file == place);
    ours.filter_map(|run| run.live.upgrade()).collect()
}

impl Live {
    /// Begins to show a run, for as long as the value lives.
    pub fn begin(session: &Session, schema: &str, run: i64) -> Arc<Self> {
        let live = Arc::new(Self {
            run,
            at: Mutex::new(At {
                phase: "starting",
                label: None,
                part: 0,
                parts: 0,
                method: "",
                url: String::new(),
                rows_total: None,
                since: Instant::now(),
            }),
            meter: Arc::default(),
            rows_up: AtomicU64::new(0),
            rows_down: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
        });
        let mut watched = WATCHED.lock();
        watched.retain(|run| run.live.strong_count() > 0);
        watched.push(Watched {
            file: place(session, schema),
            live: Arc::downgrade(&live),
        });
        live
    }

    /// The last step reached.
    pub fn phase(&self) -> &'static str {
        self.at.lock().phase
    }

    /// Notes a step that is reached.
    pub fn reach(&self, phase: &'static str) {
        self.at.lock().phase = phase;
    }

    /// Notes how many parts go out, and how many rows that are.
    pub fn parts(&self, parts: usize, rows: u64) {
        let mut at = self.at.lock();
        (at.part, at.parts) = (0, parts);
        // Frozen again, after a refusal: what is settled by then counts with what is left.
        let all = rows.saturating_add(self.rows_up.load(Ordering::Relaxed));
        at.rows_total = Some(i64::try_from(all).unwrap_or(i64::MAX));
    }

    /// Notes a request that is due, and the bytes of its body.
    pub fn ask(
        &self,
        label: &'static str,
        parcel: bool,
        method: &'static str,
        url: &str,
        body: u64,
    ) {
        let mut at = self.at.lock();
        at.phase = match parcel {
            true => "ready to push",
            false => "ready to pull",
        };
        at.part = match parcel {
            true => at.part + 1,
            false => 0,
        };
        at.label = Some(label);
        at.method = method;
        at.url = url.to_owned();
        at.since = Instant::now();
        self.meter.begin(body);
    }

    /// Notes that an answer of so many bytes is read from now on.
    pub fn reads(&self, bytes: u64) {
        self.at.lock().since = Instant::now();
        self.done.store(0, Ordering::Relaxed);
        self.total.store(bytes, Ordering::Relaxed);
        let committed = self.committed.load(Ordering::Relaxed);
        self.rows_down.store(committed, Ordering::Relaxed);
    }

    /// Notes that what was read is committed, and so many rows that were sent are settled.
    pub fn committed(&self, settled: u64) {
        let read = self.rows_down.load(Ordering::Relaxed);
        self.committed.store(read, Ordering::Relaxed);
        self.rows_up.fetch_add(settled, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
    }

    /// What is recorded of it. `step`: what it is doing, none between requests.
    pub fn record(&self, step: Option<Json>) -> Progress {
        let numbers = self.numbers();
        let at = self.at.lock();
        Progress {
            phase: at.phase,
            step: step.map(|step| step.to_string()),
            rows_up: numbers.rows_up,
            rows_down: numbers.rows_down,
            bytes_up: numbers.bytes_up,
            bytes_down: numbers.bytes_down,
            rows_total: at.rows_total,
        }
    }

    /// What the run is doing.
    pub fn step(&self) -> Option<Json> {
        let at = self.at.lock();
        let label = at.label?;
        let mut step = json!({"label": label, "method": at.method, "url": at.url});
        if at.part > 0 {
            step["part"] = at.part.into();
            step["parts"] = at.parts.into();
        }
        Some(step)
    }

    /// The numbers now.
    pub fn numbers(&self) -> Numbers {
        let number = |atomic: &AtomicU64| atomic.load(Ordering::Relaxed);
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let since = self.at.lock().since;
        let transfer = self.meter.now();
        let (done, total) = match number(&self.total) {
            0 => (transfer.done, transfer.total),
            total => (number(&self.done), Some(total)),
        };
        let elapsed = since.elapsed().as_secs_f64();
        let rate = (done > 0 && elapsed > 0.0).then(|| done as f64 / elapsed);
        Numbers {
            rows_up: whole(number(&self.rows_up)),
            rows_down: whole(number(&self.rows_down)),
            bytes_up: whole(transfer.sent),
            bytes_down: whole(transfer.received),
            total: total.map(whole),
            fraction: total.map(|total| (done as f64 / total.max(1) as f64).min(1.0)),
            seconds_left: total
                .zip(rate)
                .map(|(total, rate)| total.saturating_sub(done) as f64 / rate),
            rate,
        }
    }
}

/// Counts the rows that go through a sink.
pub struct Counting<'a, S> {
    inner: S,
    live: &'a Live,
}

impl<'a, S: Sink> Counting<'a, S> {
    pub fn new(inner: S, live: &'a Live) -> Self {
        Self { inner, live }
    }

    pub fn into_inner(self) -> S {
        self.inner
    }

    fn count(&self) {
        self.live.rows_down.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: Sink> Sink for Counting<'_, S> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        self.count();
        self.inner.row(row)
    }

    fn gone(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError> {
        self.count();
        self.inner.gone(entity, id, version)
    }

    fn scope(&mut self, entity: usize, scope: &Scope<'_>) -> Result<(), SyncError> {
        self.inner.scope(entity, scope)
    }

    fn known(&mut self, entity: usize, id: &WireId<'_>) -> Result<Option<KnownVersion>, SyncError> {
        self.inner.known(entity, id)
    }

    fn told(&mut self, id: &WireId<'_>, image: &Image<'_>) -> Result<(), SyncError> {
        self.count();
        self.inner.told(id, image)
    }

    fn is_here(&mut self, entity: usize, id: &WireId<'_>) -> Result<bool, SyncError> {
        self.inner.is_here(entity, id)
    }

    fn evaluate(&mut self, sql: &str, record: &str) -> Result<Value, SyncError> {
        self.inner.evaluate(sql, record)
    }

    fn stamped(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        stamp: &Stamp,
    ) -> Result<Vec<String>, SyncError> {
        self.inner.stamped(entity, id, stamp)
    }

    fn verdict(&mut self, sent: Sent<'_>, verdict: Verdict<'_>) -> Result<(), SyncError> {
        self.inner.verdict(sent, verdict)
    }
}

/// Notes how far an answer has been read.
pub struct Reading<'a, R> {
    inner: R,
    live: &'a Live,
}

impl<'a, R: Read> Reading<'a, R> {
    pub fn new(inner: R, live: &'a Live) -> Self {
        Self { inner, live }
    }
}

impl<R: Read> Read for Reading<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.live.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
