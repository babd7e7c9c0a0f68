#include "library/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/ascii.h"
#include "base/error.h"
#include "library/index/open_index.h"
#include "library/index/read_record.h"
#include "library/index/state_dir.h"
#include "library/lora_folder.h"
#include "library/near_names.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLeastHashDigits = 8;

constexpr std::string_view kIsLora = "place IN ('starter-lora', 'lora', 'lycoris')";

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

// In the order of scanning: places as in their table, then natural order.
bool scanned_before(const Record& a, const Record& b) {
  const auto rank = [](const Record& record) { return &place_named(record.place); };
  return std::pair(rank(a), std::string_view(a.sort_key)) < std::pair(rank(b), std::string_view(b.sort_key));
}

std::string without_extension(const std::string& relative) {
  return fs::path(relative).replace_extension().generic_string();
}

}  // namespace

Library Library::open(const DataDir& data, const ScanOptions& options, Rebuild rebuild) {
  const fs::path file = index_file(data);
  if (rebuild == Rebuild::kYes) {
    Library library(data, rebuild_index(file));
    library.rescan(options);
    carry_over(library.database_);
    return library;
  }
  Library library(data, open_index(file));
  try {
    library.rescan(options);
  } catch (const Error& error) {
    if (error.code() != kConflict) throw;
    // Damage that only reading showed.
    Library fresh(data, rebuild_index(file));
    fresh.rescan(options);
    return fresh;
  }
  return library;
}

ScanReport Library::rescan(const ScanOptions& options) {
  last_scan_ = scan(database_, data_, options);
  return last_scan_;
}

void Library::reread(const Record& record) {
  database_.prepare("UPDATE file SET stamp = -1 WHERE id = ?").bind(1, record.id).run();
  database_.prepare("DELETE FROM folder WHERE place = ? AND relative = ?")
      .bind(1, record.place)
      .bind(2, record.folder)
      .run();
  rescan();
}

fs::path Library::path_of(const Record& record) const {
  return folder_of(place_named(record.place), data_) / record.relative;
}

std::string Library::relative_name(const Record& record) {
  return is_model_file(place_named(record.place), record.relative) ? without_extension(record.relative)
                                                                   : record.relative;
}

std::vector<Record> Library::select(std::string_view where,
                                    const std::function<void(Statement&)>& bind) const {
  auto statement =
      database_.prepare(fmt::format("SELECT {} FROM file WHERE {}", record_column_list(), where));
  if (bind) bind(statement);
  std::vector<Record> records;
  while (statement.step()) records.push_back(read_record_row(statement));
  return records;
}

std::string Library::prompt_name(const Record& record) const {
  const auto meant = find_lora(record.name);
  return meant && meant->record.id == record.id ? record.name : relative_name(record);
}

std::optional<FoundLora> Library::find_lora(std::string_view name) const {
  if (name.empty()) return std::nullopt;
  const auto bind_name = [&](Statement& statement) { statement.bind(1, name).bind(2, name); };
  // Only files that bear the name in some spelling can decide what it means; A1111's rule is applied to them.
  auto candidates = select(
      fmt::format("gone IS NULL AND {} AND (name = ? COLLATE NOCASE OR alias = ? COLLATE NOCASE)", kIsLora),
      bind_name);
  const std::string stem(fs::path(name).stem().string());
  if (name.find('/') != std::string_view::npos || stem != name) {
    auto by_path = select(fmt::format("gone IS NULL AND {} AND name = ?", kIsLora),
                          [&](Statement& statement) { statement.bind(1, stem); });
    candidates.insert(candidates.end(), by_path.begin(), by_path.end());
    by_path = select(fmt::format("gone IS NULL AND {} AND name = ?", kIsLora),
                     [&](Statement& statement) { statement.bind(1, fs::path(name).filename().string()); });
    for (Record& record : by_path)
      if (std::ranges::find(candidates, record.id, &Record::id) == candidates.end())
        candidates.push_back(std::move(record));
  }
  std::ranges::sort(candidates, scanned_before);
  std::vector<LoraPlace> places;
  for (const Record& record : candidates)
    places.push_back({.path = path_of(record),
                      .name = record.name,
                      .alias = record.alias,
                      .relative = without_extension(record.relative)});
  const LoraFolder folder(std::move(places));
  if (const auto path = folder.find(name)) {
    for (const Record& record : candidates)
      if (path_of(record) == *path)
        return FoundLora{record, record.name == name ? "name" : record.alias == name ? "alias" : "path"};
  }
  auto former = select(
      fmt::format("gone IS NULL AND {} AND id IN (SELECT file FROM former_name WHERE name = ?)", kIsLora),
      [&](Statement& statement) { statement.bind(1, name); });
  if (!former.empty()) return FoundLora{former.front(), "former name"};
  if (auto record = find_hash(name)) return FoundLora{std::move(*record), "hash"};
  return std::nullopt;
}

std::optional<Record> Library::find_hash(std::string_view hash, std::string_view kind) const {
  if (hash.size() < kLeastHashDigits || hash.size() > 64 || !is_hex(hash)) return std::nullopt;
  const std::string wanted = lower_ascii(hash);
  std::string high = wanted;
  high += 'g';  // behind all hashes that begin with it
  // A1111 takes what the metadata state before what the bytes give.
  for (const char* column : {"sshs", "addnet", "sha256", "autov1", "sshs_legacy"}) {
    auto found = select(fmt::format("gone IS NULL AND {0} >= ? AND {0} < ?", column),
                        [&](Statement& statement) { statement.bind(1, wanted).bind(2, high); });
    std::erase_if(found, [&](const Record& record) { return place_named(record.place).kind != kind; });
    std::ranges::sort(found, scanned_before);
    if (!found.empty()) return found.back();
  }
  return std::nullopt;
}

