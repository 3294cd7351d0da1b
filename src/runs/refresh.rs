//! A backend that no longer knows the token: a new one is got once, by whoever notices first, and the request goes out
//! again.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::ground::{Class, SyncError, origin};
use crate::http::{Credentials, HttpError, Method, Outgoing, Response, Secrets, Spool};
use crate::providers::{Refresh, credentials, policy, refresh};
use crate::store::Session;

use super::renewing::{Heard, Renewing};
use super::run::{Run, Turn};

/// The status of a request whose token the backend does not know.
const UNAUTHORIZED: u16 = 401;

/// How often a run looks whether somebody else has got the new token.
const LOOK: Duration = Duration::from_millis(50);

impl Run {
    /// The secrets that go with the request that is due.
    pub(super) fn credentials(&self) -> Credentials {
        match (&self.renewing, refresh(&self.config)) {
            (Renewing::Asked(_), Some(Refresh { secret, body, .. })) => {
                let in_body = body.is_some();
                Credentials {
                    token: (!in_body).then(|| secret.clone()),
                    body: in_body.then_some(secret),
                    ..Credentials::default()
                }
            }
            _ => credentials(&self.config),
        }
    }

    /// Looks at an answer before it is taken.
    pub(super) fn hear_of_the_token(
        &mut self,
        session: &Session,
        answer: Result<Response, HttpError>,
    ) -> Result<Heard, SyncError> {
        let Some(refresh) = refresh(&self.config) else {
            return Ok(Heard::Plain(answer));
        };
        match &self.renewing {
            Renewing::Asked(_) => {
                self.take_token(session, &refresh, answer)?;
                Ok(Heard::Again)
            }
            Renewing::Not if is_unauthorized(&answer) => {
                if let Some(asked) = self.asked.take() {
                    self.note_answer(&asked, &answer);
                }
                self.renew(session, &refresh)
            }
            _ => Ok(Heard::Plain(answer)),
        }
    }

    /// Goes on waiting for somebody else's new token; none when this run does not.
    ///
    /// # Errors
    /// It took longer than a request may.
    pub(super) fn wait_for_the_token(
        &mut self,
        session: &Session,
    ) -> Result<Option<Turn>, SyncError> {
        let (Renewing::Waits(_), Some(refresh)) = (&self.renewing, refresh(&self.config)) else {
            return Ok(None);
        };
        Ok(match self.renew(session, &refresh)? {
            Heard::Wait(time) => Some(Turn::Wait(time)),
            Heard::Ask(outgoing) => Some(Turn::Send(outgoing)),
            Heard::Again | Heard::Plain(_) => None,
        })
    }

    fn renew(&mut self, session: &Session, refresh: &Refresh) -> Result<Heard, SyncError> {
        let secrets = session.part::<Secrets>();
        if secrets.changes() != self.secrets_asked {
            self.renewing = Renewing::Not;
            return Ok(Heard::Again);
        }
        let Some(renewal) = secrets.renew(&refresh.token) else {
            let since = match self.renewing {
                Renewing::Waits(since) => since,
                _ => Instant::now(),
            };
            // A program that sends the requests itself may never bring the answer.
            if since.elapsed() >= policy(&self.config).total {
                return Err(denied("another sync asked for one and has no answer yet"));
            }
            self.renewing = Renewing::Waits(since);
            return Ok(Heard::Wait(LOOK));
        };
        self.renewing = Renewing::Asked(renewal);
        let is_form = refresh
            .body
            .as_ref()
            .is_some_and(|body| !body.trim_start().starts_with('{'));
        let headers = is_form.then(|| {
            let form = "application/x-www-form-urlencoded";
            ("Content-Type".to_owned(), form.to_owned())
        });
        let body = refresh.body.clone().map(String::into_bytes);
        Ok(Heard::Ask(Outgoing {
            method: Method::Post,
            url: refresh.url.clone(),
            headers: headers.into_iter().collect(),
            body: body.map(Spool::from_bytes),
        }))
    }

    fn take_token(
        &mut self,
        session: &Session,
        refresh: &Refresh,
        answer: Result<Response, HttpError>,
    ) -> Result<(), SyncError> {
        let response = answer?;
        if !(200..300).contains(&response.status) {
            return Err(denied(&format!("HTTP {}", response.status)).after(response.retry_after()));
        }
        let text = response.body.text().unwrap_or_default();
        let json: Json = serde_json::from_str(&text).unwrap_or_default();
        let Some(token) = refresh.token_path.find(&json).and_then(Json::as_str) else {
            return Err(denied(&format!("nothing at {}", refresh.token_path)));
        };
        let secrets = session.part::<Secrets>();
        let set = |name: &str, value: &str, url: &str| {
            secrets
                .set(name, Some(value), Some(origin(url)))
                .map(drop)
                .map_err(|error| denied(&error.to_string()))
        };
        set(&refresh.token, token, &refresh.token_url)?;
        let next = refresh
            .secret_path
            .as_ref()
            .and_then(|path| path.find(&json)?.as_str());
        if let Some(next) = next {
            set(&refresh.secret, next, &refresh.url)?;
        }
        self.diary.note("token", Json::Null);
        self.renewing = Renewing::Done;
        Ok(())
    }
}

fn is_unauthorized(answer: &Result<Response, HttpError>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|response| response.status == UNAUTHORIZED)
}

fn denied(why: &str) -> SyncError {
    let message = format!(
        "the backend does not know this token, and refreshUrl gave no new one ({why}); set a new one with sync_secret"
    );
    SyncError::new(Class::Auth, "SYNC_ERROR_AUTH", message, false)
}
