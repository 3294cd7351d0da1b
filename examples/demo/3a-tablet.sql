.load ./libsyncscope
SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"http://127.0.0.1:8787/sync"}');
SELECT sync_track('airlines'), sync_track('airports'), sync_track('planes'), sync_track('flights');

.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('everything', 'airline-api', '["airlines","airports","planes","flights"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;

-- A town moves its airport, an airline is bought, a flight gets another plane.
DELETE FROM airports WHERE faa = 'ISN';
INSERT INTO airports (faa, name, lat, lon, alt, tz, dst, tzone)
VALUES ('XWA', 'Williston Basin Intl', 48.2597, -103.7508, 2357, -6, 'A', 'America/Chicago');
UPDATE airlines SET name = 'American Airlines Inc. (was US Airways)' WHERE carrier = 'US';
UPDATE flights SET tailnum = 'N10156' WHERE id = '2013-01-01-UA-1545-EWR';
SELECT "table", key, op, changed FROM sync_pending;

WITH answer AS MATERIALIZED (
  SELECT sync_entities('everything', 'airline-api', '["airlines","airports","planes","flights"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;
