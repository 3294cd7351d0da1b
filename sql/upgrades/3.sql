-- From schema version 2 to 3. A step never changes after its release: files were upgraded by it.

-- Values that their columns can't hold.
CREATE TABLE main._syncAside (
  tbl   INTEGER NOT NULL,
  pk    NOT NULL,
  col   TEXT NOT NULL COLLATE NOCASE,
  value TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  PRIMARY KEY (tbl, pk, col)
) WITHOUT ROWID;
