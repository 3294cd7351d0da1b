.load ./libsyncscope
.mode box

-- The phone has not heard of it and changes seats too, and engine.
UPDATE planes SET seats = 200, engine = 'Turbo-jet' WHERE tailnum = 'N102UW';
WITH answer AS MATERIALIZED (
  SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;
