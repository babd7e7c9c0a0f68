-- When a file's content or name last changed, in nanoseconds since 1970. It tells a file that was written to from one that
-- was not where somebody set its old date again; 0: not known, the file is looked at once more.
ALTER TABLE file ADD COLUMN ctime INTEGER NOT NULL DEFAULT 0;
