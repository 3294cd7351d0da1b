.load ./libsyncscope
.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('everything', 'airline-api', '["airlines","airports","planes","flights"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;
SELECT count(*) AS pending FROM sync_pending;
