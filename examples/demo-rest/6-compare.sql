.load ./libsyncscope
SELECT sync_secret('datasette', CAST(readfile('token') AS TEXT), 'http://127.0.0.1:8001');

-- All is read again and compared, and nothing is written.
SELECT sync_check('api') ->> 'state';
SELECT count(*) AS pending FROM sync_pending;
