#include "library/index/open_index.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "library/index/network_folder.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

struct Migration {
  std::string_view name, sql;
};
constexpr Migration kMigrations[] = {
#include "library_migrations.inc"
};

void migrate(const sqlite::Database& database, const fs::path& file) {
  const auto version = database.number("PRAGMA user_version");
  if (version == schema_version()) return;
  if (version > schema_version())
    throw Error(kUnsupported,
                "{}: was made by a newer LowRank (index version {}, this one supports {}); use the newer "
                "one, or set LOWRANK_INDEX to another file.",
                file.string(), version, schema_version());
  sqlite::Transaction transaction(database);
  // Another process may have been first.
  for (auto next = database.number("PRAGMA user_version"); next < schema_version(); ++next)
    database.execute(std::string(kMigrations[static_cast<std::size_t>(next)].sql));
  database.execute(fmt::format("PRAGMA user_version = {}", schema_version()));
  transaction.commit();
}

sqlite::Database open_file(const fs::path& file) {
  sqlite::Database database(file, {.name = "the index",
                                   .damaged = kConflict,  // open_index() makes a new one
                                   .if_damaged = "rebuild it with 'lowrank lora scan --rebuild'"});
  if (!file.empty()) {
    database.execute_patiently(is_network_folder(file.parent_path()) ? "PRAGMA journal_mode = TRUNCATE"
                                                                     : "PRAGMA journal_mode = WAL");
    // In WAL mode NORMAL keeps the index whole whatever happens; only the last writes may be lost, and the
    // files still have them.
    database.execute("PRAGMA synchronous = NORMAL");
    // Pages are read where the file's cache has them, not copied.
    if (!is_network_folder(file.parent_path())) database.execute("PRAGMA mmap_size = 268435456");
  }
  migrate(database, file);
  return database;
}

void remove_index(const fs::path& file) {
  std::error_code ignored;
  for (const char* ending : {"", "-wal", "-shm", "-journal"}) fs::remove(file.string() + ending, ignored);
}

constexpr const char* kCarriedColumns =
    "place, relative, size, mtime, ctime, inode, sha256, autov1, addnet, added";

}  // namespace

int schema_version() {
  return static_cast<int>(std::size(kMigrations));
}

sqlite::Database open_index(const fs::path& file) {
  try {
    return open_file(file);
  } catch (const Error& error) {
    // Damaged beyond use. It holds nothing that the files do not say.
    if (file.empty() || error.code() != kConflict) throw;
  }
  remove_index(file);
  return open_file(file);
}

sqlite::Database rebuild_index(const fs::path& file) {
  if (file.empty()) return open_file(file);
  const fs::path old = file.string() + ".old";
  std::error_code failure;
  remove_index(old);
  if (fs::exists(file, failure)) {
    // Folded into one file, so that it can be moved.
    try {
      open_index(file).execute("PRAGMA journal_mode = DELETE");
      fs::rename(file, old);
    } catch (const std::exception&) {
      // Nothing can be carried over from what cannot be opened.
    }
  }
  remove_index(file);
  sqlite::Database database = open_file(file);
  if (!fs::exists(old, failure)) return database;
  try {
    database.execute(fmt::format("ATTACH '{}' AS old", [&] {
      std::string quoted;
      for (const char c : old.string()) quoted += c == '\'' ? "''" : std::string(1, c);
      return quoted;
    }()));
    database.execute(
        fmt::format("CREATE TEMP TABLE carried AS SELECT {} FROM old.file WHERE gone IS NULL;CREATE TEMP "
                    "TABLE carried_name AS SELECT f.place, f.relative, n.name, n.since FROM old.former_name "
                    "n JOIN old.file f ON f.id = n.file;DETACH old;",
                    kCarriedColumns));
  } catch (const Error&) {
    // A broken old index: former names are lost, everything else comes from the files.
  }
  remove_index(old);
  return database;
}

void carry_over(const sqlite::Database& database) {
  if (database.number("SELECT count(*) FROM temp.sqlite_master WHERE name = 'carried'") == 0) return;
  database.execute(
      "UPDATE file SET sha256 = c.sha256, autov1 = c.autov1, addnet = c.addnet, added = c.added FROM carried "
      "c WHERE c.place = file.place AND c.relative = file.relative AND c.size = file.size AND c.mtime = "
      "file.mtime AND c.inode = file.inode AND c.ctime IN (0, file.ctime);INSERT OR IGNORE INTO former_name "
      "(file, name, since) SELECT file.id, n.name, n.since FROM carried_name n JOIN file ON file.place = "
      "n.place AND file.relative = n.relative;DROP TABLE carried; DROP TABLE carried_name;");
}

}  // namespace lowrank::library
