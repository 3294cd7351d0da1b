.load ./libsyncscope
SELECT sync_secret('datasette', CAST(readfile('token') AS TEXT), 'http://127.0.0.1:8001');

-- Plain SQL. What would go up?
UPDATE planes SET seats = 189, speed = 450 WHERE tailnum = 'N102UW';
INSERT INTO airports (faa, name, lat, lon, alt, tz, dst, tzone)
VALUES ('BER', 'Berlin Brandenburg', 52.3667, 13.5033, 157, 1, 'U', 'Europe/Berlin');
DELETE FROM airports WHERE faa = '04G';
.mode box
SELECT "table", key, op, changed FROM sync_pending;

WITH answer AS MATERIALIZED (SELECT sync_entities('all', 'api', '["airports","planes"]') AS json)
SELECT json ->> 'state' AS state, json ->> 'pushed' AS pushed, json ->> 'rejected' AS rejected
FROM answer;
SELECT count(*) AS pending FROM sync_pending;
