.load ./libsyncscope

-- Where the API is. The token is for this connection only, and is never stored.
SELECT sync_secret('datasette', CAST(readfile('token') AS TEXT), 'http://127.0.0.1:8001');
SELECT sync_provider('api', '{"kind":"rest","url":"http://127.0.0.1:8001/nyc","token":"datasette"}');

-- Tables to keep in step: what a program writes to them goes back.
SELECT sync_track('airlines') ->> 'tracked', sync_track('airports') ->> 'tracked',
       sync_track('planes') ->> 'tracked', sync_track('flights') ->> 'tracked';

-- How their rows are asked for: all of three tables each time, page by page; of flights, after the first time, what is new.
SELECT sync_function('api', 'airlines', '{"path":"/airlines.json","records":"$.rows","key":"carrier",
  "paging":{"kind":"cursor","next":"$.next","param":"_next","sizeParam":"_size","size":1000}}');
SELECT sync_function('api', 'airports', '{"path":"/airports.json","records":"$.rows","key":"faa",
  "paging":{"kind":"cursor","next":"$.next","param":"_next","sizeParam":"_size","size":1000},
  "writes":{"create":"put-airport","delete":"delete-airport"}}');
SELECT sync_function('api', 'planes', '{"path":"/planes.json","records":"$.rows","key":"tailnum",
  "paging":{"kind":"cursor","next":"$.next","param":"_next","sizeParam":"_size","size":1000},
  "writes":{"update":"update-plane"}}');
SELECT sync_function('api', 'flights', '{"path":"/flights.json","records":"$.rows",
  "paging":{"kind":"cursor","next":"$.next","param":"_next","sizeParam":"_size","size":1000},
  "incremental":{"from":"updated","send":{"query":"updated__gte"},"lookback":"5m"}}');

-- How changes of this device are sent.
SELECT sync_function('api', 'put-airport', '{"method":"POST","path":"/airports/-/upsert","records":"$.rows",
  "body":{"rows":["{row}"],"return":true}}');
SELECT sync_function('api', 'delete-airport', '{"method":"POST","path":"/airports/{key}/-/delete"}');
SELECT sync_function('api', 'update-plane', '{"method":"POST","path":"/planes/{key}/-/update","records":"$.rows",
  "body":{"update":"{changed}","return":true}}');

-- A trial: the request is real, and nothing is kept.
.mode line
WITH answer AS MATERIALIZED (SELECT sync_try_function('api', 'planes', NULL, '{"entity":"planes"}') AS json)
SELECT json ->> '$.request.url' AS request, json ->> 'status' AS status, json ->> 'count' AS count,
       json ->> '$.rows[0]' AS first, json ->> '$.next' AS next
FROM answer;
