-- Work in the background, by schedule: what sync_auto was told, and how it went. Times are milliseconds.
CREATE TABLE main._syncSchedule (
  provider      TEXT PRIMARY KEY NOT NULL,
  uploadEvery   INTEGER,                 -- NULL: not by the clock
  downloadEvery INTEGER,                 -- NULL: not by itself
  debounce      INTEGER,                 -- an upload so long after the last change; NULL: not for a change
  backoff       INTEGER NOT NULL,        -- after a failure, at first
  uploadedAt    INTEGER NOT NULL DEFAULT 0, -- epoch ms, when the last one that succeeded began
  downloadedAt  INTEGER NOT NULL DEFAULT 0,
  failures      INTEGER NOT NULL DEFAULT 0, -- one after the other
  failedAt      INTEGER,                 -- epoch ms
  retryAt       INTEGER,                 -- epoch ms; not before, unless a run succeeds in between
  watch         INTEGER NOT NULL DEFAULT 0 -- 1: the thread listens for news
);

-- Who carries it out: one thread for a file.
CREATE TABLE main._syncWorker (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  ownerId   INTEGER NOT NULL,
  startedAt INTEGER NOT NULL             -- epoch ms
);
