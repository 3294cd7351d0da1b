.load ./libsyncscope
.mode box

-- The same row is changed here, in another column.
UPDATE notes SET done = 1 WHERE id = 'n1';
SELECT "table", key, op, changed FROM sync_pending;
WITH answer AS MATERIALIZED (
  SELECT sync_entities('notes', 'shared', '["notes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;

-- Both changes are in both files.
ATTACH 'shared.db' AS shared;
SELECT 'notebook' AS at, * FROM main.notes
UNION ALL
SELECT 'shared', * FROM shared.notes;
