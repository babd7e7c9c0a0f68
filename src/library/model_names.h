// The one rule by which names of checkpoints, VAEs and upscalers become files, for command line, API and page. LoRAs are
// found by the index (library.h).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "library/data_dir.h"

namespace lowrank::library {

// The files of a kind ("vae", "upscaler" …) in all its folders, each in natural order. Throws what check_readable() throws.
std::vector<std::filesystem::path> files_of_kind(std::string_view kind, const DataDir& data);

// What a checkpoint is called.
struct CheckpointNames {
  std::filesystem::path path;  // absolute
  std::string relative;        // "style/name.safetensors"
  std::string model_name;      // relative without extension, '/' → '_', as A1111
  std::string sha256;          // "" as long as it is not known

  std::string short_hash() const { return sha256.substr(0, 10); }
  // "style/name.safetensors [0123456789]"; without a bracket as long as the hash is not known.
  std::string title() const;
  // By title, model_name, relative path with or without extension, file name, name, short hash or SHA-256.
  bool is_called(std::string_view word) const;
};

// A file's SHA-256; "" when it is not known (yet).
using KnownHash = std::function<std::string(const std::filesystem::path& file)>;

CheckpointNames checkpoint_names(const DataDir& data, const std::filesystem::path& checkpoint,
                                 const KnownHash& known_hash);
// In natural order, the starter last.
std::vector<CheckpointNames> checkpoints(const DataDir& data, const KnownHash& known_hash);

enum class Match { kExact, kPart };  // kPart: also a part of a title, without regard to case

// By any of its names, or "NAME [HASH]", of which the name counts. nullopt: no such one. No name is taken for a path.
std::optional<CheckpointNames> find_checkpoint(const DataDir& data, const std::string& name,
                                               const KnownHash& known_hash, Match match = Match::kExact);

// For people who may name any file: a path that exists, else find_checkpoint(). Throws Error(kNotFound) with the names
// that come near.
std::filesystem::path resolve_checkpoint(const DataDir& data, const std::string& name,
                                         const KnownHash& known_hash);

// Of the folders of VAEs, by stem or file name, or path below the folder with or without extension.
std::optional<std::filesystem::path> find_vae(const DataDir& data, const std::string& name);
// The same, or a path that exists; else throws Error(kNotFound) with the names that come near.
std::filesystem::path resolve_vae(const DataDir& data, const std::string& name);
// The VAE that belongs to a checkpoint: NAME.vae.safetensors (.pt, .ckpt) beside it or in the folders of VAEs.
std::optional<std::filesystem::path> vae_of(const DataDir& data, const std::filesystem::path& checkpoint);

// The hashes that earlier starts computed, as they are remembered now.
KnownHash remembered_hashes();

}  // namespace lowrank::library
