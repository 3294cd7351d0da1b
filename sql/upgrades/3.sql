-- From schema version 2 to 3. A step never changes after its release: files were upgraded by it.

-- Following a table: how capture stands.
ALTER TABLE main._syncTable ADD COLUMN keys       TEXT;
ALTER TABLE main._syncTable ADD COLUMN captureOff INTEGER;
ALTER TABLE main._syncTable ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;

-- More kinds of conflicts. SQLite can't alter a CHECK, so _syncConflict is created again. Its rows keep their ids, and
-- an id of a row that is gone is still never used again.
CREATE TABLE main._syncConflictKept AS SELECT * FROM main._syncConflict;
CREATE TABLE main._syncConflictIds AS SELECT seq FROM main.sqlite_sequence WHERE name = '_syncConflict';
DROP TABLE main._syncConflict;
CREATE TABLE main._syncConflict (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  provider TEXT NOT NULL,
  runId    INTEGER NOT NULL,
  entity   TEXT NOT NULL,
  pk,
  kind     TEXT NOT NULL CHECK (kind IN
    ('edited', 'deletedRemotely', 'deletedHere', 'goneWithTable', 'rekeyed', 'uniqueClash')),
  policy   TEXT,
  local    TEXT,
  remote   TEXT,
  resolved TEXT,
  at       INTEGER NOT NULL
);
CREATE INDEX main._syncConflict_entity ON _syncConflict (entity, pk);
INSERT INTO main._syncConflict SELECT * FROM main._syncConflictKept;
DELETE FROM main.sqlite_sequence WHERE name = '_syncConflict';
INSERT INTO main.sqlite_sequence (name, seq) SELECT '_syncConflict', seq FROM main._syncConflictIds;
DROP TABLE main._syncConflictIds;
DROP TABLE main._syncConflictKept;

-- Cursors: one that is lower than it was brings rows again.
ALTER TABLE main._syncCursor ADD COLUMN reached TEXT;
UPDATE main._syncCursor SET reached = cursor;

-- Rows that can't be stored now, and rows that were refused alone.
CREATE TABLE main._syncHeld (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  provider     TEXT NOT NULL,
  entity       TEXT NOT NULL,
  tbl          INTEGER NOT NULL,
  pk,
  op           TEXT NOT NULL CHECK (op IN ('row', 'delete')),
  announced    TEXT CHECK (announced IN ('created', 'updated')),
  content      TEXT,
  base         TEXT,
  reason       TEXT NOT NULL,
  "constraint" TEXT NOT NULL,
  clashesWith,
  since        INTEGER NOT NULL,
  tries        INTEGER NOT NULL,
  sent         TEXT,
  UNIQUE (provider, tbl, pk)
);
ALTER TABLE main._syncRejected ADD COLUMN uptoSeq INTEGER;
ALTER TABLE main._syncPeer ADD COLUMN batch INTEGER;

-- Values that their columns can't hold.
CREATE TABLE main._syncAside (
  tbl   INTEGER NOT NULL,
  pk    NOT NULL,
  col   TEXT NOT NULL COLLATE NOCASE,
  bit   INTEGER NOT NULL,
  value TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  PRIMARY KEY (tbl, pk, col)
) WITHOUT ROWID;
