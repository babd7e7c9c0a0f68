-- Embeddings inside LoRA files are trigger words: every file is read once more.
DELETE FROM folder;
UPDATE file SET stamp = -1;