std::optional<Record> Library::find_civitai_version(std::int64_t version) const {
  if (version == 0) return std::nullopt;
  auto found = select("gone IS NULL AND civitai_version = ?",
                      [&](Statement& statement) { statement.bind(1, version); });
  if (found.empty()) return std::nullopt;
  return std::move(found.back());
}

FoundLora Library::resolve(std::string_view name) const {
  if (auto found = find_lora(name)) return std::move(*found);
  std::error_code failure;
  if (const fs::path path = name; fs::is_regular_file(path, failure)) {
    for (const Record& record : find({.kind = "lora"}))
      if (fs::equivalent(path_of(record), path, failure)) return {record, "path"};
  }
  std::vector<std::string> known;
  auto statement =
      database_.prepare(fmt::format("SELECT name, alias FROM file WHERE gone IS NULL AND {}", kIsLora));
  while (statement.step()) {
    known.push_back(statement.text(0));
    if (statement.text(1) != known.back()) known.push_back(statement.text(1));
  }
  const std::string folder = data_.loras().string();
  const auto near = near_names(name, known);
  if (!near.empty())
    throw Error(kNotFound, "there is no LoRA '{}' in {}: did you mean {}?", name, folder,
                fmt::join(near, " or "));
  if (known.empty())
    throw Error(kNotFound, "there is no LoRA '{}': {} holds none; put the file there.", name, folder);
  throw Error(kNotFound, "there is no LoRA '{}' in {}; 'lowrank lora list' shows what is there.", name,
              folder);
}

std::vector<std::string> Library::former_names(const Record& record) const {
  std::vector<std::string> names;
  auto statement = database_.prepare("SELECT name FROM former_name WHERE file = ? ORDER BY since, name");
  statement.bind(1, record.id);
  while (statement.step()) names.push_back(statement.text(0));
  return names;
}

bool Library::hash(Record& record, std::string& problem, const std::stop_token& stop) const {
  return ensure_hashes(database_, data_, record, problem, stop);
}

std::vector<Record> Library::unhashed(std::string_view kind) const {
  auto records = select("gone IS NULL AND sha256 IS NULL AND size > 0");
  std::erase_if(records, [&](const Record& record) { return place_named(record.place).kind != kind; });
  std::ranges::sort(records, scanned_before);
  return records;
}

std::vector<DuplicateGroup> Library::duplicates() const {
  std::vector<DuplicateGroup> groups;
  std::map<std::string, std::vector<Record>> by_sha, by_addnet;
  for (Record& record : select("gone IS NULL AND sha256 IN (SELECT sha256 FROM file WHERE gone IS NULL "
                               "GROUP BY sha256 HAVING count(*) > 1)"))
    by_sha[record.sha256].push_back(std::move(record));
  for (Record& record : select("gone IS NULL AND addnet IN (SELECT addnet FROM file WHERE gone IS NULL "
                               "GROUP BY addnet HAVING count(DISTINCT sha256) > 1)"))
    by_addnet[record.addnet].push_back(std::move(record));
  for (auto* files : {&by_sha, &by_addnet})
    for (auto& [hash, records] : *files) {
      std::ranges::sort(records, scanned_before);
      groups.push_back({std::move(records), files == &by_sha});
    }
  return groups;
}

std::vector<Record> Library::suspects() const {
  return select(
      "gone IS NULL AND sha256 IS NULL AND size > 0 AND size IN (SELECT size FROM file WHERE gone IS NULL "
      "GROUP BY size HAVING count(*) > 1) ORDER BY size");
}

std::vector<NameConflict> Library::conflicts() const {
  auto claimed = database_.prepare(
      fmt::format("SELECT claim FROM (SELECT name AS claim FROM file WHERE gone IS NULL AND {0} UNION ALL "
                  "SELECT alias FROM file WHERE gone IS NULL AND {0} AND alias <> name) "
                  "GROUP BY claim HAVING count(*) > 1 LIMIT 1",
                  kIsLora));
  if (!claimed.step()) return {};
  std::map<std::string, std::vector<Record>> claims;
  auto records = select(fmt::format("gone IS NULL AND {}", kIsLora));
  std::ranges::sort(records, scanned_before);
  std::vector<LoraPlace> places;
  for (const Record& record : records) {
    places.push_back({path_of(record), record.name, record.alias, without_extension(record.relative)});
    claims[record.name].push_back(record);
    if (record.alias != record.name) claims[record.alias].push_back(record);
  }
  const LoraFolder folder(std::move(places));
  std::vector<NameConflict> conflicts;
  for (auto& [name, claimants] : claims) {
    if (claimants.size() < 2) continue;
    NameConflict conflict{.name = name, .claimants = std::move(claimants), .winner = std::nullopt};
    if (const auto path = folder.find(name))
      for (const Record& record : conflict.claimants)
        if (path_of(record) == *path) conflict.winner = record.id;
    conflicts.push_back(std::move(conflict));
  }
  return conflicts;
}

std::vector<Record> Library::gone() const {
  return select(fmt::format("gone IS NOT NULL AND {} ORDER BY gone DESC, sort_key", kIsLora));
}

CardSources Library::card_sources(const Record& record) const {
  CardSources sources{
      .folder = record.folder, .former = {}, .overlay = overlay_of(record), .listed = nullptr};
  const fs::path folder = folder_of(place_named(record.place), data_);
  const std::string extension = fs::path(record.relative).extension().string();
  for (const std::string& name : former_names(record)) sources.former.push_back(folder / (name + extension));
  return sources;
}

fs::path Library::overlay_of(const Record& record) const {
  return overlay_sidecar(overlay_folder(data_), place_named(record.place), record.relative);
}

}  // namespace lowrank::library
