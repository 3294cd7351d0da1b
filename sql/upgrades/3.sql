-- From schema version 2 to 3. A step never changes after its release: files were upgraded by it.

-- Cursors: one that is lower than it was brings rows again.
ALTER TABLE main._syncCursor ADD COLUMN reached TEXT;
UPDATE main._syncCursor SET reached = cursor;

-- Conflicts of more kinds. SQLite can't alter a CHECK, so _syncConflict is created again. Its rows keep their ids, and an
-- id of a row that is gone is still never used again.
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
INSERT INTO main._syncConflict SELECT * FROM main._syncConflictKept;
DELETE FROM main.sqlite_sequence WHERE name = '_syncConflict';
INSERT INTO main.sqlite_sequence (name, seq) SELECT '_syncConflict', seq FROM main._syncConflictIds;
DROP TABLE main._syncConflictIds;
DROP TABLE main._syncConflictKept;
CREATE INDEX main._syncConflict_entity ON _syncConflict (entity, pk);
