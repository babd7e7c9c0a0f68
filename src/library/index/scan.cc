#include "library/index/scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/sha256.h"
#include "formats/natural_order.h"
#include "library/data_dir.h"
#include "library/index/changes.h"
#include "library/index/read_record.h"
#include "library/index/state_dir.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

// Files read and written together: enough to keep the threads busy, few enough to lose little when killed.
constexpr std::size_t kPiece = 256;
// Each thread keeps what it has learned of key names: the files of a piece are dealt out in so many runs.
constexpr std::size_t kRuns = 4;

class Scan {
 public:
  Scan(const sqlite::Database& database, const DataDir& data, const ScanOptions& options)
      : database_(database), data_(data), options_(options), overlay_(overlay_folder(data)) {}

  ScanReport run() {
    changes_ = find_changes(database_, data_, report_);
    if (changes_.listings.empty() && changes_.vanished_folders.empty()) return std::move(report_);
    mark_gone();
    read_fresh();
    return std::move(report_);
  }

 private:
  void mark_gone() {
    if (changes_.gone.empty() && changes_.vanished_folders.empty()) return;
    sqlite::Transaction transaction(database_);
    auto mark = database_.prepare("UPDATE file SET gone = ? WHERE id = ?");
    auto drop = database_.prepare("DELETE FROM metadata WHERE file = ?");
    for (const auto id : changes_.gone) {
      mark.bind(1, static_cast<std::int64_t>(std::time(nullptr))).bind(2, id).run();
      drop.bind(1, id).run();
    }
    auto forget = database_.prepare("DELETE FROM folder WHERE place = ? AND relative = ?");
    for (const auto& [place, folder] : changes_.vanished_folders) forget.bind(1, place).bind(2, folder).run();
    transaction.commit();
    report_.gone = static_cast<std::int64_t>(changes_.gone.size());
  }

  // Files that are read and written together, and their rows.
  struct Piece {
    std::size_t begin = 0, end = 0;
    std::vector<Record> records = {};
  };

  // While a piece is written the next one is read.
  void read_fresh() {
    has_gone_ = database_.number("SELECT EXISTS (SELECT 1 FROM file WHERE gone IS NOT NULL)") != 0;
    const auto total = static_cast<std::int64_t>(changes_.changed_files.size());
    while (summarisers_.size() < kRuns) summarisers_.push_back(std::make_unique<formats::LoraSummariser>());
    std::size_t folder = 0;
    Piece piece = prepared(0);
    read(piece);
    while (true) {
      throw_if_stopped(options_.stop);
      Piece next = prepared(piece.end);
      auto reading = std::async(std::launch::async, [&] { read(next); });
      write(piece);
      // A folder counts as seen once all its files are written.
      const ChangedListing* after =
          piece.end < changes_.changed_files.size() ? changes_.changed_files[piece.end].folder : nullptr;
      sqlite::Transaction transaction(database_);
      auto remember =
          database_.prepare("INSERT OR REPLACE INTO folder (place, relative, fingerprint) VALUES (?, ?, ?)");
      for (; folder < changes_.listings.size() && changes_.listings[folder].get() != after; ++folder)
        remember.bind(1, changes_.listings[folder]->place->name)
            .bind(2, changes_.listings[folder]->listing.relative)
            .bind(3, changes_.listings[folder]->listing.fingerprint)
            .run();
      transaction.commit();
      if (options_.progress != nullptr)
        options_.progress->update("reading headers", static_cast<std::int64_t>(piece.end), total);
      if (piece.end == changes_.changed_files.size()) break;
      reading.get();
      piece = std::move(next);
    }
    report_.read = total;
  }

  Piece prepared(std::size_t begin) {
    Piece piece{begin, std::min(begin + kPiece, changes_.changed_files.size())};
    piece.records.resize(piece.end - begin);
    auto row = database_.prepare(
        fmt::format("SELECT {} FROM file WHERE place = ? AND relative = ?", record_column_list()));
    for (std::size_t i = begin; i < piece.end; ++i)
      prepare(changes_.changed_files[i], row, piece.records[i - begin]);
    return piece;
  }

  void read(Piece& piece) const {
    if (piece.begin == piece.end) return;
    parallel_for(static_cast<std::int64_t>(kRuns), options_.threads, [&](std::int64_t run) {
      for (std::size_t i = piece.begin + static_cast<std::size_t>(run); i < piece.end; i += kRuns)
        read_one(changes_.changed_files[i], *summarisers_[static_cast<std::size_t>(run)],
                 piece.records[i - piece.begin]);
    });
  }

  void write(Piece& piece) {
    sqlite::Transaction transaction(database_);
    RecordWriter writer(database_);
    for (std::size_t i = piece.begin; i < piece.end; ++i) {
      follow_rename(changes_.changed_files[i], piece.records[i - piece.begin]);
      writer.write(piece.records[i - piece.begin]);
    }
    transaction.commit();
  }

  bool was_gone(const Record& record) const {
    if (!has_gone_) return false;
    auto statement = database_.prepare("SELECT gone IS NOT NULL FROM file WHERE id = ?");
    statement.bind(1, record.id);
    return statement.step() && statement.integer(0) != 0;
  }

