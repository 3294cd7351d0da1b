-- Scopes: a named set of instances, with counts, state and details derived from its members.
--
-- Only three things are written to: the members, the interruption, and the start. Everything a reader
-- of _syncScope sees follows from them by the triggers below, in the same transaction.

CREATE TABLE main._syncScope (
  id TEXT PRIMARY KEY NOT NULL CHECK (typeof(id) = 'text' AND id <> ''),
  state TEXT NOT NULL DEFAULT 'synced'
    CHECK (state = 'syncing' OR state = 'failed' OR state = 'synced' OR state = 'interrupted'),
  timestamp INTEGER NOT NULL
    DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)),
  notStarted INTEGER NOT NULL DEFAULT 0,
  syncing INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  synced INTEGER NOT NULL DEFAULT 0,
  lastStartedAt INTEGER,
  lastFailedAt INTEGER,
  lastSyncedAt INTEGER,
  details TEXT NOT NULL DEFAULT '{"instances":{},"failures":[],"interruption":null}'
);

-- hold: 0 derived at every change; 1 a writer gathers several changes; 2 the row is being derived;
-- 3 the row is being restored. Never other than 0 outside a statement or a function call.
CREATE TABLE main._syncScopeInfo (
  scopeId TEXT PRIMARY KEY NOT NULL,
  ownerId INTEGER,                     -- who started it; NULL: plain SQL
  interrupted INTEGER NOT NULL DEFAULT 0,
  reason TEXT,
  interruptedAt INTEGER,
  interruptReason TEXT,                -- a request to interrupt, see 35_interruption.sql
  starting INTEGER NOT NULL DEFAULT 0, -- 1: the next derivation is a start
  hold INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 0, -- grows when the scope must be derived again
  members INTEGER NOT NULL DEFAULT 0,
  notStarted INTEGER NOT NULL DEFAULT 0,
  syncing INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  synced INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX main._syncScopeInfo_hold ON _syncScopeInfo (hold) WHERE hold <> 0;
CREATE INDEX main._syncScopeInfo_owner ON _syncScopeInfo (ownerId);
-- The scopes in the state syncing, by who started them: see the derivation below.
CREATE INDEX main._syncScopeInfo_syncing ON _syncScopeInfo (ownerId)
  WHERE synced + failed <> members AND interrupted = 0;

-- following: 1 once the instance has begun to run after the start of the scope (or was in flight at
-- it); only then does the member take the state of its instance.
CREATE TABLE main._syncScopeMember (
  scopeId TEXT NOT NULL CHECK (typeof(scopeId) = 'text'),
  instanceId TEXT NOT NULL CHECK (typeof(instanceId) = 'text' AND instanceId <> ''),
  ordinal INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'notStarted'
    CHECK (state = 'notStarted' OR state = 'syncing' OR state = 'synced' OR state = 'failed'
      OR state = 'interrupted'),
  startedAt INTEGER,
  finishedAt INTEGER,
  following INTEGER NOT NULL DEFAULT 0,
  fragment TEXT,                       -- its entry of details.instances, cached
  failures TEXT,                       -- its entries of details.failures, cached
  PRIMARY KEY (scopeId, instanceId)
);
CREATE INDEX main._syncScopeMember_instance ON _syncScopeMember (instanceId);

-- Members ------------------------------------------------------------------------------------------

CREATE TRIGGER main._syncScopeMember_check_insert BEFORE INSERT ON _syncScopeMember
WHEN NOT EXISTS (SELECT 1 FROM _syncScopeInfo WHERE scopeId = NEW.scopeId)
BEGIN
  SELECT RAISE(ABORT, '_syncScopeMember: no such scope; start it first');
END;

-- A member whose instance is in flight joins it at once; any other starts as it was inserted, except
-- that nothing is syncing without an instance in flight.
CREATE TRIGGER main._syncScopeMember_insert AFTER INSERT ON _syncScopeMember
BEGIN
  UPDATE _syncScopeMember
  SET following = 0,
      state = CASE WHEN NEW.state = 'syncing' THEN 'notStarted' ELSE NEW.state END,
      failures = NULL,
      fragment = json_quote(NEW.instanceId)
        || ':{"state":"' || CASE WHEN NEW.state = 'syncing' THEN 'notStarted' ELSE NEW.state END
        || '","provider":null,"startedAt":' || coalesce(CAST(NEW.startedAt AS INTEGER), 'null')
        || ',"finishedAt":' || coalesce(CAST(NEW.finishedAt AS INTEGER), 'null')
        || ',"error":null,"entities":[]}'
  WHERE scopeId = NEW.scopeId
    AND instanceId = NEW.instanceId
    AND NOT EXISTS (SELECT 1 FROM _syncInstance
                    WHERE instanceId = NEW.instanceId AND state = 'syncing');
  UPDATE _syncScopeMember
  SET (following, state, startedAt, finishedAt, fragment, failures) = (
    SELECT 1, state, startedAt, finishedAt, fragment, failures
    FROM _syncInstance
    WHERE instanceId = NEW.instanceId)
  WHERE scopeId = NEW.scopeId
    AND instanceId = NEW.instanceId
    AND EXISTS (SELECT 1 FROM _syncInstance
                WHERE instanceId = NEW.instanceId AND state = 'syncing');
  UPDATE _syncScopeInfo
  SET interrupted = 1,
      reason = 'unspecified',
      interruptedAt = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
  WHERE scopeId = NEW.scopeId
    AND interrupted = 0
    AND EXISTS (SELECT 1 FROM _syncScopeMember
                WHERE scopeId = NEW.scopeId
                  AND instanceId = NEW.instanceId AND state = 'interrupted');
  UPDATE _syncScopeInfo SET revision = revision + 1 WHERE scopeId = NEW.scopeId;
END;

-- A member can become interrupted without being interrupted itself: its last open operation ended
-- while an earlier one had been interrupted before the scope was started again.
CREATE TRIGGER main._syncScopeMember_update
AFTER UPDATE OF state, fragment, failures ON _syncScopeMember
WHEN OLD.fragment IS NOT NULL
  AND (NEW.state IS NOT OLD.state
    OR NEW.fragment IS NOT OLD.fragment
    OR NEW.failures IS NOT OLD.failures)
BEGIN
  UPDATE _syncScopeInfo
  SET interrupted = 1,
      (reason, interruptedAt) = (
        SELECT substr(error, 14), timestamp
        FROM _syncOperation
        WHERE instanceId = NEW.instanceId AND state = 'interrupted'
        ORDER BY ordinal, id LIMIT 1)
  WHERE scopeId = NEW.scopeId
    AND interrupted = 0
    AND NEW.state = 'interrupted' AND OLD.state <> 'interrupted';
  UPDATE _syncScopeInfo SET revision = revision + 1 WHERE scopeId = NEW.scopeId;
END;

CREATE TRIGGER main._syncScopeMember_delete AFTER DELETE ON _syncScopeMember
BEGIN
  UPDATE _syncScopeInfo SET revision = revision + 1 WHERE scopeId = OLD.scopeId;
END;

-- Derivation ---------------------------------------------------------------------------------------

-- With all members synced (or none at all): synced; all completed: failed; else interrupted while the
-- interruption lasts; else syncing. The interruption ends when all members are completed.
CREATE TRIGGER main._syncScopeInfo_derive AFTER UPDATE OF revision ON _syncScopeInfo
WHEN NEW.hold = 0
BEGIN
  UPDATE _syncScopeInfo
  SET hold = 2,
      (members, notStarted, syncing, failed, synced) = (
        SELECT count(*),
          count(CASE WHEN state = 'notStarted' THEN 1 END),
          count(CASE WHEN state = 'syncing' THEN 1 END),
          count(CASE WHEN state = 'failed' THEN 1 END),
          count(CASE WHEN state = 'synced' THEN 1 END)
        FROM _syncScopeMember
        WHERE scopeId = NEW.scopeId)
  WHERE scopeId = NEW.scopeId;

  UPDATE _syncScopeInfo SET interrupted = 0, reason = NULL, interruptedAt = NULL
  WHERE scopeId = NEW.scopeId AND synced + failed = members;

  UPDATE _syncScope
  SET (notStarted, syncing, failed, synced, timestamp,
       state, lastStartedAt, lastFailedAt, lastSyncedAt, details) = (
    SELECT notStarted, syncing, failed, synced, at,
      state,
      CASE WHEN starting THEN at ELSE _syncScope.lastStartedAt END,
      CASE
        WHEN state = 'failed' AND (starting OR _syncScope.state <> 'failed') THEN at
        ELSE _syncScope.lastFailedAt
      END,
      CASE
        WHEN state = 'synced' AND (starting OR _syncScope.state <> 'synced') THEN at
        ELSE _syncScope.lastSyncedAt
      END,
      '{"instances":{' || coalesce(instances, '')
        || '},"failures":[' || coalesce(failures, '')
        || '],"interruption":'
        || CASE
          WHEN state = 'interrupted'
          THEN '{"reason":' || json_quote(reason) || ',"at":' || interruptedAt || '}'
          ELSE 'null'
        END
        || '}'
    FROM (
      SELECT info.notStarted, info.syncing, info.failed, info.synced,
        info.starting, info.reason, info.interruptedAt,
        CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) AS at,
        CASE
          WHEN info.synced = info.members THEN 'synced'
          WHEN info.synced + info.failed = info.members THEN 'failed'
          WHEN info.interrupted THEN 'interrupted'
          ELSE 'syncing'
        END AS state,
        cached.instances, cached.failures
      FROM _syncScopeInfo AS info
      CROSS JOIN (
        SELECT group_concat(fragment, ',') AS instances, group_concat(failures, ',') AS failures
        FROM (SELECT fragment, failures FROM _syncScopeMember
              WHERE scopeId = NEW.scopeId
              ORDER BY ordinal, rowid)
      ) AS cached
      WHERE info.scopeId = NEW.scopeId))
  WHERE id = NEW.scopeId;

  UPDATE _syncScopeInfo SET hold = 0, starting = 0 WHERE scopeId = NEW.scopeId;
