-- History: one row per state change of a scope, a member or an operation.
--
-- The newest 10,000 rows are kept; the setting eventLimit of _syncMeta says otherwise.
-- objectId is the scope's id, the member's scope and instance ("scope/instance"), or the status id.

CREATE TABLE main._syncEvent (
  id INTEGER PRIMARY KEY NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'scope' OR kind = 'member' OR kind = 'operation'),
  objectId TEXT NOT NULL,
  event TEXT NOT NULL,
  "from" TEXT,
  "to" TEXT,
  reason TEXT
);

CREATE TRIGGER main._syncEvent_prune AFTER INSERT ON _syncEvent
BEGIN
  DELETE FROM _syncEvent
  WHERE id <= NEW.id
    - coalesce((SELECT CAST(value AS INTEGER) FROM _syncMeta WHERE key = 'eventLimit'), 10000);
END;

-- hold 2: the row is being derived. Any other write of the row does not survive and is no event.
CREATE TRIGGER main._syncScope_event AFTER UPDATE OF state ON _syncScope
WHEN (SELECT hold FROM _syncScopeInfo WHERE scopeId = NEW.id) = 2
  AND (NEW.state <> OLD.state OR (SELECT starting FROM _syncScopeInfo WHERE scopeId = NEW.id))
BEGIN
  INSERT INTO _syncEvent (at, kind, objectId, event, "from", "to", reason)
  SELECT NEW.timestamp, 'scope', NEW.id,
    CASE WHEN starting THEN 'started' ELSE NEW.state END,
    CASE WHEN OLD.lastStartedAt IS NOT NULL THEN OLD.state END,
    NEW.state,
    CASE WHEN NEW.state = 'interrupted' THEN reason END
  FROM _syncScopeInfo
  WHERE scopeId = NEW.id;
END;

CREATE TRIGGER main._syncScope_delete_event AFTER DELETE ON _syncScope
BEGIN
  INSERT INTO _syncEvent (at, kind, objectId, event, "from")
  VALUES (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER), 'scope', OLD.id,
    'deleted', OLD.state);
END;

CREATE TRIGGER main._syncScopeMember_event AFTER UPDATE OF state ON _syncScopeMember
WHEN NEW.state <> OLD.state
BEGIN
  INSERT INTO _syncEvent (at, kind, objectId, event, "from", "to", reason)
  SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER), 'member',
    NEW.scopeId || '/' || NEW.instanceId, NEW.state, OLD.state, NEW.state,
    CASE
      WHEN NEW.state = 'interrupted' THEN (
        SELECT substr(error, 14) FROM _syncOperation
        WHERE instanceId = NEW.instanceId AND state = 'interrupted'
        ORDER BY ordinal, id LIMIT 1)
    END;
END;

CREATE TRIGGER main._syncOperation_insert_event AFTER INSERT ON _syncOperation
BEGIN
  INSERT INTO _syncEvent (at, kind, objectId, event, "to")
  VALUES (NEW.timestamp, 'operation', NEW.statusId, NEW.state, NEW.state);
END;

CREATE TRIGGER main._syncOperation_update_event AFTER UPDATE OF state ON _syncOperation
WHEN NEW.state <> OLD.state
BEGIN
  INSERT INTO _syncEvent (at, kind, objectId, event, "from", "to", reason)
  VALUES (NEW.timestamp, 'operation', NEW.statusId, NEW.state, OLD.state, NEW.state,
    CASE WHEN NEW.state = 'interrupted' THEN substr(NEW.error, 14) ELSE NEW.error END);
END;
