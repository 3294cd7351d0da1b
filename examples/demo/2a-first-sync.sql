.load ./libsyncscope

-- Where the backend is, which tables are synced with it, and a scope that shows when everything is there.
SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"http://127.0.0.1:8787/sync"}');
SELECT sync_track('airports'), sync_track('planes'), sync_track('flights');
SELECT sync_start_scope('startup', '["reference-data","flights"]');

-- sync_entities answers with JSON.
SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]');

-- Parts of the answer. MATERIALIZED: the function is called once, whatever is picked.
.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('flights', 'airline-api', '["flights"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;

-- Progress and results are ordinary tables.
SELECT id, state, notStarted, syncing, synced, failed FROM [_syncScope];
SELECT entity, state, error FROM [_syncStatus] ORDER BY entity;
