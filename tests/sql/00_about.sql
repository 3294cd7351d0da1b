.load
SELECT 'a version', sync_version() GLOB 'v[0-9]*.[0-9]*.[0-9]*';
SELECT 'loading makes no table', count(*) FROM sqlite_master;
SELECT 'every function and table says what it is for', count(*) > 15, min(length(summary)) > 5, min(length(example)) > 10 FROM sync_help;
SELECT name, kind, arguments FROM sync_help;
SELECT 'what a bug report needs', json_type(sync_debug(), '$.sqlite'), json_type(sync_debug(), '$.schemaVersion');