END;

-- Writes to the scope itself -----------------------------------------------------------------------

-- A scope inserted by hand has no members and is synced at once. What an older row of the same id left
-- behind goes first: without recursive_triggers, OR REPLACE removes a row without its delete trigger.
CREATE TRIGGER main._syncScope_insert AFTER INSERT ON _syncScope
WHEN NOT EXISTS (SELECT 1 FROM _syncScopeInfo WHERE scopeId = NEW.id AND hold <> 0)
BEGIN
  DELETE FROM _syncScopeInfo WHERE scopeId = NEW.id;
  DELETE FROM _syncScopeMember WHERE scopeId = NEW.id;
  INSERT INTO _syncScopeInfo (scopeId, starting, hold) VALUES (NEW.id, 1, 3);
  UPDATE _syncScope SET lastFailedAt = NULL, lastSyncedAt = NULL WHERE id = NEW.id;
  UPDATE _syncScopeInfo SET hold = 0, revision = revision + 1 WHERE scopeId = NEW.id;
END;

CREATE TRIGGER main._syncScope_check_update BEFORE UPDATE OF id ON _syncScope
WHEN NEW.id IS NOT OLD.id
BEGIN
  SELECT RAISE(ABORT, '_syncScope: the id of a scope cannot change; start a scope of the new id');
