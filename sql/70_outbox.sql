-- Uploads: what is frozen, sent, and what became of it.
--
-- state   open          being sent
--         acknowledged  the server has it
--         refused       the server said no as a whole; the rows are pending as before
--         unknown       no complete answer came; the server may or may not have it
-- pulls   pulls committed since; entries go after the second
CREATE TABLE main._syncPush (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  provider   TEXT NOT NULL,
  runId      INTEGER NOT NULL,
  state      TEXT NOT NULL
    CHECK (state = 'open' OR state = 'acknowledged' OR state = 'refused' OR state = 'unknown'),
  uptoSeq    INTEGER NOT NULL,           -- the log was frozen up to here
  rows       INTEGER NOT NULL,
  pulls      INTEGER NOT NULL DEFAULT 0,
  createdAt  INTEGER NOT NULL,           -- epoch ms
  finishedAt INTEGER
);

-- change    where changes have numbers: the one of this change, in the order in which they are sent; never another's
-- base      where rows have versions: the one that the change is based on
-- attempts  where changes have numbers: how often it was sent
-- alone     where changes have numbers: 1: it is sent in a request of its own
CREATE TABLE main._syncOutbox (
  id      INTEGER PRIMARY KEY,
  pushId  INTEGER NOT NULL,
  tbl     INTEGER NOT NULL,
  kind    TEXT NOT NULL CHECK (kind = 'created' OR kind = 'updated' OR kind = 'deleted'),
  pk,
  content TEXT NOT NULL,                 -- JSON as it goes over the wire
  uptoSeq INTEGER NOT NULL,              -- last log entry of this row that the content covers
  change INTEGER,
  base INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  alone INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX main._syncOutbox_push ON _syncOutbox (pushId, tbl, kind);

-- What can't be sent or was refused for good, with the reason. Never dropped in silence.
--
-- uptoSeq  the server took other rows and refused this one alone: it is left out of pushes until it is written again,
--          that is, until the log has a later entry of it. 0: it is sent once more. NULL: it is sent with every push
-- refusedIn, mates, met  of one that is left out, what may change so that it is sent once more: the run in which it was first
--          refused, how many rows were, and a number that stands for the rows that it hangs together with
-- circle   of rows that refer to each other, so that they were refused together: the push that was; none of them goes alone
CREATE TABLE main._syncRejected (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  provider TEXT NOT NULL,
  tbl      INTEGER NOT NULL,
  pk,
  kind     TEXT NOT NULL,
  reason   TEXT NOT NULL,
  content  TEXT,
  at       INTEGER NOT NULL,             -- epoch ms
  uptoSeq  INTEGER,
  refusedIn INTEGER,
  mates    INTEGER,
  met      INTEGER,
  circle   INTEGER,
  UNIQUE (provider, tbl, pk)
);
