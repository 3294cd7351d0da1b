.load ./libsyncscope
SELECT sync_secret('datasette', CAST(readfile('token') AS TEXT), 'http://127.0.0.1:8001');

-- One call for all four. Planes are read whole and compared; of flights only what is new is asked for.
.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('all', 'api', '["airlines","airports","planes","flights"]') AS json)
SELECT json ->> 'state' AS state, json ->> 'inserted' AS inserted, json ->> 'updated' AS updated,
       json ->> 'deleted' AS deleted, json ->> 'unchanged' AS unchanged, json ->> 'requests' AS requests
FROM answer;

SELECT tailnum, seats FROM planes WHERE tailnum = 'N10156';
SELECT id, tailnum FROM flights WHERE id = '2013-01-01-UA-1545-EWR';
SELECT faa, name FROM airports WHERE faa IN ('ISN', 'XWA');
