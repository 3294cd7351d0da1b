-- From schema version 4 to 5. A step never changes after its release: files were upgraded by it.

-- Listening for news.
ALTER TABLE main._syncSchedule ADD COLUMN watch INTEGER NOT NULL DEFAULT 0;

-- Tables that are to be pulled from the beginning, and what was deleted meanwhile.
ALTER TABLE main._syncCursor ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- Rows that were refused: with which others, and what they hang together with.
ALTER TABLE main._syncRejected ADD COLUMN refusedIn INTEGER;
ALTER TABLE main._syncRejected ADD COLUMN mates INTEGER;
ALTER TABLE main._syncRejected ADD COLUMN met INTEGER;
ALTER TABLE main._syncRejected ADD COLUMN circle INTEGER;

-- Which columns pulls have brought.
ALTER TABLE main._syncCursor ADD COLUMN brought TEXT;

-- Which versions the server itself has said.
ALTER TABLE main._syncVersion ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
