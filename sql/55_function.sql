-- Functions of providers: how a backend is asked for the rows of an entity, and told of changes, where the protocol does not
-- say so.
--
-- definition  the JSON object given to sync_function; never a secret
CREATE TABLE main._syncFunction (
  provider   TEXT NOT NULL,
  id         TEXT NOT NULL,
  definition TEXT NOT NULL,
  updatedAt  INTEGER NOT NULL,           -- epoch ms
  PRIMARY KEY (provider, id)
);

-- How far each operation has read: an entity, with a function and the values of its parameters.
--
-- parameters  canonical JSON
-- cursor      where the next reading starts; NULL: at the beginning
-- memory      what the kind remembers besides: an ETag, when all was read last
CREATE TABLE main._syncPlace (
  id         INTEGER PRIMARY KEY NOT NULL,
  provider   TEXT NOT NULL,
  entity     TEXT NOT NULL,
  functionId TEXT NOT NULL,
  parameters TEXT NOT NULL,
  cursor     TEXT,
  memory     TEXT,                       -- JSON
  updatedAt  INTEGER NOT NULL            -- epoch ms
);
CREATE UNIQUE INDEX main._syncPlace_key ON _syncPlace (provider, entity, functionId, parameters);

-- The rows that operations have brought that bring a part of a table each: when one has read its part anew, those go that
-- it does not name any more, and no others.
--
-- reading     the number of the reading that named the row last
CREATE TABLE main._syncPart (
  placeId INTEGER NOT NULL,              -- in _syncPlace
  tbl     INTEGER NOT NULL,              -- in _syncTable
  pk      NOT NULL,
  reading INTEGER NOT NULL,
  PRIMARY KEY (placeId, tbl, pk)
);
