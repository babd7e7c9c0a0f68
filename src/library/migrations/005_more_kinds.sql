-- More kinds of LoRA are understood, and files of which nothing can be used are told so: every file is read once more.
DELETE FROM folder;
UPDATE file SET stamp = -1;
