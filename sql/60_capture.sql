-- Change capture: which tables are tracked, and what happened to their rows.

CREATE TABLE main._syncTable (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
  columns    TEXT NOT NULL,              -- JSON list of column names by bit of the masks; null for one that is gone
  definition TEXT NOT NULL,              -- the CREATE TABLE text that the triggers were made for
  indexes    TEXT NOT NULL,              -- the unique indexes that the triggers were made for, and the table's place
  options    TEXT NOT NULL,              -- JSON, as given to sync_track
  provider   TEXT,                       -- the one it is synced with; NULL until the first sync
  trackedAt  INTEGER NOT NULL,           -- epoch ms
  keys       TEXT,                       -- JSON list of the key's columns; NULL: recorded by the next call
  captureOff INTEGER,                    -- epoch ms of sync_capture_off; NULL while capture is on
  generation INTEGER NOT NULL DEFAULT 0  -- how often capture was put back on a table that had lost it
);

-- The change log: append-only, narrow, in commit order. Rows are read late, when they are sent.
--
-- seq   grows and is never used twice (the newest entry is never deleted without leaving a
--       placeholder with tbl 0)
-- op    1 insert, 2 update, 3 delete, 4 "may have been replaced" (an INSERT or UPDATE met this row
--       through a unique constraint: if the row is gone it was deleted, else nothing happened to it),
--       5 insert of a row that the server turned out to have too.
--       An insert into a table that was made again under its triggers, which may be a copy, has 1 | 1 << 3.
--       A row that SQLite says was deleted while OR REPLACE put another in its place has 3 | 1 << 3.
--       Updates of columns 62, 124, … onwards carry the number of the 62-column group in op >> 3
-- mask  changed columns of an update, bit n = column n of the group. A bit means one column for ever.
--       Of op 4: what the new row has other than the row met under its key; NULL where that is not known
-- rid   rowid of the row when it was logged: a hint that makes reading it fast. Of a row that was deleted from a table
--       which refers to itself: the key that it referred to, as a blob, so that it goes up before that row
-- pk    the key; composite keys as a list of encoded values
-- No column has a constraint: one that could fail would make SQLite keep a statement journal for every
-- write to a tracked table, which costs more than the log itself.
CREATE TABLE main._syncChange (
  seq  INTEGER PRIMARY KEY,
  tbl  INTEGER,
  op   INTEGER,
  mask INTEGER,
  rid  INTEGER,
  pk
);
