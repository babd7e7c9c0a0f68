// What differs between the folders and the index: which files must be read, which have gone.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "library/data_dir.h"
#include "library/index/scan_report.h"
#include "library/index/walk.h"
#include "sqlite/database.h"

namespace lowrank::library {

using FolderKey = std::pair<std::string, std::string>;  // place, folder

struct ChangedListing {
  const PlaceRow* place = nullptr;
  Listing listing;
  std::set<std::string, std::less<>> names;  // of all files in the folder
};

// A file that must be read.
struct ChangedFile {
  const ChangedListing* folder = nullptr;
  const ListedFile* file = nullptr;
  std::int64_t stamp = 0;
};

struct Changes {
  std::vector<std::unique_ptr<ChangedListing>> listings;
  std::vector<FolderKey> vanished_folders;
  std::vector<ChangedFile> changed_files;  // in the order of `listings`
  std::vector<std::int64_t> gone;          // ids
};

// Looks at every folder of the collection; opens no file. Counts folders and tells problems in `report`.
Changes find_changes(const sqlite::Database& database, const DataDir& data, ScanReport& report);

// The file's path below its place; that of a diffusers folder is the folder's.
std::string relative_of(const ChangedFile& changed_file);

}  // namespace lowrank::library
