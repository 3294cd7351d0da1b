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

-- Changes with numbers, and versions that they are based on.
ALTER TABLE main._syncOutbox ADD COLUMN change INTEGER;
ALTER TABLE main._syncOutbox ADD COLUMN base INTEGER;
ALTER TABLE main._syncOutbox ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE main._syncOutbox ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE main._syncVersion ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE main._syncPeer ADD COLUMN nextChange INTEGER NOT NULL DEFAULT 1;
