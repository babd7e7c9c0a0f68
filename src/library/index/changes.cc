#include "library/index/changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "formats/lora/peft_config.h"
#include "library/data_dir.h"
#include "library/index/read_record.h"

namespace lowrank::library {
namespace {

// What the index remembers of a file, as far as it tells whether the file changed.
struct Known {
  std::int64_t id = 0, size = 0, mtime_ns = 0, ctime_ns = 0, inode = 0, stamp = 0;
};

std::string joined(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

std::int64_t hash_text(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return static_cast<std::int64_t>(hash);
}

// Of the files beside a model that begin with its name, and of PEFT's settings, which do not.
std::int64_t stamp_of(const std::string& stem, const std::map<std::string, const ListedFile*>& beside) {
  std::int64_t sum = 0;
  const auto add = [&](const ListedFile& file) {
    const auto hash =
        hash_text(fmt::format("{} {} {}", file.name, file.size, file.mtime_ns), 0xCBF29CE484222325ull);
    sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(hash));
  };
  const std::string begin = stem + ".";
  for (auto it = beside.lower_bound(begin); it != beside.end() && it->first.starts_with(begin); ++it)
    add(*it->second);
  if (stem == formats::kPeftStem)
    if (const auto settings = beside.find(std::string(formats::kPeftSettings)); settings != beside.end())
      add(*settings->second);
  return sum;
}

std::string relative_in(const ChangedListing& changed, const ListedFile& file) {
  return changed.listing.is_one_model ? changed.listing.relative
                                      : joined(changed.listing.relative, file.name);
}

class Comparison {
 public:
  Comparison(const sqlite::Database& database, const DataDir& data, ScanReport& report)
      : database_(database), data_(data), report_(report) {}

  Changes run() {
    list_folders();
    if (!changes_.listings.empty() || !changes_.vanished_folders.empty()) find_differences();
    return std::move(changes_);
  }

 private:
  void list_folders() {
    std::map<FolderKey, std::int64_t> known;
    auto statement = database_.prepare("SELECT place, relative, fingerprint FROM folder");
    while (statement.step()) known[{statement.text(0), statement.text(1)}] = statement.integer(2);
    for (const PlaceRow& place : place_table()) {
      std::vector<std::string> unreadable;
      walk(
          place, folder_of(place, data_),
          [&](Listing&& listing) {
            ++report_.folders;
            const auto found = known.find({std::string(place.name), listing.relative});
            const bool is_same = found != known.end() && found->second == listing.fingerprint;
            if (found != known.end()) known.erase(found);
            if (is_same) return;
            auto& changed = changes_.listings.emplace_back(std::make_unique<ChangedListing>());
            changed->place = &place;
            changed->listing = std::move(listing);
          },
          [&](const WalkProblem& problem) {
            report_.problems.push_back(problem.sentence);
            if (problem.may_hold_files) unreadable.push_back(problem.relative);
          });
      // What lies in a folder that cannot be read just now is not gone.
      std::erase_if(known, [&](const auto& item) {
        const auto& key = item.first;  // no structured binding: clang 14 does not capture those
        return key.first == place.name && std::ranges::any_of(unreadable, [&](const std::string& folder) {
                 return folder.empty() || key.second == folder || key.second.starts_with(folder + "/");
               });
      });
    }
    for (const auto& [key, fingerprint] : known) changes_.vanished_folders.push_back(key);
    report_.changed_folders = static_cast<std::int64_t>(changes_.listings.size());
  }

  std::map<std::string, Known> known_in(std::string_view place, const std::string& folder) const {
    std::map<std::string, Known> known;
    auto statement = database_.prepare(
        "SELECT relative, id, size, mtime, ctime, inode, stamp FROM file WHERE place = ? AND folder = ? AND "
        "gone IS NULL");
    statement.bind(1, place).bind(2, folder);
    while (statement.step())
      known[statement.text(0)] = {statement.integer(1), statement.integer(2), statement.integer(3),
                                  statement.integer(4), statement.integer(5), statement.integer(6)};
    return known;
  }

  void find_differences() {
    for (const auto& [place, folder] : changes_.vanished_folders)
      for (const auto& [relative, known] : known_in(place, folder)) changes_.gone.push_back(known.id);
    for (auto& changed : changes_.listings) {
      Listing& listing = changed->listing;
      auto known = known_in(changed->place->name, listing.relative);
      std::map<std::string, const ListedFile*> beside;
      for (const ListedFile& file : listing.beside) {
        beside.emplace(file.name, &file);
        changed->names.insert(file.name);
      }
      for (const ListedFile& file : listing.models) {
        changed->names.insert(file.name);
        const auto found = known.find(relative_in(*changed, file));
        const auto stamp = stamp_of(model_name(*changed->place, file.name), beside);
        if (found != known.end()) {
          const Known before = found->second;
          known.erase(found);
          if (before.size == file.size && before.mtime_ns == file.mtime_ns &&
              before.ctime_ns == file.ctime_ns && before.inode == file.inode && before.stamp == stamp)
            continue;
        }
        changes_.changed_files.push_back({.folder = changed.get(), .file = &file, .stamp = stamp});
      }
      for (const auto& [relative, before] : known) changes_.gone.push_back(before.id);
    }
  }

  const sqlite::Database& database_;
  const DataDir& data_;
  ScanReport& report_;
  Changes changes_;
};

}  // namespace

Changes find_changes(const sqlite::Database& database, const DataDir& data, ScanReport& report) {
  return Comparison(database, data, report).run();
}

std::string relative_of(const ChangedFile& changed_file) {
  return relative_in(*changed_file.folder, *changed_file.file);
}

}  // namespace lowrank::library
