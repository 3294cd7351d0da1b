-- Statuses: one row per operation, updated in place.
--
-- An operation is one entity of one sync_entities call. Its row is found again by its key (provider,
-- entity, function, parameters) and keeps its id for as long as it exists; an id is never reused.
--
-- Here and in the other tables a CHECK lists values with OR: for IN with more than two of them SQLite fills
-- a temporary table in every statement that writes.

CREATE TABLE main._syncStatus (
  id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id > 0),
  provider TEXT NOT NULL CHECK (typeof(provider) = 'text'),
  entity TEXT NOT NULL CHECK (typeof(entity) = 'text'),
  functionId TEXT CHECK (functionId IS NULL OR (typeof(functionId) = 'text' AND functionId <> '')),
  state TEXT NOT NULL CHECK (state = 'syncing' OR state = 'synced' OR state = 'failed'),
  timestamp INTEGER NOT NULL
    DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
    CHECK (typeof(timestamp) = 'integer'),
  error TEXT CHECK (typeof(error) IN ('text', 'null'))
);

-- The key of a status row, with the parameters that the row itself does not show.
CREATE TABLE main._syncOperationKey (
  statusId INTEGER PRIMARY KEY NOT NULL,
  provider TEXT NOT NULL,
  entity TEXT NOT NULL,
  functionId TEXT,
  parameters TEXT NOT NULL DEFAULT '{}', -- canonical JSON
  lastInstanceId TEXT,                   -- the instance that ran it last
  tidying INTEGER NOT NULL DEFAULT 0     -- 1 only while the trigger below tidies the row
);
CREATE UNIQUE INDEX main._syncOperationKey_key
  ON _syncOperationKey (provider, entity, coalesce(functionId, ''), parameters);

-- The checks are in triggers rather than constraints: a constraint can be overridden by OR REPLACE,
-- and REPLACE removes the old row silently. NEW.id is -1 here when SQLite chooses it.
CREATE TRIGGER main._syncStatus_check_insert BEFORE INSERT ON _syncStatus
BEGIN
  SELECT RAISE(ABORT, '_syncStatus: an id is never reused; leave the id out or update the row')
  WHERE NEW.id <> -1
    AND (NEW.id <= (SELECT seq FROM sqlite_sequence WHERE name = '_syncStatus')
      OR EXISTS (SELECT 1 FROM _syncStatus WHERE id = NEW.id));
  SELECT RAISE(ABORT, '_syncStatus: this provider, entity and functionId have a row already; update it')
  WHERE NOT EXISTS (SELECT 1 FROM _syncOperationKey WHERE statusId = NEW.id)
    AND EXISTS (SELECT 1 FROM _syncOperationKey
                WHERE provider = NEW.provider
                  AND entity = NEW.entity
                  AND coalesce(functionId, '') = coalesce(NEW.functionId, '')
                  AND parameters = '{}');
END;

-- A row inserted by hand has the key with empty parameters and belongs to no instance.
CREATE TRIGGER main._syncStatus_insert AFTER INSERT ON _syncStatus
BEGIN
  INSERT INTO _syncOperationKey (statusId, provider, entity, functionId)
  SELECT NEW.id, NEW.provider, NEW.entity, NEW.functionId
  WHERE NOT EXISTS (SELECT 1 FROM _syncOperationKey WHERE statusId = NEW.id);

  INSERT INTO _syncOperation (instanceId, statusId, entity, functionId, state, timestamp)
  SELECT NULL, NEW.id, NEW.entity, NEW.functionId, 'syncing', NEW.timestamp
  WHERE NEW.state = 'syncing'
    AND NOT EXISTS (SELECT 1 FROM _syncOperation WHERE statusId = NEW.id AND state = 'syncing');

  UPDATE _syncStatus SET error = NULL
  WHERE id = NEW.id AND state <> 'failed' AND error IS NOT NULL;
END;

CREATE TRIGGER main._syncStatus_check_update
BEFORE UPDATE OF id, provider, entity, functionId ON _syncStatus
WHEN NEW.id IS NOT OLD.id
  OR NEW.provider IS NOT OLD.provider
  OR NEW.entity IS NOT OLD.entity
  OR NEW.functionId IS NOT OLD.functionId
