// Which file a name or a hash means.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/text/ascii.h"
#include "base/text/text.h"
#include "library/library.h"
#include "library/lora_folder.h"
#include "library/misplaced_models.h"
#include "library/near_names.h"
#include "prompt/generators/civitai_resources.h"
#include "prompt/generators/generators.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLeastHashDigits = 8;

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

}  // namespace

std::string Library::prompt_name(const Record& record) const {
  const auto is_meant_by = [&](const std::string& name) {
    const auto meant = find_lora(name);
    return meant && meant->record.id == record.id;
  };
  const std::string name = well_formed(record.name), alias = well_formed(record.alias),
                    relative = well_formed(relative_name(record));
  // One that A1111 can read, too, before one that needs LowRank's quotes.
  for (const std::string& each : {name, alias, relative})
    if (prompt::is_plain_network_name(each) && is_meant_by(each)) return each;
  // A file in no folder, whose name one in a folder bears too, is reached by its whole file name.
  for (const std::string& each : {name, relative, well_formed(record.relative)})
    if (is_meant_by(each)) return each;
  return relative;
}

std::optional<Record> Library::find_relative(std::string_view relative) const {
  auto found = select(
      fmt::format("gone IS NULL AND {} AND name = ?", places_of_kind("lora")),
      [&](sqlite::Statement& statement) { statement.bind(1, fs::path(relative).filename().string()); });
  std::erase_if(found, [&](const Record& record) { return relative_name(record) != relative; });
  if (found.empty()) return std::nullopt;
  std::ranges::sort(found, scanned_before);
  return std::move(found.back());
}

std::set<std::string, std::less<>> Library::claimed_names() const {
  std::set<std::string, std::less<>> names;
  auto claimed = database_.prepare(fmt::format(
      "SELECT claim FROM (SELECT name AS claim FROM file WHERE gone IS NULL AND {0} UNION ALL SELECT alias "
      "FROM file WHERE gone IS NULL AND {0} AND alias <> name) GROUP BY claim HAVING count(*) > 1",
      places_of_kind("lora")));
  while (claimed.step()) names.insert(claimed.text(0));
  return names;
}

std::optional<FoundLora> Library::find_lora(std::string_view name) const {
  if (name.empty()) return std::nullopt;
  const auto bind_name = [&](sqlite::Statement& statement) { statement.bind(1, name).bind(2, name); };
  // Only files that bear the name in some spelling can decide what it means; A1111's rule is applied to them.
  auto candidates =
      select(fmt::format("gone IS NULL AND {} AND (name = ? COLLATE NOCASE OR alias = ? COLLATE NOCASE)",
                         places_of_kind("lora")),
             bind_name);
  const std::string stem(fs::path(name).stem().string());
  if (name.find('/') != std::string_view::npos || stem != name) {
    auto by_path = select(fmt::format("gone IS NULL AND {} AND name = ?", places_of_kind("lora")),
                          [&](sqlite::Statement& statement) { statement.bind(1, stem); });
    candidates.insert(candidates.end(), by_path.begin(), by_path.end());
    by_path =
        select(fmt::format("gone IS NULL AND {} AND name = ?", places_of_kind("lora")),
               [&](sqlite::Statement& statement) { statement.bind(1, fs::path(name).filename().string()); });
    for (Record& record : by_path)
      if (std::ranges::find(candidates, record.id, &Record::id) == candidates.end())
        candidates.push_back(std::move(record));
  }
  std::ranges::sort(candidates, scanned_before);
  std::vector<LoraLocation> places;
  for (const Record& record : candidates)
    places.push_back({.path = path_of(record),
                      .name = record.name,
                      .alias = record.alias,
                      .relative = relative_name(record)});
  const LoraFolder folder(std::move(places));
  if (const auto path = folder.find(name)) {
    for (const Record& record : candidates)
      if (path_of(record) == *path)
        return FoundLora{record, record.name == name ? "name" : record.alias == name ? "alias" : "path"};
  }
  // A prompt is well-formed UTF-8, where a file's name need not be.
  if (name.find("\uFFFD") != std::string_view::npos)
    for (Record& record : select(fmt::format("gone IS NULL AND {}", places_of_kind("lora"))))
      if (well_formed(record.name) == name || well_formed(relative_name(record)) == name)
        return FoundLora{std::move(record), "name"};
  auto former =
      select(fmt::format("gone IS NULL AND {} AND id IN (SELECT file FROM former_name WHERE name = ?)",
                         places_of_kind("lora")),
             [&](sqlite::Statement& statement) { statement.bind(1, name); });
  if (!former.empty()) return FoundLora{former.front(), "former name"};
  if (auto record = find_hash(name)) return FoundLora{std::move(*record), "hash"};
  if (const auto version = prompt::civitai_version_of(name))
    if (auto record = find_civitai_version(*version)) return FoundLora{std::move(*record), "Civitai version"};
  return std::nullopt;
}

