-- Providers: where data comes from and goes to.
--
-- kind      'host' (the program moves the data itself) or a protocol: 'watermelon'
-- config    the JSON object given to sync_provider; never a secret, only references to secrets
CREATE TABLE main._syncProvider (
  id        TEXT PRIMARY KEY NOT NULL,
  kind      TEXT NOT NULL,
  config    TEXT NOT NULL,
  updatedAt INTEGER NOT NULL             -- epoch ms
);

-- How far each entity has been pulled. Every entity has its own cursor, so that syncing some of a
-- provider's entities never skips changes of the others.
CREATE TABLE main._syncCursor (
  provider  TEXT NOT NULL,
  entity    TEXT NOT NULL,
  tableId   INTEGER NOT NULL,            -- the table that keeps the entity, in _syncTable
  cursor    TEXT NOT NULL,               -- the server's timestamp, exactly as received (JSON)
  pulledAt  INTEGER NOT NULL,            -- epoch ms
  schemaVersion INTEGER,                 -- the schema version last sent to the server
  columns   TEXT,                        -- JSON list of the columns that were synced then
  reached   TEXT,                        -- how far the cursor has been: from a lower one, rows come again
  again     INTEGER NOT NULL DEFAULT 0,  -- 1: pulled from the beginning next, and from the cursor, which names the deletes
  brought   TEXT,                        -- JSON object: the columns that pulls have brought, each with its type; NULL: not known
  PRIMARY KEY (provider, entity)
);

-- One sync per provider at a time, over all connections and processes. The lease of a dead owner is
-- taken over.
CREATE TABLE main._syncLease (
  provider   TEXT PRIMARY KEY NOT NULL,
  ownerId    INTEGER NOT NULL,
  runId      INTEGER NOT NULL,
  acquiredAt INTEGER NOT NULL            -- epoch ms
);

-- What the kind of a provider remembers besides the cursors: the name of this device, the number of the
-- next change, ETags. Nobody else reads that.
--
-- batch       most rows of one push, since the server has refused a larger one (413); doubles when it goes well; NULL: as configured
-- nextChange  the number of the next change, where changes have numbers
CREATE TABLE main._syncPeer (
  provider TEXT PRIMARY KEY NOT NULL,
  memory   TEXT NOT NULL,                -- JSON
  batch    INTEGER,
  nextChange INTEGER NOT NULL DEFAULT 1
);

-- One row per run: a sync, or something else that talks to a backend. The newest 1000 are kept, and the last
-- success of each provider.
--
-- state   queued    waits for its turn
--         running, synced, failed
-- step    what it is doing right now: JSON {label, part, parts, method, url}. Written before a request leaves, so
--         that a killed run shows where it was. NULL before it starts and after it ends
CREATE TABLE main._syncRun (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  provider   TEXT NOT NULL,
  instanceId TEXT,
  state      TEXT NOT NULL
    CHECK (state = 'queued' OR state = 'running' OR state = 'synced' OR state = 'failed'),
  phase      TEXT NOT NULL,              -- the last step reached
  startedAt  INTEGER NOT NULL,           -- epoch ms
  finishedAt INTEGER,
  summary    TEXT,                       -- JSON, as sync_entities answered
  error      TEXT,                       -- JSON {class, code, status, message, retryable}
  goal       TEXT NOT NULL DEFAULT 'sync', -- what it is for: sync, check, …
  ownerId    INTEGER,                    -- who runs it
  step       TEXT,
  rowsUp     INTEGER NOT NULL DEFAULT 0, -- so far, as are the other counts
  rowsDown   INTEGER NOT NULL DEFAULT 0,
  rowsTotal  INTEGER,                    -- NULL: not known
  bytesUp    INTEGER NOT NULL DEFAULT 0,
  bytesDown  INTEGER NOT NULL DEFAULT 0,
  cancel     TEXT                        -- why somebody asked it to end; NULL: nobody did
);
