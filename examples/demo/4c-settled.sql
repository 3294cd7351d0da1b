.load ./libsyncscope
.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;

-- seats: both changed it, the phone came last. speed: from the tablet. engine: from the phone.
ATTACH 'phone.db' AS phone;
ATTACH 'backend.db' AS backend;
SELECT 'tablet' AS at, tailnum, seats, speed, engine FROM main.planes WHERE tailnum = 'N102UW'
UNION ALL
SELECT 'phone', tailnum, seats, speed, engine FROM phone.planes WHERE tailnum = 'N102UW'
UNION ALL
SELECT 'backend', tailnum, seats, speed, engine FROM backend.planes WHERE tailnum = 'N102UW';
