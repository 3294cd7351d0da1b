.load ./libsyncscope

-- Two SQLite files and no server. The first sync makes the other one, shared.db, with the table as it is here.
CREATE TABLE notes (id TEXT PRIMARY KEY NOT NULL, title TEXT, done INTEGER);
SELECT sync_track('notes')->>'tracked' AS tracked;
SELECT sync_provider('shared', '{"kind":"sqlite","file":"shared.db","create":true}');
INSERT INTO notes VALUES ('n1', 'buy milk', 0), ('n2', 'call Ada', 0);

.mode box
WITH answer AS MATERIALIZED (
  SELECT sync_entities('notes', 'shared', '["notes"]') AS json)
SELECT json->>'state' AS state, json->>'pulled' AS pulled,
       json->>'pushed' AS pushed, json->>'conflicts' AS conflicts
FROM answer;
