-- What is written inside LoRA files, so that a list of it opens none: JSON as metadata_text.h writes it, deflated. Every file is
-- read once more.
CREATE TABLE metadata (
  file INTEGER PRIMARY KEY REFERENCES file (id),
  packed BLOB NOT NULL
);
DELETE FROM folder;
UPDATE file SET stamp = -1;
