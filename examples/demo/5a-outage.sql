.load ./libsyncscope
.mode box

-- Two attempts, and only a short pause between them: nobody wants to wait in a demo.
SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"http://127.0.0.1:8787/sync",
                                      "attempts":2,"backoffMs":100}') AS provider;
UPDATE planes SET seats = 60 WHERE tailnum = 'N10156';
SELECT sync_start_scope('refresh', '["reference-data"]') AS scope;
SELECT sync_entities('reference-data', 'airline-api', '["planes"]')->>'state' AS state;

SELECT id, state, notStarted, syncing, synced, failed FROM [_syncScope] WHERE id = 'refresh';
SELECT entity, state, error->>'class' AS class, error->>'code' AS code, error->>'message' AS message
FROM [_syncStatus] WHERE state = 'failed';

-- Nothing is lost.
SELECT "table", key, op, changed FROM sync_pending;
