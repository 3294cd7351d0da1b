-- The triggers of one table that keep its feed. A section is one trigger; {…} stand for
--   schema    the file       table     the table, quoted      name      the beginning of the trigger's name
--   id        the number of the table in _syncFeedTable       key       the key column, quoted
--   stamp     a new stamp    next      the number of the next change
--   changed   true when a column differs                      columns   JSON of a new stamp for each column that differs
--   met, metUpdate   the rows that OR REPLACE may remove, for which SQLite fires no trigger

-- [insert]
CREATE TRIGGER {schema}."{name}insert" AFTER INSERT ON {table} WHEN NEW.{key} IS NOT NULL BEGIN
  INSERT INTO _syncFeed (tbl, pk, at) VALUES ({id}, NEW.{key}, {stamp})
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0, at = excluded.at, cols = NULL;
END;

-- [update]
CREATE TRIGGER {schema}."{name}update" AFTER UPDATE ON {table} WHEN NEW.{key} IS OLD.{key} COLLATE BINARY AND NEW.{key} IS NOT NULL AND ({changed}) BEGIN
  INSERT INTO _syncFeed (tbl, pk, at, cols) VALUES ({id}, NEW.{key}, 0, {columns})
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0, cols = json_patch(coalesce(cols, '{}'), excluded.cols);
END;

-- [rekey] A changed key is another row.
CREATE TRIGGER {schema}."{name}rekey" AFTER UPDATE ON {table} WHEN NEW.{key} IS NOT OLD.{key} COLLATE BINARY BEGIN
  INSERT INTO _syncFeed (tbl, pk, at) SELECT {id}, OLD.{key}, {stamp} WHERE OLD.{key} IS NOT NULL
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0, at = excluded.at, cols = NULL;
  INSERT INTO _syncFeed (tbl, pk, at) SELECT {id}, NEW.{key}, {stamp} WHERE NEW.{key} IS NOT NULL
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0, at = excluded.at, cols = NULL;
END;

-- [delete]
CREATE TRIGGER {schema}."{name}delete" AFTER DELETE ON {table} WHEN OLD.{key} IS NOT NULL BEGIN
  INSERT INTO _syncFeed (tbl, pk, at) VALUES ({id}, OLD.{key}, {stamp})
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0, at = excluded.at, cols = NULL;
END;

-- [met] Whether they go is not known yet: they are looked at again by whoever reads the feed.
CREATE TRIGGER {schema}."{name}met" BEFORE INSERT ON {table} BEGIN
  INSERT INTO _syncFeed (tbl, pk, at) SELECT {id}, o.{key}, {stamp} FROM {table} AS o WHERE ({met}) AND o.{key} IS NOT NULL AND o.{key} IS NOT NEW.{key}
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0;
END;

-- [metUpdate]
CREATE TRIGGER {schema}."{name}metUpdate" BEFORE UPDATE ON {table} WHEN {metUpdate} BEGIN
  INSERT INTO _syncFeed (tbl, pk, at) SELECT {id}, o.{key}, {stamp} FROM {table} AS o WHERE ({met}) AND o.{key} IS NOT NULL AND o.{key} IS NOT OLD.{key}
  ON CONFLICT (tbl, pk) DO UPDATE SET seq = {next}, origin = 0;
END;
