-- Interruption of one scope: its open operations fail with "interrupted: <reason>", its instances in
-- flight become interrupted in every scope that lists them, and the scope itself is interrupted.
--
-- The request is a reason written to _syncScopeInfo.interruptReason. All instances and scopes touched
-- are held until the end, so that each is derived once however many operations are open.

CREATE TRIGGER main._syncScopeInfo_interrupt AFTER UPDATE OF interruptReason ON _syncScopeInfo
WHEN NEW.interruptReason IS NOT NULL
BEGIN
  UPDATE _syncInstance SET hold = 1
  WHERE instanceId IN (
    SELECT shared.instanceId
    FROM _syncScopeMember AS member
    JOIN _syncOperation AS open ON open.instanceId = member.instanceId AND open.state = 'syncing'
    JOIN _syncOperation AS shared ON shared.statusId = open.statusId AND shared.state = 'syncing'
    WHERE member.scopeId = NEW.scopeId);
  UPDATE _syncScopeInfo SET hold = 1
  WHERE scopeId = NEW.scopeId
    OR scopeId IN (
      SELECT member.scopeId
      FROM _syncInstance AS instance
      JOIN _syncScopeMember AS member ON member.instanceId = instance.instanceId
      WHERE instance.hold <> 0);

  UPDATE _syncScopeInfo
  SET interrupted = 1,
      reason = NEW.interruptReason,
      interruptedAt = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER),
      interruptReason = NULL
  WHERE scopeId = NEW.scopeId;

  -- First through the status rows, which reach their operations; then the operations whose row was
  -- deleted in flight.
  UPDATE _syncStatus SET state = 'failed', error = 'interrupted: ' || NEW.interruptReason
  WHERE state = 'syncing'
    AND id IN (
      SELECT open.statusId
      FROM _syncScopeMember AS member
      JOIN _syncOperation AS open ON open.instanceId = member.instanceId AND open.state = 'syncing'
      WHERE member.scopeId = NEW.scopeId);
  UPDATE _syncOperation
  SET state = 'interrupted',
      error = 'interrupted: ' || NEW.interruptReason,
      timestamp = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
  WHERE state = 'syncing'
    AND statusId IN (
      SELECT open.statusId
      FROM _syncScopeMember AS member
      JOIN _syncOperation AS open ON open.instanceId = member.instanceId AND open.state = 'syncing'
      WHERE member.scopeId = NEW.scopeId);

  UPDATE _syncInstance SET hold = 0, revision = revision + 1 WHERE hold <> 0;
  UPDATE _syncScopeInfo SET hold = 0, revision = revision + 1 WHERE hold <> 0;
END;
