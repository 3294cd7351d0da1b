.load
SELECT 'loading creates nothing', count(*) FROM sqlite_master;
SELECT 'the tables of the extension are empty', (SELECT count(*) FROM sync_scope), (SELECT count(*) FROM sync_scope_member), (SELECT count(*) FROM sync_status), (SELECT count(*) FROM sync_pending);
SELECT 'and reading them creates nothing', count(*) FROM sqlite_master;
.load
SELECT 'loading twice does no harm', sync_version() LIKE 'v%';
SELECT 'everything is in sync_help', name, kind FROM sync_help ORDER BY kind, name;
SELECT 'the tables are made on demand', sync_init(), sync_init();
SELECT 'nothing in the file names the extension', count(*) FROM sqlite_master WHERE sql LIKE '%VIRTUAL%';
PRAGMA integrity_check;
