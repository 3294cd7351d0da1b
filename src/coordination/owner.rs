//! Owners: who is working, and is it still alive?
//!
//! A process is recognised by its id, start time, boot and pid namespace, as Linux reports them in
//! `/proc`. Where they cannot be compared (another machine, another container, another system), a
//! lease decides.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::clock::now;
use super::meta::setting;
use crate::store::{Database, Error, Result, Session, Statement, Value, ValueRef};

/// `_syncOwner.id`.
pub type OwnerId = i64;

/// What the operating system reports about a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: i64,
    /// Clock ticks after boot, as text; none where the system does not report it.
    pub start: Option<String>,
    pub boot: Option<String>,
    pub namespace: Option<String>,
}

impl Process {
    /// The calling process. Asked for at each call: after a fork it is another one.
    pub fn current() -> Self {
        let id = i64::from(std::process::id());
        Self {
            id,
            start: start_of("self").map(|(start, _)| start),
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .ok()
                .map(|text| text.trim().to_owned()),
            namespace: std::fs::read_link("/proc/self/ns/pid")
                .ok()
                .map(|link| link.to_string_lossy().into_owned()),
        }
    }
}

/// Start time of a process and whether it still runs; none when there is no such process.
fn start_of(process: &str) -> Option<(String, bool)> {
    read_stat(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Fields of `/proc/<pid>/stat` after the name in parentheses: state is the 3rd, the number of threads the
/// 20th, start time the 22nd. A process whose first thread has ended is shown as a zombie, but goes on in
/// its other threads.
fn read_stat(text: &str) -> Option<(String, bool)> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let threads: u32 = fields.get(17)?.parse().ok()?;
    let runs = match *fields.first()? {
        "Z" => threads > 1,
        "X" | "x" => false,
        _ => true,
    };
    fields.get(19).map(|start| ((*start).to_owned(), runs))
}

/// Whether `/proc` shows other processes: mounted with hidepid it does not, and a missing entry
/// would prove nothing.
fn sees_other_processes() -> bool {
    std::fs::metadata("/proc/1/stat").is_ok()
}

/// Is an owner alive?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Live,
    /// With the reason its work gets: `closed`, `crashed` or `expired`.
    Dead(&'static str),
}

/// One row of `_syncOwner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub id: OwnerId,
    pub token: String,
    pub process: Process,
    pub heartbeat: i64,
    pub lease: i64,
}

