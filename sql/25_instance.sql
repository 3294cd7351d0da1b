-- Instances and their operations: which call site runs which status row.
--
-- An instance is one sync_entities call site. Its operations keep their own copy of state, error and
-- time: a status row is shared by all instances that run the same key, and outlives none of them.
-- Writers that change several operations at once set hold = 1, and release it with hold = 0 and
-- revision = revision + 1 in the same transaction; the instance is then derived once.

CREATE TABLE main._syncInstance (
  instanceId TEXT PRIMARY KEY NOT NULL,
  provider TEXT,
  state TEXT NOT NULL DEFAULT 'synced'
    CHECK (state = 'syncing' OR state = 'interrupted' OR state = 'failed' OR state = 'synced'),
  startedAt INTEGER,
  finishedAt INTEGER,
  run INTEGER NOT NULL DEFAULT 0,      -- grows when the instance begins to run
  hold INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 0, -- grows when the instance must be derived again
  fragment TEXT,                       -- its entry of details.instances, cached
  failures TEXT                        -- its entries of details.failures, cached
);
CREATE INDEX main._syncInstance_hold ON _syncInstance (hold) WHERE hold <> 0;

CREATE TABLE main._syncOperation (
  id INTEGER PRIMARY KEY NOT NULL,
  instanceId TEXT,                     -- NULL: work without an instance
  statusId INTEGER NOT NULL,           -- the status row, which may be deleted in the meantime
  ordinal INTEGER NOT NULL DEFAULT 0,
  entity TEXT NOT NULL,
  functionId TEXT,
  state TEXT NOT NULL
    CHECK (state = 'syncing' OR state = 'interrupted' OR state = 'failed' OR state = 'synced'),
  timestamp INTEGER NOT NULL,
  error TEXT,
  ownerId INTEGER,                     -- NULL: begun by plain SQL
  settings TEXT                        -- JSON: what a response does to the tables; NULL: the default
);
CREATE UNIQUE INDEX main._syncOperation_key ON _syncOperation (instanceId, statusId);
CREATE INDEX main._syncOperation_status ON _syncOperation (statusId);
CREATE INDEX main._syncOperation_open ON _syncOperation (ownerId) WHERE state = 'syncing';

CREATE TRIGGER main._syncOperation_insert AFTER INSERT ON _syncOperation
BEGIN
  UPDATE _syncInstance SET run = run + 1
  WHERE instanceId = NEW.instanceId
    AND hold = 0 AND NEW.state = 'syncing' AND state <> 'syncing';
  UPDATE _syncInstance SET revision = revision + 1 WHERE instanceId = NEW.instanceId;
END;

CREATE TRIGGER main._syncOperation_update AFTER UPDATE OF state, error, timestamp ON _syncOperation
WHEN NEW.state IS NOT OLD.state
  OR NEW.error IS NOT OLD.error
  OR NEW.timestamp IS NOT OLD.timestamp
BEGIN
  -- An operation set to syncing again means that its instance runs again.
  UPDATE _syncInstance SET run = run + 1
  WHERE instanceId = NEW.instanceId
    AND hold = 0 AND NEW.state = 'syncing' AND state <> 'syncing';

  UPDATE _syncInstance SET revision = revision + 1 WHERE instanceId = NEW.instanceId;

  -- An interrupted operation interrupts every scope that follows its instance.
  UPDATE _syncScopeInfo
  SET interrupted = 1,
      reason = substr(NEW.error, 14),
      interruptedAt = NEW.timestamp,
      revision = revision + 1
  WHERE NEW.state = 'interrupted'
    AND (OLD.state <> 'interrupted' OR NEW.error IS NOT OLD.error)
    AND scopeId IN (SELECT scopeId FROM _syncScopeMember
                    WHERE instanceId = NEW.instanceId AND following = 1);
END;

CREATE TRIGGER main._syncOperation_delete AFTER DELETE ON _syncOperation
BEGIN
  UPDATE _syncInstance SET revision = revision + 1 WHERE instanceId = OLD.instanceId;
END;

-- From the moment an instance begins to run, every scope that lists it follows it.
CREATE TRIGGER main._syncInstance_run AFTER UPDATE OF run ON _syncInstance
BEGIN
  UPDATE _syncInstance
  SET startedAt = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER),
      finishedAt = NULL
  WHERE instanceId = NEW.instanceId;
  UPDATE _syncScopeMember SET following = 1
  WHERE instanceId = NEW.instanceId AND following = 0;
END;

-- State: any open operation: syncing; else any interrupted: interrupted; else any failed: failed; else
-- synced. The entry of details is built here, once for all scopes that list the instance.
CREATE TRIGGER main._syncInstance_derive AFTER UPDATE OF revision ON _syncInstance
WHEN NEW.hold = 0
BEGIN
  UPDATE _syncInstance
  SET (state, finishedAt) = (
    SELECT now.state,
      CASE
        WHEN now.state = 'syncing' THEN NULL
        WHEN now.state = _syncInstance.state AND _syncInstance.finishedAt IS NOT NULL
        THEN _syncInstance.finishedAt
        ELSE CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
      END
    FROM (
      SELECT CASE
          WHEN total(state = 'syncing') > 0 THEN 'syncing'
          WHEN total(state = 'interrupted') > 0 THEN 'interrupted'
          WHEN total(state = 'failed') > 0 THEN 'failed'
          ELSE 'synced'
        END AS state
      FROM _syncOperation
      WHERE instanceId = NEW.instanceId
    ) AS now
  )
  WHERE instanceId = NEW.instanceId;

  UPDATE _syncInstance
  SET fragment = json_quote(instanceId)
        || ':{"state":"' || state
        || '","provider":' || json_quote(provider)
        || ',"startedAt":' || coalesce(startedAt, 'null')
        || ',"finishedAt":' || coalesce(finishedAt, 'null')
        || ',"error":' || json_quote((
          SELECT error FROM _syncOperation
          WHERE instanceId = NEW.instanceId AND state = 'failed'
          ORDER BY ordinal, id LIMIT 1))
        || ',"entities":[' || coalesce((
          SELECT group_concat(
            '{"statusId":' || statusId
            || ',"entity":' || json_quote(entity)
            || ',"functionId":' || json_quote(functionId)
            || ',"state":"' || state
            || '","timestamp":' || timestamp
            || ',"error":' || json_quote(error) || '}', ',')
          FROM (SELECT * FROM _syncOperation
                WHERE instanceId = NEW.instanceId
                ORDER BY ordinal, id)), '') || ']}',
      failures = (
        SELECT group_concat(
          '{"instanceId":' || json_quote(instanceId)
          || ',"statusId":' || statusId
          || ',"entity":' || json_quote(entity)
          || ',"functionId":' || json_quote(functionId)
          || ',"error":' || json_quote(error) || '}', ',')
        FROM (SELECT * FROM _syncOperation
              WHERE instanceId = NEW.instanceId AND state = 'failed'
              ORDER BY ordinal, id))
  WHERE instanceId = NEW.instanceId;

  UPDATE _syncScopeMember
  SET (state, startedAt, finishedAt, fragment, failures) = (
    SELECT state, startedAt, finishedAt, fragment, failures
    FROM _syncInstance
    WHERE instanceId = NEW.instanceId)
  WHERE instanceId = NEW.instanceId AND following = 1;
END;