END;

-- Derived columns take no writes: the row is put back as it was. Setting the state of a syncing scope
-- to interrupted is a request to interrupt it.
CREATE TRIGGER main._syncScope_update AFTER UPDATE ON _syncScope
WHEN (SELECT hold FROM _syncScopeInfo WHERE scopeId = NEW.id) = 0
BEGIN
  UPDATE _syncScopeInfo SET hold = 3 WHERE scopeId = NEW.id;
  UPDATE _syncScope
  SET state = OLD.state,
      timestamp = OLD.timestamp,
      notStarted = OLD.notStarted,
      syncing = OLD.syncing,
      failed = OLD.failed,
      synced = OLD.synced,
      lastStartedAt = OLD.lastStartedAt,
      lastFailedAt = OLD.lastFailedAt,
      lastSyncedAt = OLD.lastSyncedAt,
      details = OLD.details
  WHERE id = NEW.id;
  UPDATE _syncScopeInfo SET hold = 0 WHERE scopeId = NEW.id;
  UPDATE _syncScopeInfo SET interruptReason = 'unspecified'
  WHERE scopeId = NEW.id AND OLD.state = 'syncing' AND NEW.state = 'interrupted';
END;

CREATE TRIGGER main._syncScope_delete AFTER DELETE ON _syncScope
BEGIN
  DELETE FROM _syncScopeInfo WHERE scopeId = OLD.id;
  DELETE FROM _syncScopeMember WHERE scopeId = OLD.id;
END;
