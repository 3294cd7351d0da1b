-- Loading settles what dead owners left, where the file can be written; so does every call that writes.
.load ./libsyncscope
.mode box
SELECT sync_recover() AS nothing_more_to_settle;
SELECT id, state, details->>'$.interruption.reason' AS reason FROM [_syncScope] WHERE id = 'refresh';
SELECT entity, state, error FROM [_syncStatus];
SELECT "table", key, op, changed FROM sync_pending;
