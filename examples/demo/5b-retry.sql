.load ./libsyncscope
.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('reference-data', 'airline-api', '["planes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;

SELECT id, state, notStarted, syncing, synced, failed FROM [_syncScope] WHERE id = 'refresh';
SELECT count(*) AS pending FROM sync_pending;
