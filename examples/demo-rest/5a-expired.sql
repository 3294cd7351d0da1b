.load ./libsyncscope
SELECT sync_secret('datasette', CAST(readfile('token.expired') AS TEXT), 'http://127.0.0.1:8001');
UPDATE planes SET seats = 190 WHERE tailnum = 'N102UW';

-- The token is no longer good.
SELECT sync_start_scope('refresh', '["planes"]');
SELECT sync_entities('planes', 'api', '["planes"]') ->> 'state';
.mode box
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope] WHERE id = 'refresh';
SELECT entity, error ->> 'class' AS class, error ->> 'status' AS status, error ->> 'message' AS message
FROM sync_status WHERE state = 'failed';

-- Nothing is lost.
SELECT "table", key, op, changed FROM sync_pending;
