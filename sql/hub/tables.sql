-- The feed of a file that other files sync with (kind sqlite): made there by the first sync, and nowhere else.
-- Triggers of the tables that are synced write it, also for programs without the extension; see sql/hub/triggers.sql.

-- The last change of each row. seq grows with every change. origin: the device that made it, a row of _syncFeedDevice;
-- 0: it was made in this file. at: the stamp of when the row was made or deleted; cols: those of columns written since.
CREATE TABLE IF NOT EXISTS main._syncFeed (
  seq INTEGER PRIMARY KEY,
  tbl INTEGER NOT NULL,
  pk NOT NULL,
  origin INTEGER NOT NULL DEFAULT 0,
  at INTEGER NOT NULL,
  cols TEXT,
  UNIQUE (tbl, pk)
);

-- The tables with a feed. triggers: their text when they were made. since: the feed says nothing of what was written up to there.
CREATE TABLE IF NOT EXISTS main._syncFeedTable (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  key TEXT NOT NULL,
  triggers TEXT NOT NULL,
  since INTEGER NOT NULL
);

-- The files that sync with this one. token: given out with the last answer to a push; push: which one that was, and answer.
CREATE TABLE IF NOT EXISTS main._syncFeedDevice (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL UNIQUE,
  token TEXT NOT NULL,
  push TEXT,
  answer TEXT
);

-- Moments of this file that devices know: a copy that went on by itself does not know those of the other.
CREATE TABLE IF NOT EXISTS main._syncFeedMark (
  seq INTEGER PRIMARY KEY,
  token TEXT NOT NULL
);

-- site: the lowest 16 bits of stamps that are made here.
CREATE TABLE IF NOT EXISTS main._syncFeedHub (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  site INTEGER NOT NULL
);
