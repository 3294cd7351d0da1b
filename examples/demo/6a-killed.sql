.load ./libsyncscope
.mode box
UPDATE planes SET seats = 61 WHERE tailnum = 'N10156';
SELECT sync_start_scope('refresh', '["reference-data"]') AS scope;

-- The backend does not answer this push, and the process is killed here.
SELECT sync_entities('reference-data', 'airline-api', '["planes"]');
