.load ./libsyncscope
SELECT sync_secret('datasette', CAST(readfile('token') AS TEXT), 'http://127.0.0.1:8001');
.mode box
WITH answer AS MATERIALIZED (SELECT sync_entities('planes', 'api', '["planes"]') AS json)
SELECT json ->> 'state' AS state, json ->> 'pushed' AS pushed FROM answer;
SELECT state, notStarted, syncing, synced, failed FROM [_syncScope] WHERE id = 'refresh';
