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
