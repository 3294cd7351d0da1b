-- From schema version 3 to 4. A step never changes after its release: files were upgraded by it.

-- Transfer that is paused.
CREATE TABLE main._syncPause (
  provider      TEXT NOT NULL,
  what          TEXT NOT NULL CHECK (what = 'uploads' OR what = 'downloads'),
  since         INTEGER NOT NULL,
  until         INTEGER,
  automaticOnly INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (provider, what)
) WITHOUT ROWID;

-- Work in the background, by schedule.
CREATE TABLE main._syncSchedule (
  provider      TEXT PRIMARY KEY NOT NULL,
  uploadEvery   INTEGER,
  downloadEvery INTEGER,
  debounce      INTEGER,
  backoff       INTEGER NOT NULL,
  uploadedAt    INTEGER NOT NULL DEFAULT 0,
  downloadedAt  INTEGER NOT NULL DEFAULT 0,
  failures      INTEGER NOT NULL DEFAULT 0,
  failedAt      INTEGER,
  retryAt       INTEGER
);
CREATE TABLE main._syncWorker (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  ownerId   INTEGER NOT NULL,
  startedAt INTEGER NOT NULL
);

-- Changes with numbers, and versions that they are based on.
ALTER TABLE main._syncOutbox ADD COLUMN change INTEGER;
ALTER TABLE main._syncOutbox ADD COLUMN base INTEGER;
ALTER TABLE main._syncOutbox ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE main._syncOutbox ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE main._syncVersion ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE main._syncPeer ADD COLUMN nextChange INTEGER NOT NULL DEFAULT 1;

-- Which columns pulls have brought.
ALTER TABLE main._syncCursor ADD COLUMN brought TEXT;