  // The row that the file has, or one that is new.
  void prepare(const ChangedFile& changed_file, sqlite::Statement& row, Record& record) {
    const std::string relative = relative_of(changed_file);
    row.reset();
    row.bind(1, changed_file.folder->place->name).bind(2, relative);
    if (row.step()) record = read_record_row(row);
    const ListedFile& file = *changed_file.file;
    // Moving a file away and back changes ctime as writing to it does; only what stayed is asked for it.
    const bool is_same = record.id != 0 && record.size == file.size && record.mtime_ns == file.mtime_ns &&
                         record.inode == file.inode &&
                         (record.ctime_ns == file.ctime_ns || record.ctime_ns == 0 || was_gone(record));
    if (!is_same) record.sha256 = record.autov1 = record.addnet = "";
    if (record.id == 0) {
      record.added = static_cast<std::int64_t>(std::time(nullptr));
    } else {
      auto names = database_.prepare("SELECT name FROM former_name WHERE file = ?");
      names.bind(1, record.id);
      while (names.step()) former_[record.id].push_back(names.text(0));
    }
    record.place = changed_file.folder->place->name;
    record.folder = changed_file.folder->listing.relative;
    record.relative = relative;
    record.sort_key = formats::natural_key(relative);
    record.size = file.size;
    record.mtime_ns = file.mtime_ns;
    record.ctime_ns = file.ctime_ns;
    record.inode = file.inode;
    record.device = file.device;
    record.stamp = changed_file.stamp;
  }

  void read_one(const ChangedFile& changed_file, formats::LoraSummariser& summariser, Record& record) const {
    const PlaceRow& place = *changed_file.folder->place;
    const fs::path folder = folder_of(place, data_);
    CardSources sources{.folder = changed_file.folder->listing.relative,
                        .former = {},
                        .overlay = overlay_sidecar(overlay_, place, record.relative),
                        .listed = &changed_file.folder->names};
    if (record.id != 0) sources.former = former_paths(record, folder);
    read_record(place, folder / record.relative, sources, summariser, record);
  }

  // Paths under which a file was known before: their sidecars may still lie there.
  std::vector<fs::path> former_paths(const Record& record, const fs::path& folder) const {
    std::vector<fs::path> paths;
    const auto found = former_.find(record.id);
    if (found != former_.end())
      for (const std::string& name : found->second)
        paths.push_back(folder / (name + fs::path(record.relative).extension().string()));
    return paths;
  }

  // A new path whose file is one that has gone from elsewhere: the row goes on under the new name.
  void follow_rename(const ChangedFile& changed_file, Record& record) {
    if (!has_gone_ || record.id != 0) return;
    auto statement = database_.prepare(
        "SELECT id, place, relative, name, inode, device, mtime, header, sha256, added FROM file WHERE gone "
        "IS NOT NULL AND size = ? ORDER BY gone DESC");
    statement.bind(1, record.size);
    while (statement.step()) {
      const bool is_same_file = statement.integer(4) == record.inode &&
                                statement.integer(5) == record.device &&
                                statement.integer(6) == record.mtime_ns;
      if (!is_same_file && !has_same_content(statement, record)) continue;
      adopt(statement, record, changed_file);
      return;
    }
  }

  bool has_same_content(const sqlite::Statement& gone, Record& record) {
    if (gone.integer(7) != record.header) return false;
    const std::string sha256 = gone.text(8);
    // Without a hash of the lost file its header and date must do; a copy tool that keeps dates keeps both.
    if (sha256.empty()) return record.header != 0 && gone.integer(6) == record.mtime_ns;
    try {
      record.sha256 =
          sha256_file_hex(folder_of(place_named(record.place), data_) / record.relative, options_.stop);
    } catch (const Error&) {
      return false;
    }
    return record.sha256 == sha256;
  }

  void adopt(const sqlite::Statement& gone, Record& record, const ChangedFile& changed_file) {
    const std::int64_t id = gone.integer(0);
    auto before = database_.prepare(fmt::format("SELECT {} FROM file WHERE id = ?", record_column_list()));
    before.bind(1, id);
    if (!before.step()) return;
    const Record old = read_record_row(before);
    record.id = id;
    record.added = old.added;
    record.sha256 = old.sha256;
    record.autov1 = old.autov1;
    record.addnet = old.addnet;
    auto remember =
        database_.prepare("INSERT OR IGNORE INTO former_name (file, name, since) VALUES (?, ?, ?)");
    const std::string relative = fs::path(old.relative).replace_extension().generic_string();
    for (const std::string& name : {old.name, relative})
      remember.bind(1, id).bind(2, name).bind(3, static_cast<std::int64_t>(std::time(nullptr))).run();
    ++report_.renamed;
    --report_.gone;
    // What was written beside the old name still holds.
    const PlaceRow& place = *changed_file.folder->place;
    const fs::path folder = folder_of(place, data_);
    CardSources sources{.folder = record.folder,
                        .former = {folder_of(place_named(old.place), data_) / old.relative},
                        .overlay = overlay_sidecar(overlay_, place, record.relative),
                        .listed = &changed_file.folder->names};
    read_record(place, folder / record.relative, sources, renamed_, record);
  }

  const sqlite::Database& database_;
  const DataDir& data_;
  const ScanOptions& options_;
  const fs::path overlay_;
  ScanReport report_;
  Changes changes_;
  std::map<std::int64_t, std::vector<std::string>> former_;  // id → names, of files being read
  std::vector<std::unique_ptr<formats::LoraSummariser>> summarisers_;
  formats::LoraSummariser renamed_;  // of files read again while others are being read
  bool has_gone_ = false;
};

}  // namespace

ScanReport scan(const sqlite::Database& database, const DataDir& data, const ScanOptions& options) {
  return Scan(database, data, options).run();
}

}  // namespace lowrank::library
