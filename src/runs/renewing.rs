//! Getting a token: whether one is due, the request for it, and what its answer gives.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::coordination::now;
use crate::ground::{Class, SyncError, origin};
use crate::http::logins::{self, Granted, Right};
use crate::http::{Credentials, HttpError, Outgoing, Response, Secrets, names_in, shape_of};
use crate::providers::{Login, Settings, credentials};
use crate::store::Session;

/// Where a run is with getting a new token.
#[derive(Default)]
pub(super) enum Renewing {
    #[default]
    Not,
    /// Somebody else gets one, since then.
    Waits(Instant),
    /// It has been asked for.
    Asked(Right),
}

/// What a run knows of its token.
#[derive(Default)]
pub(super) struct Token {
    /// The number of the one that the last request was sent with.
    pub asked: Option<u64>,
    /// The number of the one that this run has got, as long as the backend has not taken it.
    pub unproven: Option<u64>,
    /// The one that the backend did not know.
    pub refused: Option<u64>,
    /// The backend did not know the last one, and it is not replaced yet.
    pub is_refused: bool,
    /// One was got since an answer was good: that is enough.
    pub is_renewed: bool,
}

/// What an answer means for the token.
pub(super) enum Heard {
    /// Nothing.
    Plain(Result<Response, HttpError>),
    /// Nobody knows yet: look again after that time.
    Wait(Duration),
    /// A new one is asked for by this, before the answer counts.
    Ask(Outgoing),
    /// There is a new token: what was due is due again.
    Again,
}

/// What is to be done for a token.
pub(super) enum Due {
    /// Nothing.
    Ready,
    /// Somebody else is getting one.
    Wait,
    Ask(Right),
}

/// The secrets that go with the request for a token.
pub(super) fn for_login() -> Credentials {
    Credentials {
        has_places: true,
        ..Credentials::default()
    }
}

fn shape_by(login: &Login, secrets: &Secrets) -> String {
    shape_of(&login.request, &login.spot(), secrets)
}

/// The token that was got and goes with requests now. One that was set with `sync_secret` is none of these.
fn granted(session: &Session, config: &Settings, login: &Login) -> Option<Granted> {
    let secrets = session.part::<Secrets>();
    let granted = logins::look(&shape_by(login, &secrets))?;
    let is_sent = match &login.replaces {
        None => true,
        Some(name) => secrets
            .lookup(name, config.text("url"))
            .is_ok_and(|own| own.is(&granted.token)),
    };
    is_sent.then_some(granted)
}

/// Its number.
pub(super) fn in_use(session: &Session, config: &Settings, login: &Login) -> Option<u64> {
    granted(session, config, login).map(|granted| granted.number)
}

/// Whether a token has to be got before the next request.
pub(super) fn is_missing(
    session: &Session,
    config: &Settings,
    login: &Login,
    token: &Token,
) -> bool {
    match granted(session, config, login) {
        Some(granted) => is_stale(&granted, token),
        // A token that was set with sync_secret is good until the backend says otherwise.
        None => login.replaces.is_none(),
    }
}

fn is_stale(granted: &Granted, token: &Token) -> bool {
    let is_ours = token.unproven == Some(granted.number);
    token.refused == Some(granted.number) || (granted.is_due() && !is_ours)
}

/// Takes over what somebody has got, or the right to ask. `since`: the wait began then.
///
/// # Errors
/// What somebody was told who asked meanwhile.
pub(super) fn look(
    session: &Session,
    config: &Settings,
    login: &Login,
    token: &Token,
    since: Option<Instant>,
) -> Result<Due, SyncError> {
    let secrets = session.part::<Secrets>();
    let mut shape = shape_by(login, &secrets);
    // The secret of the last time is replaced by the one that came with the token.
    if let (Some(name), Some(granted)) = (login.rotates(), logins::look(&shape))
        && let Some(next) = &granted.next
        && secrets
            .lookup(name, &login.request.url)
            .is_ok_and(|own| !own.is(next))
    {
        renewed(&secrets, login, name, next, &login.request.url)?;
        shape = shape_by(login, &secrets);
    }
    let right = logins::take_right(&shape);
    let own = login.replaces.as_ref();
    let own = own.and_then(|name| secrets.lookup(name, config.text("url")).ok());
    let is_good = |granted: &Granted| {
        let is_newer = own
            .as_ref()
            .is_none_or(|own| own.is(&granted.token) || own.is_older(granted.at));
        !is_stale(granted, token) && !granted.is_due() && is_newer
    };
    if let Some(granted) = logins::look(&shape).filter(is_good) {
        return match &login.replaces {
            None => Ok(Due::Ready),
            Some(name) => {
                renewed(&secrets, login, name, &granted.token, config.text("url"))?;
                Ok(Due::Ready)
            }
        };
    }
    if let Some(told) = since.and_then(|since| logins::refused_since(&shape, since)) {
        return Err(told);
    }
    Ok(right.map_or(Due::Wait, Due::Ask))
}

