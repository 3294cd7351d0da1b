.load ./libsyncscope
.mode box

-- What would go up?
UPDATE planes SET seats = 189 WHERE tailnum = 'N10156';
SELECT * FROM sync_pending;
