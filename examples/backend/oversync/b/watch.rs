//! `GET /sync/watch`: a stream that says when there is a new bundle, and a heartbeat now and then.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Interval, interval_at};

use super::answer::{Answer, Answered, query_cursor};
use super::describe;
use super::spelling::Object;
use super::state::{Health, Notice, Service, State, Who};

/// A stream that may be opened.
pub struct Opened {
    who: Who,
    cursor: i64,
    /// How many notices were there already.
    seen: usize,
    /// What is said at once.
    first: Option<String>,
}

pub fn open(
    service: &Service,
    state: &State,
    who: &Who,
    query: &[(String, String)],
) -> Answered<Opened> {
    if !service.options.watch.is_on {
        let message = "Bundle change watch is disabled";
        return Err(Answer::error(503, "bundle_change_watch_disabled", message));
    }
    if describe::is_refused(service, &who.source) {
        let message = "Bundle change watch is not enabled for this client";
        return Err(Answer::error(403, "bundle_change_watch_forbidden", message));
    }
    let after = query_cursor(query, "after_bundle_seq", "invalid_request")?.unwrap_or(0);
    let user = state.readable(who, &service.options)?;
    let newest = user.bundles.get(&user.head);
    let first = (user.head > after).then(|| match newest {
        Some(newest) if !service.options.defects.catch_up_without_source => event(&Notice {
            seq: newest.seq,
            source: newest.source.clone(),
            source_bundle_id: newest.source_bundle_id,
        }),
        _ => framed(&Object::new().number("bundle_seq", user.head).end()),
    });
    Ok(Opened {
        who: who.clone(),
        cursor: after.max(user.head),
        seen: user.notices.len(),
        first,
    })
}

fn event(notice: &Notice) -> String {
    framed(
        &Object::new()
            .number("bundle_seq", notice.seq)
            .text("source_id", &notice.source)
            .number("source_bundle_id", notice.source_bundle_id)
            .end(),
    )
}

fn framed(data: &str) -> String {
    format!("event: bundle\ndata: {data}\n\n")
}

struct Stream {
    service: Arc<Service>,
    opened: Opened,
    changes: Receiver<u64>,
    heartbeat: Interval,
    age: u64,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.service.lock().open_streams -= 1;
    }
}

/// The body of an open stream.
pub fn body(service: Arc<Service>, opened: Opened) -> Body {
    let period = service.options.watch.heartbeat;
    let age = {
        let mut state = service.lock();
        state.open_streams += 1;
        state.stream_age
    };
    let start = Stream {
        age,
        changes: service.changed.subscribe(),
        heartbeat: interval_at(Instant::now() + period, period),
        service,
        opened,
    };
    Body::from_stream(stream::unfold(start, next))
}

async fn next(mut stream: Stream) -> Option<(io::Result<Bytes>, Stream)> {
    if let Some(first) = stream.opened.first.take() {
        return Some((Ok(Bytes::from(first)), stream));
    }
    loop {
        // What came between opening the stream and listening must not be missed.
        stream.changes.mark_unchanged();
        if stream.is_over() {
            return None;
        }
        if let Some(events) = stream.events() {
            return Some((Ok(Bytes::from(events)), stream));
        }
        tokio::select! {
            changed = stream.changes.changed() => {
                if changed.is_err() {
                    return None;
                }
            }
            _ = stream.heartbeat.tick() => {
                return Some((Ok(Bytes::from_static(b": heartbeat\n\n")), stream));
            }
        }
    }
}

impl Stream {
    fn is_over(&self) -> bool {
        let state = self.service.lock();
        state.health == Health::Broken || state.stream_age != self.age
    }

    fn events(&mut self) -> Option<String> {
        let state = self.service.lock();
        let notices = state
            .users
            .get(&self.opened.who.user)
            .map_or(&[][..], |user| &user.notices);
        let new: Vec<&Notice> = notices
            .iter()
            .skip(self.opened.seen)
            .filter(|notice| notice.seq > self.opened.cursor)
            .collect();
        self.opened.seen = notices.len();
        let last = new.last()?.seq;
        self.opened.cursor = last;
        let skipped = match self.service.options.defects.bursts_skip {
            true => new.len() - 1,
            false => 0,
        };
        Some(new.into_iter().skip(skipped).map(event).collect())
    }
}
