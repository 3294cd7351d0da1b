-- Which version of a row the server is known to hold, for protocols with row versions.
--
-- alone  1: the server had another state of the row than the last change was based on; the next one goes up alone
-- told   1: the server itself has said so, in answer to a change or when it was asked; 0: it was read in the server's log
CREATE TABLE main._syncVersion (
  provider TEXT NOT NULL,
  tbl      INTEGER NOT NULL,
  pk       NOT NULL,                     -- of any type, as in _syncOutbox; rows without a key are never sent
  version  INTEGER NOT NULL,
  deleted  INTEGER NOT NULL DEFAULT 0,   -- 1: the server has it as deleted
  alone    INTEGER NOT NULL DEFAULT 0,
  told     INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (provider, tbl, pk)
) WITHOUT ROWID;
