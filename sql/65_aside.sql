-- Values of the server that their columns can't hold (an object in a TEXT column, '02134' in one that SQLite turns
-- into numbers). The column holds the nearest thing; as long as nobody edits it here, this is what goes up again.
CREATE TABLE main._syncAside (
  tbl   INTEGER NOT NULL,
  pk    NOT NULL,                        -- of any type, as in _syncOutbox
  col   TEXT NOT NULL COLLATE NOCASE,    -- the column's present name
  bit   INTEGER NOT NULL,                -- the column's bit in the masks of the log
  value TEXT NOT NULL,                   -- JSON as it came
  seq   INTEGER NOT NULL,                -- the log's end when it came: a row made after it is another one
  PRIMARY KEY (tbl, pk, col)
) WITHOUT ROWID;
