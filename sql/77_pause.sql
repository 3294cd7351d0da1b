-- Transfer that is paused: no request leaves for it. Capture goes on.
CREATE TABLE main._syncPause (
  provider      TEXT NOT NULL,
  what          TEXT NOT NULL CHECK (what = 'uploads' OR what = 'downloads'),
  since         INTEGER NOT NULL,        -- epoch ms
  until         INTEGER,                 -- epoch ms; NULL: until sync_resume
  automaticOnly INTEGER NOT NULL DEFAULT 0, -- 1: only work that nobody called for is paused
  PRIMARY KEY (provider, what)
) WITHOUT ROWID;
