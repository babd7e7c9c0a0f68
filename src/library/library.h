// The collection: an index over the files of a data folder, brought up to date when it is opened, and the
// questions that people ask of it. The files stay the truth; the index can be thrown away at any time.
//
//   auto library = Library::open(find_data_dir(""));
//   auto fox = library.resolve("fox");                   // by name, alias, path, former name or hash
//   auto styles = library.find({.type = "style"});
//
// One thread at a time; several processes may have one open.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "library/data_dir.h"
#include "library/index/facets.h"
#include "library/index/hashing.h"
#include "library/index/place_table.h"
#include "library/index/query.h"
#include "library/index/scan.h"
#include "library/index/spelling.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {

enum class Rebuild { kNo, kYes };

struct FoundLora {
  Record record;
  std::string how;  // "name", "path", "former name", "hash"
};

// Files whose content is the same, and names that several files claim.
struct DuplicateGroup {
  std::vector<Record> files;  // two or more
  bool is_whole_file = true;  // false: equal tensors, other metadata
};
// What one copy would leave free; hard links and links share their bytes.
std::int64_t wasted_bytes(const DuplicateGroup& group);

struct NameConflict {
  std::string name;
  std::vector<Record> claimants;       // two or more
  std::optional<std::int64_t> winner;  // id of the one that <lora:NAME:1> takes; nullopt: none of them
};

// A path in the one form in which two that are written alike from different folders are equal.
std::filesystem::path where_is(const std::filesystem::path& path);

class Library {
 public:
  // Opens the index of the data folder and scans. A damaged index is made anew; kYes makes it anew in any
  // case, and carries former names and hashes over. Throws Error(kUnsupported) when a newer LowRank made the
  // index.
  static Library open(const DataDir& data, const ScanOptions& options = {}, Rebuild rebuild = Rebuild::kNo);

  ScanReport rescan(const ScanOptions& options = {});
  // Reads one file and what lies beside it anew, whatever its dates say.
  void reread(const Record& record);
  const ScanReport& last_scan() const { return last_scan_; }
  const DataDir& data() const { return data_; }

  // `total`, where asked for: how many there are without limit and offset.
  std::vector<Record> find(const Query& query, std::int64_t* total = nullptr) const {
    return run_query(database_, query, total);
  }
  // The same one after the other, for lists of any length.
  void each(const Query& query, const std::function<void(Record&&)>& take,
            std::int64_t* total = nullptr) const {
    run_query(database_, query, take, total);
  }
  // For words that find nothing: the same with those of the collection that come near them.
  NearWords near_words(std::string_view words) const { return library::near_words(database_, words); }
  std::int64_t count(const Query& query) const { return count_hits(database_, query); }
  Facets facets(std::size_t max_tags) const { return count_facets(database_, max_tags); }
  // Judges the LoRAs that were not yet judged for this checkpoint. Throws Error when the file is none.
  Fit fit_of(const std::filesystem::path& checkpoint) const;
  // The index's rows of all checkpoints, by where_is() of their files.
  std::map<std::filesystem::path, Record> checkpoint_records() const;
  // The index's row of a checkpoint; nullopt: it is none of the collection's.
  std::optional<Record> checkpoint_record(const std::filesystem::path& checkpoint) const;
  // Record::layout of the LoRAs that fit.
  std::set<std::int64_t> fitting_layouts(const Fit& fit) const;
  // Lets go of the memory that reading the index took; the next question takes some of it again.
  void rest() const;
  // Changes whenever the index does, also by another process.
  std::int64_t version() const;

  std::filesystem::path path_of(const Record& record) const;
  // Below its LoRA folder, without extension: unique, and understood in prompts.
  static std::string relative_name(const Record& record);

  // The shortest name by which a prompt means this file; in a tag it may need quotes (prompt::network_name).
  std::string prompt_name(const Record& record) const;
  // `<lora:NAME:PREFERRED WEIGHT>` under that name, and "trigger words, <lora:…>"; "" for a file that cannot be used.
  std::string prompt_tag(const Record& record) const;
  std::string prompt_line(const Record& record) const;

  // The LoRA whose relative_name() this is, whatever other names it could mean; of several places' the one that prompts
  // reach. nullopt: there is none.
  std::optional<Record> find_relative(std::string_view relative) const;
  // Names and aliases that more than one LoRA claims: only their prompt_name() tells what a tag must say.
  std::set<std::string, std::less<>> claimed_names() const;

  // The LoRA that NAME means: by A1111's rule first (lora_folder.h), then by a former name, then as a hash of
  // at least eight digits, then as `civitai-VERSION`. nullopt: there is none.
  std::optional<FoundLora> find_lora(std::string_view name) const;
  // The same, else the file at the path NAME. Throws Error(kNotFound) with the names that come near.
  FoundLora resolve(std::string_view name) const;
  // By any hash that is known, of the kind "lora" or another; a shorter hash meets the longer one that it
  // begins.
  std::optional<Record> find_hash(std::string_view hash, std::string_view kind = "lora") const;
  std::optional<Record> find_id(std::int64_t id) const;
  // The record of the file at `path`, whatever way leads there.
  std::optional<Record> find_path(const std::filesystem::path& path) const;
  std::optional<Record> find_civitai_version(std::int64_t version) const;
  std::vector<std::string> former_names(const Record& record) const;

  // Hashes this file when it is not yet known. False with the reason in `problem`.
  bool hash(Record& record, std::string& problem, const std::stop_token& stop = {}) const;
  // Keeps what hash_file() gave for the record's file, unless the file has changed since.
  void keep_hashes(const Record& record, const FileHashes& hashes) const;
  std::vector<Record> unhashed(std::string_view kind) const;
  // Groups by content, of files whose hashes are known. Files without hashes that might be the same (equal in size
  // and header) are in suspects().
  std::vector<DuplicateGroup> duplicates() const;
  std::vector<Record> suspects() const;
  std::vector<NameConflict> conflicts() const;
  // Files that were there once; the newest loss first.
  std::vector<Record> gone() const;

  // Where the words about a file may stand, for read_lora_card().
  CardSources card_sources(const Record& record) const;
  // Where edits go when the file's folder cannot be written.
  std::filesystem::path overlay_of(const Record& record) const;

 private:
  Fit unjudged_fit_of(const std::filesystem::path& checkpoint) const;
  Library(DataDir data, sqlite::Database database) : data_(std::move(data)), database_(std::move(database)) {}
  // In the order of scanning: places as in their table, then natural order.
  static bool scanned_before(const Record& a, const Record& b);
  std::vector<Record> select(std::string_view where,
                             const std::function<void(sqlite::Statement&)>& bind = {}) const;

  DataDir data_;
  sqlite::Database database_;
  ScanReport last_scan_;
};

}  // namespace lowrank::library
