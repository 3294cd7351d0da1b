-- What stands in the file ...
.mode box
SELECT id, state FROM [_syncScope] WHERE id = 'refresh';
SELECT entity, state, error FROM [_syncStatus] WHERE state = 'syncing';

-- ... and what is true: the owner of that work is dead. (This connection is read-only.)
.load ./libsyncscope
SELECT id, state, reason FROM sync_scope WHERE id = 'refresh';
