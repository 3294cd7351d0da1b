-- Rows of the server that the file refuses for now, whole, until they can be stored.
--
-- op          row     created or updated there; content holds the columns that came
--             delete  deleted there; content is NULL
-- announced   how a row came: created or updated
-- base        the row as it was here when it was first held; NULL when there was none
-- reason      the kind of constraint: foreignKey, unique, check, notNull, strict, trigger, size,
--             key (the id can't be a key of the table); or resolver: the entity's resolver failed, so that it is not
--             decided what stays of the row here
-- clashesWith the key of the row here that has its UNIQUE values, where that is known
CREATE TABLE main._syncHeld (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  provider     TEXT NOT NULL,
  entity       TEXT NOT NULL,
  tbl          INTEGER NOT NULL,
  pk,
  op           TEXT NOT NULL CHECK (op IN ('row', 'delete')),
  announced    TEXT CHECK (announced IN ('created', 'updated')),
  content      TEXT,                     -- JSON
  base         TEXT,                     -- JSON
  reason       TEXT NOT NULL,
  "constraint" TEXT NOT NULL,            -- what SQLite said, the reference that is missing, or what is wrong with the resolver
  clashesWith,
  since        INTEGER NOT NULL,         -- epoch ms
  tries        INTEGER NOT NULL,
  sent         TEXT,                     -- JSON: what is held, once the push under way is accepted
  UNIQUE (provider, tbl, pk)
);
