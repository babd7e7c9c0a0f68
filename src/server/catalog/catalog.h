// What a request may name: checkpoints and VAEs of the data folder, under all the names that A1111 knows for
// them. No name is ever taken as a path. Safe to use from any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "library/data_dir.h"
#include "server/catalog/hash_cache.h"

namespace lowrank::server {

struct CheckpointEntry {
  std::filesystem::path path;
  std::string relative;    // "style/name.safetensors"
  std::string model_name;  // relative without extension, '/' → '_'
  std::string sha256;      // "" not known yet

  std::string short_hash() const { return sha256.substr(0, 10); }
  // "style/name.safetensors [0123456789]"; without a bracket as long as the hash is not known.
  std::string title() const;
};

enum class Match { kExact, kPart };  // kPart: also a part of a title, without regard to case

class Catalog {
 public:
  Catalog(library::DataDir data, HashCache& hashes);

  // In natural order, the starter last.
  std::vector<CheckpointEntry> checkpoints();
  // By title, model_name, relative path, file name, stem, short hash, sha256 or "NAME [HASH]". nullopt: no
  // such one.
  std::optional<CheckpointEntry> find_checkpoint(const std::string& name, Match match = Match::kExact);
  // The one that is taken when none is chosen; nullopt when there is none at all.
  std::optional<CheckpointEntry> default_checkpoint();

  // Files of models/VAE, and VAEs beside checkpoints; by file name or stem.
  std::vector<std::filesystem::path> vaes() const;
  std::optional<std::filesystem::path> find_vae(const std::string& name) const;

  // Upscaler models: models/ESRGAN and models/RealESRGAN.
  std::vector<std::filesystem::path> upscaler_files() const;
  // "None", "Lanczos", "Nearest", then the files' stems.
  std::vector<std::string> upscaler_names() const;

  const library::DataDir& data() const { return data_; }
  // Files below the checkpoint folders that have the right to be shown: links resolved, inside one of the
  // folders.
  bool is_inside_data(const std::filesystem::path& path) const;

 private:
  CheckpointEntry entry(const std::filesystem::path& path);

  const library::DataDir data_;
  HashCache& hashes_;
};

// `path` with links resolved lies in `folder` or below.
bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace lowrank::server
