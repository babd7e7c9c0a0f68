// Files that are there twice, without a hash, or no longer.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "library/library.h"

namespace lowrank::library {

std::vector<Record> Library::unhashed(std::string_view kind) const {
  auto records = select("gone IS NULL AND sha256 IS NULL AND size > 0");
  std::erase_if(records, [&](const Record& record) { return place_named(record.place).kind != kind; });
  std::ranges::sort(records, scanned_before);
  return records;
}

std::vector<DuplicateGroup> Library::duplicates() const {
  std::vector<DuplicateGroup> groups;
  std::map<std::string, std::vector<Record>> by_sha, by_addnet;
  for (Record& record : select("gone IS NULL AND sha256 IN (SELECT sha256 FROM file WHERE gone IS NULL GROUP "
                               "BY sha256 HAVING count(*) > 1)"))
    by_sha[record.sha256].push_back(std::move(record));
  for (Record& record : select("gone IS NULL AND addnet IN (SELECT addnet FROM file WHERE gone IS NULL GROUP "
                               "BY addnet HAVING count(DISTINCT sha256) > 1)"))
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
      "gone IS NULL AND sha256 IS NULL AND size > 0 AND (size, header) IN (SELECT size, header FROM file "
      "WHERE gone IS NULL GROUP BY size, header HAVING count(*) > 1) ORDER BY size");
}

std::int64_t wasted_bytes(const DuplicateGroup& group) {
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (const Record& file : group.files) seen.emplace(file.device, file.inode);
  if (!group.is_whole_file) return 0;
  return static_cast<std::int64_t>(seen.size() - 1) * group.files.front().size;
}

std::vector<Record> Library::gone() const {
  return select(fmt::format("gone IS NOT NULL AND {} ORDER BY gone DESC, sort_key", places_of_kind("lora")));
}

}  // namespace lowrank::library
