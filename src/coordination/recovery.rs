//! Recovery: settling what dead owners left, and nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::interruption::{Work, interrupt};
use super::owner::{self, OwnerId, Process, Verdict};
use super::{installed, now, setting};
use crate::store::{Database, Result, Session, require_idle, transact};

/// Work begun by plain SQL is taken for abandoned an hour after its last change, unless
/// `_syncMeta.ownerlessLeaseMs` says otherwise.
const OWNERLESS_LEASE: i64 = 3_600_000;

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
pub fn recover(database: &Database, _session: &Session) -> Result<Recovered> {
    let judged = Judged::new(database)?;
    let work = judged.abandoned(database)?;
    let scopes = interrupt(database, &work)?;
    judged.forget_dead(database)?;
    Ok(Recovered { operations: work.operations.len(), scopes })
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
    if !installed(&database)? || abandoned(&database)?.is_empty() {
        return Ok(());
    }
    transact(session.connection(), || recover(&database, session).map(drop))
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
    /// Owners that are connections of this process.
    own: HashSet<OwnerId>,
}

struct OpenRow {
    id: i64,
    status: i64,
    instance: Option<String>,
    owner: Option<OwnerId>,
    timestamp: i64,
}

impl Judged {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database) -> Result<Self> {
        let here = Process::current();
        let at = now();
        let owners = owner::all(database)?;
        Ok(Self {
            at,
            ownerless_lease: setting(database, "ownerlessLeaseMs", OWNERLESS_LEASE)?,
            own: owners.iter().filter(|owner| owner.is_in(&here)).map(|owner| owner.id).collect(),
            verdicts: owners.iter().map(|owner| (owner.id, owner.verdict(&here, at))).collect(),
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
        self.select(database, |owner, timestamp| match self.verdict(owner, timestamp) {
            Verdict::Live => None,
            Verdict::Dead(reason) => Some(reason.to_owned()),
        })
    }

    /// All work of this process, of dead owners and of nobody.
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

    /// Whether the owner of open work is alive.
    pub fn is_live(&self, owner: Option<OwnerId>, timestamp: i64) -> bool {
        self.verdict(owner, timestamp) == Verdict::Live
    }

    /// The open operations and syncing scopes for whose owner `why` gives a reason. A scope in which
    /// an operation stays open is left alone.
    fn select(
        &self,
        database: &Database,
        why: impl Fn(Option<OwnerId>, i64) -> Option<String>,
    ) -> Result<Work> {
        let open = database.query_all(
            "SELECT id, statusId, instanceId, ownerId, timestamp \
             FROM main._syncOperation WHERE state = 'syncing' ORDER BY id",
            &[],
            |row| {
                Ok(OpenRow {
                    id: row.integer(0),
                    status: row.integer(1),
                    instance: row.optional_text(2),
                    owner: row.column(3).as_i64(),
                    timestamp: row.integer(4),
                })
            },
        )?;
        let mut work = Work::default();
        let mut busy = BTreeSet::new();
        for operation in open {
            match why(operation.owner, operation.timestamp) {
                Some(reason) => work.operations.push((operation.id, operation.status, reason)),
                None => busy.extend(operation.instance),
            }
        }
        let scopes = database.query_all(
            "SELECT scope.id, info.ownerId, scope.timestamp \
             FROM main._syncScope AS scope JOIN main._syncScopeInfo AS info ON info.scopeId = scope.id \
             WHERE scope.state = 'syncing' ORDER BY scope.id",
            &[],
            |row| Ok((row.text(0), row.column(1).as_i64(), row.integer(2))),
        )?;
        for (scope, starter, timestamp) in scopes {
            let Some(reason) = why(starter, timestamp) else { continue };
            if !Self::has_member_among(database, &scope, &busy)? {
                work.scopes.push((scope, reason));
            }
        }
        Ok(work)
    }

    fn has_member_among(
        database: &Database,
        scope: &str,
        instances: &BTreeSet<String>,
    ) -> Result<bool> {
        if instances.is_empty() {
            return Ok(false);
        }
        let members = database.query_all(
            "SELECT instanceId FROM main._syncScopeMember WHERE scopeId = ?1 AND state = 'syncing'",
            &[scope.into()],
            |row| Ok(row.text(0)),
        )?;
        Ok(members.iter().any(|member| instances.contains(member)))
    }

    /// Removes dead owners that nothing refers to any more.
    fn forget_dead(&self, database: &Database) -> Result<()> {
        for (owner, verdict) in &self.verdicts {
            if *verdict == Verdict::Live {
                continue;
            }
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
