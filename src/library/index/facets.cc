#include "library/index/facets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/text/ascii.h"
#include "library/index/query.h"
#include "library/lora_words.h"

namespace lowrank::library {
namespace {

using Counts = std::unordered_map<std::string, std::int64_t>;

std::vector<ValueCount> most_frequent(const Counts& counts, std::size_t most) {
  std::vector<ValueCount> list;
  list.reserve(counts.size());
  for (const auto& [value, count] : counts) list.push_back({value, count});
  const auto end = list.begin() + static_cast<std::ptrdiff_t>(std::min(most, list.size()));
  std::ranges::partial_sort(list, end, [](const ValueCount& a, const ValueCount& b) {
    return a.count != b.count ? a.count > b.count : a.value < b.value;
  });
  list.erase(end, list.end());
  return list;
}

}  // namespace

Facets count_facets(const sqlite::Database& database, std::size_t max_tags) {
  Facets facets;
  Counts types, bases, subfamilies, tags;
  std::map<std::string, std::int64_t> folders;
  auto statement = database.prepare(fmt::format(
      "SELECT type, architecture, base_model, tags, caption_tags, folder, subfamily FROM file WHERE {}",
      shown_loras()));
  while (statement.step()) {
    ++facets.total;
    ++types[statement.text(0)];
    ++bases[base_text(statement.text(1), statement.text(2))];
    ++subfamilies[statement.text(6)];
    std::set<std::string> own;  // what a LoRA has twice counts once
    for (std::string& tag : list_of(statement.text(3))) own.insert(lower_ascii(std::move(tag)));
    for (const auto& [tag, count] : counts_of(statement.text(4))) own.insert(lower_ascii(tag));
    for (const std::string& tag : own) ++tags[tag];
    const std::string folder = statement.text(5);
    for (auto end = folder.find('/'); end != std::string::npos; end = folder.find('/', end + 1))
      ++folders[folder.substr(0, end)];
    ++folders[folder];
  }
  tags.erase("");
  facets.types = most_frequent(types, types.size());
  facets.base_models = most_frequent(bases, bases.size());
  facets.subfamilies = most_frequent(subfamilies, subfamilies.size());
  facets.tags = most_frequent(tags, max_tags);
  for (const auto& [folder, count] : folders) facets.folders.push_back({folder, count});
  return facets;
}

}  // namespace lowrank::library
