-- The table of an entity whose rows come from a response, created by sync_apply when it is missing.
--
-- id         as the server names the row
-- data       the row as JSON, as the server wrote it
-- timestamp  epoch ms of when it was applied, or what the server says
CREATE TABLE {table} (
  id        TEXT PRIMARY KEY NOT NULL,
  data      TEXT NOT NULL,
  timestamp INTEGER NOT NULL
);
