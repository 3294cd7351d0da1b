.load
SELECT 'a host provider', sync_provider('rest', '{"kind":"host"}') IS NOT NULL;
SELECT 'open', json_extract(sync_entities('books', 'rest', '["local/books"]'), '$.operations[0].statusId');
SELECT 'the program fetched this', sync_apply(1, '[{"id":"a","title":"Emma"},{"id":"b","title":"Persuasion"}]');
SELECT 'rows', id, data FROM [local/books] ORDER BY id;
SELECT 'open, merge', json_extract(sync_entities('books', 'rest', '["local/books"]', '{"forRowsWithMatchingIds":true}'), '$.state');
SELECT 'page one', sync_apply(1, '[{"id":"a","year":1815}]', 1);
SELECT 'page two', sync_apply(1, '[{"id":"c"},{"title":"no id"}]', 2);
SELECT 'page one stays', id, data FROM [local/books] ORDER BY id;
SELECT 'failed', state, error ->> '$.class', error ->> '$.message' FROM _syncStatus;
SELECT sync_apply(1, '[]', 3);
SELECT sync_entities('books', 'rest', '["local/books"]', '{"forRowsInRange":{"year":{}}}');
