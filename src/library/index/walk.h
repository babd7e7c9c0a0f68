// One folder of the collection and all below it, listed with sizes and times. Nothing is opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "library/index/place_table.h"

namespace lowrank::library {

struct ListedFile {
  std::string name;
  std::int64_t size = 0, mtime_ns = 0, ctime_ns = 0, inode = 0, device = 0;
};

struct Listing {
  std::string relative;            // the folder below the place, "" the place itself; any bytes
  std::vector<ListedFile> models;  // a diffusers folder counts as one model and is not gone into
  std::vector<ListedFile> beside;  // everything else that may belong to a model: texts and pictures
  bool is_one_model = false;       // a diffusers folder: `models` holds it under its own name
  std::int64_t fingerprint = 0;    // the same exactly while names, sizes, times and inodes are the same
};

// What is passed over though it may hold models.
struct WalkProblem {
  std::string relative;  // below the place, "" the place itself
  std::string sentence;  // names the whole path, the reason and what to do
  // A folder that is there but cannot be read just now, so that what lay in it is not gone
  bool may_hold_files = false;
};

// Calls `take` for each folder, the place's own first, sub-folders in natural order. Links are followed; a
// folder that was seen before under another name (links that lead round in a circle) is passed over. Folders
// that cannot be read, and links that lead nowhere, are told to `on_problem`.
void walk(const PlaceRow& place, const std::filesystem::path& folder,
          const std::function<void(Listing&&)>& take,
          const std::function<void(const WalkProblem&)>& on_problem);

// Whether a file of this name may belong to a model beside it.
bool may_be_sidecar(std::string_view name);

}  // namespace lowrank::library
