//! Where news of a provider can be listened to. Nothing here listens.

use crate::http::{Credentials, Method, Outgoing, Policy};
use crate::providers::conversation::Provider;
use crate::providers::{Settings, Transport, credentials, policy, watch};
use crate::store::{Database, Result};

use super::begin::opened;
use super::gate::stored_config;

/// A request that is answered when there is news.
#[derive(Debug, Clone)]
pub struct Source {
    pub outgoing: Outgoing,
    pub credentials: Credentials,
    pub policy: Policy,
    /// The configuration that it follows from. Where pulls have come changes with every one of them.
    pub config: String,
}

/// Where a provider's news can be listened to; none where that is not configured and its protocol has nothing of the kind.
///
/// # Errors
/// SQLite's; a stored configuration that can't be read.
pub fn source(database: &Database, provider: &str) -> Result<Option<Source>> {
    let (config, kind, cursors) = known(database, provider)?;
    let Some(kind) = kind else {
        return Ok(None);
    };
    let ask = watch(&config, &cursors).or_else(|| kind.watch(&cursors));
    Ok(ask.map(|mut ask| {
        let accept = (
            "Accept".to_owned(),
            "text/event-stream, */*;q=0.5".to_owned(),
        );
        ask.headers.push(accept);
        Source {
            outgoing: Outgoing {
                once: false,
                method: Method::parse(ask.method).unwrap_or(Method::Get),
                url: ask.url,
                headers: ask.headers,
                body: None,
            },
            credentials: credentials(&config),
            policy: policy(&config),
            config: config.stored().to_owned(),
        }
    }))
}

/// Whether there is such a place, or may be once more is known of the server.
///
/// # Errors
/// As [`source`].
pub fn may_exist(database: &Database, provider: &str) -> Result<bool> {
    let (config, kind, cursors) = known(database, provider)?;
    Ok(watch(&config, &cursors).is_some() || kind.is_some_and(|kind| kind.may_watch()))
}

/// Whether what was said there is news here.
///
/// # Errors
/// As [`source`].
pub fn is_news(database: &Database, provider: &str, said: &str) -> Result<bool> {
    let (config, kind, cursors) = known(database, provider)?;
    // Somebody else's stream says what it likes.
    let is_own = watch(&config, &cursors).is_none();
    Ok(kind.is_none_or(|kind| !is_own || kind.is_news(said, &cursors)))
}

type Known = (Settings, Option<Box<dyn Provider>>, Vec<Option<String>>);

fn known(database: &Database, provider: &str) -> Result<Known> {
    let config = stored_config(database, provider)?;
    let kind = match config.kind().transport {
        Transport::Nobody => None,
        Transport::Http | Transport::File => Some(opened(database, &config, provider)?),
    };
    let cursors = database.query_all(
        "SELECT known.cursor FROM main._syncTable AS tracked LEFT JOIN main._syncCursor AS known \
         ON known.tableId = tracked.id AND known.provider = tracked.provider WHERE tracked.provider = ?1",
        &[provider.into()],
        |row| Ok(row.optional_text(0)),
    )?;
    Ok((config, kind, cursors))
}
