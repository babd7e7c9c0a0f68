-- The collection as the files tell it. Everything here can be made anew from the files, but for former names, which
-- only time tells; a rebuild carries them over.

-- One row per model file. A file that has gone keeps its row, so that it is known again under another name.
CREATE TABLE file (
  id INTEGER PRIMARY KEY,
  place TEXT NOT NULL,             -- library/index/place_table.h
  folder TEXT NOT NULL,            -- below the place's folder; '' is that folder
  relative TEXT NOT NULL,          -- below the place's folder, with extension; any bytes
  sort_key BLOB NOT NULL,          -- natural order of `relative`, formats/natural_order.h
  size INTEGER NOT NULL,
  mtime INTEGER NOT NULL,          -- nanoseconds since 1970
  inode INTEGER NOT NULL,
  device INTEGER NOT NULL,
  stamp INTEGER NOT NULL,          -- changes when a file beside it changes
  header INTEGER NOT NULL,         -- digest of a safetensors header; 0: none
  added INTEGER NOT NULL,          -- seconds since 1970, first seen
  gone INTEGER,                    -- seconds since 1970, found missing; null: it is there
  -- names
  name TEXT NOT NULL,              -- file name without extension
  alias TEXT NOT NULL,
  title TEXT NOT NULL,
  -- hashes, lower case; null: not computed, or nothing to compute them of
  sha256 TEXT, autov1 TEXT, addnet TEXT,
  sshs TEXT, sshs_legacy TEXT,     -- as the file's own metadata states them
  -- what the file is
  problem TEXT NOT NULL,           -- why it cannot be used; empty: it can
  architecture TEXT NOT NULL,      -- "SD1", "SD2", "SDXL", "FLUX" …; empty: not recognised
  base_reason TEXT NOT NULL,
  kinds TEXT NOT NULL,             -- "LoRA", "LoCon+LoRA"
  rank_low INTEGER NOT NULL, rank_high INTEGER NOT NULL,
  cross_width INTEGER NOT NULL, text_width INTEGER NOT NULL,  -- 0: nothing there tells
  unet_modules INTEGER NOT NULL, text_modules INTEGER NOT NULL,
  -- what people say of it
  base_model TEXT NOT NULL,        -- "SD 1.5", "Pony"
  type TEXT NOT NULL, type_origin TEXT NOT NULL, type_reason TEXT NOT NULL,
  triggers TEXT NOT NULL,          -- JSON list
  tags TEXT NOT NULL,              -- JSON list, the user's and Civitai's
  caption_tags TEXT NOT NULL,      -- JSON list of [tag, count], most frequent first, at most 64
  activation TEXT NOT NULL, negative TEXT NOT NULL,
  description TEXT NOT NULL, notes TEXT NOT NULL,
  weight REAL NOT NULL,            -- preferred; 0: none stated
  rating INTEGER NOT NULL,         -- 1 to 5; 0: none
  preview TEXT NOT NULL,           -- file name beside it
  creator TEXT NOT NULL, source TEXT NOT NULL,
  civitai_model INTEGER NOT NULL, civitai_version INTEGER NOT NULL,
  UNIQUE (place, relative)
);
CREATE INDEX file_folder ON file (place, folder) WHERE gone IS NULL;
CREATE INDEX file_name ON file (name COLLATE NOCASE);
CREATE INDEX file_alias ON file (alias COLLATE NOCASE);
CREATE INDEX file_order ON file (place, sort_key) WHERE gone IS NULL;
CREATE INDEX file_sha256 ON file (sha256);
CREATE INDEX file_addnet ON file (addnet);
CREATE INDEX file_sshs ON file (sshs);
CREATE INDEX file_size ON file (size);
CREATE INDEX file_gone ON file (gone) WHERE gone IS NOT NULL;

-- Names that a file bore before it was renamed or moved: stem, and path without extension.
CREATE TABLE former_name (
  file INTEGER NOT NULL REFERENCES file (id),
  name TEXT NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (name, file)
) WITHOUT ROWID;

-- Folders as last seen: when the fingerprint of a listing is the same, nothing in it is read.
CREATE TABLE folder (
  place TEXT NOT NULL,
  relative TEXT NOT NULL,
  fingerprint INTEGER NOT NULL,
  PRIMARY KEY (place, relative)
) WITHOUT ROWID;

-- Full text; rowid is the file's id.
CREATE VIRTUAL TABLE search USING fts5 (
  names, triggers, tags, text,
  tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);
