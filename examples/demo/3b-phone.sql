.load ./libsyncscope
.mode box

-- The phone has not cared for airlines so far: they come whole, of the rest only what has changed.
SELECT sync_track('airlines')->>'tracked' AS tracked;

WITH answer AS MATERIALIZED (
  SELECT sync_entities('everything', 'airline-api', '["airlines","airports","planes","flights"]') AS json)
SELECT json->>'state' AS state, json->>'inserted' AS inserted,
       json->>'updated' AS updated, json->>'deleted' AS deleted
FROM answer;

SELECT faa, name FROM airports WHERE faa IN ('ISN', 'XWA');
SELECT carrier, name FROM airlines WHERE carrier = 'US';
SELECT id, tailnum FROM flights WHERE id = '2013-01-01-UA-1545-EWR';
