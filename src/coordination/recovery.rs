//! Recovery: settling what dead owners left, and nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::clock::now;
use super::interruption::{Work, interrupt};
use super::meta::setting;
use super::owner::{self, OwnerId, Process, Verdict};
use super::run_record;
use crate::store::{
    Database, Door, Result, Session, require_current_schema, require_idle, transact,
};

/// Work begun by plain SQL is considered abandoned an hour after its last change, unless
/// `_syncMeta.ownerlessLeaseMs` says otherwise.
const OWNERLESS_LEASE: i64 = 3_600_000;

/// How long loading and closing may work on what they find. What is not done by then waits for the first writing call.
const LONGEST: Duration = Duration::from_secs(2);

/// What a recovery settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    pub operations: usize,
    pub scopes: BTreeSet<String>,
}

/// Interrupts the open operations of dead owners, and every `syncing` scope whose starter is dead
/// and in which no living owner works. Within the caller's transaction; a second call finds nothing.
///
/// # Errors
/// SQLite's.
pub fn recover(database: &Database) -> Result<Recovered> {
    let judged = Judged::new(database)?;
    let work = judged.abandoned(database)?;
    let scopes = interrupt(database, &work)?;
    judged.close_runs(database)?;
    judged.forget_dead(database)?;
    Ok(Recovered {
        operations: work.operations.len(),
        scopes,
    })
}

/// Recovery when the extension is loaded: never fails, waits for nobody's transaction to end, and
/// writes only when a dead owner's work is really there. Everything else can wait for the first
/// writing call.
pub fn recover_at_load(session: &Session) {
    // Not even a reader may notice: any failure leaves the work to the first writing call.
    let _ = try_recover_at_load(session);
}

fn try_recover_at_load(session: &Session) -> Result<()> {
    require_idle(session.connection())?;
    if session.connection().read_only("main") != Some(false) {
        return Ok(());
    }
    let database = session.database("main")?;
    // An older file stays as it is until a call writes, which upgrades it first.
    require_current_schema(&database)?;
    if abandoned(&database)?.is_empty() {
        return Ok(());
    }
    recover_elsewhere(session, "main")
}

/// Recovery when a connection closes: what it leaves is settled at once, so that others need not wait for this process to
/// end or to come back. Never fails, and waits for nobody.
pub fn recover_at_close(session: &Session, schema: &str) {
    let _ = try_recover_at_close(session, schema);
}

fn try_recover_at_close(session: &Session, schema: &str) -> Result<()> {
    let database = session.database(schema)?;
    require_current_schema(&database)?;
    match Judged::new(&database)?.has_left_something(&database)? {
        true => recover_elsewhere(session, schema),
        false => Ok(()),
    }
}

/// The caller's connection may be willing to wait for a lock, loading and closing are not. So a connection of our own,
/// which gives up at once, does the writing.
fn recover_elsewhere(session: &Session, schema: &str) -> Result<()> {
    let mut second = Door::bare(session, schema)?.open(Duration::ZERO)?;
    let since = Instant::now();
    second.interrupt_when(move || since.elapsed() > LONGEST);
    let database = second.session().database("main")?;
    transact(database.connection(), || recover(&database).map(drop))
}

/// What [`recover`] would interrupt now. Only reads.
///
/// # Errors
/// SQLite's.
pub fn abandoned(database: &Database) -> Result<Work> {
    Judged::new(database)?.abandoned(database)
}

/// All owners with their verdicts, judged at one moment.
pub struct Judged {
    at: i64,
    ownerless_lease: i64,
    verdicts: HashMap<OwnerId, Verdict>,
    /// Statuses of runs that are over without being closed, by their owners, which live.
    adrift: HashMap<OwnerId, HashSet<i64>>,
    /// Owners that are connections of this process.
    own: HashSet<OwnerId>,
}

struct OpenRow {
    id: i64,
    status: i64,
    timestamp: i64,
}

/// Open operations, and syncing scopes: a table with the condition of its index by owner.
const OPEN_OPERATIONS: (&str, &str) = ("_syncOperation", "state = 'syncing'");
const SYNCING_SCOPES: (&str, &str) = ("_syncScopeInfo", owner::SCOPE_IS_SYNCING);

