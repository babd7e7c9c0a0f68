-- All that files are filtered and sorted by, so that only the rows to be shown are read.
DROP INDEX file_order;
CREATE INDEX file_filter ON file (place, sort_key, architecture, base_model, type, rating, problem, added, mtime, size,
                                  cross_width, text_width, unet_modules) WHERE gone IS NULL;
CREATE INDEX file_base ON file (architecture, base_model) WHERE gone IS NULL;
