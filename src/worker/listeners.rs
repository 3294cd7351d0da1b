//! The threads that listen for news of a file's providers: those, and only those, whose schedules ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::http::Secrets;
use crate::runs::news;
use crate::store::{Database, Result, Session, readable_schema};
use crate::transfer::pause;

use super::listener::{Listener, Said, State};
use super::noticed::Noticed;
use super::schedule::Schedule;
use super::tick::SINCE;

/// How listening goes, by provider, for whoever asks.
pub type Shown = Arc<Mutex<BTreeMap<String, String>>>;

/// What is said of a provider that has nothing to listen to.
const NOTHING: &str = "the backend has no stream of news; name one with watchUrl";

/// The listeners of one file. All end when this is dropped.
#[derive(Default)]
pub struct Listeners {
    running: BTreeMap<String, Listener>,
    shown: Shown,
}

impl Listeners {
    pub fn shown_in(shown: Shown) -> Self {
        Self {
            shown,
            ..Self::default()
        }
    }

    /// Whether anything was said that nobody has looked at.
    pub fn have_heard(&self) -> bool {
        self.running.values().any(Listener::has_heard)
    }

    /// Begins and ends listening as schedules and pauses say, and notices what was said.
    ///
    /// # Errors
    /// SQLite's. What runs goes on.
    pub fn look(&mut self, session: &Session, schema: &str) -> Result<()> {
        let database = session.database(schema)?;
        let mut wanted = BTreeSet::new();
        if readable_schema(&database)?.is_some_and(|version| version >= SINCE) {
            for schedule in Schedule::all(&database)? {
                let provider = schedule.provider;
                if schedule.watch && !pause::read(&database, &provider, true)?.downloads {
                    self.listen(session, &database, (schema, &provider))?;
                    wanted.insert(provider);
                }
            }
        }
        let noticed = session.part::<Noticed>();
        let mut shown = self.shown.lock();
        let over: Vec<String> = shown.keys().cloned().collect();
        for provider in over.iter().filter(|provider| !wanted.contains(*provider)) {
            self.running.remove(provider);
            shown.remove(provider);
            noticed.hears(schema, provider, None);
        }
        Ok(())
    }

    fn listen(
        &mut self,
        session: &Session,
        database: &Database,
        (schema, provider): (&str, &str),
    ) -> Result<()> {
        let noticed = session.part::<Noticed>();
        let source = news::source(database, provider)?;
        let Some(source) = source else {
            self.running.remove(provider);
            self.show(provider, NOTHING.to_owned());
            noticed.hears(schema, provider, Some(false));
            return Ok(());
        };
        if !self
            .running
            .get(provider)
            .is_some_and(|listener| listener.fits(&source))
        {
            self.running.remove(provider);
            let started = Listener::start(source, session.part::<Secrets>());
            self.running
                .extend(started.map(|started| (provider.to_owned(), started)));
        }
        let Some(listener) = self.running.get(provider) else {
            return Ok(());
        };
        let is_news = match listener.take() {
            Said::Nothing => false,
            Said::Anything => true,
            Said::Words(words) => news::is_news(database, provider, &words)?,
        };
        if is_news {
            noticed.news(schema, provider);
        }
        let state = listener.state();
        noticed.hears(schema, provider, Some(state == State::Listening));
        self.show(
            provider,
            match state {
                State::Connecting => "connecting".to_owned(),
                State::Listening => "listening".to_owned(),
                State::Failing(why) => why,
            },
        );
        Ok(())
    }

    fn show(&self, provider: &str, state: String) {
        self.shown.lock().insert(provider.to_owned(), state);
    }
}
