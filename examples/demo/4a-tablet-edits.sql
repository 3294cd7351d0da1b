.load ./libsyncscope
.mode box

-- The tablet changes seats and speed, and is first at the backend.
UPDATE planes SET seats = 190, speed = 450 WHERE tailnum = 'N102UW';
WITH answer AS MATERIALIZED (
  SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;
