-- From schema version 1 (v0.1.0) to 2: a run shows what it is doing and can wait for its turn, and there is room
-- for what protocols remember. A step never changes after its release: files were upgraded by it.
--
-- SQLite can't alter a CHECK, so _syncRun is created again. Its rows keep their ids, and an id of a row that is gone
-- is still never used again.
CREATE TABLE main._syncRunKept AS SELECT * FROM main._syncRun;
CREATE TABLE main._syncRunIds AS SELECT seq FROM main.sqlite_sequence WHERE name = '_syncRun';
DROP TABLE main._syncRun;

CREATE TABLE main._syncRun (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  provider   TEXT NOT NULL,
  instanceId TEXT,
  state      TEXT NOT NULL
    CHECK (state = 'queued' OR state = 'running' OR state = 'synced' OR state = 'failed'),
  phase      TEXT NOT NULL,
  startedAt  INTEGER NOT NULL,
  finishedAt INTEGER,
  summary    TEXT,
  error      TEXT,
  goal       TEXT NOT NULL DEFAULT 'sync',
  ownerId    INTEGER,
  step       TEXT,
  rowsUp     INTEGER NOT NULL DEFAULT 0,
  rowsDown   INTEGER NOT NULL DEFAULT 0,
  rowsTotal  INTEGER,
  bytesUp    INTEGER NOT NULL DEFAULT 0,
  bytesDown  INTEGER NOT NULL DEFAULT 0,
  cancel     TEXT
);
-- Whoever runs one holds a lease, which names it.
INSERT INTO main._syncRun
  (id, provider, instanceId, state, phase, startedAt, finishedAt, summary, error, ownerId)
SELECT id, provider, instanceId, state, phase, startedAt, finishedAt, summary, error,
  CASE WHEN state = 'running' THEN (SELECT ownerId FROM main._syncLease WHERE runId = kept.id) END
FROM main._syncRunKept AS kept;
DELETE FROM main.sqlite_sequence WHERE name = '_syncRun';
INSERT INTO main.sqlite_sequence (name, seq) SELECT '_syncRun', seq FROM main._syncRunIds;
DROP TABLE main._syncRunIds;
DROP TABLE main._syncRunKept;

CREATE TABLE main._syncPeer (
  provider TEXT PRIMARY KEY NOT NULL,
  memory   TEXT NOT NULL
);

CREATE TABLE main._syncVersion (
  provider TEXT NOT NULL,
  tbl      INTEGER NOT NULL,
  pk       NOT NULL,
  version  INTEGER NOT NULL,
  deleted  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (provider, tbl, pk)
) WITHOUT ROWID;