std::optional<Record> Library::find_hash(std::string_view hash, std::string_view kind) const {
  // LyCORIS states its hashes with "0x" before them, and infotexts repeat the first twelve characters of that.
  const std::string lower = lower_ascii(hash);
  const bool is_prefixed = lower.starts_with("0x");
  const std::string digits = is_prefixed ? lower.substr(2) : lower;
  if (digits.size() < kLeastHashDigits || digits.size() > 64 || !is_hex(digits)) return std::nullopt;
  // A1111 takes what the metadata state before what the bytes give.
  struct Try {
    const char* column;
    std::string wanted;
  };
  std::vector<Try> tries = {{"sshs", "0x" + digits}};
  if (!is_prefixed) tries.insert(tries.begin(), {"sshs", digits});
  for (const char* column : {"addnet", "sha256", "autov1", "sshs_legacy"}) tries.push_back({column, digits});
  for (const Try& tried : tries) {
    const std::string high = tried.wanted + 'g';  // behind all hashes that begin with it
    auto found = select(fmt::format("gone IS NULL AND {0} >= ? AND {0} < ?", tried.column),
                        [&](sqlite::Statement& statement) { statement.bind(1, tried.wanted).bind(2, high); });
    std::erase_if(found, [&](const Record& record) { return place_named(record.place).kind != kind; });
    std::ranges::sort(found, scanned_before);
    if (!found.empty()) return found.back();
  }
  return std::nullopt;
}

std::optional<Record> Library::find_civitai_version(std::int64_t version) const {
  if (version == 0) return std::nullopt;
  auto found = select("gone IS NULL AND civitai_version = ?",
                      [&](sqlite::Statement& statement) { statement.bind(1, version); });
  if (found.empty()) return std::nullopt;
  return std::move(found.back());
}

std::optional<Record> Library::find_id(std::int64_t id) const {
  auto found =
      select("gone IS NULL AND id = ?", [&](sqlite::Statement& statement) { statement.bind(1, id); });
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::optional<Record> Library::find_path(const fs::path& path) const {
  std::error_code failure;
  for (Record& record : select("gone IS NULL AND name = ?", [&](sqlite::Statement& statement) {
         statement.bind(1, path.stem().string());
       }))
    if (fs::equivalent(path_of(record), path, failure)) return std::move(record);
  return std::nullopt;
}

FoundLora Library::resolve(std::string_view name) const {
  if (auto found = find_lora(name)) return std::move(*found);
  std::error_code failure;
  if (const fs::path path = name; fs::is_regular_file(path, failure))
    if (auto record = find_path(path); record && place_named(record->place).kind == "lora")
      return {std::move(*record), "path"};
  std::vector<std::string> known;
  auto statement = database_.prepare(
      fmt::format("SELECT name, alias FROM file WHERE gone IS NULL AND {}", places_of_kind("lora")));
  while (statement.step()) {
    known.push_back(statement.text(0));
    if (statement.text(1) != known.back()) known.push_back(statement.text(1));
  }
  const std::string folder = data_.loras().string();
  const std::string misplaced = misplaced_models(data_),
                    hint = misplaced.empty() ? "" : " (" + misplaced + ")";
  const auto near = near_names(name, known);
  if (!near.empty())
    throw Error(kNotFound, "no LoRA named '{}' in {}: did you mean {}?{}", name, folder,
                fmt::join(near, " or "), hint);
  if (known.empty())
    throw Error(kNotFound, "no LoRA named '{}': {} contains none; put the file there.{}", name, folder, hint);
  throw Error(kNotFound, "no LoRA named '{}' in {}; 'lowrank lora list' shows what is there.{}", name, folder,
              hint);
}

std::vector<std::string> Library::former_names(const Record& record) const {
  std::vector<std::string> names;
  auto statement = database_.prepare("SELECT name FROM former_name WHERE file = ? ORDER BY since, name");
  statement.bind(1, record.id);
  while (statement.step()) names.push_back(statement.text(0));
  return names;
}

std::vector<NameConflict> Library::conflicts() const {
  if (claimed_names().empty()) return {};
  std::map<std::string, std::vector<Record>> claims;
  auto records = select(fmt::format("gone IS NULL AND {}", places_of_kind("lora")));
  std::ranges::sort(records, scanned_before);
  std::vector<LoraLocation> places;
  for (const Record& record : records) {
    places.push_back({path_of(record), record.name, record.alias, relative_name(record)});
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

}  // namespace lowrank::library
