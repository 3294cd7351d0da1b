//! Tokens that were got by logging in: those of the whole process, in memory only.
//!
//! A token is known by the whole request that brought it, secrets included: who can't make the request can't have the
//! token. One connection logs in at a time, the others wait and find what it got. Where a token comes with the secret for
//! the next request, both requests lead to the same place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ground::SyncError;

/// Most requests that are remembered; those that were used least recently go.
const MOST: usize = 1_024;

/// A token is renewed so long before it ends, or a tenth of its life if that is less.
const MARGIN: Duration = Duration::from_secs(30);

/// A token that a backend gave.
#[derive(Clone)]
pub struct Granted {
    pub token: Arc<str>,
    /// The secret for the next request.
    pub next: Option<Arc<str>>,
    /// When it was given.
    pub at: Instant,
    /// When another one is due.
    due: Option<Instant>,
    /// Tells it from all others.
    pub number: u64,
}

impl Granted {
    /// `life`: how long it is good for, where that is known.
    pub fn new(token: &str, next: Option<&str>, life: Option<Duration>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let due = life.and_then(|life| {
            let life = life.max(Duration::from_secs(1));
            Instant::now().checked_add(life - MARGIN.min(life / 10))
        });
        Self {
            token: token.into(),
            next: next.map(Into::into),
            at: Instant::now(),
            due,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether it is time for another one.
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }
}

#[derive(Default)]
struct Place {
    granted: Option<Granted>,
    /// Somebody is asking.
    is_asked: bool,
    /// What the last one to ask was told instead, and when.
    refused: Option<(Instant, SyncError)>,
}

#[derive(Default)]
struct Known {
    places: BTreeMap<String, (Arc<Mutex<Place>>, u64)>,
    clock: u64,
}

static KNOWN: Mutex<Known> = Mutex::new(Known {
    places: BTreeMap::new(),
    clock: 0,
});

/// Counts what was got.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// How often a token was got in this process.
pub fn changes() -> u64 {
    CHANGES.load(Ordering::Relaxed)
}

fn place(request: &str) -> Arc<Mutex<Place>> {
    let mut known = KNOWN.lock();
    known.clock += 1;
    let clock = known.clock;
    if let Some((place, used)) = known.places.get_mut(request) {
        *used = clock;
        return Arc::clone(place);
    }
    make_room(&mut known);
    let place = Arc::<Mutex<Place>>::default();
    known
        .places
        .insert(request.to_owned(), (Arc::clone(&place), clock));
    place
}

fn make_room(known: &mut Known) {
    if known.places.len() < MOST {
        return;
    }
    let oldest = known.places.iter().min_by_key(|(_, (_, used))| *used);
    if let Some(oldest) = oldest.map(|(request, _)| request.clone()) {
        known.places.remove(&oldest);
    }
}

/// The token that a request has brought.
pub fn look(request: &str) -> Option<Granted> {
    let place = KNOWN
        .lock()
        .places
        .get(request)
        .map(|(place, _)| Arc::clone(place))?;
    let place = place.lock();
    place.granted.clone()
}

/// What somebody was told who asked after that moment, and got no token.
pub fn refused_since(request: &str, since: Instant) -> Option<SyncError> {
    let place = place(request);
    let place = place.lock();
    let (at, error) = place.refused.as_ref()?;
    (*at >= since).then(|| error.clone())
}

/// The right to send a request for a token; none while somebody else has it.
pub fn take_right(request: &str) -> Option<Right> {
    let place = place(request);
    let mut inside = place.lock();
    if inside.is_asked {
        return None;
    }
    inside.is_asked = true;
    drop(inside);
    Some(Right { place })
}

/// See [`take_right`]. It ends when this is dropped.
pub struct Right {
    place: Arc<Mutex<Place>>,
}

impl Right {
    /// Keeps what came. `next`: the request by which the next one is asked for, if that is another one.
    pub fn granted(&self, granted: Granted, next: Option<String>) {
        let mut place = self.place.lock();
        place.granted = Some(granted);
        place.refused = None;
        drop(place);
        if let Some(next) = next {
            let mut known = KNOWN.lock();
            known.clock += 1;
            make_room(&mut known);
            let entry = (Arc::clone(&self.place), known.clock);
            known.places.insert(next, entry);
        }
        CHANGES.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing came.
    pub fn refused(&self, error: &SyncError) {
        self.place.lock().refused = Some((Instant::now(), error.clone()));
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        self.place.lock().is_asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_and_all_who_can_make_the_request_find_the_token() {
        let right = take_right("POST a secret-1").unwrap();
        assert!(take_right("POST a secret-1").is_none());
        assert!(look("POST a secret-1").is_none());
        right.granted(
            Granted::new("t1", Some("secret-2"), None),
            Some("POST a secret-2".into()),
        );
        drop(right);
        for request in ["POST a secret-1", "POST a secret-2"] {
            assert_eq!(
                look(request)
                    .map(|granted| granted.token.to_string())
                    .as_deref(),
                Some("t1")
            );
        }
        assert!(look("POST a another").is_none());
        // The next one by the second request is found by the first.
        let right = take_right("POST a secret-2").unwrap();
        right.granted(Granted::new("t2", None, None), None);
        assert_eq!(
            look("POST a secret-1")
                .map(|granted| granted.token.to_string())
                .as_deref(),
            Some("t2")
        );
    }

    #[test]
    fn a_refusal_is_told_to_who_waited_and_forgotten() {
        let since = Instant::now();
        let right = take_right("POST b").unwrap();
        right.refused(&SyncError::bug());
        assert!(refused_since("POST b", since).is_some());
        assert!(refused_since("POST b", Instant::now() + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn a_token_is_due_before_it_ends() {
        let second = Duration::from_secs(1);
        assert!(!Granted::new("t", None, None).is_due());
        assert!(!Granted::new("t", None, Some(100 * second)).is_due());
        assert!(!Granted::new("t", None, Some(Duration::MAX)).is_due());
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        for number in 0..MOST + 100 {
            drop(take_right(&format!("POST many {number}")));
        }
        assert!(KNOWN.lock().places.len() <= MOST);
    }
}