/// Tokens of connections opened and closed in this process, by this copy of the library. A second
/// copy in the same process knows nothing of them and finds the process alive.
#[derive(Default)]
struct Registry {
    open: HashSet<String>,
    closed: HashSet<String>,
    /// Connections that live on, but whose run ended before it could record that: the schema it
    /// ran in, and the statuses of its operations.
    adrift: HashMap<(String, String), HashSet<i64>>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// The connection's name among all owners. The process id is part of it, so that a fork, which
/// inherits the connection's token, is another owner.
fn token_of(token: &str) -> String {
    format!("{token}-{}", std::process::id())
}

/// Renews the lease of an owner that is at work.
///
/// # Errors
/// SQLite's.
pub fn beat(database: &Database, owner: OwnerId) -> Result<()> {
    database.execute(
        "UPDATE main._syncOwner SET heartbeatAt = ?2 WHERE id = ?1",
        &[owner.into(), now().into()],
    )?;
    Ok(())
}

/// Declares operations of a connection over, by their statuses, though their owner lives: their run has ended
/// and could not be closed, since the database was locked or the program interrupted the connection. What
/// else the connection has begun goes on.
pub fn set_adrift(session: &Session, schema: &str, statuses: impl IntoIterator<Item = i64>) {
    let place = (token_of(&session.token()), schema.to_owned());
    let mut registry = REGISTRY.lock();
    registry.adrift.entry(place).or_default().extend(statuses);
}

/// Takes back what [`set_adrift`] declared, since it is being closed; none when nothing is adrift.
pub fn end_adrift(session: &Session, schema: &str) -> Option<HashSet<i64>> {
    let place = (token_of(&session.token()), schema.to_owned());
    REGISTRY.lock().adrift.remove(&place)
}

/// A connection closes: what it owns is nobody's from now on.
pub(super) fn closing(token: &str) {
    let token = token_of(token);
    let mut registry = REGISTRY.lock();
    if registry.open.remove(&token) {
        registry.closed.insert(token);
    }
}

/// The caller's owner row, made when missing, its lease renewed.
///
/// # Errors
/// SQLite's.
pub fn renew(database: &Database, session: &Session) -> Result<OwnerId> {
    let token = token_of(&session.token());
    REGISTRY.lock().open.insert(token.clone());
    let at = now();
    let found = database.query_value(
        "SELECT id FROM main._syncOwner WHERE token = ?1",
        &[ValueRef::Text(&token)],
    )?;
    if let Value::Integer(id) = found {
        database.execute(
            "UPDATE main._syncOwner SET heartbeatAt = ?2 WHERE id = ?1",
            &[id.into(), at.into()],
        )?;
        return Ok(id);
    }
    let process = Process::current();
    let lease = setting(database, "ownerLeaseMs", DEFAULT_LEASE)?;
    database.execute(
        "INSERT INTO main._syncOwner (token, processId, processStart, bootId, pidNamespace, \
         startedAt, heartbeatAt, leaseMs) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
        &[
            ValueRef::Text(&token),
            process.id.into(),
            text(process.start.as_deref()),
            text(process.boot.as_deref()),
            text(process.namespace.as_deref()),
            at.into(),
            lease.into(),
        ],
    )?;
    let id = database.query_value(
        "SELECT id FROM main._syncOwner WHERE token = ?1",
        &[ValueRef::Text(&token)],
    )?;
    id.as_i64()
        .ok_or_else(|| Error::Corrupt("_syncOwner lost the row just written".into()))
}

/// A lease ends a minute after its last renewal unless `_syncMeta.ownerLeaseMs` says otherwise.
const DEFAULT_LEASE: i64 = 60_000;

pub(super) fn text(text: Option<&str>) -> ValueRef<'_> {
    text.map_or(ValueRef::Null, ValueRef::Text)
}

/// The condition of `_syncScopeInfo_syncing`, the index of scopes in the state syncing.
pub(super) const SCOPE_IS_SYNCING: &str = "synced + failed <> members AND interrupted = 0";

/// The owners about whom something is to be decided. Those that only started scopes that are complete
/// now, which may be many, are ignored.
///
/// # Errors
/// SQLite's.
pub fn relevant(database: &Database) -> Result<Vec<Owner>> {
    database.query_all(
        &format!(
            "SELECT id, token, processId, processStart, bootId, pidNamespace, heartbeatAt, leaseMs \
         FROM main._syncOwner AS owner \
         WHERE NOT EXISTS (SELECT 1 FROM main._syncScopeInfo WHERE ownerId = owner.id) \
           OR EXISTS (SELECT 1 FROM main._syncScopeInfo WHERE ownerId = owner.id \
                      AND {SCOPE_IS_SYNCING}) \
           OR EXISTS (SELECT 1 FROM main._syncOperation WHERE ownerId = owner.id AND state = 'syncing') \
           OR EXISTS (SELECT 1 FROM main._syncLease WHERE ownerId = owner.id)"
        ),
        &[],
        |row| Ok(read(row)),
    )
}

fn read(row: &Statement) -> Owner {
    Owner {
        id: row.integer(0),
        token: row.text(1),
        process: Process {
            id: row.integer(2),
            start: row.optional_text(3),
            boot: row.optional_text(4),
            namespace: row.optional_text(5),
        },
        heartbeat: row.integer(6),
        lease: row.integer(7),
    }
}

impl Owner {
    /// Alive or not, as seen by process `here` at time `at`.
    pub fn verdict(&self, here: &Process, at: i64) -> Verdict {
        if self.process.id == here.id {
            let registry = REGISTRY.lock();
            // The token names this process's own connection only if the process is the same; the
            // random part makes sure of that.
            if registry.closed.contains(&self.token) {
                return Verdict::Dead("closed");
            }
            if registry.open.contains(&self.token) && self.process == *here {
                return Verdict::Live;
            }
        }
        if self.can_be_checked_from(here) {
            return match start_of(&self.process.id.to_string()) {
                Some((start, true)) if Some(&start) == self.process.start.as_ref() => Verdict::Live,
                _ => Verdict::Dead("crashed"),
            };
        }
        // Both clocks may be wrong or set back: a heartbeat far in the future is as dead as an old one.
        if at.abs_diff(self.heartbeat) <= self.lease.unsigned_abs() {
            return Verdict::Live;
        }
        Verdict::Dead("expired")
    }