fn renewed(
    secrets: &Secrets,
    login: &Login,
    name: &str,
    value: &str,
    url: &str,
) -> Result<(), SyncError> {
    let renewed = secrets.renew(name, value, url).or_else(|_| {
        // The program has the secrets, and this connection none of that name.
        secrets.set(name, Some(value), Some(origin(url))).map(drop)
    });
    renewed.map_err(|error| denied(login, &error.to_string()))
}

/// Takes the answer to a request for a token.
///
/// # Errors
/// There is none in it.
pub(super) fn take(
    session: &Session,
    config: &Settings,
    login: &Login,
    right: &Right,
    answer: Result<Response, HttpError>,
) -> Result<Granted, SyncError> {
    let taken = read(session, config, login, right, answer);
    if let Err(error) = &taken {
        right.refused(error);
    }
    taken
}

fn read(
    session: &Session,
    config: &Settings,
    login: &Login,
    right: &Right,
    answer: Result<Response, HttpError>,
) -> Result<Granted, SyncError> {
    let response = answer?;
    if !(200..300).contains(&response.status) {
        return Err(refusal(login, &response));
    }
    let token = login
        .read(&response, now())
        .map_err(|why| denied(login, &why))?;
    let secrets = session.part::<Secrets>();
    match &login.replaces {
        Some(name) => renewed(&secrets, login, name, &token.value, config.text("url"))?,
        None => {
            crate::http::check_token(&token.value).map_err(|why| denied(login, &why.to_string()))?
        }
    }
    let granted = Granted::new(&token.value, token.next.as_deref(), token.life);
    let mut next_shape = None;
    if let (Some(name), Some(next)) = (login.rotates(), &token.next) {
        renewed(&secrets, login, name, next, &login.request.url)?;
        next_shape = Some(shape_by(login, &secrets));
    }
    right.granted(granted.clone(), next_shape);
    Ok(granted)
}

/// An answer that gives no token.
fn refusal(login: &Login, response: &Response) -> SyncError {
    let status = response.status;
    if status >= 500 || matches!(status, 408 | 425 | 429) {
        let error = SyncError::from_status(status, false, "");
        return error.after(response.retry_after());
    }
    // The word that OAuth has for it; other words may hold what was sent.
    let text = response.body.text().unwrap_or_default();
    let json: Json = serde_json::from_str(&text).unwrap_or_default();
    let word = json.get("error").and_then(Json::as_str).filter(|word| {
        word.len() <= 40
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    let why = match word {
        Some(word) => format!("HTTP {status}, {word}"),
        None => format!("HTTP {status}"),
    };
    denied(login, &response.redactor().clean(&why)).after(response.retry_after())
}

pub(super) fn denied(login: &Login, why: &str) -> SyncError {
    let message = match login.replaces {
        Some(_) => format!(
            "the backend does not know this token, and refreshUrl gave no new one ({why}); set a new one with sync_secret"
        ),
        None => {
            let names: Vec<String> = names_in(&login.request)
                .iter()
                .map(|name| crate::ground::quoted(name))
                .collect();
            format!(
                "login gave no token ({why}); set the right secrets with sync_secret ({}), or correct login with sync_provider",
                names.join(", ")
            )
        }
    };
    SyncError::new(Class::Auth, "SYNC_ERROR_AUTH", message, false)
}

/// The secrets that go with a request of the provider.
pub(super) fn usual(config: &Settings) -> Credentials {
    credentials(config)
}
