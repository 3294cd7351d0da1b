//! A thread that listens for news of one provider. It touches no database: it only says that there is news.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::{self, Heard, Kind, SecretError, Secrets, Silence, luck};
use crate::runs::news::Source;

/// The pause before asking again; it doubles with each failure.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// A connection that ends sooner has not gone well; and a server that always has news is asked no more often.
const SOON: Duration = Duration::from_secs(5);

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What listener and keeper tell each other.
struct Ear {
    /// Where to listen the next time.
    source: Mutex<Source>,
    secrets: Arc<Secrets>,
    ends: AtomicBool,
    said: Mutex<Said>,
    state: Mutex<State>,
}

/// What was said, until somebody takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Said {
    #[default]
    Nothing,
    /// The last words.
    Words(String),
    /// That there may be anything new.
    Anything,
}

/// How it is going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Connecting,
    Listening,
    /// Nothing connects us; why.
    Failing(String),
}

/// A thread that listens. It ends when this is dropped.
pub struct Listener {
    ear: Arc<Ear>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// None where the system gives no thread.
    pub fn start(source: Source, secrets: Arc<Secrets>) -> Option<Self> {
        let ear = Arc::new(Ear {
            source: Mutex::new(source),
            secrets,
            ends: AtomicBool::new(false),
            said: Mutex::default(),
            state: Mutex::new(State::Connecting),
        });
        let its = Arc::clone(&ear);
        let thread = std::thread::Builder::new()
            .name("syncscope-watch".into())
            .spawn(move || its.listen())
            .ok()?;
        Some(Self {
            ear,
            thread: Some(thread),
        })
    }

    /// Whether it listens where a source says. What has been pulled since counts the next time it asks.
    pub fn fits(&self, source: &Source) -> bool {
        let mut current = self.ear.source.lock();
        let fits = current.config == source.config;
        if fits {
            current.clone_from(source);
        }
        fits
    }

    /// What was said since the last time.
    pub fn take(&self) -> Said {
        std::mem::take(&mut *self.ear.said.lock())
    }

    pub fn has_heard(&self) -> bool {
        *self.ear.said.lock() != Said::Nothing
    }

    pub fn state(&self) -> State {
        self.ear.state.lock().clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ear.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What to do after an attempt.
enum Next {
    /// It went well: after a while.
    Again(Duration),
    /// It did not: later, or after the time that the server has asked for.
    Later(Option<Duration>),
    /// Only another secret will do.
    NewSecret,
    End,
}

impl Ear {
    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// Counts new secrets and tokens.
    fn changes(&self) -> u64 {
        self.secrets.changes() + http::logins::changes()
    }

    fn listen(self: Arc<Self>) {
        let mut wait = SHORTEST;
        while !self.ends() {
            let secrets = self.changes();
            let pause = match self.attempt() {
                Next::End => return,
                Next::Again(pause) => {
                    wait = SHORTEST;
                    pause
                }
                Next::Later(asked) => {
                    let pause = asked.map_or(wait, |asked| asked.max(wait));
                    wait = (wait * 2).min(LONGEST);
                    pause.mul_f64(1.0 + 0.2 * luck())
                }
                Next::NewSecret => Duration::MAX,
            };
            let since = Instant::now();
            // A new secret ends any wait.
            while since.elapsed() < pause && self.changes() == secrets && !self.ends() {
                std::thread::sleep(LOOK);
            }
        }
    }

    fn attempt(self: &Arc<Self>) -> Next {
        let source = self.source.lock().clone();
        let fails = |why: String, next| {
            *self.state.lock() = State::Failing(why);
            next
        };
        let prepared = http::prepare(&source.outgoing, &source.credentials, &self.secrets);
        let request = match prepared {
            Ok(request) => request,
            Err(error) => {
                if error == SecretError::NotLoggedIn {
                    // A sync gets the token.
                    self.say(Said::Anything);
                }
                return fails(error.to_string(), Next::NewSecret);
            }
        };
        let its = Arc::clone(self);
        let hear = move |heard: Heard<'_>| match heard {
            Heard::Opened => {
                *its.state.lock() = State::Listening;
                // What was said before the connection was there is not said again.
                its.say(Said::Anything);
            }
            Heard::Event(data) => its.say(Said::Words(data.to_owned())),
        };
        let begun = Instant::now();
        let ended = http::listen(&request, &source.policy, &|| self.ends(), hear);
        let stood = begun.elapsed();
        let before = std::mem::replace(&mut *self.state.lock(), State::Connecting);
        let broken = match stood > SOON {
            true => Next::Again(SHORTEST),
            false => Next::Later(None),
        };
        match ended {
            Ok(Silence::Closed) => broken,
            // A long poll: the answer is the news, unless it says that there is none.
            Ok(Silence::Answered(status @ 200..=299 | status @ 304, _)) => {
                *self.state.lock() = State::Listening;
                if !matches!(status, 204 | 304) {
                    self.say(Said::Anything);
                }
                Next::Again(SOON.saturating_sub(stood).max(SHORTEST))
            }
            Ok(Silence::Answered(401, _)) => {
                // A sync renews the token, or says that a new one is needed.
                self.say(Said::Anything);
                fails("HTTP 401".into(), Next::NewSecret)
            }
            Ok(Silence::Answered(status, after)) => {
                fails(format!("HTTP {status}"), Next::Later(after))
            }
            Err(error) if error.kind() == Kind::Cancelled => Next::End,
            // A connection that stood has broken: that happens.
            Err(_) if before == State::Listening => broken,
            Err(error) => fails(error.to_string(), Next::Later(None)),
        }
    }

    fn say(&self, news: Said) {
        let mut said = self.said.lock();
        *said = match *said {
            Said::Anything => Said::Anything,
            _ => news,
        };
    }
}
