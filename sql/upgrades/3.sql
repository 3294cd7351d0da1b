-- From schema version 2 to 3. A step never changes after its release: files were upgraded by it.

-- Cursors: one that is lower than it was brings rows again.
ALTER TABLE main._syncCursor ADD COLUMN reached TEXT;
UPDATE main._syncCursor SET reached = cursor;
