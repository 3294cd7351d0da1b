-- Conflicts: how they are decided, and what each decision was.

-- One row per entity with its own policy; '*' is for all others. Without a row: 'columns'.
--
-- policy    columns        columns changed here stay, the others are the server's
--           serverWins     the server's row
--           clientWins     the row here
--           lastWriteWins  the row whose column named by argument is greater; the server's when equal
--           sql2, sql4     what the SQL expression in argument makes of the rows
CREATE TABLE main._syncResolver (
  entity   TEXT PRIMARY KEY NOT NULL,
  policy   TEXT NOT NULL
    CHECK (policy IN ('columns', 'serverWins', 'clientWins', 'lastWriteWins', 'sql2', 'sql4')),
  argument TEXT
);

-- Every conflict, with the row as it was here, as it came, and as it was left. The newest 10,000 are
-- kept (setting conflictLimit of _syncMeta).
--
-- kind      edited           changed here and by the server
--           deletedRemotely  changed here, deleted by the server: resolved is NULL
--           deletedHere      deleted here, sent by the server: local is NULL
--           goneWithTable    changed here, and not in its table any more when that was made again: local is
--                            what is known of it, the others are NULL
--           rekeyed          made here under a counted key that another row has there: resolved has its new key
--           uniqueClash      made here with a UNIQUE value that another row has there
-- policy    the one asked; NULL where none has a say (deleted rows)
CREATE TABLE main._syncConflict (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  provider TEXT NOT NULL,
  runId    INTEGER NOT NULL,
  entity   TEXT NOT NULL,
  pk,
  kind     TEXT NOT NULL CHECK (kind IN
    ('edited', 'deletedRemotely', 'deletedHere', 'goneWithTable', 'rekeyed', 'uniqueClash')),
  policy   TEXT,
  local    TEXT,                         -- JSON, with _status and _changed
  remote   TEXT,                         -- JSON: the columns that came
  resolved TEXT,                         -- JSON
  at       INTEGER NOT NULL              -- epoch ms
);
CREATE INDEX main._syncConflict_entity ON _syncConflict (entity, pk);
