.load
CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, done BOOLEAN NOT NULL DEFAULT 0, points INTEGER);
SELECT 'declare', sync_provider('api', '{"kind":"watermelon","url":"http://127.0.0.1:8787/sync"}');
SELECT 'track', sync_track('task') ->> 'tracked';
SELECT 'follow', sync_start_scope('startup', '["work"]');
INSERT INTO task VALUES ('t1', 'Dig', 0, 1), ('t2', 'Rest', 1, 9007199254740993);
WITH answer AS MATERIALIZED (SELECT sync_entities('work', 'api', '["task"]') AS json) SELECT 'two go up', json ->> 'state', json ->> 'pulled', json ->> 'pushed', json ->> 'conflicts' FROM answer;
SELECT id, state, notStarted, syncing, synced, failed FROM [_syncScope];
SELECT entity, state, error FROM [_syncStatus] ORDER BY entity;
SELECT 'nothing is pending', count(*) FROM sync_pending;

-- A second device: another file, the same backend.
.open tablet.db
.load
CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, done BOOLEAN NOT NULL DEFAULT 0, points INTEGER);
SELECT 'declare', sync_provider('api', '{"kind":"watermelon","url":"http://127.0.0.1:8787/sync"}');
SELECT 'track', sync_track('task') ->> 'tracked';
SELECT 'two come down', sync_entities('work', 'api', '["task"]') ->> 'inserted';
SELECT 'exact to the last digit', id, title, done, points FROM task ORDER BY id;
UPDATE task SET title = 'Dig deeper', points = 5 WHERE id = 't1';
DELETE FROM task WHERE id = 't2';
SELECT 'an edit and a delete go up', sync_entities('work', 'api', '["task"]') ->> 'pushed';

-- Back on the first device, which has edited the same row meanwhile.
.open app.db
.load
UPDATE task SET points = 8, done = 1 WHERE id = 't1';
WITH answer AS MATERIALIZED (SELECT sync_entities('work', 'api', '["task"]') AS json) SELECT 'a conflict, settled by column', json ->> 'state', json ->> 'updated', json ->> 'deleted', json ->> 'conflicts', json ->> 'pushed' FROM answer;
SELECT 'columns changed here stay, the others come', id, title, done, points FROM task ORDER BY id;
SELECT 'not started while syncing', sync_start_scope('startup', '["work"]') WHERE NOT EXISTS (SELECT 1 FROM _syncScope WHERE id = 'startup' AND state = 'syncing');
SELECT 'the same again: no row', sync_start_scope('startup', '["work"]') WHERE NOT EXISTS (SELECT 1 FROM _syncScope WHERE id = 'startup' AND state = 'syncing');

.open tablet.db
.load
SELECT 'and the other device gets the result', sync_entities('work', 'api', '["task"]') ->> 'updated';
SELECT 'both are equal', id, title, done, points FROM task ORDER BY id;
