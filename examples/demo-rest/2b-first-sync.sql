.load ./libsyncscope
SELECT sync_secret('datasette', CAST(readfile('token') AS TEXT), 'http://127.0.0.1:8001');

-- A scope of four. Its progress is an ordinary table, which any program can read while the sync goes on.
SELECT sync_start_scope('startup', '["airlines","airports","planes","flights"]');
.mode box
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope];

SELECT sync_entities('airlines', 'api', '["airlines"]') ->> 'requests' AS requests;
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope];

SELECT sync_entities('airports', 'api', '["airports"]') ->> 'requests' AS requests;
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope];

SELECT sync_entities('planes', 'api', '["planes"]') ->> 'requests' AS requests;
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope];

SELECT sync_entities('flights', 'api', '["flights"]') ->> 'requests' AS requests;
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope];

SELECT instanceId, entity, state, error FROM sync_status;
