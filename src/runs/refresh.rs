//! The token of a run: one is got before the first request where there is none, before it ends, and once when the backend
//! no longer knows it; by whoever notices first.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::ground::SyncError;
use crate::http::{Credentials, HttpError, Response, Secrets};
use crate::providers::{Login, login, policy};
use crate::store::Session;

use super::renewing::{self, Due, Heard, Renewing};
use super::run::{Run, Turn};

/// The status of a request whose token the backend does not know.
const UNAUTHORIZED: u16 = 401;

/// How often a run looks whether somebody else has got the new token.
const LOOK: Duration = Duration::from_millis(50);

impl Run {
    /// The secrets that go with the request that is due.
    pub(super) fn credentials(&self) -> Credentials {
        match &self.renewing {
            Renewing::Asked(_) => renewing::for_login(),
            _ => renewing::usual(&self.config),
        }
    }

    /// Looks at an answer before it is taken.
    pub(super) fn hear_of_the_token(
        &mut self,
        session: &Session,
        answer: Result<Response, HttpError>,
    ) -> Result<Heard, SyncError> {
        let Some(login) = login(&self.config) else {
            return Ok(Heard::Plain(answer));
        };
        if let Renewing::Asked(right) = std::mem::take(&mut self.renewing) {
            let granted = renewing::take(session, &self.config, &login, &right, answer)?;
            self.diary.note("token", Json::Null);
            self.token.unproven = Some(granted.number);
            return Ok(Heard::Again);
        }
        if !is_unauthorized(&answer) {
            if answer.is_ok() {
                self.token.unproven = None;
                self.token.is_renewed = false;
            }
            return Ok(Heard::Plain(answer));
        }
        let is_new = self.token.asked.is_some() && self.token.unproven == self.token.asked;
        if self.token.is_renewed || is_new {
            return Ok(Heard::Plain(answer));
        }
        if let Some(asked) = self.asked.take() {
            self.note_answer(&asked, &answer);
        }
        let secrets = session.part::<Secrets>();
        if secrets.changes() != self.secrets_asked {
            return Ok(Heard::Again);
        }
        self.token.refused = self.token.asked;
        self.token.is_refused = true;
        self.renew(session, &login)
    }

    /// What has to be done for a token before a request leaves; none: nothing.
    ///
    /// # Errors
    /// No token was given; to wait for somebody else's took longer than a request may.
    pub(super) fn wait_for_the_token(
        &mut self,
        session: &Session,
    ) -> Result<Option<Turn>, SyncError> {
        let Some(login) = login(&self.config) else {
            return Ok(None);
        };
        let waits = matches!(self.renewing, Renewing::Waits(_));
        if !waits && !renewing::is_missing(session, &self.config, &login, &self.token) {
            return Ok(None);
        }
        Ok(match self.renew(session, &login)? {
            Heard::Wait(time) => Some(Turn::Wait(time)),
            Heard::Ask(outgoing) => Some(Turn::Send(outgoing)),
            Heard::Again | Heard::Plain(_) => None,
        })
    }

    /// Notes the token that a request leaves with.
    pub(super) fn note_the_token(&mut self, session: &Session) {
        self.secrets_asked = session.part::<Secrets>().changes();
        let login = login(&self.config);
        self.token.asked = login.and_then(|login| renewing::in_use(session, &self.config, &login));
    }

    fn renew(&mut self, session: &Session, login: &Login) -> Result<Heard, SyncError> {
        let since = match self.renewing {
            Renewing::Waits(since) => Some(since),
            _ => None,
        };
        match renewing::look(session, &self.config, login, &self.token, since)? {
            Due::Ready => {
                self.renewing = Renewing::Not;
                self.token.is_refused = false;
                Ok(Heard::Again)
            }
            Due::Ask(right) => {
                self.renewing = Renewing::Asked(right);
                self.token.is_renewed |= std::mem::take(&mut self.token.is_refused);
                Ok(Heard::Ask(login.request.clone()))
            }
            Due::Wait => {
                let since = since.unwrap_or_else(Instant::now);
                // A program that sends the requests itself may never bring the answer.
                if since.elapsed() >= policy(&self.config).total {
                    let why = "another sync asked for one and has no answer yet";
                    return Err(renewing::denied(login, why));
                }
                self.renewing = Renewing::Waits(since);
                Ok(Heard::Wait(LOOK))
            }
        }
    }
}

fn is_unauthorized(answer: &Result<Response, HttpError>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|response| response.status == UNAUTHORIZED)
}