    /// The statuses of its run in that schema that is over without being closed.
    pub fn adrift(&self, schema: &str) -> Option<HashSet<i64>> {
        let place = (self.token.clone(), schema.to_owned());
        REGISTRY.lock().adrift.get(&place).cloned()
    }

    fn can_be_checked_from(&self, here: &Process) -> bool {
        self.process.start.is_some()
            && self.process.boot.is_some()
            && self.process.boot == here.boot
            && self.process.namespace == here.namespace
            && (self.process.id == here.id || sees_other_processes())
    }

    /// Whether the owner is a connection of the calling process.
    pub fn is_in(&self, here: &Process) -> bool {
        self.process == *here
    }
}

/// Whether an owner on record is gone. One that is not on record is.
///
/// # Errors
/// SQLite's.
pub fn is_dead(database: &Database, owner: OwnerId) -> Result<bool> {
    let here = Process::current();
    let found = database.query_row(
        "SELECT id, token, processId, processStart, bootId, pidNamespace, heartbeatAt, leaseMs \
         FROM main._syncOwner WHERE id = ?1",
        &[owner.into()],
        |row| Ok(read(row)),
    )?;
    Ok(found.is_none_or(|owner| owner.verdict(&here, now()) != Verdict::Live))
}

/// Who is at work, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerDescription {
    /// None: work begun by plain SQL.
    pub process_id: Option<i64>,
    /// Epoch milliseconds.
    pub since: i64,
}

impl std::fmt::Display for OwnerDescription {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.process_id {
            Some(id) => write!(out, "process {id}")?,
            None => out.write_str("plain SQL")?,
        }
        match chrono::DateTime::from_timestamp_millis(self.since) {
            Some(since) => write!(out, " since {}", since.format("%Y-%m-%d %H:%M:%S UTC")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(process: Process, heartbeat: i64) -> Owner {
        Owner {
            id: 1,
            token: "none".into(),
            process,
            heartbeat,
            lease: 60_000,
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_is_live_whatever_the_lease_says() {
        let here = Process::current();
        assert_eq!(
            owner(here.clone(), 0).verdict(&here, i64::MAX),
            Verdict::Live
        );
    }

    #[test]
    fn a_zombie_with_threads_goes_on() {
        let stat = |state: &str, threads: u32| {
            format!(
                "7 (a) b) {state} 1 7 7 0 -1 4194304 95 0 0 0 0 0 0 0 20 0 {threads} 0 4242 0 0"
            )
        };
        for (state, threads, runs) in [
            ("S", 1, true),
            ("R", 3, true),
            ("Z", 1, false),
            ("Z", 2, true),
            ("X", 2, false),
        ] {
            let found = read_stat(&stat(state, threads));
            assert_eq!(found, Some(("4242".to_owned(), runs)), "{state} {threads}");
        }
        assert_eq!(read_stat("7 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_same_id_with_another_start_time_is_dead() {
        let here = Process::current();
        let other = Process {
            start: Some("1".into()),
            ..here.clone()
        };
        assert_eq!(
            owner(other, now()).verdict(&here, now()),
            Verdict::Dead("crashed")
        );
    }

    #[test]
    fn a_foreign_boot_lives_by_its_lease_in_both_directions() {
        let here = Process::current();
        let foreign = Process {
            boot: Some("elsewhere".into()),
            ..here.clone()
        };
        let at = now();
        assert_eq!(
            owner(foreign.clone(), at - 60_000).verdict(&here, at),
            Verdict::Live
        );
        assert_eq!(
            owner(foreign.clone(), at - 60_001).verdict(&here, at),
            Verdict::Dead("expired")
        );
        assert_eq!(
            owner(foreign, at + 60_001).verdict(&here, at),
            Verdict::Dead("expired")
        );
    }
}
