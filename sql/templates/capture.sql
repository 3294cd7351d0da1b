-- Capture triggers of one table, filled in by sync_track. A section is one trigger; {…} stand for
--   name      the trigger, schema and all               table     the tracked table
--   id        number of the table in _syncTable         newRow    the rowid, or NULL where there is none
--   newKey, oldKey   the key as it is logged            sameKey   true when an UPDATE kept the key
--   up, oldUp of a table that refers to itself: where a deleted row's reference is kept, and what it is
--   met       true when the new row meets an existing one through its key or a unique index
--   replaced  what is logged of a row that OR REPLACE removes
--   logMet    the statements that log the rows met
--   of        OF and the columns of keys and unique indexes, where naming them is enough
--   ofKey     OF and the names of the key: SQLite need not compile the trigger for updates that leave it alone
--   changed   true when a column of the group changed    mask      which ones, a bit each

-- [meet] A row that an INSERT is about to replace, update or be refused by. SQLite does not fire delete
-- triggers for rows that OR REPLACE removes, so they are recorded beforehand.
CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {met} BEGIN
  {logMet}
END;

-- [meetUpdate] The same for UPDATE OR REPLACE.
CREATE TRIGGER {name} BEFORE UPDATE {of} ON {table} WHEN {met} BEGIN
  {logMet}
END;

-- [insert]
CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN
  INSERT INTO _syncChange (tbl, op, rid, pk) VALUES ({id}, 1, {newRow}, {newKey});
END;

-- [delete] With recursive_triggers on it also fires for rows that OR REPLACE removes. SQLite carries out what is in a trigger
-- by the conflict clause of the statement that fires it: so there, and only there, the second INSERT takes the place of the
-- first. A DELETE has no such clause, and the second INSERT is ignored.
CREATE TRIGGER {name} AFTER DELETE ON {table} BEGIN
  INSERT INTO _syncChange (tbl, op{up}, pk) VALUES ({id}, 3{oldUp}, {oldKey});
  INSERT OR IGNORE INTO _syncChange (seq, tbl, op{up}, pk) VALUES (last_insert_rowid(), {id}, {replaced}{oldUp}, {oldKey});
END;

-- [rekey] A changed key is another row. Values kept aside go along, but not where their column was edited since they
-- came, or the row made anew: the entry just made is when they came to the new key.
CREATE TRIGGER {name} AFTER UPDATE {ofKey} ON {table} WHEN NOT ({sameKey}) BEGIN
  INSERT INTO _syncChange (tbl, op{up}, pk) VALUES ({id}, 3{oldUp}, {oldKey});
  INSERT INTO _syncChange (tbl, op, rid, pk) VALUES ({id}, 1, {newRow}, {newKey});
  DELETE FROM _syncAside WHERE tbl = {id} AND pk = {newKey};
  UPDATE _syncAside SET pk = {newKey}, seq = (SELECT max(seq) FROM _syncChange)
  WHERE tbl = {id} AND pk = {oldKey} AND ({newKey}) IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM _syncChange AS c WHERE c.seq > _syncAside.seq AND c.tbl = {id} AND c.pk = {oldKey}
    AND (c.op = 1 OR (c.op & 7 = 2 AND (c.mask = -1 OR c.op >> 3 = bit / 62 AND c.mask >> bit % 62 & 1))));
  DELETE FROM _syncAside WHERE tbl = {id} AND pk = {oldKey};
END;

-- [update] One for each group of 62 columns. Nothing changed: nothing logged. Under a new key as well: which values the
-- row brings along from the old one.
CREATE TRIGGER {name} AFTER UPDATE ON {table} WHEN {changed} BEGIN
  INSERT INTO _syncChange (tbl, op, mask, rid, pk) VALUES ({id}, {op}, {mask}, {newRow}, {newKey});
END;

-- [follow] While capture is off. It never does anything, and names no column, so that each can be dropped; SQLite keeps the
-- name of its table exact when that is renamed.
CREATE TRIGGER {name} AFTER INSERT ON {table} WHEN 0 BEGIN
  SELECT 1;
END;
