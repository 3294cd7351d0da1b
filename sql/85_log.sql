-- What happened in each run, step by step. Read it through sync_log, which adds the run's conflicts with
-- their values masked. No values of rows stand here. The newest 10,000 entries are kept (setting logLimit of
-- _syncMeta).
--
-- event   started, pull, pulled, applied, frozen, push, pushed, settled, refused, unknown, warning, finished
-- detail  JSON
CREATE TABLE main._syncLog (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  runId  INTEGER NOT NULL,
  at     INTEGER NOT NULL,               -- epoch ms
  event  TEXT NOT NULL,
  detail TEXT
);
CREATE INDEX main._syncLog_run ON _syncLog (runId);
