// What a request may name: checkpoints and VAEs of the data folder, under all the names that A1111 knows for
// them. No name is ever taken as a path. Safe to use from any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "library/data_dir.h"
#include "library/model_names.h"
#include "server/catalog/hash_cache.h"

namespace lowrank::server {

using CheckpointEntry = library::CheckpointNames;
using library::Match;

class ModelCatalog {
 public:
  ModelCatalog(library::DataDir data, HashCache& hashes);

  // In natural order, the starter last.
  std::vector<CheckpointEntry> checkpoints();
  // By any of its names (library/model_names.h). nullopt: no such one.
  std::optional<CheckpointEntry> find_checkpoint(const std::string& name, Match match = Match::kExact);
  // The one that is taken when none is chosen; nullopt when there is none at all.
  std::optional<CheckpointEntry> default_checkpoint();

  // Files of the folders of VAEs.
  std::vector<std::filesystem::path> vaes() const;
  std::optional<std::filesystem::path> find_vae(const std::string& name) const;

  // Upscaler models.
  std::vector<std::filesystem::path> upscaler_files() const;
  // Those without a file, then the files' stems.
  std::vector<std::string> upscaler_names() const;

  const library::DataDir& data() const { return data_; }
  // Files below the checkpoint folders that have the right to be shown: links resolved, inside one of the
  // folders.
  bool is_inside_data(const std::filesystem::path& path) const;

 private:
  library::KnownHash known_hash();

  const library::DataDir data_;
  HashCache& hashes_;
};

// `path` with links resolved lies in `folder` or below.
bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace lowrank::server