/// The owners of such rows, hopping from one to the next in the index: a call costs what there are
/// owners, not operations or scopes. None, which is no owner, comes last.
fn owners_at_work(
    database: &Database,
    (table, open): (&str, &str),
) -> Result<Vec<Option<OwnerId>>> {
    let sql = format!(
        "WITH RECURSIVE working(id) AS ( \
           SELECT min(ownerId) FROM main.{table} WHERE {open} \
           UNION ALL \
           SELECT (SELECT min(ownerId) FROM main.{table} WHERE {open} AND ownerId > working.id) \
           FROM working WHERE working.id IS NOT NULL) \
         SELECT id FROM working"
    );
    database.query_all(&sql, &[], |row| Ok(row.column(0).as_i64()))
}

impl Judged {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database) -> Result<Self> {
        let here = Process::current();
        let at = now();
        let owners = owner::relevant(database)?;
        Ok(Self {
            adrift: owners
                .iter()
                .filter_map(|owner| Some((owner.id, owner.adrift(database.schema())?)))
                .collect(),
            at,
            ownerless_lease: setting(database, "ownerlessLeaseMs", OWNERLESS_LEASE)?,
            own: owners
                .iter()
                .filter(|owner| owner.is_in(&here))
                .map(|owner| owner.id)
                .collect(),
            verdicts: owners
                .iter()
                .map(|owner| (owner.id, owner.verdict(&here, at)))
                .collect(),
        })
    }

    /// The verdict on work last changed at `timestamp`. An owner that is not on record is none.
    fn verdict(&self, owner: Option<OwnerId>, timestamp: i64) -> Verdict {
        if let Some(verdict) = owner.and_then(|owner| self.verdicts.get(&owner)) {
            return *verdict;
        }
        if self.at.abs_diff(timestamp) <= self.ownerless_lease.unsigned_abs() {
            return Verdict::Live;
        }
        Verdict::Dead("expired")
    }

    /// Why the work of dead owners ends.
    ///
    /// # Errors
    /// SQLite's.
    pub fn abandoned(&self, database: &Database) -> Result<Work> {
        self.select(database, |owner, timestamp| {
            match self.verdict(owner, timestamp) {
                Verdict::Live => None,
                Verdict::Dead(reason) => Some(reason.to_owned()),
            }
        })
    }

    /// All work of this process, of dead owners and without one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of_this_process(&self, database: &Database, reason: &str) -> Result<Work> {
        self.select(database, |owner, timestamp| {
            let known = owner.filter(|owner| self.verdicts.contains_key(owner));
            let ours = known.is_none_or(|owner| self.own.contains(&owner));
            (ours || self.verdict(owner, timestamp) != Verdict::Live).then(|| reason.to_owned())
        })
    }

    /// The owners that are connections of this process.
    pub fn own(&self) -> impl Iterator<Item = &OwnerId> {
        self.own.iter()
    }

    /// Whether the owner of open work is alive.
    pub fn is_live(&self, owner: Option<OwnerId>, timestamp: i64) -> bool {
        self.verdict(owner, timestamp) == Verdict::Live
    }

    /// The open operations and syncing scopes for whose owner `why` returns a reason. A scope in which
    /// an operation stays open is left alone.
    fn select(
        &self,
        database: &Database,
        why: impl Fn(Option<OwnerId>, i64) -> Option<String>,
    ) -> Result<Work> {
        let mut work = Work::default();
        let goes_on_working = |owner: Option<OwnerId>| {
            let known = owner.is_some_and(|owner| self.verdicts.contains_key(&owner));
            known && why(owner, self.at).is_none()
        };
        for owner in owners_at_work(database, OPEN_OPERATIONS)? {
            let adrift = owner.and_then(|owner| self.adrift.get(&owner));
            if goes_on_working(owner) && adrift.is_none() {
                continue;
            }
            for operation in open_operations(database, owner)? {
                let is_over = adrift.is_some_and(|adrift| adrift.contains(&operation.status));
                let reason = why(owner, operation.timestamp)
                    .or_else(|| is_over.then(|| "cancelled".to_owned()));
                if let Some(reason) = reason {
                    work.operations
                        .push((operation.id, operation.status, reason));
                }
            }
        }
        let ended: HashSet<i64> = work.operations.iter().map(|(id, _, _)| *id).collect();
        for starter in owners_at_work(database, SYNCING_SCOPES)? {
            if goes_on_working(starter) {
                continue;
            }
            for (scope, timestamp) in syncing_scopes(database, starter)? {
                let Some(reason) = why(starter, timestamp) else {
                    continue;
                };
                if !goes_on(database, &scope, &ended)? {
                    work.scopes.push((scope, reason));
                }
            }
        }
        work.scopes.sort();
        Ok(work)
    }

    /// Whether dead owners have left open work, a run or a lease.
    fn has_left_something(&self, database: &Database) -> Result<bool> {
        if !self.abandoned(database)?.is_empty() {
            return Ok(true);
        }
        for owner in self.dead() {
            let left = database.query_value(
                "SELECT 1 FROM main._syncLease WHERE ownerId = ?1 UNION ALL \
                 SELECT 1 FROM main._syncRun WHERE ownerId = ?1 AND state IN ('queued', 'running')",
                &[(*owner).into()],
            )?;
            if left.as_i64().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn dead(&self) -> impl Iterator<Item = &OwnerId> {
        let all = self.verdicts.iter();
        all.filter(|(_, verdict)| **verdict != Verdict::Live)
            .map(|(owner, _)| owner)
    }

    /// Closes the runs that could not close themselves: their rows, and the leases that kept others from
    /// syncing.
    fn close_runs(&self, database: &Database) -> Result<()> {
        for owner in self.dead().chain(self.adrift.keys()) {
            run_record::close_abandoned(database, *owner)?;
            database.execute(
                "DELETE FROM main._syncLease WHERE ownerId = ?1",
                &[(*owner).into()],
            )?;
        }
        Ok(())
    }

    /// Removes dead owners that nothing refers to any more.
    fn forget_dead(&self, database: &Database) -> Result<()> {
        for owner in self.dead() {
            database.execute(
                "DELETE FROM main._syncOwner WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM main._syncOperation \
                                 WHERE ownerId = ?1 AND state = 'syncing') \
                 AND NOT EXISTS (SELECT 1 FROM main._syncScopeInfo WHERE ownerId = ?1)",
                &[(*owner).into()],
            )?;
        }
        Ok(())
    }
}

fn open_operations(database: &Database, owner: Option<OwnerId>) -> Result<Vec<OpenRow>> {
    database.query_all(
        "SELECT id, statusId, timestamp FROM main._syncOperation \
         WHERE state = 'syncing' AND ownerId IS ?1 ORDER BY id",
        &[owner.into()],
        |row| {
            Ok(OpenRow {
                id: row.integer(0),
                status: row.integer(1),
                timestamp: row.integer(2),
            })
        },
    )
}

/// Syncing scopes that somebody started, with the time of their last change.
fn syncing_scopes(database: &Database, starter: Option<OwnerId>) -> Result<Vec<(String, i64)>> {
    let (info, syncing) = SYNCING_SCOPES;
    let sql = format!(
        "SELECT scope.id, scope.timestamp FROM \
           (SELECT scopeId FROM main.{info} WHERE ownerId IS ?1 AND {syncing}) \
         CROSS JOIN main._syncScope AS scope ON scope.id = scopeId"
    );
    database.query_all(&sql, &[starter.into()], |row| {
        Ok((row.text(0), row.integer(1)))
    })
}

/// Whether an operation of the scope is open besides those that end.
fn goes_on(database: &Database, scope: &str, ended: &HashSet<i64>) -> Result<bool> {
    let open = database.query_all(
        "SELECT operation.id FROM main._syncScopeMember AS member \
         JOIN main._syncOperation AS operation \
           ON operation.instanceId = member.instanceId AND operation.state = 'syncing' \
         WHERE member.scopeId = ?1 AND member.state = 'syncing'",
        &[scope.into()],
        |row| Ok(row.integer(0)),
    )?;
    Ok(open.iter().any(|operation| !ended.contains(operation)))
}
