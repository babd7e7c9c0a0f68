-- What files of one layout and checkpoints of one layout make of one another, as far as it was asked for: the verdict that
-- the engine gives, which widths alone do not tell. Every file is read once more for its layout.
ALTER TABLE file ADD COLUMN layout INTEGER NOT NULL DEFAULT 0;
CREATE TABLE fit (layout INTEGER NOT NULL, model INTEGER NOT NULL, applies INTEGER NOT NULL, PRIMARY KEY (layout, model)) WITHOUT ROWID;
DROP INDEX file_filter;
CREATE INDEX file_filter ON file (place, sort_key, architecture, base_model, type, rating, problem, added, mtime, size,
                                  layout) WHERE gone IS NULL;
DELETE FROM folder;
UPDATE file SET stamp = -1;