BEGIN
  SELECT RAISE(ABORT, '_syncStatus: id, provider, entity and functionId of a row cannot change');
END;

-- A change of the row reaches the open operations of the row; when none is open, the operation of the
-- instance that ran it last. A failure whose error starts with "interrupted: " is an interruption.
-- Under recursive_triggers the tidying of the row would fire this trigger again.
CREATE TRIGGER main._syncStatus_update AFTER UPDATE OF state, error, timestamp ON _syncStatus
WHEN (NEW.state IS NOT OLD.state
    OR NEW.error IS NOT OLD.error
    OR NEW.timestamp IS NOT OLD.timestamp)
  AND NOT EXISTS (SELECT 1 FROM _syncOperationKey WHERE statusId = NEW.id AND tidying <> 0)
BEGIN
  UPDATE _syncOperation
  SET state = CASE
        WHEN NEW.state = 'failed' AND substr(NEW.error, 1, 13) = 'interrupted: ' THEN 'interrupted'
        ELSE NEW.state
      END,
      error = CASE WHEN NEW.state = 'failed' THEN NEW.error END,
      timestamp = CASE
        WHEN NEW.timestamp IS OLD.timestamp
          AND (NEW.state IS NOT OLD.state OR (NEW.state = 'failed' AND NEW.error IS NOT OLD.error))
        THEN CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
        ELSE NEW.timestamp
      END,
      ownerId = CASE WHEN NEW.state = 'syncing' AND state <> 'syncing' THEN NULL ELSE ownerId END
  WHERE statusId = NEW.id
    AND (state = 'syncing'
      OR (instanceId IS (SELECT lastInstanceId FROM _syncOperationKey WHERE statusId = NEW.id)
        AND NOT EXISTS (SELECT 1 FROM _syncOperation
                        WHERE statusId = NEW.id AND state = 'syncing')));

  -- A row set to syncing by hand always has an open operation behind it, so that it can be recovered.
  UPDATE _syncOperationKey SET lastInstanceId = NULL
  WHERE statusId = NEW.id
    AND NEW.state = 'syncing'
    AND NOT EXISTS (SELECT 1 FROM _syncOperation WHERE statusId = NEW.id AND state = 'syncing');
  DELETE FROM _syncOperation
  WHERE statusId = NEW.id AND instanceId IS NULL
    AND NEW.state = 'syncing'
    AND NOT EXISTS (SELECT 1 FROM _syncOperation WHERE statusId = NEW.id AND state = 'syncing');
  INSERT INTO _syncOperation (instanceId, statusId, entity, functionId, state, timestamp)
  SELECT NULL, NEW.id, NEW.entity, NEW.functionId, 'syncing', NEW.timestamp
  WHERE NEW.state = 'syncing'
    AND NOT EXISTS (SELECT 1 FROM _syncOperation WHERE statusId = NEW.id AND state = 'syncing');

  UPDATE _syncOperationKey SET tidying = 1 WHERE statusId = NEW.id;
  UPDATE _syncStatus
  SET error = CASE WHEN NEW.state = 'failed' THEN NEW.error END,
      timestamp = CASE
        WHEN NEW.timestamp IS OLD.timestamp
          AND (NEW.state IS NOT OLD.state OR (NEW.state = 'failed' AND NEW.error IS NOT OLD.error))
        THEN CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
        ELSE NEW.timestamp
      END
  WHERE id = NEW.id
    AND ((NEW.state <> 'failed' AND NEW.error IS NOT NULL)
      OR (NEW.timestamp IS OLD.timestamp
        AND (NEW.state IS NOT OLD.state OR (NEW.state = 'failed' AND NEW.error IS NOT OLD.error))));
  UPDATE _syncOperationKey SET tidying = 0 WHERE statusId = NEW.id;
END;

-- The operation of a deleted row stays open and remembered; the next run of the key gets a new row.
CREATE TRIGGER main._syncStatus_delete AFTER DELETE ON _syncStatus
BEGIN
  DELETE FROM _syncOperationKey WHERE statusId = OLD.id;
  DELETE FROM _syncOperation
  WHERE statusId = OLD.id AND instanceId IS NULL AND state <> 'syncing';
END;
