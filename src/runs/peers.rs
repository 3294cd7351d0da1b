//! How things stand with each provider: what waits, what is paused, how the last run ended.

use crate::capture::{Tracked, log};
use crate::coordination::now;
use crate::providers::kinds;
use crate::store::{Database, Result, Value};
use crate::transfer::peer::Introduced;

use super::waiting;

/// A provider with a protocol or without, as `sync_peer` shows it.
pub struct Peer {
    pub provider: String,
    pub kind: String,
    /// In one word.
    pub state: &'static str,
    /// Rows that would be sent.
    pub pending: i64,
    /// Rows that were sent, and of which nobody knows whether they arrived.
    pub in_flight: i64,
    pub rejected: i64,
    pub held: i64,
    pub conflicts: i64,
    /// `uploads`, `downloads`, `all`; none when nothing is.
    pub paused: Option<&'static str>,
    /// Epoch ms.
    pub last_success: Option<i64>,
    /// Epoch ms.
    pub last_error_at: Option<i64>,
    /// JSON.
    pub last_error: Option<String>,
    /// The lowest of its entities.
    pub cursor: Option<String>,
    /// The name of this device at its server.
    pub device: Option<String>,
    /// Which of several protocols its server speaks.
    pub generation: Option<String>,
}

/// What is asked for of each provider, but for what waits. `?1` is the provider, or NULL for all, `?2` now.
const PEERS: &str = "SELECT p.id, p.kind, \
    (SELECT count(*) FROM main._syncOutbox AS o JOIN main._syncPush AS s ON s.id = o.pushId \
      WHERE s.provider = p.id AND s.state IN ('open', 'unknown')), \
    (SELECT count(*) FROM main._syncRejected WHERE provider = p.id), \
    (SELECT count(*) FROM main._syncHeld WHERE provider = p.id), \
    (SELECT count(*) FROM main._syncConflict WHERE provider = p.id), \
    (SELECT group_concat(what) FROM (SELECT what FROM main._syncPause WHERE provider = p.id \
      AND automaticOnly = 0 AND (until IS NULL OR until > ?2) ORDER BY what)), \
    (SELECT max(finishedAt) FROM main._syncRun WHERE provider = p.id AND state = 'synced' AND goal <> 'check'), \
    EXISTS (SELECT 1 FROM main._syncRun WHERE provider = p.id AND state IN ('queued', 'running')), \
    (SELECT cursor FROM main._syncCursor WHERE provider = p.id ORDER BY CAST(cursor AS INTEGER) LIMIT 1), \
    f.finishedAt, f.error, f.state, p.config, (SELECT memory FROM main._syncPeer WHERE provider = p.id) \
    FROM main._syncProvider AS p LEFT JOIN main._syncRun AS f ON f.id = (SELECT max(id) FROM main._syncRun \
      WHERE provider = p.id AND state IN ('synced', 'failed') AND goal <> 'check') \
    WHERE ?1 IS NULL OR p.id = ?1 ORDER BY p.id";

/// The last failure of a provider, where its last run was none.
const LAST_FAILURE: &str = "SELECT finishedAt, error FROM main._syncRun WHERE provider = ?1 AND state = 'failed' \
    AND goal <> 'check' ORDER BY id DESC LIMIT 1";

/// All providers, or one. Only reads.
///
/// # Errors
/// SQLite's.
pub fn peers(database: &Database, provider: Option<&str>) -> Result<Vec<Peer>> {
    let mut tables = Tracked::logged(database)?;
    tables.retain(|table| match provider {
        Some(only) => table.provider.as_deref() == Some(only),
        None => table.provider.is_some(),
    });
    let waiting = waiting::count_up_to(database, tables, log::high_water(database)?)?;
    let mut peers = database.query_all(PEERS, &[provider.into(), now().into()], |row| {
        let name = row.text(0);
        let paused = match row.optional_text(6).as_deref() {
            Some("uploads") => Some("uploads"),
            Some("downloads") => Some("downloads"),
            Some(_) => Some("all"),
            None => None,
        };
        let error = row.optional_text(11);
        let runs = row.integer(8) != 0;
        let introduced = Introduced::read(row.optional_text(14).as_deref());
        let config = kinds::parse_stored(&row.text(13)).ok();
        let configured = config
            .as_ref()
            .and_then(|config| config.optional_text("sourceId"));
        Ok(Peer {
            pending: waiting.get(&name).copied().unwrap_or(0),
            provider: name,
            kind: row.text(1),
            state: match (runs, paused) {
                (true, _) => "running",
                (false, Some(_)) => "paused",
                (false, None) => state_after(error.as_deref()),
            },
            in_flight: row.integer(2),
            rejected: row.integer(3),
            held: row.integer(4),
            conflicts: row.integer(5),
            paused,
            last_success: row.column(7).as_i64(),
            last_error_at: row.column(10).as_i64().filter(|_| error.is_some()),
            last_error: error,
            cursor: row.optional_text(9),
            device: introduced.device(configured),
            generation: introduced.generation,
        })
    })?;
    for peer in &mut peers {
        if peer.last_error.is_some() {
            continue;
        }
        let failure =
            database.query_row(LAST_FAILURE, &[peer.provider.as_str().into()], |row| {
                Ok((row.column(0).as_i64(), row.optional_text(1)))
            })?;
        (peer.last_error_at, peer.last_error) = failure.unwrap_or_default();
    }
    Ok(peers)
}

/// The state that the end of the last run has left.
fn state_after(error: Option<&str>) -> &'static str {
    let Some(error) = error else {
        return "idle";
    };
    let error: serde_json::Value = serde_json::from_str(error).unwrap_or_default();
    match error["class"].as_str() {
        Some("cancelled") => "idle",
        Some("auth") => "needs-auth",
        Some("network") => "offline",
        // A server that is down for now.
        Some("server") if error["retryable"] == true => "offline",
        _ => "blocked",
    }
}

impl Peer {
    /// Its values, in the order of the columns of `sync_peer`, but for what is due by schedule.
    pub fn row(self) -> Vec<Value> {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
        vec![
            Value::Text(self.provider),
            Value::Text(self.kind),
            self.state.into(),
            self.pending.into(),
            self.in_flight.into(),
            self.rejected.into(),
            self.held.into(),
            self.conflicts.into(),
            text(self.paused.map(str::to_owned)),
            number(self.last_success),
            number(self.last_error_at),
            text(self.last_error),
            text(self.cursor),
            text(self.device),
            text(self.generation),
        ]
    }
}
