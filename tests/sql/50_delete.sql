.load
SELECT 'a host provider', sync_provider('app', '{"kind":"host"}') IS NOT NULL;
SELECT 'start', sync_start_scope('startup', '["a"]');
SELECT 'begin', json_extract(sync_entities('a', 'app', '["e"]'), '$.state');
SELECT 'delete the status in flight', sync_delete_status('1'), sync_delete_status(1);
SELECT 'the scope does not change', state, syncing FROM _syncScope;
SELECT 'the result still counts', sync_set_status(1, 'synced'), state FROM _syncScope;
SELECT 'result', state, synced FROM _syncScope;
SELECT 'no row returns', count(*) FROM _syncStatus;
SELECT 'a later run has a greater id', json_extract(sync_entities('a', 'app', '["e"]'), '$.operations[0].statusId');
SELECT 'delete the scope in flight', sync_delete_scope('startup'), sync_delete_scope('startup');
SELECT 'late result', sync_set_status(2, 'failed', 'no');
SELECT 'the scope stays gone', count(*) FROM _syncScope;
SELECT 'the status stays', id, state, error FROM _syncStatus;
SELECT sync_delete_status('[1]');
SELECT sync_delete_scope(NULL);
