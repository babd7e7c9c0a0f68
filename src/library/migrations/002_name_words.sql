-- The words inside a name ("RedFox2" holds "Red", "Fox" and "2") can be searched for: every file is read once more.
DELETE FROM folder;
UPDATE file SET stamp = -1;
