-- Who works on this database.
--
-- One row per connection that has called a writing sync_ function. A process is recognised by its
-- id, its start time, the boot of the machine and its pid namespace, so that a reused process id is
-- never mistaken for the old process. Recovery reads this table to distinguish live work from abandoned work.

CREATE TABLE main._syncOwner (
  id INTEGER PRIMARY KEY NOT NULL,
  token TEXT NOT NULL UNIQUE,          -- random, one per connection and process
  processId INTEGER NOT NULL,
  processStart TEXT,                   -- opaque; NULL where the system does not report it
  bootId TEXT,
  pidNamespace TEXT,
  startedAt INTEGER NOT NULL,          -- epoch ms
  heartbeatAt INTEGER NOT NULL,        -- epoch ms, renewed by every writing sync_ call
  leaseMs INTEGER NOT NULL DEFAULT 60000
);
