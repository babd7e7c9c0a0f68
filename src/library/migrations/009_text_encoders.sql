-- SDXL has a second text encoder, whose width embeddings must have too, and LoRAs for it are read like others: every file is
-- read once more.
ALTER TABLE file ADD COLUMN text_width_2 INTEGER NOT NULL DEFAULT 0;
DELETE FROM fit;
DELETE FROM folder;
UPDATE file SET stamp = -1;
