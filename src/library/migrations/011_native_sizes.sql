-- The size in which a checkpoint draws: every file is read once more.
ALTER TABLE file ADD COLUMN native_size INTEGER NOT NULL DEFAULT 0;
DELETE FROM folder;
UPDATE file SET stamp = -1;
