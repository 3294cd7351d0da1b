.load ./libsyncscope
.mode box

-- Up and down.
WITH answer AS MATERIALIZED (
  SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;
SELECT count(*) AS pending FROM sync_pending;

.mode list
.separator "  "
SELECT format('%-21s', name), summary FROM sync_help;
