-- Tables of syncscope that are gone come back with the next call that writes, which says so.
.load
.headers off
CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, title TEXT);
CREATE TABLE other (id TEXT PRIMARY KEY NOT NULL);
SELECT sync_track('note')->>'tracked';
INSERT INTO note VALUES ('a', 'one');
DROP TABLE _syncCursor;
DROP INDEX _syncLog_run;
SELECT sync_init();
SELECT runId, provider, event, detail->>'code', detail->>'count' FROM sync_log;
SELECT key, op FROM sync_pending;
SELECT sync_track('note')->>'$.warnings[0].message';
SELECT count(*) FROM sync_log;
-- Without the record of what is tracked, what was logged is of no table.
DROP TABLE _syncTable;
SELECT sync_pending.key FROM sync_pending;
INSERT INTO note VALUES ('b', 'two');
SELECT sync_track('other')->>'$.warnings[1].message';
UPDATE note SET title = 'free';
SELECT count(*) FROM sync_pending;
SELECT sync_track('note')->>'id', sync_track('other')->>'already';
SELECT "table", key, op FROM sync_pending ORDER BY key;
