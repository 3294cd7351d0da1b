-- From schema version 4 to 5. A step never changes after its release: files were upgraded by it.

-- Listening for news.
ALTER TABLE main._syncSchedule ADD COLUMN watch INTEGER NOT NULL DEFAULT 0;
