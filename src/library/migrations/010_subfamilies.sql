-- Offspring of a family (Pony, Illustrious), as people name them: every file is read once more.
ALTER TABLE file ADD COLUMN subfamily TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN subfamily_origin TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN subfamily_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN subfamily_conflict TEXT NOT NULL DEFAULT '';
CREATE INDEX file_subfamily ON file (subfamily) WHERE gone IS NULL;
DELETE FROM folder;
UPDATE file SET stamp = -1;
